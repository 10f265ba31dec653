//! A file system whose calls a test can see, fail, block or let panic, before
//! they are made and after; and threads that must answer soon.

use esker::sim::{CallKind, SimFs};
use esker::{Clock, DirLock, File, Fs, OpenMode};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A call on its way to the file system below, or back from it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub kind: CallKind,
    pub path: &'a Path,
    /// Where a write goes.
    pub offset: u64,
    /// It has been made.
    pub is_done: bool,
}

impl Call<'_> {
    /// Whether it is of this kind, on a file whose path ends like this.
    pub fn is(&self, kind: CallKind, extension: &str) -> bool {
        self.kind == kind && self.path.to_string_lossy().ends_with(extension)
    }
}

type Hook = dyn Fn(Call<'_>) -> io::Result<()> + Send + Sync;

/// A [`SimFs`] whose reads, writes, syncs, renames and removals pass through a hook, before and
/// after: it can fail them either way, block them or panic.
///
/// Calls of several threads run it at the same time, also while it holds one of them up, and
/// a hook may make calls itself. (It was taken out while it ran, and what other threads called meanwhile
/// passed without it: with the flush worker stopped by the system in the midst of it, the very call
/// that a test had waited for went by.)
#[derive(Clone)]
pub struct HookedFs {
    below: SimFs,
    hook: Arc<Mutex<Option<Arc<Hook>>>>,
    tables_refused: Arc<AtomicBool>,
}

impl HookedFs {
    pub fn new(below: &SimFs) -> Self {
        HookedFs { below: below.clone(), hook: Arc::default(), tables_refused: Arc::default() }
    }

    /// Lets no table be written for want of room, so that memtables and log
    /// files stay. Not a hook: the flush worker may call while one runs.
    pub fn refuse_tables(&self, refused: bool) {
        self.tables_refused.store(refused, Ordering::Release);
    }

    pub fn set_hook(&self, hook: impl Fn(Call<'_>) -> io::Result<()> + Send + Sync + 'static) {
        *self.hook.lock().expect("no panic under the lock") = Some(Arc::new(hook));
    }

    pub fn clear_hook(&self) {
        *self.hook.lock().expect("no panic under the lock") = None;
    }

    fn around<T>(
        &self,
        kind: CallKind,
        path: &Path,
        offset: u64,
        make: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let call = Call { kind, path, offset, is_done: false };
        if call.is(CallKind::Write, ".tbl") && self.tables_refused.load(Ordering::Acquire) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.run_hook(call)?;
        let made = make()?;
        self.run_hook(Call { is_done: true, ..call })?;
        Ok(made)
    }

    fn run_hook(&self, call: Call<'_>) -> io::Result<()> {
        // Not under the lock, since it may block, panic, or make calls.
        let hook = self.hook.lock().expect("no panic under the lock").clone();
        hook.map_or(Ok(()), |hook| hook(call))
    }
}

impl fmt::Debug for HookedFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookedFs")
    }
}

impl Fs for HookedFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let below = self.below.open(path, mode)?;
        Ok(Arc::new(HookedFile { fs: self.clone(), path: path.to_path_buf(), below }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.below.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.below.list(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.around(CallKind::Link, to, 0, || self.below.link(from, to))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.around(CallKind::Rename, to, 0, || self.below.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.around(CallKind::Remove, path, 0, || self.below.remove(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.around(CallKind::SyncDir, path, 0, || self.below.sync_dir(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        self.below.lock(path)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.below.clock()
    }

    fn allows_threads(&self) -> bool {
        self.below.allows_threads()
    }
}

#[derive(Debug)]
struct HookedFile {
    fs: HookedFs,
    path: PathBuf,
    below: Arc<dyn File>,
}

impl File for HookedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.fs.around(CallKind::Read, &self.path, offset, || self.below.read_at(buf, offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.fs.around(CallKind::Write, &self.path, offset, || self.below.write_at(buf, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fs.around(CallKind::SyncData, &self.path, 0, || self.below.sync_data())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.below.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.below.len()
    }

    fn allocate(&self, offset: u64, bytes: u64) -> io::Result<bool> {
        self.fs.around(CallKind::Write, &self.path, offset, || self.below.allocate(offset, bytes))
    }

    fn will_need(&self, offset: u64, bytes: u64) {
        self.below.will_need(offset, bytes);
    }
}

/// True for the first who asks.
#[derive(Debug, Default)]
pub struct Once(AtomicBool);

impl Once {
    pub fn is_first(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// A gate at which one call waits until it is opened: by a message, or by the end of who would send it.
#[derive(Debug)]
pub struct Gate {
    once: Once,
    reached: Sender<()>,
    opened: Mutex<Receiver<()>>,
}

impl Gate {
    /// The gate, what tells that a call has come to it, and what opens it.
    pub fn new() -> (Gate, Receiver<()>, Sender<()>) {
        let (reached, has_reached) = channel();
        let (open, opened) = channel();
        let opened = Mutex::new(opened);
        (Gate { once: Once::default(), reached, opened }, has_reached, open)
    }

    /// The first who comes here waits; who comes later goes on.
    pub fn pass(&self) {
        if self.once.is_first() {
            self.reached.send(()).expect("the test listens");
            // An error: the test has let go of it.
            let _ = self.opened.lock().expect("nobody else is here").recv();
        }
    }
}

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `is_so`, which must come, however busy the machine is.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What `attempt` comes to, with a longer and longer wait, until it comes to something: for what a busy machine
/// may not let happen in any given time, such as that two threads have both come to wait for a third.
#[track_caller]
pub fn patiently<T>(what: &str, attempt: impl Fn(Duration) -> Option<T>) -> T {
    let begun = Instant::now();
    let mut wait = Duration::from_millis(20);
    loop {
        if let Some(made) = attempt(wait) {
            return made;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        wait = wait * 3 / 2;
    }
}

/// Runs `act` on a thread of its own; its result comes through the receiver.
pub fn spawn<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let _ = sender.send(act());
    });
    receiver
}

/// What comes through `receiver`, unless it hangs. (A thread that panicked counts as such.)
#[track_caller]
pub fn soon<T>(receiver: &Receiver<T>, what: &str) -> T {
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{what}: {e}"))
}
