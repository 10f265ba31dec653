//! Failing file systems: what the system refuses is told as such.

use super::*;
use crate::clock::Clock;
use crate::fs::{DirLock, File, Fs, OpenMode};
use parking_lot::Mutex;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The disk, failing while it is told to, and counting.
#[derive(Debug, Default)]
pub struct FailingFs {
    disk: DiskFs,
    pub fail: Arc<Fail>,
}

#[derive(Debug, Default)]
pub struct Fail {
    pub reads: AtomicBool,
    writes: AtomicBool,
    syncs: AtomicBool,
    /// Reads of more than 64 KiB fail.
    pub long_reads: AtomicBool,
    /// Reads of any byte of these fail.
    pub unreadable: Mutex<Range<u64>>,
    /// Reads are done at once, and not in pieces of 7 bytes.
    pub whole: AtomicBool,
    pub read_calls: AtomicUsize,
    pub read_bytes: AtomicUsize,
    pub opens: AtomicUsize,
}

fn fail_if(flag: &AtomicBool) -> io::Result<()> {
    if flag.load(Ordering::Relaxed) { Err(io::Error::other("injected")) } else { Ok(()) }
}

impl Fs for FailingFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.fail.opens.fetch_add(1, Ordering::Relaxed);
        let file = self.disk.open(path, mode)?;
        Ok(Arc::new(FailingFile { file, fail: Arc::clone(&self.fail) }))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.link(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        self.disk.lock(path)
    }
    fn clock(&self) -> Arc<dyn Clock> {
        self.disk.clock()
    }
}

#[derive(Debug)]
struct FailingFile {
    file: Arc<dyn File>,
    fail: Arc<Fail>,
}

impl File for FailingFile {
    /// At most 7 bytes at a time: short reads and writes are completed.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        fail_if(&self.fail.reads)?;
        let unreadable = self.fail.unreadable.lock().clone();
        if offset < unreadable.end && offset + to_u64(buf.len()) > unreadable.start {
            return Err(io::Error::other("injected"));
        }
        if buf.len() > 64 << 10 {
            fail_if(&self.fail.long_reads)?;
        }
        let is_whole = self.fail.whole.load(Ordering::Relaxed);
        let size = if is_whole { buf.len() } else { buf.len().min(7) };
        let size = self.file.read_at(&mut buf[..size], offset)?;
        self.fail.read_calls.fetch_add(1, Ordering::Relaxed);
        self.fail.read_bytes.fetch_add(size, Ordering::Relaxed);
        Ok(size)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        fail_if(&self.fail.writes)?;
        self.file.write_at(&buf[..buf.len().min(7)], offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        fail_if(&self.fail.syncs)?;
        self.file.sync_data()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

fn is_io<T: std::fmt::Debug>(result: &Result<T>, operation: &str) -> bool {
    matches!(result, Err(Error::Io { op, path, .. }) if *op == operation && path.ends_with("000007.tbl"))
}

#[test]
fn a_failing_read_is_told_and_not_remembered() {
    let dir = tempfile::tempdir().expect("tempdir");
    let model = small_model();
    let meta = write(dir.path(), &model, options(100, Compression::Snappy));
    let fs = Arc::new(FailingFs::default());
    let table = open_on(fs.clone(), dir.path(), &meta, 0);
    let mut cursor = table.cursor();

    // First the index, then, with the index in memory, a block.
    for _ in 0..2 {
        fs.fail.reads.store(true, Ordering::Relaxed);
        assert!(is_io(&get(&table, b"ttl", SeqNo::MAX), "read"));
        assert!(is_io(&cursor.seek_last(), "read"));
        assert!(cursor.entry().is_none());
        assert!(is_io(&table.verify(), "read"));
        fs.fail.reads.store(false, Ordering::Relaxed);
        assert!(get(&table, b"ttl", SeqNo::MAX).expect("sound").is_some());
        assert!(scan(&table).expect("sound") == model.iter().map(item).collect::<Vec<_>>());
        table.verify().expect("sound");
    }

    // A cursor that fails stands on nothing.
    cursor.seek_first().expect("sound");
    fs.fail.reads.store(true, Ordering::Relaxed);
    while cursor.next().is_ok() {
        assert!(cursor.entry().is_some(), "the end came before the failure");
    }
    assert!(cursor.entry().is_none());
}

fn add(builder: &mut TableBuilder, i: u32) -> Result<()> {
    let (seq, kind) = (SeqNo(1), EntryKind::Set);
    builder.add(EntryRef { key: &i.to_be_bytes(), seq, kind, payload: &[1; 2000] })
}

#[test]
fn after_a_failed_write_a_table_is_never_finished() {
    let dir = tempfile::tempdir().expect("tempdir");
    let fs = Arc::new(FailingFs::default());
    let o = options(4096, Compression::None);
    let mut builder =
        TableBuilder::create(fs.as_ref(), dir.path(), DATABASE, ID, o).expect("create");
    fs.fail.writes.store(true, Ordering::Relaxed);
    let failed = (0..10_000).find(|&i| add(&mut builder, i).is_err()).expect("the buffer is full");
    assert!((100..200).contains(&failed), "written at once, or never: {failed}");
    fs.fail.writes.store(false, Ordering::Relaxed);
    assert!(is_io(&add(&mut builder, failed + 1), "write"));
    assert!(is_io(&builder.finish(), "write"));
}

#[test]
fn a_table_is_finished_only_when_it_is_synced() {
    let dir = tempfile::tempdir().expect("tempdir");
    let fs = Arc::new(FailingFs::default());
    let o = options(4096, Compression::None);
    let mut builder =
        TableBuilder::create(fs.as_ref(), dir.path(), DATABASE, ID, o).expect("create");
    add(&mut builder, 1).expect("add");
    fs.fail.syncs.store(true, Ordering::Relaxed);
    assert!(is_io(&builder.finish(), "sync"));
}

#[test]
fn short_reads_and_writes_are_completed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let fs = Arc::new(FailingFs::default());
    let o = options(4096, Compression::None);
    let mut builder =
        TableBuilder::create(fs.as_ref(), dir.path(), DATABASE, ID, o).expect("create");
    for i in 0..300 {
        add(&mut builder, i).expect("add");
    }
    let meta = builder.finish().expect("finish");
    let table = open_on(fs.clone(), dir.path(), &meta, 0);
    table.verify().expect("sound");
    assert_eq!(scan(&table).expect("sound").len(), 300);
}
