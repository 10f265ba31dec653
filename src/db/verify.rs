//! Verifying, as users see it.

use super::Db;
use crate::error::Result;
use crate::verify::{VerifyOptions, VerifyProgress, VerifyReport};
use std::ops::ControlFlow;

impl Db {
    /// Verifies all of the database and tells what was looked at; damage is an error. See
    /// [`Db::verify_with`], which tells all of the damage, at a pace, and how far it has come.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("key", "value")?;
    /// db.flush()?;
    /// let report = db.verify()?;
    /// assert!(report.is_complete && report.entries == 1);
    ///
    /// let table = dir.path().join(&db.layout().levels[0].tables[0].file);
    /// let mut bytes = std::fs::read(&table).expect("the table");
    /// bytes[0] ^= 1;
    /// std::fs::write(&table, bytes).expect("it can be written");
    /// assert!(matches!(db.verify(), Err(esker::Error::Corruption { .. })));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] (or [`crate::Error::Io`], where the disk cannot read) for the first damage found, though
    /// all was looked at; [`crate::Error::Closed`].
    pub fn verify(&self) -> Result<VerifyReport> {
        let report = self.verify_with(VerifyOptions::default(), |_| ControlFlow::Continue(()))?;
        report.first_damage().map_or(Ok(report), Err)
    }

    /// Reads every file of the database from end to end, past the cache, and checks it: each checksum, the order of
    /// entries, in and between blocks and tables, what files say of themselves and of each other, every
    /// large value, be it pointed to or not, and that as many bytes of them live as are accounted for;
    /// `CURRENT`, the manifest, and the directory against it; of the log, what has been written.
    ///
    /// Damage is in the report and ends nothing: what comes behind it is looked at, too, as far as it can be
    /// found. A file that nothing names is a finding, and no damage. Reads, writes and compaction
    /// go on; what they replace meanwhile stays on the disk until this is done.
    ///
    /// `progress` is called at the begin, after each MiB or so, and at the end; [`ControlFlow::Break`]
    /// cancels: the report then says so, and has what was found by then.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// use esker::{Db, Options, VerifyOptions};
    /// use std::ops::ControlFlow;
    /// let db = Db::open(dir.path(), Options::default())?;
    /// db.set("key", "value")?;
    /// let gently = VerifyOptions { bytes_per_second: 64 << 20 };
    /// let report = db.verify_with(gently, |progress| {
    ///     println!("{} of {} bytes", progress.bytes_done, progress.bytes_in_all);
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert!(report.is_sound() && report.is_complete);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Closed`], also where it is closed meanwhile; [`crate::Error::Io`]: the directory cannot be listed.
    pub fn verify_with(
        &self,
        options: VerifyOptions,
        mut progress: impl FnMut(VerifyProgress) -> ControlFlow<()>,
    ) -> Result<VerifyReport> {
        self.inner.verifier.run(options, &mut progress)
    }
}
