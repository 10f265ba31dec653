//! Large values on their way into value files, past the log: those of a log that is replayed (what was
//! found in a page cache is not trusted, and the log that holds it goes), and those of a backup.

use super::Store;
use crate::error::Result;
use crate::format::{
    Content, EntryRef, FileKind, SegmentId, SegmentMeta, SeqNo, ValueFileId, ValuePointer,
};
use crate::fs::Syncer;
use crate::vlog::ValueWriter;
use std::collections::BTreeMap;

/// How a value is stored that an entry has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoredAs {
    /// It is in Snappy.
    pub is_compressed: bool,
    /// Its checksum, where that is known already.
    pub checksum: Option<u32>,
}

/// Writes values into as many files as it takes.
#[derive(Debug, Default)]
pub struct NewValues {
    writer: Option<ValueWriter>,
    /// Those begun, with what was written into each.
    written: BTreeMap<ValueFileId, Written>,
    payload: Vec<u8>,
    /// Syncs files while the next are written; `None`: each is synced when it is full.
    syncer: Option<Syncer>,
}

#[derive(Debug, Default)]
struct Written {
    value_bytes: u64,
    /// When the last expires; `None` where one never does.
    largest_expiry_ms: Option<u64>,
}

impl NewValues {
    /// Has files synced by `syncer`.
    #[must_use]
    pub fn with_syncer(syncer: Syncer) -> Self {
        NewValues { syncer: Some(syncer), ..NewValues::default() }
    }

    /// Writes the value of `entry`, which has it; returns the entry with a pointer in its place.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub fn separate<'a>(
        &'a mut self,
        store: &Store,
        entry: EntryRef<'a>,
        stored_as: StoredAs,
    ) -> Result<EntryRef<'a>> {
        let Some((expires_at_ms, Content::Inline(stored))) = entry.value() else {
            return Ok(entry);
        };
        let EntryRef { key, seq, .. } = entry;
        let pointer = self.write(store, (key, seq), expires_at_ms, stored, stored_as)?;
        Ok(EntryRef::to_pointer(key, seq, expires_at_ms, pointer, &mut self.payload))
    }

    /// Writes `stored`, the value of the entry of that key and number.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub fn write(
        &mut self,
        store: &Store,
        (key, seq): (&[u8], SeqNo),
        expires_at_ms: Option<u64>,
        stored: &[u8],
        stored_as: StoredAs,
    ) -> Result<ValuePointer> {
        let limit = store.options.log_file_bytes;
        if self.writer.as_ref().is_some_and(|writer| writer.size_bytes() >= limit) {
            self.finish_file()?;
        }
        let StoredAs { is_compressed, checksum } = stored_as;
        let checksum = checksum.unwrap_or_else(|| ValuePointer::checksum(stored));
        let pointer = self.writer(store)?.add(key, seq, stored, is_compressed, checksum)?;
        let written = self.written.entry(ValueFileId(pointer.segment.0)).or_default();
        written.value_bytes += pointer.bytes();
        written.largest_expiry_ms =
            written.largest_expiry_ms.zip(expires_at_ms).map(|(a, b)| a.max(b));
        Ok(pointer)
    }

    fn writer(&mut self, store: &Store) -> Result<&mut ValueWriter> {
        match &mut self.writer {
            Some(writer) => Ok(writer),
            none => {
                let home = &store.home;
                let id = ValueFileId(home.draw_file_id().0);
                self.written.insert(id, Written { value_bytes: 0, largest_expiry_ms: Some(0) });
                let fs = home.fs.as_ref();
                Ok(none.insert(ValueWriter::create(fs, &home.dir, home.database, id)?))
            }
        }
    }

    fn finish_file(&mut self) -> Result<()> {
        match (self.writer.take(), &self.syncer) {
            (None, _) => Ok(()),
            (Some(writer), None) => writer.finish().map(drop),
            (Some(writer), Some(syncer)) => {
                let (file, path) = writer.finish_unsynced()?;
                syncer.sync(&file, path)
            }
        }
    }

    /// Makes the bytes of all files durable. Their names are the caller's affair.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub fn finish(&mut self) -> Result<()> {
        self.finish_file()?;
        self.syncer.take().map_or(Ok(()), Syncer::finish)
    }

    /// The segments that the files hold.
    pub fn segments(&self) -> impl Iterator<Item = SegmentMeta> + '_ {
        self.written.iter().map(|(&id, written)| SegmentMeta {
            id: SegmentId(id.0),
            moved_to: Some(id),
            file_bytes: written.value_bytes,
            largest_expiry_ms: written.largest_expiry_ms.unwrap_or(0),
        })
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = FileKind> + '_ {
        self.written.keys().map(|&id| FileKind::Values(id))
    }
}
