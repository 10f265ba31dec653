//! Backup, restore and checkpoint, as users see them.

use super::{Db, Snapshot};
use crate::archive::{
    ArchiveReader, BackupInfo, BackupOptions, BackupReport, FileOutput, RestoreOptions,
    RestoreReport, StreamOutput, verify, verify_file, write_file,
};
use crate::backup::{Scope, write_backup};
use crate::error::{Error, Result};
use crate::format::{BackupRef, DatabaseId};
use crate::fs::{Fs, disk::DiskFs, parent_of};
use crate::options::Options;
use crate::store::View;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What errors name where a backup comes from no file.
pub(super) const STREAM: &str = "the backup's stream";

/// Reads the backup at `path` from end to end and checks all of it, values in Snappy too; changes nothing.
///
/// Every backup is checked so when it is restored, but for the Snappy of large values, which their checksums
/// vouch for. A checksum proves accident and not attack: whoever can write a backup can write any
/// content into it.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
/// db.set("key", "value")?;
/// let path = dir.path().join("backup");
/// let report = db.backup(&path)?;
/// let info = esker::verify_backup(&path)?;
/// assert_eq!((info.entries, info.raw_bytes, info.bytes), (1, 8, report.bytes));
/// assert_eq!(info.base_id, None); // It is a full one.
///
/// let mut bytes = std::fs::read(&path).expect("the backup");
/// bytes[100] ^= 1;
/// std::fs::write(&path, bytes).expect("it can be written");
/// assert!(matches!(esker::verify_backup(&path), Err(esker::Error::Corruption { .. })));
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::Corruption`] naming where and what is wrong, [`Error::UnsupportedFormat`] for one of a newer version,
/// [`Error::Io`].
pub fn verify_backup(path: impl AsRef<Path>) -> Result<BackupInfo> {
    verify_file(&DiskFs::new(), path.as_ref(), true)
}

/// As [`verify_backup`], of what `read` gives.
///
/// See the example of [`Db::backup_to`].
///
/// # Errors
/// As [`verify_backup`].
pub fn verify_backup_from(read: impl Read) -> Result<BackupInfo> {
    verify(ArchiveReader::new(read, PathBuf::from(STREAM))?, true)
}

/// What goes into a backup.
struct Moment {
    /// It has all that goes into it, however long that takes.
    view: Arc<View>,
    scope: Scope,
    /// Whether increments are to follow.
    is_followed: bool,
    /// Held until they can: see `store::Followed`.
    _snapshot: Option<Snapshot>,
}

impl Db {
    /// Writes everything that is visible now into a file at `path`, in place of what is there.
    ///
    /// It holds exactly one state: all commits that returned before this call, and none that began after
    /// it returned. Reads and writes go on. The file is written under another name beside it
    /// (`path` with `.partial-` and two numbers after it), read back and checked, synced and only then
    /// renamed; a file that was there stands until then. One that a power cut leaves unfinished is refused by
    /// [`Db::restore`], and removed by the next backup to the same path. Missing directories are made. Times to live are kept as the
    /// moments at which they end.
    ///
    /// A large value is copied as it is stored. Memory is some MiB, and one value. What is read is
    /// pinned until the end, as by an iterator.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
    /// let path = dir.path().join("monday.backup");
    /// db.set("a", "1")?;
    /// db.backup(&path)?;
    /// db.set("a", "2")?;
    /// db.set("b", "2")?;
    /// assert_eq!(esker::verify_backup(&path)?.entries, 1);
    /// db.restore(&path)?;
    /// assert_eq!(db.get("a")?.as_deref(), Some(&b"1"[..]));
    /// assert_eq!(db.get("b")?, None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Corruption`]: what is to be copied is damaged; [`Error::InvalidArgument`]: a name that a
    /// database's own files have; [`Error::Io`], [`Error::Closed`]. The file is removed again, and what was at `path`
    /// stands; but where the last sync, of the directory, failed, it or the new one does.
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<BackupReport> {
        self.backup_with(path, BackupOptions::default())
    }

    /// As [`Db::backup`], with options.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
    /// use esker::{BackupOptions, Error};
    /// use std::ops::ControlFlow;
    /// db.set("key", "value")?;
    /// let mut stop = |_| ControlFlow::Break(());
    /// let options = BackupOptions { progress: Some(&mut stop), ..BackupOptions::default() };
    /// let path = dir.path().join("backup");
    /// assert!(matches!(db.backup_with(&path, options), Err(Error::Cancelled)));
    /// assert!(!path.exists());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Db::backup`]; [`Error::Cancelled`]; where increments are to follow ([`BackupOptions::followed`])
    /// [`Error::Poisoned`], [`Error::ReadOnly`], and [`Error::InvalidArgument`] when a restore came between.
    pub fn backup_with(
        &self,
        path: impl AsRef<Path>,
        options: BackupOptions<'_>,
    ) -> Result<BackupReport> {
        self.backup_file(path.as_ref(), None, options)
    }

    /// As [`Db::backup_with`], into a stream: a pipe, a socket, a file of the caller's own. Whoever
    /// reads it knows by its end whether it is whole. Syncing is the caller's affair.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
    /// use esker::{BackupOptions, RestoreOptions, verify_backup_from};
    /// db.set("key", "value")?;
    /// let mut stream = Vec::new(); // Or a socket, or a pipe.
    /// let report = db.backup_to(&mut stream, BackupOptions::default())?;
    /// assert_eq!(report.bytes, stream.len() as u64);
    /// assert_eq!(verify_backup_from(stream.as_slice())?.entries, 1);
    /// assert!(verify_backup_from(&stream[..stream.len() - 1]).is_err()); // Cut short.
    ///
    /// db.set("key", "other")?;
    /// db.restore_from(stream.as_slice(), RestoreOptions::default())?;
    /// assert_eq!(db.get("key")?.as_deref(), Some(&b"value"[..]));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Db::backup_with`]; [`Error::Io`] when `write` fails.
    pub fn backup_to(&self, write: impl Write, options: BackupOptions<'_>) -> Result<BackupReport> {
        self.backup_stream(write, None, options)
    }

    /// Writes what is visible now into a file at `path`; with a `base`, what of it is newer than that backup.
    pub(super) fn backup_file(
        &self,
        path: &Path,
        base: Option<u64>,
        mut options: BackupOptions<'_>,
    ) -> Result<BackupReport> {
        let store = &self.inner.store;
        let begun = store.home.clock.elapsed();
        let moment = self.moment(base, options.followed)?;
        let verify = options.verify;
        let write = |output: FileOutput| {
            write_backup(store, &moment.view, moment.scope, output, &mut options)
        };
        // Before it has its name: else there would be one after a failure here.
        let mut recorded = None;
        let settle = |report: &BackupReport| {
            self.settle(&moment, report)?;
            recorded = Some(DatabaseId(report.backup_id));
            Ok(())
        };
        let fs = store.home.fs.as_ref();
        let written = write_file(fs, &store.partials, path, verify, write, settle);
        let written = written.map(|report| BackupReport { duration: store.since(begun), ..report });
        written.inspect_err(|e| {
            if let Some(id) = recorded {
                store.followed.has_failed(id);
            }
            // What a failed sync of the database's own directory has dropped may be its files' names.
            if matches!(e, Error::Io { op: "sync", .. }) && parent_of(path) == store.home.dir {
                store.poison(e.clone());
            }
        })
    }

    /// As [`Db::backup_file`], into a stream.
    pub(super) fn backup_stream(
        &self,
        write: impl Write,
        base: Option<u64>,
        mut options: BackupOptions<'_>,
    ) -> Result<BackupReport> {
        let moment = self.moment(base, options.followed)?;
        let Moment { view, scope, .. } = &moment;
        let output = StreamOutput(write);
        let (StreamOutput(mut write), report) =
            write_backup(&self.inner.store, view, *scope, output, &mut options)?;
        write.flush().map_err(|e| Error::io("write", STREAM.as_ref(), e))?;
        self.settle(&moment, &report)?;
        Ok(report)
    }

    /// What a backup made now holds. `base`: upon which backup it is to follow.
    fn moment(&self, base: Option<u64>, followed: bool) -> Result<Moment> {
        let store = &self.inner.store;
        store.health.check_open()?;
        if followed {
            store.health.check_sound()?;
        }
        let snapshot = self.snapshot();
        let (seq, view) = (snapshot.seq(), snapshot.pin_view());
        // Of a backup that is followed now, all changes were kept until the view was pinned.
        let base = base.map(|id| self.base(id)).transpose()?;
        let scope = Scope { seq, base };
        let _snapshot = followed.then_some(snapshot);
        Ok(Moment { view, scope, is_followed: followed, _snapshot })
    }

    /// Has increments follow upon the backup of `moment`, where they are to.
    fn settle(&self, moment: &Moment, report: &BackupReport) -> Result<()> {
        if !moment.is_followed {
            return Ok(());
        }
        let Scope { seq, base } = moment.scope;
        let backup = BackupRef { id: DatabaseId(report.backup_id), seq };
        self.inner.follow(backup, base.map(|base| base.id), moment.view.version.restores())
    }

    /// Checks the backup at `path`, on the file system of the database, as [`verify_backup`] does.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// use esker::{Db, Error, Options, sim::SimFs};
    /// use std::sync::Arc;
    /// // On a file system on which `esker::verify_backup` would not find it.
    /// let db = Db::open_with_fs(Arc::new(SimFs::new()), "/db", Options::default())?;
    /// db.set("key", "value")?;
    /// let report = db.backup("/backup")?;
    /// assert_eq!(db.verify_backup("/backup")?.backup_id, report.backup_id);
    /// assert!(matches!(db.verify_backup("/other"), Err(Error::Io { .. })));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`verify_backup`]; [`Error::Closed`].
    pub fn verify_backup(&self, path: impl AsRef<Path>) -> Result<BackupInfo> {
        let store = &self.inner.store;
        store.health.check_open()?;
        verify_file(store.home.fs.as_ref(), path.as_ref(), true)
    }

    /// Puts the backup at `path` in the place of everything. On return that is visible and durable.
    ///
    /// The backup is read to its end and checked while the new state is built beside the old one;
    /// only then, in one step, it comes into force. Reads and writes go on meanwhile. On
    /// any failure the database is what it was, and after a crash it is the one or the other.
    ///
    /// A restore is one commit among others. What was committed before it, be it while the
    /// backup was being read, is replaced, though it was acknowledged; what is committed after
    /// it comes on top. Snapshots and iterators from before go on seeing what they saw, and pin it in memory and on disk
    /// until they are dropped. Times to live end when they would have ended. What was seen expired
    /// before the backup was made, or here, stays expired.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
    /// let path = dir.path().join("backup");
    /// db.set("a", "1")?;
    /// db.backup(&path)?;
    /// db.delete("a")?;
    /// db.set("b", "2")?;
    /// let before = db.snapshot();
    /// db.restore(&path)?;
    /// assert!(db.get("a")?.is_some() && db.get("b")?.is_none());
    /// assert!(before.get("b")?.is_some()); // What was begun before goes on.
    ///
    /// std::fs::write(&path, "no backup").expect("it can be written");
    /// assert!(db.restore(&path).is_err());
    /// assert!(db.get("a")?.is_some()); // As if nothing had been.
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Error::Corruption`], [`Error::UnsupportedFormat`]: the backup is not what was written;
    /// - [`Error::InvalidArgument`]: it is an increment: see [`Db::restore_chain`];
    /// - [`Error::Indeterminate`]: it is not in force, and after a crash it may be, or not;
    /// - [`Error::Io`], [`Error::Closed`], [`Error::Poisoned`].
    pub fn restore(&self, path: impl AsRef<Path>) -> Result<RestoreReport> {
        self.restore_with(path, RestoreOptions::default())
    }

    /// As [`Db::restore`], with options.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// use esker::{Compression, Db, Error, Options, RestoreOptions};
    /// use std::ops::ControlFlow;
    /// let options = Options { compression: Compression::None, ..Options::default() };
    /// let db = Db::open(dir.path().join("db"), options)?;
    /// db.set("a", vec![7; 2 << 20])?;
    /// db.set("b", vec![8; 2 << 20])?;
    /// let path = dir.path().join("backup");
    /// db.backup(&path)?;
    /// db.set("c", "since")?;
    /// let mut stop = |_| ControlFlow::Break(());
    /// let stopped = db.restore_with(&path, RestoreOptions { progress: Some(&mut stop) });
    /// assert!(matches!(stopped, Err(Error::Cancelled)));
    /// assert!(db.get("c")?.is_some()); // Nothing has changed.
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Db::restore`]; [`Error::Cancelled`].
    pub fn restore_with(
        &self,
        path: impl AsRef<Path>,
        options: RestoreOptions<'_>,
    ) -> Result<RestoreReport> {
        self.restore_chain([path], options)
    }

    /// As [`Db::restore_with`], from what `read` gives.
    ///
    /// See the example of [`Db::backup_to`].
    ///
    /// # Errors
    /// As [`Db::restore_with`]; [`Error::Io`] when `read` fails.
    pub fn restore_from(
        &self,
        read: impl Read,
        options: RestoreOptions<'_>,
    ) -> Result<RestoreReport> {
        self.restore_chain_from([read], options)
    }

    /// Makes a database in `dir`, which is not there or is empty, of the backup at `backup`, and opens it.
    ///
    /// It is a database of its own, with another identity. Until all of it is there and
    /// durable, the directory holds none: one that a crash has left half done does not open (as a `CURRENT` is
    /// missing) and is to be removed.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
    /// # db.set("a", "1")?;
    /// db.backup(dir.path().join("backup"))?;
    /// let path = dir.path().join("copy");
    /// let copy = esker::Db::create_from_backup(dir.path().join("backup"), path, esker::Options::default())?;
    /// assert_eq!(copy.get("a")?.as_deref(), Some(&b"1"[..]));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the directory holds anything; [`Error::Locked`]; as [`Db::restore`]. What was
    /// written is removed again.
    pub fn create_from_backup(
        backup: impl AsRef<Path>,
        dir: impl AsRef<Path>,
        options: Options,
    ) -> Result<Db> {
        Db::create_from_backup_with_fs(Arc::new(DiskFs::new()), backup, dir, options)
    }

    /// As [`Db::create_from_backup`], on another file system.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// use esker::{Db, Options, sim::SimFs};
    /// use std::sync::Arc;
    /// let fs = Arc::new(SimFs::new());
    /// let db = Db::open_with_fs(fs.clone(), "/db", Options::default())?;
    /// db.set("key", "value")?;
    /// db.backup("/backup")?;
    /// let copy = Db::create_from_backup_with_fs(fs, "/backup", "/copy", Options::default())?;
    /// db.delete("key")?;
    /// assert!(copy.get("key")?.is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn create_from_backup_with_fs(
        fs: Arc<dyn Fs>,
        backup: impl AsRef<Path>,
        dir: impl AsRef<Path>,
        options: Options,
    ) -> Result<Db> {
        Db::create_from_backups_with_fs(fs, [backup], dir, options)
    }

    /// Makes a second database in `dir`, which is not there or is empty, that holds what this one holds
    /// now, in about the time that it takes to write the memtables out: the files of tables and
    /// large values are linked, not copied, unless the directory is on another file system. Reads and writes go on.
    ///
    /// It opens at once. What is changed in the one is not in the other: none of the files is ever written
    /// again; but their space is given back only when both have no use for them any more, and
    /// damage to one is damage to both: it is no backup. Until all of it is durable the directory does not open.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
    /// use esker::{Db, Options};
    /// db.set("key", "value")?;
    /// let path = dir.path().join("checkpoint");
    /// db.checkpoint(&path)?;
    /// db.delete("key")?;
    /// let second = Db::open(&path, Options::default())?;
    /// assert!(second.get("key")?.is_some() && db.get("key")?.is_none());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Db::flush`]; [`Error::InvalidArgument`] where the directory holds anything, [`Error::Locked`], [`Error::Io`].
    /// What was made is removed again.
    pub fn checkpoint(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.inner.store.health.check_open()?;
        self.inner.checkpoint(dir.as_ref())
    }
}
