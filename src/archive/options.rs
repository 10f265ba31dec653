//! How a backup is made and restored, and what came of it, as plain data.

use crate::format::BackupRef;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

/// How far a backup or a restore is.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
/// use esker::{BackupOptions, BackupProgress};
/// use std::ops::ControlFlow;
/// db.set("key", [7; 1000])?;
/// let mut seen = Vec::new();
/// let mut note = |progress: BackupProgress| {
///     seen.push(progress);
///     ControlFlow::Continue(())
/// };
/// let options = BackupOptions { progress: Some(&mut note), ..BackupOptions::default() };
/// db.backup_with(dir.path().join("backup"), options)?;
/// assert!(!seen.is_empty());
/// assert!(seen.iter().all(|progress| progress.bytes_done <= progress.bytes_total));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupProgress {
    /// Bytes of the backup that have been written, or read.
    pub bytes_done: u64,
    /// How many there will be, in all: of a backup that is being written, about; of one that is
    /// read from a stream, as many as have been read.
    pub bytes_total: u64,
}

impl BackupProgress {
    pub(crate) fn new(bytes_done: u64, bytes_total: u64) -> Self {
        BackupProgress { bytes_done, bytes_total: bytes_total.max(bytes_done) }
    }
}

/// Who is told of progress; what it returns says whether to go on.
pub type OnProgress<'a> = &'a mut dyn FnMut(BackupProgress) -> ControlFlow<()>;

/// How a backup is made.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// use esker::{BackupOptions, Db, Options};
/// use std::ops::ControlFlow;
/// let db = Db::open(dir.path().join("db"), Options::default())?;
/// db.set("a", "1")?;
/// let mut print = |progress: esker::BackupProgress| {
///     println!("{} of {} bytes", progress.bytes_done, progress.bytes_total);
///     ControlFlow::Continue(())
/// };
/// let options = BackupOptions { progress: Some(&mut print), ..BackupOptions::default() };
/// let report = db.backup_with(dir.path().join("backup"), options)?;
/// assert_eq!(report.entries, 1);
/// # Ok(()) }
/// ```
pub struct BackupOptions<'a> {
    /// How many bytes a second are written at most; 0: as many as go. Default: 0.
    pub bytes_per_second: u64,
    /// Whether the file is read back, and every checksum in it checked, before it gets its name. Of no
    /// meaning for a stream. Default: true.
    pub verify: bool,
    /// Whether increments are to follow upon it ([`crate::Db::backup_since`]): of a full backup. The
    /// database then keeps a trace of what is deleted from now on; see there what that costs. An increment can always
    /// be followed. Default: false.
    pub followed: bool,
    /// Told after each chunk, some 1 MiB, on the thread that makes the backup. `Break` ends it
    /// with [`crate::Error::Cancelled`]. Default: nobody.
    pub progress: Option<OnProgress<'a>>,
}

impl Default for BackupOptions<'_> {
    fn default() -> Self {
        BackupOptions { bytes_per_second: 0, verify: true, followed: false, progress: None }
    }
}

impl fmt::Debug for BackupOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupOptions")
            .field("bytes_per_second", &self.bytes_per_second)
            .field("verify", &self.verify)
            .field("followed", &self.followed)
            .finish_non_exhaustive()
    }
}

/// How a backup is restored.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// use esker::{Compression, Db, Options, RestoreOptions};
/// use std::ops::ControlFlow;
/// let options = Options { compression: Compression::None, ..Options::default() };
/// let db = Db::open(dir.path().join("db"), options)?;
/// db.set("a", vec![7; 2 << 20])?;
/// db.set("b", vec![8; 2 << 20])?;
/// let path = dir.path().join("backup");
/// let written = db.backup(&path)?;
/// let mut bytes = 0;
/// let mut note = |progress: esker::BackupProgress| {
///     bytes = progress.bytes_done;
///     ControlFlow::Continue(())
/// };
/// db.restore_with(&path, RestoreOptions { progress: Some(&mut note) })?;
/// assert!(2 << 20 < bytes && bytes <= written.bytes);
/// # Ok(()) }
/// ```
#[derive(Default)]
pub struct RestoreOptions<'a> {
    /// Told after each some 1 MiB, on the thread that restores. `Break` ends it
    /// with [`crate::Error::Cancelled`], and nothing has changed. Default: nobody.
    pub progress: Option<OnProgress<'a>>,
}

impl fmt::Debug for RestoreOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreOptions").finish_non_exhaustive()
    }
}

/// What came of a backup.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
/// db.set("a", "1")?;
/// db.set("b", "2")?;
/// let path = dir.path().join("backup");
/// let report = db.backup(&path)?;
/// assert_eq!((report.entries, report.sequence_number), (2, 2));
/// assert_eq!(report.bytes, std::fs::metadata(&path).expect("the file").len());
/// assert_eq!(report.backup_id, esker::verify_backup(&path)?.backup_id);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// Entries in it, those of deletes included.
    pub entries: u64,
    /// Its length.
    pub bytes: u64,
    /// The number that it drew by chance: what increments upon it call it.
    pub backup_id: u64,
    /// It holds what the commits up to this number had made; 0 for an engine in memory.
    pub sequence_number: u64,
    /// How long it took.
    pub duration: Duration,
}

/// A backup upon which an increment can follow.
///
/// See the example of [`crate::Db::followed_backups`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowedBackup {
    /// [`BackupReport::backup_id`].
    pub backup_id: u64,
    /// [`BackupReport::sequence_number`].
    pub sequence_number: u64,
}

impl From<BackupRef> for FollowedBackup {
    fn from(backup: BackupRef) -> Self {
        FollowedBackup { backup_id: backup.id.0, sequence_number: backup.seq.0 }
    }
}

/// What came of a restore.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
/// let path = dir.path().join("backup");
/// db.set("a", "1")?;
/// let backup = db.backup(&path)?;
/// db.set("b", "2")?;
/// let report = db.restore(&path)?;
/// assert_eq!((report.entries, report.bytes), (1, backup.bytes));
/// assert!(report.sequence_number > 2); // A commit after the two others.
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Entries that there are now.
    pub entries: u64,
    /// Bytes of the backups that were read.
    pub bytes: u64,
    /// The number of the restore in the order of commits: what was committed before it is
    /// replaced, what is committed after it comes on top. 0 for an engine in memory.
    pub sequence_number: u64,
    /// How long it took.
    pub duration: Duration,
}

/// What a sound backup says of itself, and what was counted in it.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
/// use esker::{BackupOptions, verify_backup};
/// let [full, next] = ["full", "next"].map(|name| dir.path().join(name));
/// db.set("a", "1")?;
/// let followed = BackupOptions { followed: true, ..BackupOptions::default() };
/// let base = db.backup_with(&full, followed)?;
/// db.delete("a")?;
/// db.backup_since(base.backup_id, &next)?;
/// let info = verify_backup(&next)?;
/// assert_eq!(info.base_id, Some(base.backup_id));
/// assert_eq!((info.since, info.sequence_number), (Some(1), 2));
/// assert_eq!((info.entries, info.deletes), (1, 1));
/// assert_eq!(info.database_id, verify_backup(&full)?.database_id);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupInfo {
    /// The number that it drew by chance.
    pub backup_id: u64,
    /// The database whose content it is.
    pub database_id: u64,
    /// It holds what the commits up to this number had made.
    pub sequence_number: u64,
    /// Of an increment: the [`BackupInfo::backup_id`] of the one upon which it follows. `None`: it
    /// holds everything.
    pub base_id: Option<u64>,
    /// Of an increment: the number after which it holds what changed.
    pub since: Option<u64>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Entries in it.
    pub entries: u64,
    /// Of these, of deletes.
    pub deletes: u64,
    /// Bytes of keys and values, as their owner has them.
    pub raw_bytes: u64,
    /// Its length.
    pub bytes: u64,
}
