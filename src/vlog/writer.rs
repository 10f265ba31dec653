//! Writes a value file, front to back.

use super::format::{Footer, Origin, Place, encode_header, put_record_head};
use super::map::OffsetMap;
use crate::error::Result;
use crate::format::{DatabaseId, FileKind, SegmentId, SeqNo, ValueFileId, ValuePointer, crc};
use crate::fs::{File, Fs, Sink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Writes a value file. Its memory is a buffer, and 24 bytes for each value of another segment.
///
/// Dropped without [`ValueWriter::finish`] it leaves a file that is none, for the caller to
/// remove.
#[derive(Debug)]
pub struct ValueWriter {
    sink: Sink,
    database: DatabaseId,
    id: ValueFileId,
    map: OffsetMap,
    /// What stands before a value.
    head: Vec<u8>,
}

impl ValueWriter {
    /// Makes the value file `id` in `dir`.
    ///
    /// # Errors
    /// [`crate::Error::Io`]; also when the file exists.
    pub fn create(fs: &dyn Fs, dir: &Path, database: DatabaseId, id: ValueFileId) -> Result<Self> {
        let sink = Sink::create(fs, dir.join(FileKind::Values(id).name()))?;
        let mut writer =
            ValueWriter { sink, database, id, map: OffsetMap::default(), head: Vec::new() };
        let header = encode_header(&writer.place());
        writer.sink.write(&header)?;
        Ok(writer)
    }

    fn place(&self) -> Place<'_> {
        Place { database: self.database, file: self.id, path: self.sink.path() }
    }

    /// The file's number.
    #[must_use]
    pub fn id(&self) -> ValueFileId {
        self.id
    }

    /// The segment of values that are new.
    #[must_use]
    pub fn segment(&self) -> SegmentId {
        SegmentId(self.id.0)
    }

    /// Bytes so far.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.sink.offset()
    }

    /// Adds the new value of `key`, stored like that, with that checksum; returns the pointer to it.
    ///
    /// # Errors
    /// [`crate::Error::Io`]; the file is then worth nothing.
    pub fn add(
        &mut self,
        key: &[u8],
        seq: SeqNo,
        stored: &[u8],
        is_compressed: bool,
        checksum: u32,
    ) -> Result<ValuePointer> {
        let stored_bytes = u32::try_from(stored.len()).expect("a value has at most 1 GiB");
        self.put(key, seq, Origin::New { stored_bytes, is_compressed, checksum }, stored)
    }

    /// Adds a value that `pointer` leads to, and is to lead to here from now on.
    ///
    /// # Errors
    /// As [`ValueWriter::add`].
    pub fn add_moved(
        &mut self,
        key: &[u8],
        seq: SeqNo,
        pointer: ValuePointer,
        stored: &[u8],
    ) -> Result<()> {
        debug_assert_ne!(pointer.segment, self.segment(), "a new file's number is nobody's");
        self.put(key, seq, Origin::Moved(pointer), stored).map(drop)
    }

    fn put(
        &mut self,
        key: &[u8],
        seq: SeqNo,
        origin: Origin,
        stored: &[u8],
    ) -> Result<ValuePointer> {
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        let offset = self.sink.offset();
        let (pointer, value_offset) =
            put_record_head(&mut head, &self.place(), offset, key, seq, origin);
        if let Origin::Moved(_) = origin {
            self.map.insert(pointer, value_offset);
        }
        let written = self.sink.write(&head).and_then(|()| self.sink.write(stored));
        self.head = head;
        written.map(|()| pointer)
    }

    /// Writes the rest and makes the file's bytes durable; its name is the caller's affair.
    /// Returns its length.
    ///
    /// # Errors
    /// As [`ValueWriter::add`].
    pub fn finish(mut self) -> Result<u64> {
        self.write_footer()?;
        self.sink.finish()
    }

    /// Writes the rest; the file is still to be synced, by its path for errors.
    ///
    /// # Errors
    /// As [`ValueWriter::add`].
    pub fn finish_unsynced(mut self) -> Result<(Arc<dyn File>, PathBuf)> {
        self.write_footer()?;
        self.sink.finish_unsynced()
    }

    fn write_footer(&mut self) -> Result<()> {
        let map_offset = self.sink.offset();
        let (map, entries) = std::mem::take(&mut self.map).encode();
        self.sink.write(&map)?;
        let footer = Footer { map_offset, entries, map_crc: crc(&map) };
        let footer = footer.encode(&self.place(), self.sink.offset());
        self.sink.write(&footer)
    }
}
