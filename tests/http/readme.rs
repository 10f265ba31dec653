//! The README as somebody new reads it: its own lines, in their order, in an empty directory, and what they say comes of them.
//!
//! Lines are those of the `sh` blocks behind `<!-- new user -->`. What stands behind a `#` is what must come out. The built binary takes
//! the place of `cargo run` and `cargo esker`, a port of its own that of 8500, and our client that of curl, where there is none.

use crate::browser::Browser;
use crate::client::request;
use crate::serve_command::{Serve, command};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../../README.md");
const ALIAS: &str = include_str!("../../.cargo/config.toml");

/// The lines, each with what must come out.
fn lines() -> Vec<(&'static str, Option<&'static str>)> {
    let blocks = README.split("<!-- new user -->\n```sh\n").skip(1);
    let text = blocks.map(|block| block.split("\n```").next().expect("its end"));
    text.flat_map(str::lines)
        .map(|line| match line.split_once(" # ") {
            Some((line, expected)) => (line.trim_end(), Some(expected.trim())),
            None => (line, None),
        })
        .collect()
}

/// The words of a line, as a shell has them: blanks between, single quotes around.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in line.chars() {
        match c {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            c => words.last_mut().expect("one").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What curl prints with these arguments.
fn curl(arguments: &[String], address: SocketAddr) -> String {
    let arguments: Vec<String> =
        arguments.iter().map(|word| word.replace("localhost:8500", &address.to_string())).collect();
    match Command::new("curl").arg("-sS").args(&arguments).output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{arguments:?}: {errors}");
            String::from_utf8(output.stdout).expect("text")
        }
        Err(_) => without_curl(&arguments, address),
    }
}

/// The same without curl, of what the README asks of it.
fn without_curl(arguments: &[String], address: SocketAddr) -> String {
    let (mut method, mut body, mut path) = (None, None, None);
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-X" => method = rest.next(),
            "-d" => body = rest.next(),
            url => path = url.strip_prefix(&address.to_string()),
        }
    }
    let method = method.map_or(if body.is_some() { "POST" } else { "GET" }, |method| method);
    let body = body.map_or("", |body| body);
    request(address, method, path.expect("a path"), &[], body.as_bytes()).text()
}

/// Somebody in a shell.
struct Reader<'a> {
    dir: &'a Path,
    serving: Option<Serve>,
}

impl Reader<'_> {
    fn address(&self) -> SocketAddr {
        self.serving.as_ref().expect("a server runs").address
    }

    /// Does what `line` says; what was printed.
    fn type_line(&mut self, line: &str) -> String {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let owned = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        match words.as_slice() {
            ["cargo", "run", "--release", "--features", "cli,server", "--", "serve"] => {
                assert!(self.serving.is_none(), "one runs");
                let arguments = ["serve", "--listen", "127.0.0.1:0"];
                self.serving = Some(Serve::start(command(self.dir, &arguments)));
                String::new()
            }
            ["cargo", "esker", arguments @ ..] => {
                let output = command(self.dir, arguments).output().expect("it runs");
                let errors = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{line}: {errors}");
                String::from_utf8(output.stdout).expect("text")
            }
            ["curl", arguments @ ..] => curl(&owned(arguments), self.address()),
            ["kill", "-9", ..] => {
                self.serving.take().expect("a server runs").kill();
                String::new()
            }
            _ => panic!("the README has a line that this test cannot do: {line}"),
        }
    }
}

#[test]
fn its_lines_do_what_it_says() {
    let lines = lines();
    // What a reader is promised is among them; so the test cannot pass because the lines are gone.
    let position = |start: &str| {
        let found = lines.iter().position(|(line, _)| line.starts_with(start));
        found.unwrap_or_else(|| panic!("the README has no line `{start}`"))
    };
    let serve = position("cargo run --release --features cli,server -- serve");
    let in_order = [
        serve,
        position("curl -X PUT"),
        position("curl -X POST localhost:8500/backup"),
        position("kill -9"),
        position("cargo esker restore"),
        position("cargo esker get"),
    ];
    assert!(serve == 0 && in_order.is_sorted(), "{lines:?}");
    assert!(lines.iter().filter(|(_, expected)| expected.is_some()).count() >= 4);
    assert!(ALIAS.contains("esker = \"run --release --features cli,server --\""));
    assert!(README.contains("\n```sh\ncargo test\n```\n"), "the second command");

    let dir = tempfile::tempdir().expect("a directory");
    let mut reader = Reader { dir: dir.path(), serving: None };
    for (line, expected) in &lines {
        let printed = reader.type_line(line);
        if let Some(expected) = expected {
            assert_eq!(printed.trim_end(), *expected, "{line}");
        }
    }
    assert!(dir.path().join("backups/monday.db").is_file());

    // And the page shows it.
    let address = reader.address();
    assert!(README.contains("<http://127.0.0.1:8500>"));
    let page = request(address, "GET", "/", &[], b"");
    assert!(page.status == 200 && page.text().contains("<title>esker</title>"));
    let Some(browser) = Browser::start("the page of the README's server") else { return };
    browser.open(&format!("http://{address}/"));
    browser.until("!!document.querySelector('tr[data-backup=\"monday.db\"]')");
    assert_eq!(browser.text("#health"), "ready");
}
