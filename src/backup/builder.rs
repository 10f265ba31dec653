//! Tables and value files out of a backup.

use crate::archive::{BackupProgress, Chain, Entry, Held, RestoreOptions, Stored};
use crate::error::{Error, Result};
use crate::format::{
    EntryKind, EntryRef, FileKind, SegmentMeta, SeqNo, TableId, TableMeta, ValuePointer, snappy,
};
use crate::fs::Syncer;
use crate::options::Compression;
use crate::recovery::Filled;
use crate::store::{NewValues, Store, StoredAs};
use crate::table::{TableBuilder, TableOptions};
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
    table: Option<(TableId, TableBuilder)>,
    written: Vec<TableMeta>,
    values: NewValues,
    syncer: Option<Syncer>,
    payload: Vec<u8>,
    entries: u64,
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
        let allows_threads = store.home.fs.allows_threads();
        Ok(Builder {
            store,
            seq,
            table: None,
            written: Vec::new(),
            values: NewValues::with_syncer(Syncer::new(allows_threads)?),
            syncer: Some(Syncer::new(allows_threads)?),
            payload: Vec::new(),
            entries: 0,
            is_kept: false,
        })
    }

    /// Adds an entry of the backup at `path`.
    ///
    /// # Errors
    /// [`Error::Corruption`] of a value that is not what its entry says; [`Error::Io`],
    /// [`Error::Closed`].
    pub fn add(&mut self, entry: &Entry<'_>, path: &Path) -> Result<()> {
        let _gate = self.store.gate.enter()?;
        let threshold = self.store.options.value_threshold;
        match entry.held {
            Held::Deleted => Ok(()),
            Held::Inline(value) if value.len() >= threshold => {
                let compressed = match self.store.options.compression {
                    Compression::Snappy => snappy::compress(value),
                    Compression::None => None,
                };
                let stored_as = StoredAs { is_compressed: compressed.is_some(), checksum: None };
                self.add_large(entry, compressed.as_deref().unwrap_or(value), stored_as)
            }
            Held::Apart(stored) if stored.value_bytes >= threshold => {
                let Stored { bytes, is_compressed, checksum, .. } = stored;
                self.add_large(entry, bytes, StoredAs { is_compressed, checksum: Some(checksum) })
            }
            Held::Inline(value) => self.add_small(entry, value),
            Held::Apart(stored) => {
                let value = stored.value();
                let value = value.map_err(|e| Error::corruption(path, entry.offset, e))?;
                self.add_small(entry, &value)
            }
        }
    }

    fn add_large(&mut self, entry: &Entry<'_>, stored: &[u8], stored_as: StoredAs) -> Result<()> {
        let place = (entry.key, self.seq);
        let pointer =
            self.values.write(self.store, place, entry.expires_at_ms, stored, stored_as)?;
        self.add_pointer(entry, pointer)
    }

    fn add_pointer(&mut self, entry: &Entry<'_>, pointer: ValuePointer) -> Result<()> {
        let mut payload = std::mem::take(&mut self.payload);
        let Entry { key, expires_at_ms, .. } = *entry;
        let entry = EntryRef::to_pointer(key, self.seq, expires_at_ms, pointer, &mut payload);
        let added = self.add_to_table(entry);
        self.payload = payload;
        added
    }

    fn add_small(&mut self, entry: &Entry<'_>, value: &[u8]) -> Result<()> {
        let mut payload = std::mem::take(&mut self.payload);
        let (kind, bytes) = match entry.expires_at_ms {
            None => (EntryKind::Set, value),
            Some(at_ms) => {
                payload.clear();
                payload.extend_from_slice(&at_ms.to_le_bytes());
                payload.extend_from_slice(value);
                (EntryKind::SetExpiring, payload.as_slice())
            }
        };
        let (key, seq) = (entry.key, self.seq);
        let added = self.add_to_table(EntryRef { key, seq, kind, payload: bytes });
        self.payload = payload;
        added
    }

    fn add_to_table(&mut self, entry: EntryRef<'_>) -> Result<()> {
        let limit = self.store.options.table_bytes;
        if self.table.as_ref().is_some_and(|(_, builder)| builder.size_bytes() >= limit) {
            self.finish_table()?;
        }
        let (_, builder) = match &mut self.table {
            Some(open) => open,
            none => none.insert(create_table(self.store)?),
        };
        builder.add(entry)?;
        self.entries += 1;
        Ok(())
    }

    fn finish_table(&mut self) -> Result<()> {
        let Some((id, builder)) = self.table.take() else { return Ok(()) };
        let finished = builder.finish_unsynced().inspect_err(|_| {
            self.store.remove(FileKind::Table(id));
        });
        let (meta, file, path) = finished?;
        self.written.push(meta);
        self.syncer.as_ref().map_or(Ok(()), |syncer| syncer.sync(&file, path))
    }

    /// Writes the rest, and waits until all of it is durable.
    ///
    /// # Errors
    /// As [`Builder::add`].
    fn finish(&mut self) -> Result<()> {
        let _gate = self.store.gate.enter()?;
        self.finish_table()?;
        let values = self.values.finish();
        let tables = self.syncer.take().map_or(Ok(()), Syncer::finish);
        values.and(tables)
    }

    /// Removes what was written, unless the directory may be another handle's: then its
    /// open has done so, or the next one will.
    fn remove(&mut self) {
        let open = self.table.take().map(|(id, _)| id);
        let written = std::mem::take(&mut self.written);
        let values = std::mem::take(&mut self.values);
        if self.is_kept {
            return;
        }
        if let Ok(_gate) = self.store.gate.enter() {
            let tables = open.into_iter().chain(written.iter().map(|meta| meta.id));
            let files: Vec<_> = tables.map(FileKind::Table).chain(values.files()).collect();
            drop(values);
            files.into_iter().for_each(|file| self.store.remove(file));
        }
    }
}

fn create_table(store: &Store) -> Result<(TableId, TableBuilder)> {
    let home = &store.home;
    let id = TableId(home.draw_file_id().0);
    let options = TableOptions::from(&store.options);
    let fs = home.fs.as_ref();
    let mut builder = TableBuilder::create(fs, &home.dir, home.database, id, options)?;
    builder.set_written(home.clock.now_ms());
    Ok((id, builder))
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
        self.builder.entries
    }

    /// The tables.
    #[must_use]
    pub fn tables(&self) -> &[TableMeta] {
        &self.builder.written
    }

    /// The segments to which they point.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentMeta> {
        self.builder.values.segments().collect()
    }

    /// Whether they may be named in the manifest, and are not to be removed when this is dropped.
    pub fn set_kept(&mut self, is_kept: bool) {
        self.builder.is_kept = is_kept;
    }

    /// What a new database begins with. Nobody removes the files any more.
    #[must_use]
    pub fn into_filled(mut self) -> Filled {
        Filled {
            tables: std::mem::take(&mut self.builder.written),
            values: std::mem::take(&mut self.builder.values),
            last_seq: self.builder.seq,
            expiry_floor_ms: self.expiry_floor_ms,
        }
    }
}
