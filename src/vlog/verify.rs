//! Verifies a value file: every record, every value, the map.

use super::file::ValueFile;
use super::format::{FOOTER_SIZE, Footer, HEADER_SIZE};
use super::map::OffsetMap;
use super::records::Record;
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::{Crc, ValueFileId};
use crate::fs::{File, Inspected, Inspector, IoContext, read_exact_at};

/// What is read of a value with one call, in bytes.
const PIECE_BYTES: usize = 256 << 10;

impl ValueFile {
    /// Verifies all of a value file, be it pointed to or not. Behind a record whose head is
    /// damaged nothing more is looked at: where the next one stands is not known.
    ///
    /// # Errors
    /// [`crate::fs::Stop`], from `inspector`.
    ///
    /// # Panics
    /// Of a log file.
    pub fn inspect(&self, inspector: &mut dyn Inspector) -> Inspected {
        let begun = self.map_and_footer();
        let (footer, map) = match begun {
            Ok(begun) => begun,
            Err(e) => {
                inspector.tell(e);
                return Ok(());
            }
        };
        let (mut records, file) = match self.records().and_then(|r| Ok((r, self.file()?))) {
            Ok(opened) => opened,
            Err(e) => {
                inspector.tell(e);
                return Ok(());
            }
        };
        let mut at = to_u64(HEADER_SIZE);
        inspector.pass(at + to_u64(FOOTER_SIZE))?;
        let mut moved = 0;
        loop {
            let record = match records.next_record() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(e) => {
                    inspector.tell(e);
                    return Ok(());
                }
            };
            inspector.pass(record.value_offset.saturating_sub(at))?;
            at = record.value_offset + record.pointer.bytes();
            self.inspect_value(file.as_ref(), &record, inspector)?;
            if record.pointer.segment != self.own_segment() {
                moved += 1;
                if map.find(&record.pointer) != Some(record.value_offset) {
                    let detail = "the map of the file does not lead to this value";
                    inspector.tell(Error::corruption(self.path(), record.value_offset, detail));
                }
            }
        }
        if moved != footer.entries {
            let found = footer.entries;
            let detail = format!("the map of the file: expected {moved} entries, found {found}");
            inspector.tell(Error::corruption(self.path(), footer.map_offset, detail));
        }
        Ok(())
    }

    fn map_and_footer(&self) -> Result<(Footer, OffsetMap)> {
        let id = ValueFileId(self.own_segment().0);
        OffsetMap::read(self.file()?.as_ref(), &self.place(id))
    }

    fn inspect_value(
        &self,
        file: &dyn File,
        record: &Record,
        inspector: &mut dyn Inspector,
    ) -> Inspected {
        let (start, size) = (record.value_offset, record.pointer.bytes());
        let (mut crc, mut buffer) = (Crc::default(), Vec::new());
        let mut read = 0;
        while read < size {
            let piece = usize::try_from(size - read).unwrap_or(usize::MAX).min(PIECE_BYTES);
            buffer.resize(piece, 0);
            let done = read_exact_at(file, &mut buffer, start + read).during("read", self.path());
            if let Err(e) = done {
                inspector.tell(e);
                return Ok(());
            }
            crc.update(&buffer);
            read += to_u64(piece);
            inspector.pass(to_u64(piece))?;
        }
        let (expected, found) = (record.pointer.checksum, crc.finish());
        if found != expected {
            let detail = format!(
                "checksum of a value of {size} bytes: expected {expected:#010x}, found {found:#010x}"
            );
            inspector.tell(Error::corruption(self.path(), start, detail));
        }
        Ok(())
    }
}
