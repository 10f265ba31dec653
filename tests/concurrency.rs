//! Many threads on one database: writes, reads, flushes, snapshots, close.

use esker::sim::SimFs;
use esker::{Clock, Db, DirLock, Error, File, Fs, OpenMode, Options, SyncPolicy, WriteBatch};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

const WRITERS: usize = 3;
const KEYS: [&str; 3] = ["a", "m", "z"];

fn options(sync_policy: SyncPolicy) -> Options {
    // Small, so that memtables and log files change all the time.
    Options {
        sync_policy,
        memtable_bytes: 64 << 10,
        value_threshold: usize::MAX,
        memtables_max: 3,
        ..Options::default()
    }
}

fn key(place: &str, writer: usize) -> String {
    format!("{place}/{writer}")
}

fn number(value: &[u8]) -> u64 {
    u64::from_le_bytes(*value.first_chunk().expect("eight bytes"))
}

fn batch(writer: usize, n: u64) -> WriteBatch {
    let mut batch = WriteBatch::new();
    let mut value = n.to_le_bytes().to_vec();
    value.resize(8 + usize::try_from(n % 300).expect("small"), 7);
    for place in KEYS {
        batch.set(key(place, writer), &value);
    }
    batch
}

/// What a consistent view shows of each writer: one number, the same in each place.
fn numbers(entries: impl Iterator<Item = esker::Result<(esker::Key, esker::Value)>>) -> Vec<u64> {
    let mut seen = vec![Vec::new(); WRITERS];
    for entry in entries {
        let (key, value) = entry.expect("an entry");
        seen[usize::from(key[2] - b'0')].push(number(&value));
    }
    let whole = |of_writer: Vec<u64>| {
        assert!(of_writer.iter().all(|n| *n == of_writer[0]), "a batch in part: {of_writer:?}");
        assert!(of_writer.is_empty() || of_writer.len() == KEYS.len(), "{of_writer:?}");
        of_writer.first().copied().unwrap_or(0)
    };
    seen.into_iter().map(whole).collect()
}

fn write_and_read_back(db: &Db, writer: usize, until: &AtomicBool, acknowledged: &AtomicU64) {
    let mut n = 0;
    while !until.load(Ordering::Relaxed) {
        n += 1;
        db.write(batch(writer, n)).expect("a commit");
        acknowledged.store(n, Ordering::Release);
        let own = db.get(key("m", writer)).expect("a read").expect("just written");
        assert_eq!(number(&own), n, "a writer sees its own commit");
    }
}

fn read(db: &Db, until: &AtomicBool, acknowledged: &[AtomicU64]) {
    let mut last = vec![0; WRITERS];
    let mut backwards = false;
    while !until.load(Ordering::Relaxed) {
        let before: Vec<u64> = acknowledged.iter().map(|n| n.load(Ordering::Acquire)).collect();
        let snapshot = db.snapshot();
        let seen = if backwards {
            numbers(snapshot.range::<&str>(..).rev())
        } else {
            numbers(snapshot.range::<&str>(..))
        };
        for writer in 0..WRITERS {
            assert!(seen[writer] >= before[writer], "an acknowledged commit is not seen");
            assert!(seen[writer] >= last[writer], "time went backwards");
            let got = snapshot.get(key("z", writer)).expect("a read");
            assert_eq!(got.map_or(0, |v| number(&v)), seen[writer], "a snapshot does not change");
        }
        last = seen;
        backwards = !backwards;
    }
}

/// Ends the threads, also where the test fails: else it would wait for them for ever.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn batches_are_seen_whole_and_in_order_through_flushes() {
    for policy in [SyncPolicy::Never, SyncPolicy::Interval(Duration::from_millis(2))] {
        let dir = tempfile::tempdir().expect("a directory");
        let db = Db::open(dir.path(), options(policy)).expect("opens");
        let until = AtomicBool::new(false);
        let acknowledged: Vec<_> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
        std::thread::scope(|scope| {
            for (writer, acknowledged) in acknowledged.iter().enumerate() {
                let (db, until) = (&db, &until);
                scope.spawn(move || write_and_read_back(db, writer, until, acknowledged));
            }
            for _ in 0..2 {
                scope.spawn(|| read(&db, &until, &acknowledged));
            }
            let _ended = Ended(&until);
            let start = Instant::now();
            // On a busy machine a flush may take a second.
            while start.elapsed() < Duration::from_secs(2) || db.metrics().flushes <= 2 {
                assert!(start.elapsed() < PATIENCE, "{:?}", db.metrics());
                db.flush().expect("flush");
                db.persist().expect("persist");
            }
        });
        db.verify().expect("sound");
        db.close().expect("close");
        let db = Db::open(dir.path(), options(policy)).expect("opens");
        let written: Vec<u64> = acknowledged.iter().map(|n| n.load(Ordering::Acquire)).collect();
        assert_eq!(numbers(db.range::<&str>(..)), written);
    }
}

#[test]
fn close_beside_writers_loses_nothing_acknowledged_and_lets_nothing_in_after() {
    for round in 0..20 {
        let dir = tempfile::tempdir().expect("a directory");
        let db = Db::open(dir.path(), options(SyncPolicy::Never)).expect("opens");
        let acknowledged: Vec<_> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
        std::thread::scope(|scope| {
            for (writer, acknowledged) in acknowledged.iter().enumerate() {
                let db = db.clone();
                scope.spawn(move || {
                    for n in 1.. {
                        match db.write(batch(writer, n)) {
                            Ok(()) => acknowledged.store(n, Ordering::Release),
                            Err(Error::Closed) => return,
                            Err(e) => panic!("{e}"),
                        }
                    }
                });
            }
            while acknowledged.iter().map(|n| n.load(Ordering::Acquire)).sum::<u64>() < round * 40 {
                std::thread::yield_now();
            }
            db.close().expect("close");
        });
        let again = Db::open(dir.path(), options(SyncPolicy::Never)).expect("opens at once");
        let written: Vec<u64> = acknowledged.iter().map(|n| n.load(Ordering::Acquire)).collect();
        assert_eq!(numbers(again.range::<&str>(..)), written, "round {round}");
    }
}

/// A disk in memory whose syncs take the time that a disk takes.
#[derive(Debug)]
struct SlowSync(SimFs);

#[derive(Debug)]
struct SlowFile(Arc<dyn File>);

impl Fs for SlowSync {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(SlowFile(self.0.open(path, mode)?)))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.0.list(path)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.link(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        self.0.lock(path)
    }
    fn clock(&self) -> Arc<dyn Clock> {
        self.0.clock()
    }
}

impl File for SlowFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buf, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        std::thread::sleep(Duration::from_millis(1));
        self.0.sync_data()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

#[test]
fn synced_commits_of_many_threads_share_syncs() {
    let fs = Arc::new(SlowSync(SimFs::new()));
    let db = Db::open_with_fs(fs, "/db", Options::default()).expect("opens");
    // Who begins before the others are there has nobody to share with.
    let all_there = Barrier::new(8);
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (db, all_there) = (&db, &all_there);
            scope.spawn(move || {
                all_there.wait();
                for n in 0..100 {
                    db.set(format!("{writer}/{n}"), "v").expect("set");
                }
            });
        }
    });
    let metrics = db.metrics();
    assert_eq!(metrics.commits, 800);
    assert!(metrics.log_syncs <= 400, "{} syncs for 800 commits of 8 threads", metrics.log_syncs);
    assert_eq!(db.iter().count(), 800);
}

/// Until they are merged there is one table a flush; the files that are open
/// at a time are bounded all the same.
#[test]
fn four_hundred_tables_do_not_take_four_hundred_descriptors() {
    let dir = tempfile::tempdir().expect("a directory");
    let without_log = Options {
        wal_enabled: false,
        memtable_bytes: 64 << 10,
        value_threshold: usize::MAX,
        ..Options::default()
    };
    let db = Db::open(dir.path(), without_log.clone()).expect("opens");
    let value = vec![5; 30 << 10];
    let mut n = 0;
    while db.metrics().tables < 400 {
        db.set(format!("{n:06}"), &value).expect("set");
        n += 1;
    }
    db.close().expect("close");
    drop(db);
    let db = Db::open(dir.path(), without_log).expect("opens");
    assert!(db.metrics().tables >= 400);
    for n in (0..n).step_by(7) {
        assert_eq!(db.get(format!("{n:06}")).expect("a read").as_deref(), Some(&value[..]));
    }
    assert_eq!(db.range::<&str>(..).keys().count(), n);
    #[cfg(target_os = "linux")]
    assert!(open_files(dir.path(), ".tbl") <= 256);
}

/// Under a policy that never syncs, each log file stayed open for ever, to be
/// covered by the next sync: removed, but with its space still taken.
#[cfg(target_os = "linux")]
#[test]
fn log_files_whose_content_is_in_tables_are_let_go() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), options(SyncPolicy::Never)).expect("opens");
    for n in 0..100 {
        db.set(format!("{n:06}"), vec![5; 30 << 10]).expect("set");
    }
    assert!(db.metrics().flushes > 20);
    db.flush().expect("flush");
    // The flush worker lets go of the last one after who waits for the flush has been told.
    let start = Instant::now();
    while open_files(dir.path(), ".log") > 1 {
        assert!(start.elapsed() < PATIENCE, "{} are open", open_files(dir.path(), ".log"));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Descriptors of files in `dir`, removed or not, whose name has `part` in it.
#[cfg(target_os = "linux")]
fn open_files(dir: &std::path::Path, part: &str) -> usize {
    let dir = dir.canonicalize().expect("a path");
    let open = std::fs::read_dir("/proc/self/fd").expect("descriptors");
    let open = open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    open.filter(|path| path.starts_with(&dir) && path.to_string_lossy().contains(part)).count()
}
