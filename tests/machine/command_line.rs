//! `esker` on a file system whose power goes while it writes: it cannot know what is there, and says so.
//!
//! No other way makes a file operation of a real process fail between a record and its sync; the mapping of each error to its code is
//! tested beside it (`src/bin/esker/failure.rs`).

use crate::ground::{Ground, Kind, Skipped};
use esker::Db;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Length of the log file that is being written: a first commit makes room ahead of it.
fn log_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).expect("a directory").flatten();
    let logs = files.filter(|file| file.path().extension().is_some_and(|found| found == "log"));
    logs.filter_map(|log| Some(log.metadata().ok()?.len())).max().unwrap_or(0)
}

pub fn test(ground: &Ground, kind: &'static Kind) -> Result<(), Skipped> {
    // Built where the command line is among the features, which is so for `cargo test` alone.
    let Some(esker) = option_env!("CARGO_BIN_EXE_esker") else {
        return Err(Skipped("the command line is not built".to_owned()));
    };
    let disk = ground.make(kind)?;
    let mounted = disk.mount()?;
    let dir = mounted.database();
    drop(Db::open(&dir, esker::Options::default()).expect("made").close());
    let before = log_bytes(&dir);

    let power = mounted.arm()?;
    let mut load = Command::new(esker)
        .args(["--json", "--quiet", "load", "-", "--format", "jsonl", "--commit-every", "1"])
        .arg("--data-dir")
        .arg(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut lines = load.stdin.take().expect("piped");
    lines.write_all(b"{\"key\": \"first\", \"value\": \"1\"}\n").expect("taken");
    let begun = Instant::now();
    while log_bytes(&dir) <= before.max(1 << 16) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it commits nothing");
        sleep(Duration::from_millis(1));
    }
    let cut = power.cut();
    // It may have failed with the first already, and read no further.
    drop(lines.write_all(b"{\"key\": \"second\", \"value\": \"2\"}\n"));
    drop(lines);
    let output = load.wait_with_output().expect("it ends");
    cut?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(7), "{text}");
    let told: serde_json::Value = serde_json::from_str(text.trim()).expect("a document");
    assert_eq!(told["error"]["kind"], "unknown", "{text}");
    assert!(told["error"]["remedy"].is_string(), "{text}");
    drop(mounted);

    // And it is not known: what is there is a prefix of the two.
    let mounted = disk.mount()?;
    let db = Db::open(mounted.database(), esker::Options::default()).expect("it opens");
    let [first, second] = ["kv:first", "kv:second"].map(|key| db.get(key).expect("read").is_some());
    assert!(first || !second, "first: {first}, second: {second}");
    db.close().expect("closed");
    Ok(())
}
