//! How failures are told, and what a run ends with.

use super::fixture::Shell;
use serde_json::json;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

#[test]
fn no_reading_command_makes_a_database() {
    let shell = Shell::new();
    std::fs::create_dir(shell.path("empty")).expect("made");
    for command in [
        &["get", "a"][..],
        &["list"],
        &["scan"],
        &["service", "get", "a"],
        &["service", "list"],
        &["backup", "-"],
        &["backup", "b"],
        &["export"],
        &["verify"],
        &["stats"],
        &["compact"],
        &["gc"],
        &["delete", "a"],
        &["service", "delete", "a"],
        &["checkpoint", "c"],
    ] {
        for dir in ["data", "empty"] {
            let failed = shell.run(&[&["--data-dir", dir], command].concat()).fails(2);
            assert!(
                failed.starts_with(&format!("there is no database in {dir} (")),
                "{command:?}: {failed}"
            );
        }
    }
    shell.run(&["repair", "into"]).fails(2);
    assert!(!shell.data().exists() && super::fixture::names(&shell.path("empty")).is_empty());
    assert!(!shell.path("into").exists() && !shell.path("b").exists() && !shell.path("c").exists());
}

#[test]
fn errors_are_json_where_that_is_asked_for() {
    let shell = Shell::new();
    let error = shell.run(&["--json", "get", "a"]).fails_as_json(2);
    assert_eq!(error["kind"], "usage");
    assert!(error["remedy"].as_str().expect("text").contains("--data-dir"));
    let error = shell.run(&["get", "--json"]).fails_as_json(2);
    assert!(error["message"].as_str().expect("text").contains("required"), "{error}");
    let error = shell.run(&["--json", "nonsense"]).fails_as_json(2);
    assert!(error["message"].as_str().expect("text").contains("nonsense"), "{error}");
    shell.run(&["set", "a", "1"]).text();
    let error = shell.run(&["--json", "get", "b"]).fails_as_json(1);
    assert_eq!(
        error,
        json!({
            "kind": "not_found", "exit_code": 1, "message": "key not found",
            "remedy": "check the key name, create it if needed",
        })
    );
}

#[test]
fn what_is_too_large_or_not_there_is_told() {
    let shell = Shell::new();
    let failed = shell.run(&["set", &"k".repeat(65_533), "v"]).fails(9);
    assert!(failed.contains("65536 bytes is too large"), "{failed}");
    let failed = shell.run(&["set", "k", "--file", "nowhere"]).fails(6);
    assert!(failed.starts_with("open nowhere: "), "{failed}");
    let error = shell.run(&["--json", "verify-backup", "nowhere"]).fails_as_json(6);
    assert_eq!(error["kind"], "io");
    shell.run(&["set", "k", "v", "--file", "x"]).fails_with_usage();
    shell.run(&["inspect", "nowhere"]).fails(6);
}

#[test]
fn a_newer_format_is_a_code_of_its_own() {
    let shell = Shell::new();
    shell.run(&["set", "a", "1"]).text();
    shell.run(&["backup", "b"]).text();
    let mut bytes = std::fs::read(shell.path("b")).expect("read");
    bytes[8] = 9;
    bytes[12..16].fill(0);
    let crc = crc32(&bytes[..72]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    shell.write("newer", &bytes);
    for command in [&["verify-backup", "newer"][..], &["restore", "newer"], &["inspect", "newer"]] {
        let error = shell.run(&[&["--json"], command].concat()).fails_as_json(8);
        assert_eq!(
            (&error["kind"], error["message"].as_str().map(|m| m.contains("version 9"))),
            (&json!("format"), Some(true))
        );
    }
    assert_eq!(shell.run(&["get", "a"]).text(), "1");
}

/// The checksum of the header, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[test]
fn who_reads_no_further_ends_it_quietly() {
    let shell = Shell::new();
    let lines: String = (0..20_000)
        .map(|n| format!("{{\"key\": \"{n:06}\", \"value\": \"{n:0100}\"}}\n"))
        .collect();
    shell.feed(&["load", "-", "-q"], lines.as_bytes()).text();
    for arguments in [&["scan"][..], &["scan", "--json"], &["list"]] {
        let mut command = shell.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut first).expect("a line");
        assert!(first.contains("000000"), "{first}");
        drop(stdout);
        let mut stderr = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("text");
        assert_eq!(
            (child.wait().expect("it ends").code(), stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
    // What has to arrive whole is another matter.
    let mut command = shell.command(&["export"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(6));
}

#[test]
fn help_and_version_are_no_failure() {
    let shell = Shell::new();
    let help = shell.run(&["--help"]).text();
    for word in ["Exit codes:", "--data-dir", "ESKER_DATA_DIR", "verify-backup", "\\xNN"] {
        assert!(help.contains(word), "{word}");
    }
    assert!(shell.run(&["scan", "--help"]).text().contains("--raw-keys"));
    assert!(shell.run(&["help", "service", "set"]).text().contains("--ttl"));
    assert_eq!(shell.run(&["--version"]).text(), format!("esker {}\n", env!("CARGO_PKG_VERSION")));
    shell.run(&[]).ends_with_help();
}

#[test]
fn completions_and_the_manual_are_printed() {
    let shell = Shell::new();
    for shell_name in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = shell.run(&["completions", shell_name]).text();
        assert!(script.contains("verify-backup") && script.contains("raw-keys"), "{shell_name}");
    }
    assert!(shell.run(&["man"]).text().contains(".TH esker 1"));
    shell.run(&["man", "--dir", "pages"]).text();
    let pages = super::fixture::names(&shell.path("pages"));
    for page in ["esker.1", "esker-get.1", "esker-service-set.1"] {
        assert!(pages.iter().any(|name| name == page), "{page}: {pages:?}");
    }
}

#[test]
fn the_directory_comes_from_the_environment_too() {
    let shell = Shell::new();
    let run = |arguments: &[&str]| {
        let mut command = shell.command(arguments);
        super::fixture::Ran::from(
            command.env("ESKER_DATA_DIR", "elsewhere").output().expect("it runs"),
        )
    };
    run(&["set", "a", "1"]).text();
    assert!(shell.path("elsewhere/CURRENT").exists() && !shell.data().exists());
    run(&["get", "a", "--data-dir", "data"]).fails(2);
    assert_eq!(shell.run(&["-d", "elsewhere", "get", "a"]).text(), "1");
}

impl super::fixture::Ran {
    #[track_caller]
    fn ends_with_help(self) {
        assert_eq!(self.code, Some(2));
        assert!(self.stderr.contains("Usage: esker"), "{}", self.stderr);
    }
}
