//! Goes through the records of a value file, past the values themselves.

use super::format::{
    HEADER_SIZE, Place, RECORD_FIELDS_BYTES_MAX, RECORD_PREFIX_BYTES_MAX, RecordHead, check_header,
    read_record_head,
};
use super::map::OffsetMap;
use crate::error::Result;
use crate::format::codec::to_u64;
use crate::format::{DatabaseId, SeqNo, ValueFileId, ValuePointer};
use crate::fs::{File, IoContext, Window};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A value that a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key under which it was set.
    pub key: Vec<u8>,
    /// When.
    pub seq: SeqNo,
    /// The pointer that leads to it.
    pub pointer: ValuePointer,
    /// Where it stands in this file.
    pub value_offset: u64,
}

/// The records of one value file.
#[derive(Debug)]
pub struct Records {
    window: Window,
    database: DatabaseId,
    file: ValueFileId,
    path: PathBuf,
    at: u64,
    /// Where the records end.
    end: u64,
}

impl Records {
    pub(super) fn new(
        file: Arc<dyn File>,
        database: DatabaseId,
        id: ValueFileId,
        path: &Path,
    ) -> Result<Self> {
        let place = Place { database, file: id, path };
        let (footer, _) = OffsetMap::read(file.as_ref(), &place)?;
        Records::up_to(file, database, id, path, footer.map_offset)
    }

    /// Of a file whose records end at `end`, at the latest: for who has no footer that says where.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] of the header, [`crate::Error::UnsupportedFormat`], [`crate::Error::Io`].
    pub fn up_to(
        file: Arc<dyn File>,
        database: DatabaseId,
        id: ValueFileId,
        path: &Path,
        end: u64,
    ) -> Result<Self> {
        let place = Place { database, file: id, path };
        let mut window = Window::new(file).during("stat", path)?;
        check_header(&place, window.at(0, HEADER_SIZE).during("read", path)?)?;
        let at = to_u64(HEADER_SIZE);
        Ok(Records { window, database, file: id, path: path.to_path_buf(), at, end })
    }

    /// How many bytes were read for them up to now.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.window.read_bytes()
    }

    /// The next record; `None` behind the last.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`], [`crate::Error::Io`].
    pub fn next_record(&mut self) -> Result<Option<Record>> {
        let place = Place { database: self.database, file: self.file, path: &self.path };
        if self.at >= self.end {
            let is_exact = self.at == self.end;
            let damage = || place.damage(self.end, "a value reaches into the map");
            return if is_exact { Ok(None) } else { Err(damage()) };
        }
        // Most records begin with less than this; only a long key takes more.
        let mut bytes = self.window.at(self.at, 512).during("read", &self.path)?;
        let head = match read_record_head(&place, self.at, bytes) {
            Ok(head) => head,
            Err(_) => {
                let size = RECORD_PREFIX_BYTES_MAX + RECORD_FIELDS_BYTES_MAX;
                bytes = self.window.at(self.at, size).during("read", &self.path)?;
                read_record_head(&place, self.at, bytes)?
            }
        };
        let RecordHead { key, seq, pointer, value_offset } = head;
        self.at = value_offset.saturating_add(pointer.bytes());
        Ok(Some(Record { key, seq, pointer, value_offset }))
    }
}
