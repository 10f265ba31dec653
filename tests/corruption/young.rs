//! A database that is all in its first log: no table could tell that there
//! had been anything.

use crate::disk::{DIR, Files, disk_of, files};
use crate::fixture::{LOG_HEADER, NOW_MS};
use esker::sim::{CrashModel, SimFs};
use esker::{Db, Error, Options, SyncPolicy};
use std::path::Path;
use std::sync::Arc;

const LOG: &str = "000001.log";

fn options(sync_policy: SyncPolicy) -> Options {
    Options {
        sync_policy,
        memtable_bytes: 64 << 10,
        value_threshold: usize::MAX,
        ..Options::default()
    }
}

/// Its files after three commits, and where the last one ends in the log.
fn young(policy: SyncPolicy) -> (Files, usize) {
    let fs = SimFs::new();
    fs.sim_clock().set_ms(NOW_MS);
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options(policy)).expect("opens");
    for n in 0..3_u8 {
        db.set([b'k', n], [n; 9]).expect("a commit");
    }
    let end = LOG_HEADER + usize::try_from(db.metrics().log_written_bytes).expect("small");
    let mut files = files(&fs.crash_image(&CrashModel::Everything));
    files.get_mut(LOG).expect("the log").truncate(end + 100);
    (files, end)
}

/// Opening is refused, and changes nothing, any number of times; the error.
fn refused(damaged: &Files) -> Error {
    let fs = disk_of(damaged);
    for _ in 0..2 {
        let opened =
            Db::open_with_fs(Arc::new(fs.clone()), DIR, options(SyncPolicy::Never)).map(drop);
        assert!(matches!(opened, Err(Error::Corruption { .. })), "{opened:?}");
        assert!(files(&fs) == *damaged);
    }
    Db::open_with_fs(Arc::new(fs), DIR, options(SyncPolicy::Never)).expect_err("as before")
}

#[test]
fn whose_current_is_gone_is_not_taken_for_a_new_one() {
    for policy in [SyncPolicy::Always, SyncPolicy::Never] {
        let (mut files, _) = young(policy);
        files.remove("CURRENT");
        // Nor where its first record is damaged as well, or the header.
        let log = files[LOG].clone();
        for flip in [None, Some(LOG_HEADER), Some(20)] {
            files.insert(LOG.to_owned(), log.clone());
            if let Some(at) = flip {
                files.get_mut(LOG).expect("the log")[at] ^= 1;
            }
            let text = refused(&files).to_string();
            assert!(text.contains("CURRENT") && text.contains(LOG), "{text}");
        }
    }
}

#[test]
fn whose_log_is_gone_or_is_not_its_own_is_refused() {
    for policy in [SyncPolicy::Always, SyncPolicy::Never] {
        let (good, end) = young(policy);
        let (other, _) = young(policy);
        assert_ne!(good["CURRENT"], other["CURRENT"], "two databases");
        let length = good[LOG].len();
        let logs = [
            None,
            Some(Vec::new()),
            Some(vec![0; length]),
            Some(vec![0xa5; length]),
            Some(other[LOG].clone()),
            Some(good[LOG][1..].to_vec()),
            Some(good["CURRENT"].clone()),
            // The first of its sectors lost, had they 64 bytes.
            Some([&[0; 64], &good[LOG][64..end]].concat()),
        ];
        for (n, log) in logs.into_iter().enumerate() {
            let mut damaged = good.clone();
            match log {
                Some(log) => drop(damaged.insert(LOG.to_owned(), log)),
                None => drop(damaged.remove(LOG)),
            }
            let error = refused(&damaged);
            let Error::Corruption { file, offset: 0, .. } = &error else {
                panic!("{policy:?}, log {n}: {error}")
            };
            assert_eq!(*file, Path::new(DIR).join(LOG), "{policy:?}, log {n}");
        }
    }
}

/// After `close` the log holds nothing but its header, and that is missed.
#[test]
fn that_was_closed_misses_its_empty_log() {
    let fs = SimFs::new();
    let open = |fs: &SimFs| {
        Db::open_with_fs(Arc::new(fs.clone()), DIR, options(SyncPolicy::Never)).expect("opens")
    };
    let db = open(&fs);
    db.set("k", "v").expect("a commit");
    db.close().expect("closed");
    let mut good = files(&fs);
    let log = good.keys().find(|name| name.ends_with(".log")).expect("a log").clone();
    // Zeros ahead of records are what a commit would have begun with.
    good.get_mut(&log).expect("it").resize(LOG_HEADER + 10, 0);
    for length in 0..LOG_HEADER {
        let mut damaged = good.clone();
        damaged.get_mut(&log).expect("it").truncate(length);
        refused(&damaged);
        damaged.get_mut(&log).expect("it").resize(LOG_HEADER + 10, 0);
        if damaged != good {
            refused(&damaged); // The header itself ends in zeros.
        }
    }
    good.get_mut(&log).expect("it").truncate(LOG_HEADER);
    let found = open(&disk_of(&good)).get("k").expect("a read");
    assert_eq!(found.as_deref(), Some(&b"v"[..]), "the zeros ahead are nobody's data");
}

/// The one edit of the manifest that nothing else misses, once the mark of an end in order behind it is gone as well:
/// `close` wrote down that an entry was seen expired. Without it, and with the clock set back, that
/// entry is alive again; nothing else changes. See DESIGN.md.
#[test]
fn an_expiry_floor_that_is_cut_off_is_all_that_a_cut_manifest_loses() {
    let fs = SimFs::new();
    fs.sim_clock().set_ms(NOW_MS);
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options(SyncPolicy::Always));
    let db = db.expect("opens");
    db.set_with_ttl("seen", "v", std::time::Duration::from_secs(1)).expect("a commit");
    db.set("k", "v").expect("a commit");
    db.flush().expect("a flush");
    fs.sim_clock().set_ms(NOW_MS + 1_000);
    assert!(db.get("seen").expect("a read").is_none());
    db.close().expect("closed");
    let good = files(&fs);
    let manifest = good.keys().find(|name| name.starts_with("MANIFEST")).expect("one").clone();
    const MARK: usize = 33; // A frame with one byte in it.
    for (cut, is_seen) in [(0, false), (1, false), (MARK, false), (MARK + 1, true)] {
        let mut damaged = good.clone();
        let bytes = damaged.get_mut(&manifest).expect("it");
        bytes.truncate(bytes.len() - cut);
        let disk = disk_of(&damaged);
        disk.sim_clock().set_ms(NOW_MS);
        let db = Db::open_with_fs(Arc::new(disk), DIR, options(SyncPolicy::Always));
        let db = db.expect("opens");
        assert_eq!(db.get("seen").expect("a read").is_some(), is_seen);
        assert_eq!(db.get("k").expect("a read").as_deref(), Some(&b"v"[..]));
    }
}

// Two runs made a log file of the same number, the first of them undone by a
// power cut. What the second had not written over yet is still the first's, in
// blocks that the file system has given to the new file; it is intact, and at
// the offset for which it was written.
#[test]
fn records_of_an_earlier_run_do_not_replay() {
    let open = |fs: &SimFs| {
        Db::open_with_fs(Arc::new(fs.clone()), DIR, options(SyncPolicy::Never)).expect("opens")
    };
    let disk = SimFs::new();
    disk.sim_clock().set_ms(NOW_MS);
    let db = open(&disk);
    let undone = disk.crash_image(&CrashModel::SyncedOnly);
    db.set("filler", vec![1; 40 << 10]).expect("a commit");
    // The second log file begins with this one.
    db.set("first", vec![1; 40 << 10]).expect("a commit");
    db.set("second", "stale").expect("a commit");
    let stale = files(&disk).remove("000003.log").expect("a second log file");

    let db = open(&undone);
    db.set("first", vec![2; 40 << 10]).expect("a commit");
    let written = usize::try_from(db.metrics().log_written_bytes).expect("small");
    let mut found = files(&undone);
    let log = found.get_mut("000003.log").expect("the log of this run has the same number");
    let end = LOG_HEADER + written;
    assert!(log[end..].iter().all(|&b| b == 0) && stale[end..].iter().any(|&b| b != 0));
    let stale = &stale[end..log.len()];
    log[end..].copy_from_slice(stale);
    let db = open(&disk_of(&found));
    let first = db.get("first").expect("a read");
    assert_eq!(first.as_deref(), Some(&vec![2; 40 << 10][..]));
    assert_eq!(db.get("second").expect("a read"), None, "of a run that never was");
    let cut_at = db.metrics().recovery.log_cut_at.map(|(_, offset)| offset);
    assert_eq!(cut_at, Some(end as u64), "and it is told that it was cut");
}
