//! The large values of a log that is replayed, on their way into value files: what was
//! found in a page cache is not trusted, and the log that holds it goes.

use crate::error::Result;
use crate::format::{
    Content, EntryRef, FileKind, SegmentId, SegmentMeta, ValueFileId, ValuePointer,
};
use crate::store::Store;
use crate::vlog::ValueWriter;
use std::collections::BTreeMap;

/// Writes values into as many files as it takes.
#[derive(Debug, Default)]
pub struct Values {
    writer: Option<ValueWriter>,
    /// Those begun, with what was written into each.
    written: BTreeMap<ValueFileId, Written>,
    payload: Vec<u8>,
}

#[derive(Debug, Default)]
struct Written {
    value_bytes: u64,
    /// When the last expires; `None` where one never does.
    largest_expiry_ms: Option<u64>,
}

impl Values {
    /// Writes the value of `entry`, which has it; returns the entry with a pointer in its place.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub fn separate<'a>(
        &'a mut self,
        store: &Store,
        entry: EntryRef<'a>,
        is_compressed: bool,
    ) -> Result<EntryRef<'a>> {
        let Some((expires_at_ms, Content::Inline(stored))) = entry.value() else {
            return Ok(entry);
        };
        let limit = store.options.log_file_bytes;
        if self.writer.as_ref().is_some_and(|writer| writer.size_bytes() >= limit) {
            self.finish_file()?;
        }
        let pointer = self.write(store, entry, stored, is_compressed)?;
        let written = self
            .written
            .entry(ValueFileId(pointer.segment.0))
            .or_insert_with(|| Written { value_bytes: 0, largest_expiry_ms: Some(0) });
        written.value_bytes += pointer.bytes();
        written.largest_expiry_ms =
            written.largest_expiry_ms.zip(expires_at_ms).map(|(a, b)| a.max(b));
        let EntryRef { key, seq, .. } = entry;
        Ok(EntryRef::to_pointer(key, seq, expires_at_ms, pointer, &mut self.payload))
    }

    fn write(
        &mut self,
        store: &Store,
        entry: EntryRef<'_>,
        stored: &[u8],
        is_compressed: bool,
    ) -> Result<ValuePointer> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let home = &store.home;
                let id = ValueFileId(home.draw_file_id().0);
                self.written.insert(id, Written { value_bytes: 0, largest_expiry_ms: Some(0) });
                let fs = home.fs.as_ref();
                self.writer.insert(ValueWriter::create(fs, &home.dir, home.database, id)?)
            }
        };
        writer.add(entry.key, entry.seq, stored, is_compressed)
    }

    fn finish_file(&mut self) -> Result<()> {
        self.writer.take().map_or(Ok(()), |writer| writer.finish().map(drop))
    }

    /// Makes the bytes of all files durable. Their names are the caller's affair.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub fn finish(&mut self) -> Result<()> {
        self.finish_file()
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
