//! Backups that are not what was written: each is refused, naming file and offset, and nothing is touched.

use crate::fixture::{
    BACKUP, DIR, all, names, noise, open, options, quiet_disk, read_file, write_file,
};
use esker::{Db, Engine, Error, MemoryEngine, RestoreOptions, verify_backup_from};
use std::sync::Arc;
use std::time::Duration;

/// A small backup, with an entry of each kind.
fn small_backup() -> Vec<u8> {
    let disk = quiet_disk();
    let db = open(&disk);
    db.set("kv:a", "1").expect("a commit");
    db.set("kv:b", noise(1, 300)).expect("a commit");
    db.set("kv:c", vec![b'x'; 400]).expect("a commit");
    db.set_with_ttl("svc:d", "4", Duration::from_secs(100)).expect("a commit");
    db.set_with_ttl("svc:e", noise(2, 280), Duration::from_secs(100)).expect("a commit");
    db.backup(BACKUP).expect("a backup");
    read_file(&disk, BACKUP)
}

fn is_refused(e: &Error) -> bool {
    matches!(e, Error::Corruption { .. } | Error::UnsupportedFormat { .. })
}

#[test]
fn every_cut_and_every_flipped_bit_is_told() {
    let whole = small_backup();
    assert_eq!(verify_backup_from(whole.as_slice()).expect("sound").entries, 5);
    for cut in 0..whole.len() {
        let e = verify_backup_from(&whole[..cut]).expect_err("cut short");
        assert!(is_refused(&e), "cut at {cut}: {e}");
    }
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let e = verify_backup_from(bytes.as_slice()).expect_err("damaged");
        assert!(is_refused(&e), "bit {bit}: {e}");
    }
}

#[test]
fn a_damaged_backup_leaves_what_it_was_to_replace() {
    let whole = small_backup();
    let disk = quiet_disk();
    let db = open(&disk);
    for n in 0..30 {
        db.set(format!("k{n:03}"), noise(n, 500)).expect("a commit");
    }
    db.flush().expect("flushed");
    let memory_dir = tempfile::tempdir().expect("a directory");
    let memory_path = memory_dir.path().join("backup");
    let memory = MemoryEngine::new();
    memory.set("kept", b"as it is").expect("set");
    let before = (all(&db), names(&disk, DIR), db.metrics().last_seq);
    let step = 13;
    let cuts = (0..whole.len()).step_by(step).map(|at| whole[..at].to_vec());
    let flips = (0..whole.len()).step_by(step).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    });
    let longer = [b"\0".as_slice(), b"more", &whole].map(|more| [&whole, more].concat());
    let others = [Vec::new(), b"a text file\n".to_vec(), vec![0; 5000], vec![0xff; 5000]];
    for bytes in cuts.chain(flips).chain(longer).chain(others) {
        write_file(&disk, BACKUP, &bytes);
        let e = db.restore(BACKUP).expect_err("refused");
        let is_named = matches!(&e, Error::Corruption { file, .. } if file.ends_with("one"));
        assert!(is_named, "{e}");
        let e = db.restore_from(bytes.as_slice(), RestoreOptions::default()).expect_err("refused");
        assert!(is_refused(&e), "{e}");
        assert_eq!((all(&db), names(&disk, DIR), db.metrics().last_seq), before);
        let fs = Arc::new(disk.clone());
        let e = Db::create_from_backup_with_fs(fs, BACKUP, "/new", options()).expect_err("refused");
        assert!(is_refused(&e), "{e}");
        std::fs::write(&memory_path, &bytes).expect("written");
        assert!(is_refused(&memory.restore(&memory_path).expect_err("refused")));
        assert_eq!(memory.get("kept").expect("there"), b"as it is");
    }
    assert!(names(&disk, "/new").iter().all(|name| name == "LOCK"), "no file is left");
    // With all of that behind it, a sound one is restored, into the same directory too.
    write_file(&disk, BACKUP, &whole);
    db.restore(BACKUP).expect("sound");
    assert_eq!(all(&db).len(), 5);
    std::fs::write(&memory_path, &whole).expect("written");
    memory.restore(&memory_path).expect("sound");
    assert_eq!(memory.list("").expect("a list"), ["a", "b", "c"]);
    let fs = Arc::new(disk.clone());
    let new = Db::create_from_backup_with_fs(fs, BACKUP, "/new", options()).expect("sound");
    assert_eq!(all(&new).len(), 5);
}

#[test]
fn what_is_missing_is_no_damage() {
    let disk = quiet_disk();
    let db = open(&disk);
    for path in ["/nowhere/at/all", DIR] {
        let e = db.restore(path).expect_err("not there");
        assert!(matches!(e, Error::Io { op: "open", .. }), "{e}");
    }
}
