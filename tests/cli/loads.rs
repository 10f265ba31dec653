//! Loads of every kind, with good lines and bad ones.

use super::fixture::Shell;
use serde_json::json;

const LIST: &[&str] = &["list", "--quiet"];

#[test]
fn json_lines_are_loaded_in_one_commit() {
    let shell = Shell::new();
    let lines = concat!(
        "{\"key\": \"b\", \"value\": \"2\"}\n\n",
        "{\"value\": {\"$base64\": \"AP8=\"}, \"key\": \"a\\u0000\\\"\"}\r\n",
        "{\"key\": \"b\", \"value\": \"3\"}",
    );
    shell.write("some.jsonl", lines);
    assert_eq!(shell.run(&["load", "some.jsonl"]).text(), "3 entries loaded\n");
    assert_eq!(shell.run(&["get", "b"]).text(), "3", "the later holds");
    assert_eq!(shell.run(&["get", "a\\0\""]).bytes(), b"\0\xff");
    let document = shell.feed(&["load", "-", "--prefix", "p/", "--json"], lines.as_bytes()).json();
    assert_eq!(document, json!({ "loaded": 3, "skipped": 0 }));
    assert_eq!(shell.run(LIST).text(), "a\\0\"\nb\np/a\\0\"\np/b\n");
}

#[test]
fn what_scan_prints_is_loaded() {
    let shell = Shell::new();
    let input = "set\ta\\n\t\\xff\\0\nset\tb\t\nset\t\tempty key\n";
    shell.feed(&["batch", "--raw-keys"], input.as_bytes()).text();
    shell.feed(&["batch", "--raw-keys"], b"set\t\\xfe\\xff\tbytes\n").text();
    let scanned = shell.run(&["scan", "--raw-keys", "--json"]).bytes();
    shell.feed(&["load", "-", "--raw-keys", "-d", "other"], &scanned).text();
    assert_eq!(shell.run(&["scan", "--raw-keys", "--json", "-d", "other"]).bytes(), scanned);
}

#[test]
fn csv_is_loaded() {
    let shell = Shell::new();
    shell.write("a.csv", "note,value,key\nx,1,one\ny,\"2, and \"\"more\"\"\nlines\",two\n");
    assert_eq!(shell.run(&["load", "a.csv"]).text(), "2 entries loaded\n");
    assert_eq!(shell.run(&["get", "two"]).text(), "2, and \"more\"\nlines");
    shell.write("b.csv", "name;address\nweb;10.0.0.1\n");
    let columns = ["--key-column", "name", "--value-column", "address", "--delimiter", ";"];
    shell.run(&[&["load", "b.csv"][..], &columns].concat()).text();
    assert_eq!(shell.run(&["get", "web"]).text(), "10.0.0.1");
    shell
        .feed(
            &["load", "-", "--format", "csv", "--no-header", "--delimiter", "\\t"],
            b"key\tvalue\nbin\t\xff\n",
        )
        .text();
    assert_eq!(shell.run(&["get", "key"]).text(), "value");
    assert_eq!(shell.run(&["get", "bin"]).bytes(), b"\xff");
    let failed = shell.run(&["load", "b.csv"]).fails(9);
    assert!(failed.contains("names no column key") && failed.contains("--key-column"), "{failed}");
}

#[test]
fn a_folder_is_loaded() {
    let shell = Shell::new();
    shell.write("from/host", "10.0.0.1");
    shell.write("from/empty", "");
    shell.write("from/deep/er/logo.png", b"\x89PNG\0");
    std::fs::create_dir(shell.path("from/nothing")).expect("made");
    assert_eq!(shell.run(&["load", "from", "--prefix", "config/"]).text(), "3 entries loaded\n");
    assert_eq!(shell.run(LIST).text(), "config/deep/er/logo.png\nconfig/empty\nconfig/host\n");
    assert_eq!(shell.run(&["get", "config/deep/er/logo.png"]).bytes(), b"\x89PNG\0");
}

#[cfg(unix)]
#[test]
fn a_link_in_a_folder_is_not_followed() {
    let shell = Shell::new();
    shell.write("secret", "s");
    shell.write("from/a", "1");
    shell.write("from/z", "1");
    std::os::unix::fs::symlink(shell.path("secret"), shell.path("from/m")).expect("linked");
    std::os::unix::fs::symlink(shell.path("from"), shell.path("from/n")).expect("linked");
    let failed = shell.run(&["load", "from"]).fails(9);
    assert!(failed.starts_with("from/m: it is neither a file nor a folder"), "{failed}");
    assert_eq!(shell.run(LIST).text(), "");
    let ran = shell.run(&["load", "from", "--skip-bad"]);
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(0), 2), "{ran:?}");
    assert_eq!(shell.run(LIST).text(), "a\nz\n");
}

/// Bad lines of each kind: name of the file, the lines before, the bad one, those after.
const BAD: &[(&str, &str, &str, &str)] = &[
    (
        "x.jsonl",
        "{\"key\": \"a\", \"value\": \"1\"}\n",
        "{\"key\": \"b\"}",
        "\n{\"key\": \"c\", \"value\": \"1\"}\n",
    ),
    ("x.jsonl", "\n\n", "no JSON", "\n"),
    ("x.jsonl", "", "[1]", ""),
    ("x.jsonl", "", "{\"key\": \"a\", \"value\": 1}", ""),
    ("x.jsonl", "", "{\"key\": \"a\", \"value\": {\"$base64\": \"?\"}}", ""),
    ("x.jsonl", "", "{\"key\": \"a\", \"value\": \"1\", \"ttl\": 5}", ""),
    ("x.jsonl", "", "{\"key\": {\"$base64\": \"/w==\"}, \"value\": \"1\"}", ""),
    ("x.csv", "key,value\na,1\n", "b", "\nc,1\n"),
    ("x.csv", "key,value\n", "b,1,2", "\n"),
    ("x.csv", "key,value\n\"a\nb\",1\n", "c", "\n"),
];

#[test]
fn a_bad_line_is_named_and_nothing_is_loaded() {
    for (name, before, bad, after) in BAD {
        let shell = Shell::new();
        shell.run(&["set", "there", "1"]).text();
        shell.write(name, [*before, bad, after].concat());
        let error = shell.run(&["--json", "load", name]).fails_as_json(9);
        let message = error["message"].as_str().expect("text");
        assert!(message.ends_with("nothing was loaded"), "{bad}: {message}");
        // A key that is no engine's is told by the key.
        if !bad.contains("/w==") {
            let line = before.matches('\n').count() + 1;
            assert!(message.starts_with(&format!("line {line} of {name}: ")), "{bad}: {message}");
            assert_eq!(error["line"], line, "{bad}");
        }
        assert_eq!(shell.run(LIST).text(), "there\n", "{bad}");
        let ran = shell.run(&["load", name, "--skip-bad"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.starts_with("esker: passed over "), "{ran:?}");
        assert!(
            String::from_utf8_lossy(&ran.stdout).ends_with(" entries loaded, 1 passed over\n"),
            "{ran:?}"
        );
    }
}

// Far more than what an import holds in memory: the first entries have long left it when the bad line comes.
#[test]
fn a_bad_last_line_of_many_loads_nothing() {
    let shell = Shell::new();
    let mut lines: String = (0..60_000)
        .map(|n| format!("{{\"key\": \"{n:06}\", \"value\": \"{n:0200}\"}}\n"))
        .collect();
    lines.push_str("{\"key\": 1}\n");
    let failed = shell.feed(&["load", "-"], lines.as_bytes()).fails(9);
    assert!(failed.starts_with("line 60001 of standard input: "), "{failed}");
    assert_eq!(shell.run(&["list", "--count"]).text(), "0\n");
    shell.run(&["verify", "-q"]).bytes();
}

#[test]
fn in_parts_what_was_committed_stays() {
    let shell = Shell::new();
    let lines = |keys: &[&str]| {
        keys.iter()
            .map(|key| format!("{{\"key\": \"{key}\", \"value\": \"1\"}}\n"))
            .collect::<String>()
    };
    let input = [lines(&["a", "b", "c", "d", "e"]), "bad\n".to_string()].concat();
    let failed = shell.feed(&["load", "-", "--commit-every", "2"], input.as_bytes()).fails(9);
    assert!(
        failed.contains("line 6") && failed.ends_with("the 4 entries before were loaded"),
        "{failed}"
    );
    assert_eq!(shell.run(LIST).text(), "a\nb\nc\nd\n");
    let input = lines(&["x", "y", "z"]);
    shell.feed(&["load", "-", "--commit-every", "2", "--prefix", "p/"], input.as_bytes()).text();
    assert_eq!(shell.run(&["list", "p/"]).text(), "p/x\np/y\np/z\n");
    shell.run(&["load", "-", "--commit-every", "0"]).fails_with_usage();
}

#[test]
fn sources_that_do_not_tell_what_they_are_are_refused() {
    let shell = Shell::new();
    shell.write("some.txt", "a,b\n");
    assert!(shell.run(&["load", "some.txt"]).fails(2).contains("--format"));
    shell.run(&["load", "nowhere.csv"]).fails(6);
    shell.run(&["load", "some.txt", "--format", "folder"]).fails(2);
    assert!(!shell.data().exists(), "nothing was made");
}

/// The highest memory of a run so far, in bytes.
#[cfg(target_os = "linux")]
fn peak_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// As many lines as `ESKER_CLI_LINES` says: a million of them are 400 MB.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_source() {
    use std::io::{BufWriter, Write};
    const LIMIT: u64 = 64 << 20;
    let lines =
        std::env::var("ESKER_CLI_LINES").map_or(200_000_u32, |n| n.parse().expect("a number"));
    let shell = Shell::new();
    let mut command = shell.command(&["load", "-", "--json"]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let (pid, stdin) = (child.id(), child.stdin.take().expect("piped"));
    let peak = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut to = BufWriter::new(stdin);
            for n in 0..lines {
                // In no order: an odd factor goes through all of them.
                let key = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                writeln!(to, "{{\"key\": \"{key:016x}\", \"value\": \"{key:0360}\"}}")
                    .expect("fed");
            }
        });
        let mut peak = 0;
        while child.try_wait().expect("it is ours").is_none() {
            peak = peak_bytes(pid).unwrap_or(0).max(peak);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        peak
    });
    let ran = super::fixture::Ran::from(child.wait_with_output().expect("it has ended"));
    assert_eq!(ran.json(), json!({ "loaded": lines, "skipped": 0 }));
    let source = u64::from(lines) * 400;
    println!("{source} bytes loaded with {peak} bytes of memory");
    assert!(source > LIMIT && peak < LIMIT, "{peak} bytes of memory for {source}");
    assert_eq!(shell.run(&["list", "--count"]).text(), format!("{lines}\n"));
}
