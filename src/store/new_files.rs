//! Entries on their way into tables and value files, past log and memtable: those of a bulk load, and of a restore.

use super::{NewValues, Store, StoredAs};
use crate::error::Result;
use crate::format::{
    EntryKind, EntryRef, FileKind, SegmentMeta, SeqNo, TableId, TableMeta, ValuePointer, snappy,
};
use crate::fs::Syncer;
use crate::options::Compression;
use crate::table::{TableBuilder, TableOptions};

/// Of which entry a value is.
#[derive(Debug, Clone, Copy)]
pub struct NewEntry<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its number.
    pub seq: SeqNo,
    /// When it expires, if it does, in milliseconds since the Unix epoch.
    pub expires_at_ms: Option<u64>,
}

/// Writes entries, which come in order, into as many files as it takes: large values into value files, as a commit separates
/// them, and the rest into tables. The files are part of nothing until an edit names them; who gives up removes them.
#[derive(Debug, Default)]
pub struct NewFiles {
    open: Option<(TableId, TableBuilder)>,
    written: Vec<TableMeta>,
    values: NewValues,
    /// Syncs tables while the next are written; `None`: each is synced when it is full.
    syncer: Option<Syncer>,
    entries: u64,
    /// An expiry and the value or pointer after it.
    payload: Vec<u8>,
}

impl NewFiles {
    /// Has files synced beside the writing, where the file system of `store` allows threads.
    ///
    /// # Errors
    /// [`crate::Error::Io`] where there is no thread to be had.
    pub fn synced_beside(store: &Store) -> Result<Self> {
        let allows_threads = store.home.fs.allows_threads();
        Ok(NewFiles {
            values: NewValues::with_syncer(Syncer::new(allows_threads)?),
            syncer: Some(Syncer::new(allows_threads)?),
            ..NewFiles::default()
        })
    }

    /// Adds an entry with that value.
    ///
    /// # Errors
    /// [`crate::Error::Io`]; the files are worth nothing after it.
    pub fn put(&mut self, store: &Store, entry: NewEntry<'_>, value: &[u8]) -> Result<()> {
        if value.len() < store.options.value_threshold {
            return self.put_small(store, entry, value);
        }
        let compressed = match store.options.compression {
            Compression::Snappy => snappy::compress(value),
            Compression::None => None,
        };
        let stored_as = StoredAs { is_compressed: compressed.is_some(), checksum: None };
        self.put_stored(store, entry, compressed.as_deref().unwrap_or(value), stored_as)
    }

    /// Adds an entry whose value belongs into a value file, and is `stored` there.
    ///
    /// # Errors
    /// As [`NewFiles::put`].
    pub fn put_stored(
        &mut self,
        store: &Store,
        entry: NewEntry<'_>,
        stored: &[u8],
        stored_as: StoredAs,
    ) -> Result<()> {
        let NewEntry { key, seq, expires_at_ms } = entry;
        let pointer = self.values.write(store, (key, seq), expires_at_ms, stored, stored_as)?;
        self.put_pointer(store, entry, pointer)
    }

    fn put_pointer(
        &mut self,
        store: &Store,
        entry: NewEntry<'_>,
        pointer: ValuePointer,
    ) -> Result<()> {
        let mut payload = std::mem::take(&mut self.payload);
        let NewEntry { key, seq, expires_at_ms } = entry;
        let entry = EntryRef::to_pointer(key, seq, expires_at_ms, pointer, &mut payload);
        let added = self.add(store, entry);
        self.payload = payload;
        added
    }

    fn put_small(&mut self, store: &Store, entry: NewEntry<'_>, value: &[u8]) -> Result<()> {
        let mut payload = std::mem::take(&mut self.payload);
        let NewEntry { key, seq, expires_at_ms } = entry;
        let (kind, bytes) = match expires_at_ms {
            None => (EntryKind::Set, value),
            Some(at_ms) => {
                payload.clear();
                payload.extend_from_slice(&at_ms.to_le_bytes());
                payload.extend_from_slice(value);
                (EntryKind::SetExpiring, payload.as_slice())
            }
        };
        let added = self.add(store, EntryRef { key, seq, kind, payload: bytes });
        self.payload = payload;
        added
    }

    fn add(&mut self, store: &Store, entry: EntryRef<'_>) -> Result<()> {
        let limit = store.options.table_bytes;
        if self.open.as_ref().is_some_and(|(_, builder)| builder.size_bytes() >= limit) {
            self.finish_table(store)?;
        }
        let (_, builder) = match &mut self.open {
            Some(open) => open,
            none => none.insert(create_table(store)?),
        };
        builder.add(entry)?;
        self.entries += 1;
        Ok(())
    }

    fn finish_table(&mut self, store: &Store) -> Result<()> {
        let Some((id, builder)) = self.open.take() else { return Ok(()) };
        let Some(syncer) = &self.syncer else {
            let finished = builder.finish();
            self.written.push(finished.inspect_err(|_| store.remove(FileKind::Table(id)))?);
            return Ok(());
        };
        let finished = builder.finish_unsynced();
        let (meta, file, path) = finished.inspect_err(|_| store.remove(FileKind::Table(id)))?;
        self.written.push(meta);
        syncer.sync(&file, path)
    }

    /// Writes the rest, and waits until the bytes of all files are durable. Their names are the caller's affair.
    ///
    /// # Errors
    /// As [`NewFiles::put`].
    pub fn finish(&mut self, store: &Store) -> Result<()> {
        self.finish_table(store)?;
        let values = self.values.finish();
        let tables = self.syncer.take().map_or(Ok(()), Syncer::finish);
        values.and(tables)
    }

    /// How many entries were added.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The tables that are written.
    #[must_use]
    pub fn tables(&self) -> &[TableMeta] {
        &self.written
    }

    /// The segments to which they point.
    pub fn segments(&self) -> impl Iterator<Item = SegmentMeta> + '_ {
        self.values.segments()
    }

    /// The tables, and the values to which they point: the files are somebody else's from now on.
    #[must_use]
    pub fn into_parts(self) -> (Vec<TableMeta>, NewValues) {
        (self.written, self.values)
    }

    /// Removes what was written. The directory must still be this handle's.
    pub fn remove(self, store: &Store) {
        let NewFiles { open, written, values, .. } = self;
        let open = open.map(|(id, _)| id);
        let tables = open.into_iter().chain(written.iter().map(|meta| meta.id));
        let files: Vec<_> = tables.map(FileKind::Table).chain(values.files()).collect();
        drop(values);
        files.into_iter().for_each(|file| store.remove(file));
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
