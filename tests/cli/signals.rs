//! Ctrl-C.

#![cfg(unix)]

use super::fixture::{Ran, Shell};
use std::io::Write;
use std::process::{Command, Stdio};

/// A load that is asked to end in the middle.
fn interrupted(shell: &Shell, arguments: &[&str], lines: &str) -> Ran {
    let mut command = shell.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    // It is more than a pipe holds and what is read ahead: when it is all taken, the load is at work.
    stdin.write_all(lines.as_bytes()).expect("taken");
    let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(kill.expect("a shell").success());
    // The handler has a thread of its own: it is waited for until it has put down that it was asked.
    while !handled(child.id()) {
        std::thread::yield_now();
    }
    drop(stdin);
    child.wait_with_output().expect("it ends").into()
}

/// Whether no SIGINT waits for the process any more, and whoever took it sleeps again.
fn handled(pid: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    tasks.flatten().all(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
                .trim()
                .to_string()
        };
        let pending = |name: &str| u64::from_str_radix(&field(name), 16).unwrap_or(0) & 2 != 0;
        field("State:").starts_with(['S', 'Z']) && !pending("SigPnd:") && !pending("ShdPnd:")
    })
}

fn lines() -> String {
    (0..20_000).map(|n| format!("{{\"key\": \"{n:06}\", \"value\": \"{n:0100}\"}}\n")).collect()
}

#[test]
fn a_load_that_is_interrupted_loads_nothing() {
    let shell = Shell::new();
    shell.run(&["set", "there", "1"]).text();
    let ran = interrupted(&shell, &["load", "-"], &lines());
    assert_eq!(ran.fails(130), "the load was interrupted; nothing came of it");
    assert_eq!(shell.run(&["list"]).text(), "there\n");
    assert!(shell.run(&["verify"]).text().contains(": 0 damages"));
}

#[test]
fn a_load_in_parts_says_how_far_it_came() {
    let shell = Shell::new();
    let ran = interrupted(&shell, &["load", "-", "--commit-every", "1000"], &lines());
    let said = ran.fails(130);
    let count = shell.run(&["list", "--count"]).text();
    assert!(
        said.contains(&format!("the {} entries before were loaded", count.trim_end())),
        "{said}, {count}"
    );
}

#[test]
fn an_import_that_is_interrupted_changes_nothing() {
    let shell = Shell::new();
    let members: Vec<_> = (0..20_000).map(|n| format!("\"{n:06}\": \"{n:0100}\"")).collect();
    let ran = interrupted(&shell, &["import"], &format!("{{\"kv\": {{{},", members.join(",")));
    assert_eq!(ran.fails(130), "the import was interrupted; nothing came of it");
    assert_eq!(shell.run(&["list", "--count"]).text(), "0\n");
}
