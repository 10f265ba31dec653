//! A file with values that is read.

use super::format::Place;
use super::map::{MapCache, OffsetMap};
use super::records::Records;
use crate::error::{Error, Result};
use crate::format::codec::{to_u64, to_usize};
use crate::format::{
    DatabaseId, FileKind, SegmentId, VALUE_BYTES_MAX, ValueFileId, ValuePointer, snappy,
};
use crate::fs::{File, IoContext, OpenFiles, read_exact_at};
use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// For values up to this size memory is taken before the file's length is looked at.
const ROOM_BYTES_MAX: usize = 4 << 20;

/// A compressed value of up to this size as stored is read into memory that the thread keeps: to take it, clear it and give it
/// back was a twentieth of a read.
const KEPT_BYTES_MAX: usize = 64 << 10;

thread_local! {
    /// What of the last value is stored, for the next to be read over it.
    static STORED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A value file, or a log file with values. Of the file nothing is looked at before the
/// first use.
#[derive(Debug)]
pub struct ValueFile {
    kind: FileKind,
    database: DatabaseId,
    path: PathBuf,
    files: Arc<OpenFiles>,
    maps: Arc<MapCache>,
    /// It is no longer part of the database: its file goes with it.
    is_discarded: AtomicBool,
}

impl Drop for ValueFile {
    fn drop(&mut self) {
        if self.is_discarded.load(Ordering::Relaxed) {
            self.files.discard(self.kind);
        }
    }
}

impl ValueFile {
    /// The file `kind`, a log or a value file of `dir`.
    #[must_use]
    pub fn open(
        kind: FileKind,
        dir: &Path,
        database: DatabaseId,
        files: Arc<OpenFiles>,
        maps: Arc<MapCache>,
    ) -> ValueFile {
        let path = dir.join(kind.name());
        let is_discarded = AtomicBool::new(false);
        ValueFile { kind, database, path, files, maps, is_discarded }
    }

    /// Which file it is.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The segment whose values stand where their pointers say (INV-2).
    #[must_use]
    pub fn own_segment(&self) -> SegmentId {
        SegmentId(self.kind.number().unwrap_or_default())
    }

    /// Says that the file is no longer part of the database. When the last that reads it is
    /// done, it is due for removal.
    pub fn discard(&self) {
        self.is_discarded.store(true, Ordering::Relaxed);
    }

    /// The open file.
    ///
    /// # Errors
    /// [`Error::Corruption`] where it is missing; [`Error::Io`].
    pub fn file(&self) -> Result<Arc<dyn File>> {
        match self.files.get(self.kind, &self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let detail = "expected a file with values, found no file";
                Err(Error::corruption(&self.path, 0, detail))
            }
            opened => opened.during("open", &self.path),
        }
    }

    /// The value of `pointer`.
    ///
    /// # Errors
    /// [`Error::Corruption`], [`Error::Io`].
    pub fn read(&self, pointer: &ValuePointer) -> Result<Vec<u8>> {
        self.read_at(self.locate(pointer)?, pointer)
    }

    /// The value of `pointer`, which stands at `offset` of the file.
    ///
    /// # Errors
    /// As [`ValueFile::read`].
    pub(super) fn read_at(&self, offset: u64, pointer: &ValuePointer) -> Result<Vec<u8>> {
        if !pointer.is_compressed {
            return self.read_stored_at(offset, pointer);
        }
        let Some(size) = to_usize(pointer.bytes()).filter(|&size| size <= KEPT_BYTES_MAX) else {
            return self.uncompress(offset, &self.read_stored_at(offset, pointer)?);
        };
        // Taken, and not borrowed: the file is whoever's, and may read another database meanwhile.
        let mut kept = STORED.try_with(Cell::take).unwrap_or_default();
        if kept.len() < size {
            kept.resize(size, 0);
        }
        let stored = kept.get_mut(..size).expect("just made as long");
        let read = self.fill(self.file()?.as_ref(), offset, pointer, stored);
        let value = read.and_then(|()| self.uncompress(offset, stored));
        // A thread that ends has given its memory back.
        let _ = STORED.try_with(|place| place.set(kept));
        value
    }

    /// The value of `pointer`, whose bytes as stored at `offset` of the file are in memory.
    ///
    /// # Errors
    /// [`Error::Corruption`].
    pub(super) fn open_stored(
        &self,
        offset: u64,
        pointer: &ValuePointer,
        stored: &[u8],
    ) -> Result<Vec<u8>> {
        self.check(offset, pointer, stored)?;
        if pointer.is_compressed { self.uncompress(offset, stored) } else { Ok(stored.to_vec()) }
    }

    fn uncompress(&self, offset: u64, stored: &[u8]) -> Result<Vec<u8>> {
        snappy::decompress(stored, to_u64(VALUE_BYTES_MAX))
            .map_err(|detail| Error::corruption(&self.path, offset, detail))
    }

    /// The value of `pointer` as it is stored, checked: one read of exactly its bytes.
    ///
    /// # Errors
    /// As [`ValueFile::read`].
    pub fn read_stored(&self, pointer: &ValuePointer) -> Result<Vec<u8>> {
        self.read_stored_at(self.locate(pointer)?, pointer)
    }

    /// Has the system begin to fetch the value at `pointer`. What prevents it, the read will tell.
    pub fn will_need(&self, pointer: &ValuePointer) {
        if let (Ok(offset), Ok(file)) = (self.locate(pointer), self.file()) {
            file.will_need(offset, pointer.bytes());
        }
    }

    /// The same, of a value that stands at `offset` of the file.
    fn read_stored_at(&self, offset: u64, pointer: &ValuePointer) -> Result<Vec<u8>> {
        let damage = |detail: String| Error::corruption(&self.path, offset, detail);
        let size = usize::try_from(pointer.stored_bytes).expect("an address has 32 bits");
        let file = self.file()?;
        // So much is not made room for on the word of a pointer alone.
        if size > ROOM_BYTES_MAX {
            let len = file.len().during("stat", &self.path)?;
            if offset.checked_add(pointer.bytes()).is_none_or(|end| end > len) {
                return Err(damage(format!("expected a value of {size} bytes, the file ends")));
            }
        }
        let mut bytes = vec![0; size];
        self.fill(file.as_ref(), offset, pointer, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills `into`, which is as long as the value of `pointer` is stored, with that, checked.
    ///
    /// # Errors
    /// As [`ValueFile::read`].
    pub fn read_stored_into(&self, pointer: &ValuePointer, into: &mut [u8]) -> Result<()> {
        debug_assert_eq!(to_u64(into.len()), pointer.bytes());
        let offset = self.locate(pointer)?;
        self.fill(self.file()?.as_ref(), offset, pointer, into)
    }

    fn fill(
        &self,
        file: &dyn File,
        offset: u64,
        pointer: &ValuePointer,
        bytes: &mut [u8],
    ) -> Result<()> {
        match read_exact_at(file, bytes, offset) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                let detail = format!("expected a value of {} bytes, the file ends", bytes.len());
                return Err(Error::corruption(&self.path, offset, detail));
            }
            read => read.during("read", &self.path)?,
        }
        self.check(offset, pointer, bytes)
    }

    /// That `stored`, from `offset` of the file, is what `pointer` names.
    fn check(&self, offset: u64, pointer: &ValuePointer, stored: &[u8]) -> Result<()> {
        let (expected, found) = (pointer.checksum, ValuePointer::checksum(stored));
        if found == expected {
            return Ok(());
        }
        let size = stored.len();
        let detail = format!(
            "checksum of a value of {size} bytes: expected {expected:#010x}, found {found:#010x}"
        );
        Err(Error::corruption(&self.path, offset, detail))
    }

    pub(super) fn locate(&self, pointer: &ValuePointer) -> Result<u64> {
        if pointer.segment == self.own_segment() {
            return Ok(pointer.offset);
        }
        let FileKind::Values(id) = self.kind else {
            let detail = format!("expected values of segment {}, found a log", pointer.segment);
            return Err(Error::corruption(&self.path, 0, detail));
        };
        self.map(id)?.find(pointer).ok_or_else(|| {
            let ValuePointer { segment, offset, .. } = pointer;
            let detail = format!("the map lacks the value at {offset} of segment {segment}");
            Error::corruption(&self.path, 0, detail)
        })
    }

    fn map(&self, id: ValueFileId) -> Result<Arc<OffsetMap>> {
        self.maps
            .get(id, || OffsetMap::read(self.file()?.as_ref(), &self.place(id)).map(|(_, map)| map))
    }

    pub(super) fn place(&self, id: ValueFileId) -> Place<'_> {
        Place { database: self.database, file: id, path: &self.path }
    }

    /// The records of a value file, in order.
    ///
    /// # Errors
    /// [`Error::Corruption`] of header or footer, [`Error::Io`].
    ///
    /// # Panics
    /// Of a log file.
    pub fn records(&self) -> Result<Records> {
        let FileKind::Values(id) = self.kind else {
            panic!("{} is no value file", self.kind.name())
        };
        Records::new(self.file()?, self.database, id, &self.path)
    }
}
