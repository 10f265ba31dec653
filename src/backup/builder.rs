//! Tables and value files out of a backup.

use crate::archive::{BackupProgress, Chain, Entry, Held, RestoreOptions, Stored};
use crate::error::{Error, Result};
use crate::format::{SegmentMeta, SeqNo, TableMeta};
use crate::recovery::Filled;
use crate::store::{NewEntry, NewFiles, Store, StoredAs};
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

/// After how many bytes of a backup somebody is told.
const TOLD_EACH_BYTES: u64 = 1 << 20;

/// Writes the content of backups into files of one database. Dropped before they are in force it removes
/// them.
#[derive(Debug)]
pub struct Builder<'a> {
    store: &'a Store,
    /// That of every entry.
    seq: SeqNo,
    files: NewFiles,
    /// The files may be named in the manifest.
    is_kept: bool,
}

/// Files that hold the content of a backup, durable but for their names. Dropped it removes them.
#[derive(Debug)]
pub struct Built<'a> {
    builder: Builder<'a>,
    /// Of the backups.
    pub expiry_floor_ms: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

/// Reads all of `chain`, and writes what it comes to into files for `store`; every entry gets the
/// number `seq`. `bytes_total`: how many bytes it has, where that is known.
///
/// # Errors
/// [`Error::Corruption`] of a backup, [`Error::Io`], [`Error::Closed`], [`Error::Cancelled`]. What was
/// written is removed.
pub fn build<'a, R: Read>(
    store: &'a Store,
    seq: SeqNo,
    mut chain: Chain<R>,
    bytes_total: Option<u64>,
    options: &mut RestoreOptions<'_>,
) -> Result<Built<'a>> {
    let mut builder = Builder::new(store, seq)?;
    let mut told_at = 0;
    loop {
        let bytes_read = chain.bytes_read();
        let Some((entry, path)) = chain.next_entry()? else { break };
        builder.add(&entry, path)?;
        if bytes_read >= told_at + TOLD_EACH_BYTES {
            told_at = bytes_read;
            store.health.check_open()?;
            if let Some(tell) = &mut options.progress
                && let progress = BackupProgress::new(told_at, bytes_total.unwrap_or(told_at))
                && let ControlFlow::Break(()) = tell(progress)
            {
                return Err(Error::Cancelled);
            }
        }
    }
    builder.finish()?;
    let (expiry_floor_ms, bytes) = (chain.expiry_floor_ms(), chain.bytes_read());
    Ok(Built { builder, expiry_floor_ms, bytes })
}

impl<'a> Builder<'a> {
    /// For `store`; every entry gets the number `seq`.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Poisoned`]; [`Error::Io`] where there is no thread to be had.
    pub fn new(store: &'a Store, seq: SeqNo) -> Result<Self> {
        store.health.check_open()?;
        store.health.check_sound()?;
        Ok(Builder { store, seq, files: NewFiles::synced_beside(store)?, is_kept: false })
    }

    /// Adds an entry of the backup at `path`.
    ///
    /// # Errors
    /// [`Error::Corruption`] of a value that is not what its entry says; [`Error::Io`],
    /// [`Error::Closed`].
    pub fn add(&mut self, entry: &Entry<'_>, path: &Path) -> Result<()> {
        let _gate = self.store.gate.enter()?;
        let (store, threshold) = (self.store, self.store.options.value_threshold);
        let Entry { key, expires_at_ms, .. } = *entry;
        let new = NewEntry { key, seq: self.seq, expires_at_ms };
        match entry.held {
            Held::Deleted => Ok(()),
            Held::Inline(value) => self.files.put(store, new, value),
            Held::Apart(stored) if stored.value_bytes >= threshold => {
                let Stored { bytes, is_compressed, checksum, .. } = stored;
                let stored_as = StoredAs { is_compressed, checksum: Some(checksum) };
                self.files.put_stored(store, new, bytes, stored_as)
            }
            Held::Apart(stored) => {
                let value = stored.value();
                let value = value.map_err(|e| Error::corruption(path, entry.offset, e))?;
                self.files.put(store, new, &value)
            }
        }
    }

    /// Writes the rest, and waits until all of it is durable.
    ///
    /// # Errors
    /// As [`Builder::add`].
    fn finish(&mut self) -> Result<()> {
        let _gate = self.store.gate.enter()?;
        self.files.finish(self.store)
    }

    /// Removes what was written, unless the directory may be another handle's: then its
    /// open has done so, or the next one will.
    fn remove(&mut self) {
        let files = std::mem::take(&mut self.files);
        if !self.is_kept
            && let Ok(_gate) = self.store.gate.enter()
        {
            files.remove(self.store);
        }
    }
}

impl Drop for Builder<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Built<'_> {
    /// How many entries there are.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.builder.files.entries()
    }

    /// The tables.
    #[must_use]
    pub fn tables(&self) -> &[TableMeta] {
        self.builder.files.tables()
    }

    /// The segments to which they point.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentMeta> {
        self.builder.files.segments().collect()
    }

    /// Whether they may be named in the manifest, and are not to be removed when this is dropped.
    pub fn set_kept(&mut self, is_kept: bool) {
        self.builder.is_kept = is_kept;
    }

    /// What a new database begins with. Nobody removes the files any more.
    #[must_use]
    pub fn into_filled(mut self) -> Filled {
        let (tables, values) = std::mem::take(&mut self.builder.files).into_parts();
        Filled { tables, values, last_seq: self.builder.seq, expiry_floor_ms: self.expiry_floor_ms }
    }
}
