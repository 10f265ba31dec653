//! A database that is open for reading only: all that a normal open shows, and not one byte
//! written, nor tried to be.

use esker::sim::{CrashModel, SimFs};
use esker::{
    Clock, Compression, Db, DirLock, Error, File, Fs, OpenMode, Options, SyncPolicy, WriteBatch,
};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const DIR: &str = "/db";
const NOW_MS: u64 = 1_704_067_200_000;

/// A medium that cannot be written, and counts who tries.
#[derive(Debug, Clone)]
struct Medium<F> {
    below: F,
    attempts: Arc<AtomicUsize>,
    /// What it says to who wants a lock; `None`: it has locks.
    locks: Option<io::ErrorKind>,
}

impl<F: Fs + Clone + 'static> Medium<F> {
    fn new(below: &F) -> Self {
        Medium { below: below.clone(), attempts: Arc::default(), locks: None }
    }

    fn refuse<T>(&self) -> io::Result<T> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn open(&self, dir: impl AsRef<Path>) -> Result<Db, Error> {
        Db::open_read_only_with_fs(Arc::new(self.clone()), dir, options())
    }

    fn assert_untouched(&self) {
        assert_eq!(self.attempts.load(Ordering::Relaxed), 0, "nobody tried to write");
    }
}

impl<F: Fs + Clone + 'static> Fs for Medium<F> {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        match mode {
            OpenMode::Read => {
                let below = self.below.open(path, mode)?;
                Ok(Arc::new(MediumFile { below, attempts: Arc::clone(&self.attempts) }))
            }
            OpenMode::CreateNew => self.refuse(),
        }
    }

    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.below.list(path)
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        self.refuse()
    }

    fn link(&self, _: &Path, _: &Path) -> io::Result<()> {
        self.refuse()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }

    fn lock(&self, _: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        self.refuse()
    }

    fn lock_shared(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        match self.locks {
            Some(kind) => Err(kind.into()),
            None => self.below.lock_shared(path),
        }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.below.clock()
    }
}

#[derive(Debug)]
struct MediumFile {
    below: Arc<dyn File>,
    attempts: Arc<AtomicUsize>,
}

impl MediumFile {
    fn refuse<T>(&self) -> io::Result<T> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

impl File for MediumFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.below.read_at(buf, offset)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        self.refuse()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.refuse()
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        self.refuse()
    }

    fn len(&self) -> io::Result<u64> {
        self.below.len()
    }
}

fn options() -> Options {
    Options {
        sync_policy: SyncPolicy::Never,
        memtable_bytes: 64 << 10,
        log_file_bytes: 64 << 10,
        log_replay_bytes_max: 8 << 20,
        disk_reserve_bytes: 0,
        ..Options::default()
    }
}

/// A value that compresses, does not, is large or is not, by its number.
fn value(n: u64) -> Vec<u8> {
    let size = [0, 30, 500, 1023, 1024, 5000, 40_000][usize::try_from(n % 7).expect("small")];
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let is_noise = n.is_multiple_of(3);
    let byte = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if is_noise { state.to_be_bytes()[0] } else { n.to_le_bytes()[0] }
    };
    (0..size).map(byte).collect()
}

fn open(fs: &SimFs) -> Db {
    Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens")
}

/// Two runs of sets, deletes and lifetimes over a few keys, without threads; the second has not ended.
fn lived(seed: u64, commits: u64) -> (SimFs, Db) {
    let fs = SimFs::with_seed(seed);
    fs.set_threads(false);
    fs.sim_clock().set_ms(NOW_MS);
    let mut db = open(&fs);
    for n in 0..commits {
        if n == commits / 2 {
            db.close().expect("closes");
            db = open(&fs);
        }
        let key = |n: u64| format!("key{:03}", (n * 31 + seed) % 97);
        let mut batch = WriteBatch::new();
        for n in n * 3..n * 3 + n % 4 {
            match n % 9 {
                4 => batch.delete(key(n)),
                7 => batch.set_with_ttl(key(n), value(n), Duration::from_secs(n % 5 * 1000 + 1)),
                _ => batch.set(key(n), value(n)),
            }
        }
        db.write(batch).expect("a commit");
        if n % 40 == 39 {
            db.flush().expect("a flush");
        }
    }
    (fs, db)
}

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// All that `db` holds, read in every way.
fn entries(db: &Db) -> Entries {
    let read = |entry: Result<(esker::Key, esker::Value), Error>| {
        let (key, value) = entry.expect("a read");
        (Vec::from(key), Vec::from(value))
    };
    let forwards: Entries = db.iter().map(read).collect();
    let backwards: Entries = db.iter().rev().map(read).collect();
    assert!(forwards == backwards);
    assert_eq!(db.iter().keys().count(), forwards.len());
    for n in 0..97 {
        let key = format!("key{n:03}");
        let found = db.get(&key).expect("a read").map(Vec::from);
        assert_eq!(found.as_ref(), forwards.get(key.as_bytes()), "{key}");
    }
    let snapshot = db.snapshot();
    assert_eq!(snapshot.prefix("key01").count(), db.range("key01".."key02").count());
    forwards
}

fn files(fs: &SimFs) -> BTreeMap<String, Vec<u8>> {
    let names = fs.list(Path::new(DIR)).expect("a directory");
    let read = |name: String| {
        let file = fs.open(&Path::new(DIR).join(&name), OpenMode::Read).expect("opens");
        let mut bytes = vec![0; usize::try_from(file.len().expect("len")).expect("small")];
        let mut at = 0;
        while at < bytes.len() {
            at += file.read_at(&mut bytes[at..], at as u64).expect("a read");
        }
        (name, bytes)
    };
    names.into_iter().map(read).collect()
}

// The oracle is the normal open, which other tests hold to the contract.
#[test]
fn it_shows_what_a_normal_open_shows_after_any_crash() {
    let mut cut = 0;
    let mut replayed = 0;
    for seed in 0..24 {
        let (fs, _db) = lived(seed, 30 + seed * 9);
        let models = [
            CrashModel::Everything,
            CrashModel::SyncedOnly,
            CrashModel::Torn { seed },
            CrashModel::ZeroFill { seed },
            CrashModel::Stale { seed },
            CrashModel::Scattered { seed },
            CrashModel::Prefix(fs.pending_count() / 2),
        ];
        for model in models {
            let image = fs.crash_image(&model);
            let before = files(&image);
            let medium = Medium::new(&image);
            let seen = medium.open(DIR).map(|db| {
                db.verify().expect("all is well");
                let seen = (entries(&db), db.metrics().last_seq, db.metrics().recovery);
                db.close().expect("closes");
                seen
            });
            medium.assert_untouched();
            assert!(files(&image) == before, "no byte has changed");
            let normal = Db::open_with_fs(Arc::new(image.clone()), DIR, options());
            match (seen, normal) {
                (Ok((seen, last_seq, recovery)), Ok(db)) => {
                    assert!(seen == entries(&db), "{model:?} of seed {seed}");
                    assert_eq!(last_seq, db.metrics().last_seq);
                    let normal = db.metrics().recovery;
                    assert_eq!(recovery.log_cut_at, normal.log_cut_at);
                    assert_eq!(recovery.log_cut_bytes, normal.log_cut_bytes);
                    assert_eq!(recovery.batches_replayed, normal.batches_replayed);
                    assert_eq!(recovery.files_removed, 0);
                    cut += usize::from(recovery.log_cut_at.is_some());
                    replayed += recovery.batches_replayed;
                }
                // Nothing was durable yet.
                (Err(Error::InvalidArgument { .. }), Ok(db)) => assert!(entries(&db).is_empty()),
                (seen, normal) => panic!("{model:?} of seed {seed}: {seen:?}, {normal:?}"),
            }
        }
    }
    assert!(cut > 10 && replayed > 300, "{cut} torn tails, {replayed} batches");
}

#[test]
fn large_values_of_the_log_are_read_where_they_lie() {
    for compression in [Compression::None, Compression::Snappy] {
        let fs = SimFs::new();
        let options = Options { compression, memtable_bytes: 1 << 20, ..options() };
        let options = Options { log_file_bytes: 8 << 20, ..options };
        let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options).expect("opens");
        for n in 0..64_u8 {
            db.set([n], vec![n; 60_000]).expect("a set");
        }
        let image = fs.crash_image(&CrashModel::Everything);
        let db = Medium::new(&image).open(DIR).expect("opens");
        for n in 0..64_u8 {
            let found = db.get([n]).expect("a read").expect("is there");
            assert!(*found == vec![n; 60_000][..]);
        }
        let metrics = db.metrics();
        assert_eq!(metrics.recovery.batches_replayed, 64);
        assert!(metrics.memory.memtable_bytes < 64 << 10, "{}", metrics.memory.memtable_bytes);
    }
}

#[test]
fn every_call_that_writes_is_refused() {
    let (fs, db) = lived(1, 60);
    let want = entries(&db);
    let image = fs.crash_image(&CrashModel::Everything);
    let before = files(&image);
    let medium = Medium::new(&image);
    let db = medium.open(DIR).expect("opens");
    assert!(db.is_read_only());
    let mut batch = WriteBatch::new();
    batch.delete("key001");
    let calls = [
        ("set", db.set("key000", "x")),
        ("set_with_ttl", db.set_with_ttl("key000", "x", Duration::from_secs(1))),
        ("delete", db.delete("key000")),
        ("write", db.write(batch)),
        ("an empty write", db.write(WriteBatch::new())),
        ("persist", db.persist()),
        ("flush", db.flush()),
        ("compact", db.compact()),
        ("collect_garbage", db.collect_garbage().map(drop)),
        ("ingest", db.ingest([("a", "b")]).map(drop)),
        ("start_ingest", db.start_ingest().map(drop)),
    ];
    for (call, answer) in calls {
        assert!(matches!(answer, Err(Error::ReadOnly)), "{call}: {answer:?}");
    }
    assert!(Error::ReadOnly.to_string().contains("reading only"));
    assert_eq!(entries(&db), want);
    assert_eq!(db.metrics().poisoned_by, None);
    db.close().expect("closes");
    db.close().expect("twice");
    assert!(matches!(db.get("key000"), Err(Error::Closed)));
    assert!(matches!(db.set("key000", "x"), Err(Error::Closed)));
    medium.assert_untouched();
    assert!(files(&image) == before);
}

#[test]
fn there_are_readers_or_one_writer() {
    let dir = tempfile::tempdir().expect("a directory");
    let writer = Db::open(dir.path(), options()).expect("opens");
    writer.set("k", "v").expect("a set");
    let refused = Db::open_read_only(dir.path(), options()).map(drop);
    assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
    drop(writer);
    let readers =
        [(); 3].map(|()| Db::open_read_only(dir.path(), options()).expect("one of many readers"));
    for reader in &readers {
        assert_eq!(reader.get("k").expect("a read").as_deref(), Some(&b"v"[..]));
        let refused = Db::open(dir.path(), options()).map(drop);
        assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
    }
    drop(readers);
    let writer = Db::open(dir.path(), options()).expect("they are gone");
    writer.set("k", "w").expect("a set");
}

#[test]
fn without_a_lock_to_take_it_opens_and_makes_none() {
    let (fs, db) = lived(2, 50);
    let want = entries(&db);
    let image = fs.crash_image(&CrashModel::Everything);
    for kind in [io::ErrorKind::Unsupported, io::ErrorKind::ReadOnlyFilesystem] {
        let medium = Medium { locks: Some(kind), ..Medium::new(&image) };
        assert_eq!(entries(&medium.open(DIR).expect("opens")), want);
        medium.assert_untouched();
    }
    // What is there and may not be looked at is another matter: a writer may have it.
    let medium = Medium { locks: Some(io::ErrorKind::PermissionDenied), ..Medium::new(&image) };
    assert!(matches!(medium.open(DIR), Err(Error::Io { op: "lock", .. })));
    image.remove(&Path::new(DIR).join("LOCK")).expect("removed");
    let medium = Medium::new(&image);
    assert_eq!(entries(&medium.open(DIR).expect("opens")), want);
    medium.assert_untouched();
    assert!(!image.list(Path::new(DIR)).expect("listed").contains(&"LOCK".to_owned()));
}

#[test]
fn where_there_is_no_database_nothing_is_made() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("missing");
    for path in [dir.path(), &missing] {
        let refused = Db::open_read_only(path, options()).map(drop);
        let Err(Error::InvalidArgument { detail }) = refused else { panic!("{refused:?}") };
        assert!(detail.contains("no database"), "{detail}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);
    // Where there was one, that is said.
    let (fs, _db) = lived(3, 50);
    let image = fs.crash_image(&CrashModel::Everything);
    image.remove(&Path::new(DIR).join("CURRENT")).expect("removed");
    let refused = Medium::new(&image).open(DIR).map(drop);
    assert!(matches!(refused, Err(Error::Corruption { .. })), "{refused:?}");
}

#[test]
fn a_reader_of_a_copy_reads_what_expired_as_expired() {
    let (fs, db) = lived(4, 10);
    db.set_with_ttl("soon", "gone", Duration::from_secs(5)).expect("a set");
    db.set("never", "here").expect("a set");
    let image = fs.crash_image(&CrashModel::Everything);
    let db = Medium::new(&image).open(DIR).expect("opens");
    assert!(db.get("soon").expect("a read").is_some());
    image.sim_clock().advance(Duration::from_secs(6));
    assert!(db.get("soon").expect("a read").is_none());
    assert!(db.get("never").expect("a read").is_some());
}
