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
    Options { sync_policy, memtable_bytes: 64 << 10, ..Options::default() }
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
