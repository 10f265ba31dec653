//! Export and import do not take more memory the more there is: what the process takes at most, above
//! what it took before, with an engine on real files. A target of its own, because the memory is that of the process.
//!
//! `ESKER_EXPORT_KEYS` (default 200,000) and `ESKER_EXPORT_VALUE_BYTES` (default 900) say how much there is:
//! `ESKER_EXPORT_KEYS=1000000 ESKER_EXPORT_VALUE_BYTES=128 cargo test --release --test export_memory -- --nocapture`
//! is what docs/performance.md has.
#![cfg(target_os = "linux")]

use esker::{Engine, LsmEngine, Options};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

const LIMIT_KIB: u64 = 100 << 10;

fn setting(name: &str, default: usize) -> usize {
    match std::env::var(format!("ESKER_EXPORT_{name}")) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    }
}

/// A number of `/proc/self/status`, in KiB.
fn status_kib(name: &str) -> u64 {
    let lines = BufReader::new(File::open("/proc/self/status").expect("Linux has it")).lines();
    let mut lines = lines.map(|line| line.expect("a line"));
    let line = lines.find(|line| line.starts_with(name)).expect("the number");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number of KiB")
}

/// Runs `act`, and asserts that the process took at most the limit more than before.
fn bounded<T>(what: &str, act: impl FnOnce() -> T) -> T {
    std::fs::write("/proc/self/clear_refs", "5").expect("the mark is put back");
    let (before, started) = (status_kib("VmRSS:"), Instant::now());
    let done = act();
    let more = status_kib("VmHWM:").saturating_sub(before);
    println!("{what}: {} MiB above {} MiB, {:.1?}", more >> 10, before >> 10, started.elapsed());
    assert!(more < LIMIT_KIB, "{what} took {more} KiB more than before");
    done
}

/// A document of `count` keys with `size` bytes each, number `step * n % count` after the other.
fn write_document(path: &Path, count: usize, size: usize, step: usize) {
    let mut to = BufWriter::new(File::create(path).expect("a file"));
    to.write_all(b"{\"kv\":{").expect("written");
    let mut state = 1_u64;
    for n in 0..count {
        let key = n * step % count;
        let mut value = Vec::with_capacity(size + 8);
        while value.len() < size {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            write!(value, "{:08x}", state >> 32).expect("written");
        }
        value.truncate(size);
        let comma = if n > 0 { "," } else { "" };
        write!(to, "{comma}\n\"key/{key:09}\":\"").expect("written");
        to.write_all(&value).expect("written");
        to.write_all(b"\"").expect("written");
    }
    to.write_all(b"}}").expect("written");
    to.flush().expect("written");
}

fn import(engine: &dyn Engine, path: &Path) -> u64 {
    engine.import(&mut File::open(path).expect("a file")).expect("import").kv
}

fn export(engine: &dyn Engine, path: &Path) -> u64 {
    engine.export(&mut File::create(path).expect("a file")).expect("export").kv
}

#[test]
fn memory_does_not_grow_with_what_is_exported_or_imported() {
    let (count, size) = (setting("KEYS", 200_000), setting("VALUE_BYTES", 900));
    let dir = tempfile::tempdir().expect("a directory");
    let [sorted, shuffled, first, second] =
        ["sorted", "shuffled", "first", "second"].map(|name| dir.path().join(name));
    write_document(&sorted, count, size, 1);
    write_document(&shuffled, count, size, 7919);
    let bytes = std::fs::metadata(&sorted).expect("a file").len();
    println!("{count} keys, values of {size} bytes, a document of {} MiB", bytes >> 20);
    // As most will open it.
    let open = |name| LsmEngine::open(dir.path().join(name), Options::default()).expect("it opens");
    let one = open("one");
    assert_eq!(bounded("import in order", || import(&one, &sorted)), count as u64);
    assert_eq!(bounded("export", || export(&one, &first)), count as u64);
    one.close().expect("closed");
    drop(one);
    let other = open("other");
    assert_eq!(bounded("import in no order", || import(&other, &shuffled)), count as u64);
    assert_eq!(bounded("export", || export(&other, &second)), count as u64);
    assert_eq!(bounded("import once more", || import(&other, &shuffled)), count as u64);
    other.db().verify().expect("sound");
    other.close().expect("closed");
    let lengths = [first, second].map(|path| std::fs::metadata(path).expect("a file").len());
    assert_eq!(lengths[0], lengths[1]);
}
