//! A file system in memory whose power can be cut and whose calls can fail.
//!
//! Place on the data's path: in place of the disk. A program that takes its
//! files from [`Fs`](super::Fs) runs on a [`SimFs`] unchanged; a test then
//! cuts the power at any call ([`SimFs::crash_at`]), looks at what any of the
//! [`CrashModel`]s leaves on the disk ([`SimFs::crash_image`]), and lets
//! single calls fail ([`SimFs::fail`]).
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use esker::sim::{CrashModel, SimFs};
//! use esker::{Fs, OpenMode};
//! use std::path::Path;
//!
//! let fs = SimFs::new();
//! let file = fs.open(Path::new("/a"), OpenMode::CreateNew)?;
//! file.write_at(b"kept", 0)?;
//! file.sync_data()?;
//! fs.sync_dir(Path::new("/"))?;
//! file.write_at(b"lost", 4)?;
//!
//! let image = fs.crash_image(&CrashModel::SyncedOnly);
//! assert_eq!(image.open(Path::new("/a"), OpenMode::Read)?.len()?, 4);
//! assert_eq!(file.len()?, 8, "the original goes on");
//! # Ok(())
//! # }
//! ```
//!
//! How it is made: each file is its synced bytes and a log of the operations
//! since (`inode`); the names in the directories likewise (`directory`). A
//! crash image picks from the logs (`image`).
//!
//! INV-1: what a successful `sync_data` or `sync_dir` covered is in every
//! image taken later, until it is overwritten or removed.
//! INV-2: an image and its original share nothing that either can change,
//! locks included.
//! INV-3: a rename is there whole or not at all.
//! INV-4: what a failed `sync_data` was to write is on no image after a power
//! cut, and no later sync brings it there; readers go on seeing it.
//! INV-5: with the power off, no call changes anything.
//! INV-6: one seed, one history of calls: one result. (Threads that call in
//! another order are another history.)
//!
//! Directories are durable like files: a directory made by `create_dir_all`
//! is gone after a power cut, with all in it, unless its *parent* was synced.
//! Syncing a file does not make its name durable. Both are harsher than ext4
//! and xfs are, and are what POSIX promises. A failed `sync_dir` leaves the
//! names pending, for a crash to lose or keep and for a later sync to cover:
//! a directory whose entry were lost for good could never be mended.
//!
//! Concurrency: one lock round all of it, no call blocks; [`SimFs`] is
//! `Send + Sync`, and its clones are handles to one file system.
//!
//! Not here: permissions, symbolic links, removing directories, mapped
//! reads (the trait has none), delays.

mod choices;
mod clock;
mod content;
mod directory;
pub mod errno;
mod fault;
mod handle;
mod image;
mod inode;
mod model;
mod random;
mod state;

pub use choices::{Choices, Picks};
pub use clock::SimClock;
pub use fault::{CallKind, Fault, FaultPlan};
pub use model::CrashModel;

use crate::clock::Clock;
use parking_lot::Mutex;
use state::State;
use std::fmt;
use std::sync::Arc;

/// A simulated file system; its clones are handles to the same one.
///
/// ```
/// use esker::sim::SimFs;
/// use esker::{Fs, OpenMode};
/// use std::path::Path;
/// let fs = SimFs::new();
/// let path = Path::new("/a");
/// let same = fs.clone(); // A handle to the same one.
/// fs.open(path, OpenMode::CreateNew)?.write_at(b"bytes", 0)?;
/// assert_eq!(same.open(path, OpenMode::Read)?.len()?, 5);
/// assert!(SimFs::new().open(path, OpenMode::Read).is_err()); // Another one.
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct SimFs {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    clock: Arc<SimClock>,
}

impl Default for SimFs {
    fn default() -> Self {
        SimFs::new()
    }
}

impl SimFs {
    /// An empty file system, with seed 0.
    ///
    /// See the example of [`SimFs`].
    #[must_use]
    pub fn new() -> Self {
        SimFs::with_seed(0)
    }

    /// An empty file system. The seed decides what is left to chance while it
    /// runs: how much of a write there is when the power goes or the write
    /// fails. Crash models have seeds of their own.
    ///
    /// ```
    /// use esker::sim::{CrashModel, SimFs};
    /// use esker::{Fs, OpenMode};
    /// use std::path::Path;
    /// // How much of a write there is when the power goes in its midst: the seed tells.
    /// let left = |seed| -> std::io::Result<u64> {
    ///     let fs = SimFs::with_seed(seed);
    ///     let file = fs.open(Path::new("/a"), OpenMode::CreateNew)?;
    ///     fs.crash_at(1);
    ///     assert!(file.write_at(&[7; 4096], 0).is_err());
    ///     fs.crash_image(&CrashModel::Everything).open(Path::new("/a"), OpenMode::Read)?.len()
    /// };
    /// assert_eq!(left(1)?, left(1)?);
    /// let lens = (0..32).map(left).collect::<Result<std::collections::BTreeSet<_>, _>>()?;
    /// assert!(lens.len() > 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        SimFs::of(State::new(directory::Tree::new(), seed), SimClock::default())
    }

    fn of(state: State, clock: SimClock) -> Self {
        SimFs { shared: Arc::new(Shared { state: Mutex::new(state), clock: Arc::new(clock) }) }
    }

    /// The disk as a power cut (or the death of the process, under
    /// [`CrashModel::Everything`]) at this moment would leave it, as a file
    /// system of its own: power on, no faults, no locks, no calls counted,
    /// wall time as here, elapsed time from zero.
    ///
    /// ```
    /// use esker::sim::{CrashModel, SimFs};
    /// use esker::{Fs, OpenMode};
    /// use std::path::Path;
    /// let fs = SimFs::new();
    /// let (root, old, new) = (Path::new("/"), Path::new("/old"), Path::new("/new"));
    /// fs.open(old, OpenMode::CreateNew)?;
    /// fs.sync_dir(root)?;
    /// fs.rename(old, new)?; // Not synced.
    /// assert_eq!(fs.crash_image(&CrashModel::SyncedOnly).list(root)?, ["old"]);
    /// assert_eq!(fs.crash_image(&CrashModel::Everything).list(root)?, ["new"]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn crash_image(&self, model: &CrashModel) -> SimFs {
        let state = self.shared.state.lock().crash_image(*model);
        SimFs::of(state, SimClock::starting_at(self.shared.clock.now_ms()))
    }

    /// What a power cut at this moment may decide, with writes split at
    /// multiples of `unit_bytes`: 4,096 for pages that are written whole, 512
    /// for sectors.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use esker::sim::SimFs;
    /// # use esker::{Fs, OpenMode};
    /// # use std::path::Path;
    /// let fs = SimFs::new();
    /// let file = fs.open(Path::new("/a"), OpenMode::CreateNew)?;
    /// file.write_at(b"x", 0)?;
    /// let choices = fs.choices(4096);
    /// // The name, the byte and the length, each there or not.
    /// assert_eq!(choices.count(), 8);
    /// for picks in choices.every() {
    ///     let disk = fs.crash_image_of(&choices, &picks);
    ///     assert!(disk.list(Path::new("/"))?.len() <= 1);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// When `unit_bytes` is 0.
    #[must_use]
    pub fn choices(&self, unit_bytes: usize) -> Choices {
        self.shared.state.lock().choices(unit_bytes)
    }

    /// As [`SimFs::crash_image`], with `choices`, which were taken at this
    /// very moment, decided by `picks`. What was lost reads as zeros.
    ///
    /// See the example of [`Picks`].
    ///
    /// # Panics
    /// When something changed in between, and when a pick is none of its
    /// choice's alternatives.
    #[must_use]
    pub fn crash_image_of(&self, choices: &Choices, picks: &[usize]) -> SimFs {
        let state = self.shared.state.lock().image_of(choices, picks);
        SimFs::of(state, SimClock::starting_at(self.shared.clock.now_ms()))
    }

    /// Says whether the engine may have threads of its own here, which is so
    /// in the beginning. Without, its background work is done in the calls that
    /// cause it, and a new database's identity comes from the first seed: one seed
    /// and one history of calls from one thread give one run, byte for byte.
    /// Images inherit it.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// use esker::{Db, Options, sim::SimFs};
    /// use std::sync::Arc;
    /// // Without threads one history of calls is one run, byte for byte.
    /// let run = || -> esker::Result<(u64, u64)> {
    ///     let fs = SimFs::new();
    ///     fs.set_threads(false);
    ///     let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", Options::default())?;
    ///     db.set("key", "value")?;
    ///     db.close()?;
    ///     Ok((fs.calls(), fs.content_hash()))
    /// };
    /// assert_eq!(run()?, run()?);
    /// # Ok(()) }
    /// ```
    pub fn set_threads(&self, on: bool) {
        self.shared.state.lock().has_threads = on;
    }

    /// Says how many bytes all files may have together, by their lengths; `None`, as in the
    /// beginning: as many as they like. A write that does not fit writes what does, and where
    /// nothing does fails with `ENOSPC`, as does a change of length. A file whose last name is
    /// removed gives its bytes back at once. Images inherit it.
    ///
    /// ```
    /// use esker::sim::{SimFs, errno};
    /// use esker::{Fs, OpenMode};
    /// use std::path::Path;
    /// let fs = SimFs::new();
    /// fs.set_capacity(Some(6));
    /// let file = fs.open(Path::new("/a"), OpenMode::CreateNew)?;
    /// assert_eq!(file.write_at(b"123456789", 0)?, 6);
    /// assert_eq!(file.write_at(b"789", 6).unwrap_err().raw_os_error(), Some(errno::ENOSPC));
    /// fs.set_capacity(None);
    /// assert_eq!(file.write_at(b"789", 6)?, 3);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.shared.state.lock().capacity = bytes;
    }

    /// How many operations (writes, changes of length, creations, renames,
    /// removals) no sync has covered yet: what a power cut may lose.
    ///
    /// ```
    /// use esker::sim::SimFs;
    /// use esker::{Fs, OpenMode};
    /// use std::path::Path;
    /// let fs = SimFs::new();
    /// let file = fs.open(Path::new("/a"), OpenMode::CreateNew)?;
    /// file.write_at(b"bytes", 0)?;
    /// assert_eq!(fs.pending_count(), 2); // The name, and the write.
    /// file.sync_data()?;
    /// assert_eq!(fs.pending_count(), 1);
    /// fs.sync_dir(Path::new("/"))?;
    /// assert_eq!(fs.pending_count(), 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn pending_count(&self) -> u64 {
        self.shared.state.lock().tree.pending().len() as u64
    }

    /// A number that two file systems share when they have the same names and
    /// bytes, to readers and on stable storage. Stable within one build.
    ///
    /// See the example of [`SimFs::set_threads`].
    #[must_use]
    pub fn content_hash(&self) -> u64 {
        self.shared.state.lock().content_hash()
    }

    /// How many calls were made, of all kinds.
    ///
    /// ```
    /// use esker::sim::SimFs;
    /// use esker::{Fs, OpenMode};
    /// use std::path::Path;
    /// let fs = SimFs::new();
    /// let file = fs.open(Path::new("/a"), OpenMode::CreateNew)?;
    /// file.write_at(b"bytes", 0)?;
    /// file.len()?;
    /// assert_eq!((fs.calls(), fs.mutating_calls()), (3, 2));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.shared.state.lock().faults.calls
    }

    /// How many calls were made that [`SimFs::crash_at`] counts.
    ///
    /// See the example of [`SimFs::calls`].
    #[must_use]
    pub fn mutating_calls(&self) -> u64 {
        self.shared.state.lock().faults.mutating_calls
    }

    /// Lets calls fail. Several plans may be in force; where two meet in one
    /// call, the later one wins. An error of the plan's in
    /// - a write leaves some beginning of it behind, perhaps none or all;
    /// - a `sync_data` drops what it was to write (INV-4);
    /// - any other call has no effect.
    ///
    /// ```
    /// use esker::sim::{CallKind, Fault, FaultPlan, SimFs, errno};
    /// use esker::{Fs, OpenMode};
    /// use std::path::Path;
    /// let fs = SimFs::new();
    /// fs.fail(FaultPlan::from_on(1, Fault::Errno(errno::EMFILE)).only(CallKind::Create));
    /// let create = |path| fs.open(Path::new(path), OpenMode::CreateNew);
    /// assert_eq!(create("/a").unwrap_err().raw_os_error(), Some(errno::EMFILE));
    /// assert!(create("/a").is_err());
    /// assert_eq!((fs.faults_hit(), fs.faults_left()), (2, true));
    /// fs.clear_faults();
    /// assert!(!fs.faults_left());
    /// create("/a")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn fail(&self, plan: FaultPlan) {
        self.shared.state.lock().faults.add(plan);
    }

    /// Ends all plans. Power that is off stays off.
    ///
    /// See the example of [`SimFs::fail`].
    pub fn clear_faults(&self) {
        self.shared.state.lock().faults.clear();
    }

    /// How many calls a plan has struck.
    ///
    /// See the example of [`SimFs::fail`].
    #[must_use]
    pub fn faults_hit(&self) -> u64 {
        self.shared.state.lock().faults.hits
    }

    /// Whether a planned fault is still to come, or lasts.
    ///
    /// See the example of [`SimFs::fail`].
    #[must_use]
    pub fn faults_left(&self) -> bool {
        self.shared.state.lock().faults.are_left()
    }

    /// Replaces the seed given to [`SimFs::with_seed`]; an image has that of
    /// its original until then.
    ///
    /// ```
    /// use esker::sim::{CrashModel, SimFs};
    /// use esker::{Fs, OpenMode};
    /// use std::path::Path;
    /// let start = SimFs::new();
    /// start.open(Path::new("/a"), OpenMode::CreateNew)?;
    /// // From one disk, many runs, each with its own chance.
    /// let left = |seed| -> std::io::Result<u64> {
    ///     let fs = start.crash_image(&CrashModel::Everything);
    ///     fs.set_seed(seed);
    ///     let file = fs.open(Path::new("/b"), OpenMode::CreateNew)?;
    ///     fs.crash_at(1);
    ///     assert!(file.write_at(&[7; 4096], 0).is_err());
    ///     fs.crash_image(&CrashModel::Everything).open(Path::new("/b"), OpenMode::Read)?.len()
    /// };
    /// let lens = (0..32).map(left).collect::<Result<std::collections::BTreeSet<_>, _>>()?;
    /// assert!(lens.len() > 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_seed(&self, seed: u64) {
        self.shared.state.lock().seed = seed;
    }

    /// Cuts the power in the `nth` mutating call from now, counted from 1; 0
    /// is at once. That call fails, and may have happened wholly, partly (a
    /// write) or not at all; all later ones, reads too, fail and change nothing.
    ///
    /// See the example of [`SimFs::with_seed`].
    pub fn crash_at(&self, nth: u64) {
        self.shared.state.lock().faults.cut_at(nth);
    }

    /// True once the power is off.
    ///
    /// ```
    /// use esker::sim::{CrashModel, SimFs};
    /// use esker::{Fs, OpenMode};
    /// use std::path::Path;
    /// let fs = SimFs::new();
    /// fs.crash_at(2);
    /// fs.open(Path::new("/a"), OpenMode::CreateNew)?;
    /// assert!(!fs.is_off());
    /// assert!(fs.sync_dir(Path::new("/")).is_err());
    /// assert!(fs.is_off() && fs.list(Path::new("/")).is_err());
    /// assert!(!fs.crash_image(&CrashModel::SyncedOnly).is_off()); // The disk after a restart.
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.shared.state.lock().faults.is_off
    }

    /// Starts to write down every call, from none, or stops and forgets.
    ///
    /// See the example of [`SimFs::trace`].
    pub fn set_trace(&self, on: bool) {
        self.shared.state.lock().trace = on.then(Vec::new);
    }

    /// The calls since [`SimFs::set_trace`], a line each: its number, its
    /// kind, its file, and how it ended.
    ///
    /// ```
    /// use esker::sim::SimFs;
    /// use esker::{Fs, OpenMode};
    /// use std::path::Path;
    /// let fs = SimFs::new();
    /// fs.set_trace(true);
    /// fs.open(Path::new("/a"), OpenMode::CreateNew)?.write_at(b"bytes", 0)?;
    /// let lines = fs.trace();
    /// assert_eq!(lines.len(), 2);
    /// assert!(lines[1].contains("Write") && lines[1].contains("/a"));
    /// fs.set_trace(false);
    /// assert!(fs.trace().is_empty());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.shared.state.lock().trace.clone().unwrap_or_default()
    }

    /// The clock, to move it.
    ///
    /// See the example of [`SimClock`].
    #[must_use]
    pub fn sim_clock(&self) -> Arc<SimClock> {
        Arc::clone(&self.shared.clock)
    }
}

// Not derived: the contents of all files belong in no message.
impl fmt::Debug for SimFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFs").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
