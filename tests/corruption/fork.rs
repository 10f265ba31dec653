//! A copy of the database that went its own way: its files have the same
//! identity, the same numbers and, here, the same sizes.
//!
//! Tables are told apart, whole and by the block: the manifest has the digest of
//! the index, and the index the checksum of each block. Logs are not: those of
//! two runs that began with the same files are bound to the same run. So a log
//! is not looked at here.

use crate::disk::{DIR, Files, disk_of, files, wait_for_removal};
use crate::oracle::named;
use esker::sim::{CrashModel, SimFs};
use esker::{Compression, Db, Options, SyncPolicy};
use std::sync::Arc;

const KEYS: u8 = 40;

fn options() -> Options {
    Options {
        sync_policy: SyncPolicy::Never,
        compression: Compression::None,
        block_bytes: 256,
        memtable_bytes: 64 << 10,
        ..Options::default()
    }
}

fn open(fs: &SimFs) -> Db {
    Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens")
}

fn value(key: u8, letter: u8) -> Vec<u8> {
    [[letter; 20], [key; 20]].concat()
}

/// The files of a copy of `base` that was filled with `letter`.
fn fork(base: &SimFs, letter: u8) -> Files {
    let fs = base.crash_image(&CrashModel::Everything);
    let db = open(&fs);
    for key in 0..KEYS {
        db.set([key], value(key, letter)).expect("a commit");
    }
    db.flush().expect("a flush");
    wait_for_removal(&fs, 0);
    files(&fs.crash_image(&CrashModel::Everything))
}

/// How many of the keys are read; the others are `Corruption` of `table`.
fn readable(damaged: &Files, table: &str) -> usize {
    let db = match Db::open_with_fs(Arc::new(disk_of(damaged)), DIR, options()) {
        Ok(db) => db,
        Err(e) => {
            assert_eq!(named(&e).file, table);
            return 0;
        }
    };
    let mut count = 0;
    for key in 0..KEYS {
        match db.get([key]) {
            Ok(found) => {
                assert_eq!(found.as_deref(), Some(&value(key, b'x')[..]), "key {key}");
                count += 1;
            }
            Err(e) => assert_eq!(named(&e).file, table),
        }
    }
    for (key, entry) in (0..).zip(db.iter()) {
        match entry {
            Ok(found) => {
                assert!(*found.0 == [key] && *found.1 == value(key, b'x')[..], "key {key}")
            }
            Err(e) => assert_eq!(named(&e).file, table),
        }
    }
    assert_eq!(named(&db.verify().expect_err("another table's bytes")).file, table);
    count
}

#[test]
fn a_table_of_a_copy_that_went_its_own_way_is_told_apart() {
    let base = SimFs::new();
    drop(open(&base));
    let (own, other) = (fork(&base, b'x'), fork(&base, b'y'));
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&own), names(&other));
    let table = own.keys().find(|name| name.ends_with(".tbl")).expect("a table");
    let (good, foreign) = (&own[table], &other[table]);
    assert_eq!(good.len(), foreign.len());
    let with = |bytes: Vec<u8>| {
        let mut damaged = own.clone();
        damaged.insert(table.clone(), bytes);
        damaged
    };
    assert_eq!(readable(&with(foreign.clone()), table), 0);
    let footer = good.last_chunk::<48>().expect("a footer");
    let data_size = u64::from_le_bytes(*footer.first_chunk().expect("8 bytes"));
    let data_size = usize::try_from(data_size).expect("small");
    // All of its blocks under our index; our blocks under its index.
    let blocks = [&foreign[..data_size], &good[data_size..]].concat();
    assert_eq!(readable(&with(blocks), table), 0);
    let index = [&good[..data_size], &foreign[data_size..]].concat();
    assert_eq!(readable(&with(index), table), 0);
    // Any part: one of every two sizes cuts through blocks, or takes several.
    for size in [16, 100, 256, 512] {
        for start in (0..good.len()).step_by(size) {
            let end = good.len().min(start + size);
            let mut bytes = good.clone();
            bytes[start..end].copy_from_slice(&foreign[start..end]);
            if bytes != *good {
                let count = readable(&with(bytes), table);
                let is_small = end <= data_size && size <= 256;
                assert!(!is_small || count > 0, "{start}..{end}: at most two blocks are lost");
            }
        }
    }
}
