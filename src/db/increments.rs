//! Increments of backups, and what is made of a chain of them, as users see them.

use super::backup::STREAM;
use super::{Db, Inner};
use crate::archive::{
    ArchiveReader, BackupInfo, BackupOptions, BackupReport, Chain, FollowedBackup, RestoreOptions,
    RestoreReport, open_chain, verify_chain,
};
use crate::backup::build;
use crate::error::{Error, Result};
use crate::format::{BackupRef, DatabaseId, SeqNo};
use crate::fs::{Fs, disk::DiskFs};
use crate::options::Options;
use crate::recovery::create_filled;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads the backups at `paths` from end to end, as [`crate::verify_backup`] does, and checks that each follows upon
/// the one before: the first is full, and each other an increment upon the very backup before it.
/// Returns what each says of itself; changes nothing.
///
/// See the example of [`Db::backup_since`].
///
/// # Errors
/// As [`crate::verify_backup`]; [`Error::InvalidArgument`] naming the one that does not follow, and why.
pub fn verify_backup_chain<P: AsRef<Path>>(
    paths: impl IntoIterator<Item = P>,
) -> Result<Vec<BackupInfo>> {
    verify_chain(open_chain(&DiskFs::new(), paths)?.0)
}

impl Db {
    /// As [`Db::backup`], of what has changed since the backup `base_id` ([`BackupReport::backup_id`]): each
    /// key that was set or deleted since, as it is now. The full backup, and each increment upon the one before,
    /// in that order, are a chain, and come to what is there now: [`Db::restore_chain`]. Name a new file: what is at
    /// `path` goes, be it the base.
    ///
    /// **What can be followed.** A full backup made with [`BackupOptions::followed`], and every increment;
    /// from when the call that made it returned, over reopens and crashes, until
    /// - an increment is made upon a newer one;
    /// - a full backup is made that is followed, while there is one between the two that is, too;
    /// - everything is replaced by a restore;
    /// - [`Db::follow_no_backups`].
    ///
    /// So when an increment gets lost, or its writing failed, another can be made upon the same base. What is asked
    /// for anything else is refused: make a full backup then. A new database, made of
    /// a backup or a checkpoint, begins with a full one: an increment counts only upon the very backup that it names,
    /// and nothing that has gone another way since can name it.
    ///
    /// **What that costs.** While a backup is followed, each key that is gone since leaves a tombstone in the tables,
    /// which would else go with what it hides; its value goes all the same. So who makes no increments any more should
    /// say so by [`Db::follow_no_backups`]: without that these tombstones stay for good. What there is can be seen in
    /// [`Metrics::followed`](crate::Metrics::followed) and [`LevelMetrics::tombstones`](crate::LevelMetrics::tombstones).
    /// While a backup that is to be followed is being made, it holds a snapshot.
    /// An increment reads those tables that hold anything newer than its base, most of them after a
    /// while, and of them the keys and the large values that have changed. Before it returns, all that it holds is made durable here, too,
    /// whatever the policy ([`Db::persist`]; without a log [`Db::flush`]).
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
    /// # let path = |name: &str| dir.path().join(name);
    /// use esker::{BackupOptions, Db, Options, verify_backup_chain};
    /// db.set("a", "1")?;
    /// db.set("b", "1")?;
    /// let followed = BackupOptions { followed: true, ..BackupOptions::default() };
    /// let sunday = db.backup_with(path("sunday"), followed)?;
    /// db.set("a", "2")?;
    /// let monday = db.backup_since(sunday.backup_id, path("monday"))?;
    /// db.delete("b")?;
    /// let tuesday = db.backup_since(monday.backup_id, path("tuesday"))?;
    /// assert_eq!(tuesday.entries, 1); // that `b` is gone
    ///
    /// let chain = [path("sunday"), path("monday"), path("tuesday")];
    /// assert_eq!(verify_backup_chain(&chain)?.len(), 3);
    /// let copy = Db::create_from_backups(&chain, path("copy"), Options::default())?;
    /// assert_eq!(copy.get("a")?.as_deref(), Some(&b"2"[..]));
    /// assert_eq!(copy.get("b")?, None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Db::backup`]; [`Error::InvalidArgument`] where `base_id` is not followed, naming those that are;
    /// [`Error::Poisoned`], [`Error::ReadOnly`]. `base_id` and what is newer is followed as before.
    pub fn backup_since(&self, base_id: u64, path: impl AsRef<Path>) -> Result<BackupReport> {
        self.backup_since_with(base_id, path, BackupOptions::default())
    }

    /// As [`Db::backup_since`], with options.
    ///
    /// See the example of [`Db::restore_chain`].
    ///
    /// # Errors
    /// As [`Db::backup_since`]; [`Error::Cancelled`].
    pub fn backup_since_with(
        &self,
        base_id: u64,
        path: impl AsRef<Path>,
        options: BackupOptions<'_>,
    ) -> Result<BackupReport> {
        let options = BackupOptions { followed: true, ..options };
        self.backup_file(path.as_ref(), Some(base_id), options)
    }

    /// As [`Db::backup_since_with`], into a stream, as [`Db::backup_to`] does.
    ///
    /// See the example of [`Db::restore_chain_from`].
    ///
    /// # Errors
    /// As [`Db::backup_since_with`]; [`Error::Io`] when `write` fails.
    pub fn backup_since_to(
        &self,
        base_id: u64,
        write: impl Write,
        options: BackupOptions<'_>,
    ) -> Result<BackupReport> {
        let options = BackupOptions { followed: true, ..options };
        self.backup_stream(write, Some(base_id), options)
    }

    /// The backups upon which [`Db::backup_since`] can follow now, the oldest first: there are few.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
    /// use esker::{BackupOptions, FollowedBackup, FollowedMetrics};
    /// db.set("key", "value")?;
    /// let options = BackupOptions { followed: true, ..BackupOptions::default() };
    /// let full = db.backup_with(dir.path().join("full"), options)?;
    /// let followed: Vec<FollowedBackup> = db.followed_backups();
    /// assert_eq!(followed.len(), 1);
    /// assert_eq!(followed[0].backup_id, full.backup_id);
    /// assert_eq!(followed[0].sequence_number, full.sequence_number);
    /// let FollowedMetrics { count, oldest_seq, .. } = db.metrics().followed;
    /// assert_eq!((count, oldest_seq), (1, Some(full.sequence_number)));
    ///
    /// db.follow_no_backups()?;
    /// assert!(db.followed_backups().is_empty());
    /// assert!(db.backup_since(full.backup_id, dir.path().join("next")).is_err());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn followed_backups(&self) -> Vec<FollowedBackup> {
        self.inner.store.followed.list().into_iter().map(FollowedBackup::from).collect()
    }

    /// Has increments follow upon none of the backups made so far, so that what is kept for them goes: for who makes
    /// no increments any more. On return that is durable. Those that there are restore as ever.
    ///
    /// See the example of [`Db::followed_backups`].
    ///
    /// # Errors
    /// [`Error::Io`]: nothing has changed; [`Error::Closed`], [`Error::Poisoned`], [`Error::ReadOnly`].
    pub fn follow_no_backups(&self) -> Result<()> {
        self.inner.store.health.check_open()?;
        self.inner.follow_none()
    }

    /// The backup of that number, upon which an increment is to follow.
    pub(super) fn base(&self, id: u64) -> Result<BackupRef> {
        let followed = &self.inner.store.followed;
        followed.find(DatabaseId(id)).ok_or_else(|| {
            let known: Vec<_> =
                followed.list().iter().map(|backup| format!("{:#018x}", backup.id.0)).collect();
            let known = if known.is_empty() {
                "no backup is followed".to_owned()
            } else {
                format!("those that are followed are {}", known.join(", "))
            };
            Error::invalid(format!(
                "what has changed since the backup {id:#018x} is not known: {known}; make a full backup, \
                 with `followed`"
            ))
        })
    }

    /// As [`Db::restore_with`], of a chain: the full backup at the first of `paths`, and the increments at the
    /// others, each upon the one before.
    ///
    /// Nothing of it is visible before all of it has been read and checked. Memory is some MiB, and one value,
    /// for each backup of the chain.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
    /// use esker::{BackupOptions, RestoreOptions};
    /// let path = |name: &str| dir.path().join(name);
    /// db.set("a", "1")?;
    /// let followed = BackupOptions { followed: true, ..BackupOptions::default() };
    /// let full = db.backup_with(path("full"), followed)?;
    /// db.set("b", "2")?;
    /// db.backup_since_with(full.backup_id, path("next"), BackupOptions::default())?;
    /// db.set("c", "3")?;
    ///
    /// // In another order it is refused, and nothing has changed.
    /// assert!(db.restore_chain([path("next"), path("full")], RestoreOptions::default()).is_err());
    /// assert_eq!(db.iter().count(), 3);
    /// assert_eq!(db.verify_backup_chain([path("full"), path("next")])?.len(), 2);
    /// db.restore_chain([path("full"), path("next")], RestoreOptions::default())?;
    /// assert_eq!(db.iter().count(), 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Db::restore_with`]; [`Error::InvalidArgument`], before anything is written, where one
    /// does not follow upon the one before: named twice, missing, in the wrong order, of another database, or of one that went another
    /// way since.
    pub fn restore_chain<P: AsRef<Path>>(
        &self,
        paths: impl IntoIterator<Item = P>,
        options: RestoreOptions<'_>,
    ) -> Result<RestoreReport> {
        let store = &self.inner.store;
        store.health.check_open()?;
        let (chain, bytes) = open_chain(store.home.fs.as_ref(), paths)?;
        self.inner.restore(chain, Some(bytes), options)
    }

    /// As [`Db::restore_chain`], from what each of `reads` gives.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
    /// use esker::{BackupOptions, RestoreOptions};
    /// let [mut full, mut next] = [Vec::new(), Vec::new()];
    /// let followed = BackupOptions { followed: true, ..BackupOptions::default() };
    /// db.set("a", "1")?;
    /// let report = db.backup_to(&mut full, followed)?;
    /// db.set("b", "2")?;
    /// db.backup_since_to(report.backup_id, &mut next, BackupOptions::default())?;
    /// db.delete("a")?;
    /// db.restore_chain_from([full.as_slice(), next.as_slice()], RestoreOptions::default())?;
    /// assert_eq!(db.iter().count(), 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Db::restore_chain`]; [`Error::Io`] when one of them fails.
    pub fn restore_chain_from<R: Read>(
        &self,
        reads: impl IntoIterator<Item = R>,
        options: RestoreOptions<'_>,
    ) -> Result<RestoreReport> {
        self.inner.store.health.check_open()?;
        let readers = reads.into_iter().map(|read| ArchiveReader::new(read, PathBuf::from(STREAM)));
        let chain = Chain::new(readers.collect::<Result<_>>()?)?;
        self.inner.restore(chain, None, options)
    }

    /// As [`verify_backup_chain`], on the file system of the database.
    ///
    /// See the example of [`Db::restore_chain`].
    ///
    /// # Errors
    /// As [`verify_backup_chain`]; [`Error::Closed`].
    pub fn verify_backup_chain<P: AsRef<Path>>(
        &self,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Vec<BackupInfo>> {
        let store = &self.inner.store;
        store.health.check_open()?;
        verify_chain(open_chain(store.home.fs.as_ref(), paths)?.0)
    }

    /// As [`Db::create_from_backup`], of a chain, as [`Db::restore_chain`] has it.
    ///
    /// See the example of [`Db::backup_since`].
    ///
    /// # Errors
    /// As those two.
    pub fn create_from_backups<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
        dir: impl AsRef<Path>,
        options: Options,
    ) -> Result<Db> {
        Db::create_from_backups_with_fs(Arc::new(DiskFs::new()), paths, dir, options)
    }

    /// As [`Db::create_from_backups`], on another file system.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// use esker::{BackupOptions, Db, Options, sim::SimFs};
    /// use std::sync::Arc;
    /// let fs = Arc::new(SimFs::new());
    /// let db = Db::open_with_fs(fs.clone(), "/db", Options::default())?;
    /// db.set("a", "1")?;
    /// let followed = BackupOptions { followed: true, ..BackupOptions::default() };
    /// let full = db.backup_with("/full", followed)?;
    /// db.set("b", "2")?;
    /// db.backup_since(full.backup_id, "/next")?;
    /// let chain = ["/full", "/next"];
    /// let copy = Db::create_from_backups_with_fs(fs, chain, "/copy", Options::default())?;
    /// assert_eq!(copy.iter().count(), 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn create_from_backups_with_fs<P: AsRef<Path>>(
        fs: Arc<dyn Fs>,
        paths: impl IntoIterator<Item = P>,
        dir: impl AsRef<Path>,
        options: Options,
    ) -> Result<Db> {
        let (chain, bytes) = open_chain(fs.as_ref(), paths)?;
        let seq = chain.header().seq.max(SeqNo(1));
        let opened = create_filled(fs, dir.as_ref(), options, |store| {
            let built = build(store, seq, chain, Some(bytes), &mut RestoreOptions::default())?;
            Ok(built.into_filled())
        })?;
        Ok(Db { inner: Arc::new(Inner::start(opened, dir.as_ref())?) })
    }
}
