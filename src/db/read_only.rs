//! Opening for reading only.

use super::Db;
use super::inner::Inner;
use crate::error::Result;
use crate::fs::{Fs, disk::DiskFs};
use crate::options::Options;
use std::path::Path;
use std::sync::Arc;

impl Db {
    /// Opens the database in the directory `path` for reading only: one that nobody has open for writing,
    /// be it on a read-only file system or without permission to write there.
    ///
    /// Not one byte is written and no file is made. What a crash left in the log is taken into memory,
    /// large values excepted, which are read where they lie; so memory and time are
    /// bounded by [`Options::log_replay_bytes_max`] of the run that wrote it. A torn tail is left out
    /// and told ([`crate::Metrics::recovery`]), as in [`Db::open`]. Unlike there, what reads show may have
    /// been in a page cache alone, where the policy was not to sync: a power cut can still take it.
    ///
    /// Reads, ranges, snapshots, [`Db::verify`], [`Db::metrics`] and [`Db::close`] work as ever; every call that
    /// writes is [`crate::Error::ReadOnly`]. There is no background thread but the one that a long scan has load blocks
    /// ahead of it, and `create_if_missing` counts for nothing.
    ///
    /// Any number of readers may have a directory open, but no writer meanwhile ([`crate::Error::Locked`], for
    /// whoever comes second), as far as the lock file is there and the medium has locks. Where it is not, no
    /// writer has been there; should one come, files may go away under the reader, whose reads
    /// are then [`crate::Error::Corruption`] naming the file, never something else.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// use esker::{Db, Error, Options};
    /// let db = Db::open(dir.path(), Options::default())?;
    /// db.set("key", "value")?;
    /// drop(db); // Without a close: the value is in the log alone.
    ///
    /// let db = Db::open_read_only(dir.path(), Options::default())?;
    /// assert_eq!(db.get("key")?.as_deref(), Some(&b"value"[..]));
    /// assert!(matches!(db.set("key", "other"), Err(Error::ReadOnly)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`crate::Error::InvalidArgument`]: there is no database, or an option is out of its range;
    /// - [`crate::Error::Locked`], [`crate::Error::Corruption`], [`crate::Error::UnsupportedFormat`],
    ///   [`crate::Error::Io`]: as in [`Db::open`].
    pub fn open_read_only(path: impl AsRef<Path>, options: Options) -> Result<Db> {
        Db::open_read_only_with_fs(Arc::new(DiskFs::new()), path, options)
    }

    /// As [`Db::open_read_only`], on another file system: a simulated one, say.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// use esker::{Db, Error, Options, sim::SimFs};
    /// use std::sync::Arc;
    /// let fs = Arc::new(SimFs::new());
    /// Db::open_with_fs(fs.clone(), "/db", Options::default())?.set("key", "value")?;
    /// let calls = fs.mutating_calls();
    /// let db = Db::open_read_only_with_fs(fs.clone(), "/db", Options::default())?;
    /// assert!(db.get("key")?.is_some());
    /// assert!(matches!(db.delete("key"), Err(Error::ReadOnly)));
    /// assert!(fs.mutating_calls() <= calls + 1); // The lock at most.
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn open_read_only_with_fs(
        fs: Arc<dyn Fs>,
        path: impl AsRef<Path>,
        options: Options,
    ) -> Result<Db> {
        Ok(Db { inner: Arc::new(Inner::open_read_only(fs, path.as_ref(), options)?) })
    }

    /// Whether it is open for reading only.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// assert!(!db.is_read_only());
    /// db.close()?;
    /// let reader = esker::Db::open_read_only(dir.path(), esker::Options::default())?;
    /// assert!(reader.is_read_only());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.inner.store.health.is_read_only()
    }
}
