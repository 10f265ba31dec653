//! Databases on simulated disks, and what is in them.

use esker::crashtest::tiny_options;
use esker::sim::{CrashModel, SimFs};
use esker::{BackupOptions, BackupReport, Db, Error, File, Fs, OpenMode, Options, SyncPolicy};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub const DIR: &str = "/db";
pub const BACKUP: &str = "/backups/one";

pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Nothing is synced but what a call promises; tables and files are small.
pub fn options() -> Options {
    tiny_options(SyncPolicy::Never)
}

pub fn open(fs: &(impl Fs + Clone + 'static)) -> Db {
    Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens")
}

/// A disk without threads: what is done is done by the call that made it due.
pub fn quiet_disk() -> SimFs {
    let disk = SimFs::new();
    disk.set_threads(false);
    disk
}

pub fn all(db: &Db) -> Entries {
    let entries = db.iter().map(|entry| entry.expect("a read"));
    entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// `size` bytes that no compression makes smaller.
pub fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(size).collect()
}

/// Keys and values of every kind, in memory, in tables of several levels, in the log and in value
/// files; overwritten and deleted ones among them.
pub fn fill(db: &Db) {
    for round in 0..3_u64 {
        // Some of what the first round has set stays.
        for n in (0..40_u64).filter(|n| round == 0 || n % 4 > 0) {
            let size = usize::try_from(n * n * 2).expect("small");
            let value = if n % 3 == 0 { vec![b'x'; size] } else { noise(n + round, size) };
            db.set(format!("k{n:03}"), value).expect("a commit");
        }
        db.delete(format!("k{:03}", round + 7)).expect("a commit");
        match round {
            0 => db.flush().expect("flushed"),
            1 => {
                db.compact().expect("compacted");
                db.collect_garbage().expect("collected");
            }
            _ => db.flush().expect("flushed"),
        }
    }
    db.ingest([("ingested", noise(1, 5000)), ("ingested too", vec![7; 5000])]).expect("ingested");
    for key in [&b""[..], b"\0", b"\0\0", b"\xff\xff", &[0xff; 300]] {
        db.set(key, b"").expect("a commit");
    }
    db.set(vec![b'l'; 65_535], vec![1; 3]).expect("a commit");
    db.set_with_ttl("later", noise(2, 700), Duration::from_secs(100)).expect("a commit");
    db.set_with_ttl("soon", "s", Duration::from_secs(1)).expect("a commit");
}

pub fn read_file(fs: &SimFs, path: &str) -> Vec<u8> {
    let file = fs.open(Path::new(path), OpenMode::Read).expect("it is there");
    let len = usize::try_from(file.len().expect("its length")).expect("small");
    let mut bytes = vec![0; len];
    let mut at = 0;
    while at < len {
        at += file.read_at(&mut bytes[at..], at as u64).expect("a read");
    }
    bytes
}

pub fn write_file(fs: &SimFs, path: &str, bytes: &[u8]) {
    let path = Path::new(path);
    let _ = fs.remove(path);
    fs.create_dir_all(path.parent().expect("a directory")).expect("made");
    let file: Arc<dyn File> = fs.open(path, OpenMode::CreateNew).expect("made");
    let mut at = 0;
    while at < bytes.len() {
        at += file.write_at(&bytes[at..], at as u64).expect("a write");
    }
    file.sync_data().expect("synced");
}

pub fn names(fs: &SimFs, dir: &str) -> Vec<String> {
    let mut names = fs.list(Path::new(dir)).expect("a list");
    names.sort();
    names
}

pub fn followed() -> BackupOptions<'static> {
    BackupOptions { followed: true, ..BackupOptions::default() }
}

/// A full backup upon which increments can follow.
pub fn full(db: &Db, path: &str) -> BackupReport {
    db.backup_with(path, followed()).expect("a backup")
}

pub fn ids(db: &Db) -> Vec<u64> {
    db.followed_backups().iter().map(|backup| backup.backup_id).collect()
}

/// What the backups at `paths` come to, in a directory of its own on a copy of the disk.
pub fn restored(disk: &SimFs, paths: &[&str]) -> Entries {
    let copy = disk.crash_image(&CrashModel::Everything);
    copy.set_threads(false);
    let db = Db::create_from_backups_with_fs(Arc::new(copy), paths, "/restored", options());
    all(&db.expect("restored"))
}

pub fn invalid(e: Error) -> String {
    match e {
        Error::InvalidArgument { detail } => detail,
        e => panic!("{e}"),
    }
}

/// Ends the writers, also where an assertion has failed.
pub struct Done<'a>(pub &'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
