//! The file system, as a trait: every byte that the engine reads or writes
//! goes through here.
//!
//! Place on the data's path: its lowest end. [`disk`] is the operating
//! system's; `sim` (feature `sim`) keeps everything in memory, with what was
//! written and what was synced apart, so that a power cut can be played.
//!
//! What is assumed of a disk, and no more:
//! - after [`File::sync_data`] returned `Ok`, the bytes and the length of the
//!   file survive a power cut; before it, any part of them may;
//! - after [`Fs::sync_dir`] returned `Ok`, the directory's entries survive;
//!   before it, each creation, rename and removal may have happened or not;
//! - a rename is atomic: afterwards the name means the old file or the new;
//! - a failed sync may have dropped what it should have written.
//!
//! INV-1: nothing above this module touches `std::fs`.
//! Concurrency: all methods take `&self` and may be called from any thread.
//! Not here: paths inside a database (`format::names`), checksums, retries of
//! anything but an interrupted call.

#[cfg(any(test, feature = "sim"))]
mod bytes;
pub mod disk;
mod durable_dir;
#[cfg(feature = "server")]
mod held_dir;
mod inspect;
mod open_files;
mod read_only;
#[cfg(feature = "sim")]
pub mod sim;
mod sink;
mod syncer;
mod window;

#[cfg(test)]
mod conformance;

#[cfg(any(test, feature = "sim"))]
pub use bytes::BytesFile;
pub use durable_dir::{DirEntry, create_dir, create_dir_durably, parent_of};
#[cfg(feature = "server")]
pub use held_dir::{HeldDir, HeldEntry, Standing};
pub use inspect::{Inspected, Inspector, Stop};
pub use open_files::OpenFiles;
pub use read_only::ReadOnlyFs;
pub use sink::Sink;
pub use syncer::Syncer;
pub use window::Window;

use crate::clock::Clock;
use crate::error::{Error, Result};
use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How a file is opened.
///
/// ```
/// use esker::{DiskFs, Fs, OpenMode};
/// use std::io::ErrorKind;
/// # let dir = tempfile::tempdir()?;
/// let (fs, path) = (DiskFs::new(), dir.path().join("a"));
/// assert_eq!(fs.open(&path, OpenMode::Read).unwrap_err().kind(), ErrorKind::NotFound);
/// fs.open(&path, OpenMode::CreateNew)?;
/// assert_eq!(fs.open(&path, OpenMode::CreateNew).unwrap_err().kind(), ErrorKind::AlreadyExists);
/// assert!(fs.open(&path, OpenMode::Read)?.write_at(b"x", 0).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It exists, and is only read.
    Read,
    /// It is made new, and read and written; an existing one is an error
    /// ([`io::ErrorKind::AlreadyExists`]).
    CreateNew,
}

/// A file system.
///
/// ```
/// use esker::{DiskFs, Fs, OpenMode};
/// # let dir = tempfile::tempdir()?;
/// let fs: &dyn Fs = &DiskFs::new();
/// let sub = dir.path().join("sub");
/// fs.create_dir_all(&sub)?;
/// // A file that is there whole or not at all, whenever the power goes:
/// let file = fs.open(&sub.join("new"), OpenMode::CreateNew)?;
/// file.write_at(b"content", 0)?;
/// file.sync_data()?;
/// fs.rename(&sub.join("new"), &sub.join("name"))?;
/// fs.sync_dir(&sub)?;
/// assert_eq!(fs.list(&sub)?, ["name"]);
///
/// fs.link(&sub.join("name"), &sub.join("other"))?;
/// fs.remove(&sub.join("name"))?;
/// assert_eq!(fs.open(&sub.join("other"), OpenMode::Read)?.len()?, 7);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Fs: Send + Sync + Debug {
    /// Opens the regular file at `path`. A symbolic link, directory or other
    /// special file there is refused with an error.
    ///
    /// See the example of [`Fs`].
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], [`io::ErrorKind::AlreadyExists`], or what
    /// the system says.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;

    /// Makes `path` a directory, with its parents; one that exists is fine.
    ///
    /// See the example of [`Fs`].
    ///
    /// # Errors
    /// What the system says.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The names in the directory `path`, in no order. Names that are not
    /// UTF-8 are left out: none of ours is one.
    ///
    /// See the example of [`Fs`].
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Renames `from` to `to`, replacing a file at `to`. Durable only after
    /// [`Fs::sync_dir`] of the directory.
    ///
    /// See the example of [`Fs`].
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives the file at `from` the name `to` as well, which is free; both
    /// mean the same file from then on. Durable only after [`Fs::sync_dir`].
    ///
    /// See the example of [`Fs`].
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or what the system says.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes the file at `path`. Durable only after [`Fs::sync_dir`].
    /// Handles that have it open go on.
    ///
    /// See the example of [`Fs`].
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the entries of the directory `path` durable.
    ///
    /// See the example of [`Fs`].
    ///
    /// # Errors
    /// What the system says. Never retry it as if it could succeed.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes the lock file at `path` (made if need be) for this handle alone.
    /// `None`: another handle, of this process or another, has it. The lock
    /// goes with the returned value, or with the process.
    ///
    /// ```
    /// use esker::{DirLock, DiskFs, Fs};
    /// # let dir = tempfile::tempdir()?;
    /// let (fs, path) = (DiskFs::new(), dir.path().join("LOCK"));
    /// let held: Box<dyn DirLock> = fs.lock(&path)?.expect("nobody has it");
    /// assert!(fs.lock(&path)?.is_none());
    /// assert!(fs.lock_shared(&path)?.is_none());
    /// drop(held);
    /// let readers = [fs.lock_shared(&path)?, fs.lock_shared(&path)?];
    /// assert!(readers.iter().all(Option::is_some));
    /// assert!(fs.lock(&path)?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// What the system says.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>>;

    /// The same, of a lock file that exists; none is made.
    ///
    /// What is provided looks whether it exists by opening it for reading, which must succeed whoever has the lock; then another
    /// may still remove it before it is taken, and one is made.
    ///
    /// ```
    /// use esker::{DiskFs, Fs};
    /// # let dir = tempfile::tempdir()?;
    /// let (fs, path) = (DiskFs::new(), dir.path().join("LOCK"));
    /// assert!(fs.lock_existing(&path).is_err());
    /// drop(fs.lock(&path)?);
    /// assert!(fs.lock_existing(&path)?.is_some());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or what the system says.
    fn lock_existing(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        drop(self.open(path, OpenMode::Read)?); // Or `lock` would make it.
        self.lock(path)
    }

    /// Takes the lock file at `path`, which exists, for reading: together with others that do so, and
    /// not with one that has it by [`Fs::lock`], nor does one get it then. Nothing is made or written. `None`: it is taken.
    ///
    /// What is provided takes it for this handle alone, which is right, too.
    ///
    /// See the example of [`Fs::lock`].
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], [`io::ErrorKind::Unsupported`] where the medium has no such
    /// locks, or what the system says.
    fn lock_shared(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        drop(self.open(path, OpenMode::Read)?); // Or `lock` would make it.
        self.lock(path)
    }

    /// The clock that goes with this file system.
    ///
    /// ```
    /// use esker::sim::SimFs;
    /// use esker::{DiskFs, Fs};
    /// use std::time::{Duration, SystemTime};
    /// let fs = SimFs::new(); // Its clock stands still,
    /// let before = fs.clock().now_ms();
    /// fs.sim_clock().advance(Duration::from_secs(1)); // and moves when it is told to.
    /// assert_eq!(fs.clock().now_ms(), before + 1000);
    ///
    /// let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    /// assert!(u128::from(DiskFs::new().clock().now_ms()) >= now.as_millis());
    /// ```
    fn clock(&self) -> Arc<dyn Clock>;

    /// A number that tells a new database from every other. Drawn from the
    /// hasher seeds that the standard library takes from the operating system,
    /// unless a file system has its own chance.
    ///
    /// ```
    /// use esker::sim::SimFs;
    /// use esker::{DiskFs, Fs};
    /// assert_ne!(DiskFs::new().random(), DiskFs::new().random());
    /// let run = |seed| {
    ///     let fs = SimFs::with_seed(seed);
    ///     fs.set_threads(false); // So that runs are alike.
    ///     fs.random()
    /// };
    /// assert_eq!(run(1), run(1));
    /// assert_ne!(run(1), run(2));
    /// ```
    fn random(&self) -> u64 {
        RandomState::new().hash_one(self.clock().now_ms())
    }

    /// Whether the engine may have threads of its own on this file system.
    /// Without, the work of the background is done in the calls that cause it,
    /// so that one history of the engine's calls is one history of these.
    ///
    /// ```
    /// use esker::sim::SimFs;
    /// use esker::{DiskFs, Fs};
    /// assert!(DiskFs::new().allows_threads());
    /// let fs = SimFs::new();
    /// fs.set_threads(false);
    /// assert!(!fs.allows_threads());
    /// ```
    fn allows_threads(&self) -> bool {
        true
    }
}

/// An open file.
///
/// ```
/// use esker::{DiskFs, Fs, OpenMode};
/// # let dir = tempfile::tempdir()?;
/// let file = DiskFs::new().open(&dir.path().join("a"), OpenMode::CreateNew)?;
/// file.write_at(b"world", 6)?;
/// file.write_at(b"hello", 0)?;
/// file.set_len(8)?;
/// file.sync_data()?;
/// assert_eq!(file.len()?, 8);
/// file.will_need(0, 8); // It is about to be read.
/// let mut bytes = [0; 100];
/// assert_eq!(file.read_at(&mut bytes, 0)?, 8);
/// assert_eq!(&bytes[..8], b"hello\0wo");
///
/// let is_claimed = file.allocate(8, 4096)?; // Where the file system can.
/// assert_eq!(file.len()?, if is_claimed { 8 + 4096 } else { 8 });
/// # Ok::<(), std::io::Error>(())
/// ```
#[expect(clippy::len_without_is_empty, reason = "the length of a file is an I/O call")]
pub trait File: Send + Sync + Debug {
    /// Reads at `offset` into `buf` and returns how much was read: less than
    /// asked for only at the end of the file, or when the system does so.
    ///
    /// See the example of [`File`].
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes from `buf` at `offset` and returns how much was written.
    ///
    /// See the example of [`File`].
    ///
    /// # Errors
    /// What the system says; part of `buf` may have reached the file.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes the file's bytes and length durable (not its name: see [`Fs::sync_dir`]).
    ///
    /// See the example of [`File`].
    ///
    /// # Errors
    /// What the system says. Never retry it as if it could succeed.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts or extends (with zeros) the file to `len` bytes.
    ///
    /// See the example of [`File`].
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The file's length in bytes.
    ///
    /// See the example of [`File`].
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Claims room on the disk for the `bytes` from `offset` on, without writing
    /// them: they are zeros until they are written, and the file reaches that
    /// far. `false`: nothing was done, since the file system cannot; then writing
    /// zeros does it.
    ///
    /// See the example of [`File`].
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`], or what the system says; the file may have grown.
    fn allocate(&self, offset: u64, bytes: u64) -> io::Result<bool> {
        let _ = (offset, bytes);
        Ok(false)
    }

    /// Says that the `bytes` from `offset` on will be read soon, so that the system may begin
    /// to fetch them. It changes nothing, so it has no error either.
    ///
    /// See the example of [`File`].
    fn will_need(&self, offset: u64, bytes: u64) {
        let _ = (offset, bytes);
    }
}

/// A held directory lock; dropping it gives the lock back.
///
/// See the example of [`Fs::lock`].
pub trait DirLock: Send + Sync + Debug {}

/// Fills `buf` from `offset` on, through short and interrupted reads.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] when the file ends first, or what the system says.
pub fn read_exact_at(file: &dyn File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                offset += n as u64;
                buf = buf.split_at_mut(n).1;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Writes all of `buf` at `offset`, through short and interrupted writes,
/// no byte twice.
///
/// # Errors
/// What the system says; part of `buf` may have reached the file.
pub fn write_all_at(file: &dyn File, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.write_at(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                offset += n as u64;
                buf = buf.split_at(n).1;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Makes something durable.
pub type SyncFn<'a> = &'a (dyn Fn() -> Result<()> + Sync);

/// Makes several files durable at once, where there may be threads: the file system then
/// commits its journal once for all of them.
///
/// # Errors
/// The first, by their order, of those that failed. Where there are threads all have been tried.
pub fn sync_together(fs: &dyn Fs, syncs: &[SyncFn<'_>]) -> Result<()> {
    let [first, others @ ..] = syncs else { return Ok(()) };
    if !fs.allows_threads() {
        return syncs.iter().try_for_each(|sync| sync());
    }
    std::thread::scope(|scope| {
        let spawn = |sync| std::thread::Builder::new().spawn_scoped(scope, sync);
        let others: Vec<_> = others.iter().map(|sync| (sync, spawn(sync))).collect();
        let first = first();
        let others = others.into_iter().map(|(sync, spawned)| match spawned {
            // A panic goes on in the thread that asked for all this.
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // The system gives no thread: one after the other.
            Err(_) => sync(),
        });
        let others: Vec<_> = others.collect();
        others.into_iter().fold(first, Result::and)
    })
}

/// Turns an [`io::Result`] into ours by naming the operation and the file.
pub trait IoContext<T> {
    /// Names what was done to which file.
    ///
    /// # Errors
    /// [`Error::Io`] where `self` is an error.
    fn during(self, op: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn during(self, op: &'static str, path: &Path) -> Result<T> {
        self.map_err(|e| Error::io(op, path, e))
    }
}
