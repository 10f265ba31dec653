//! Verifies a log file, or the part of it that is written, in pieces.

use super::format::{HEADER_SIZE, LogHeader};
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::frame::FRAME_HEADER_SIZE;
use crate::format::{Crc, DatabaseId, FrameHeader, FramePlace, LogId};
use crate::fs::{File, Inspected, Inspector, IoContext, Window};
use std::path::Path;
use std::sync::Arc;

/// What is read of a body with one call, in bytes.
const PIECE_BYTES: usize = 256 << 10;

/// A log file of which the bytes before `end` are whole records.
#[derive(Debug)]
pub struct WrittenLog<'a> {
    /// The open file.
    pub file: Arc<dyn File>,
    /// Its path.
    pub path: &'a Path,
    /// Its number.
    pub id: LogId,
    /// Where its records end.
    pub end: u64,
}

/// Verifies every record of `log`. `is_ours`: whether a run of this database has that identity.
/// Behind damage it goes on with the next header that is intact.
///
/// # Errors
/// [`crate::fs::Stop`], from `inspector`.
pub fn inspect_log(
    log: &WrittenLog<'_>,
    is_ours: impl Fn(DatabaseId) -> bool,
    inspector: &mut dyn Inspector,
) -> Inspected {
    let begun = Window::up_to(Arc::clone(&log.file), log.end).during("stat", log.path);
    let begun = begun.and_then(|mut window| {
        let bytes = window.at(0, HEADER_SIZE).during("read", log.path)?;
        let header = LogHeader::decode(bytes, log.path, log.id)?
            .filter(|header| is_ours(header.database))
            .ok_or_else(|| log.damage(0, "the header of the log is damaged, or of another file"))?;
        Ok((window, header))
    });
    let (window, header) = match begun {
        Ok(begun) => begun,
        Err(e) => {
            inspector.tell(e);
            return Ok(());
        }
    };
    inspector.pass(to_u64(HEADER_SIZE))?;
    let mut walk = Walk { log, window, database: header.database, last_sequence: None };
    let mut at = to_u64(HEADER_SIZE);
    while at < log.end {
        at = match walk.record(at, inspector)? {
            Ok(end) => end,
            Err(e) => {
                // A disk that cannot read here may do so further on; but where is the next record?
                let is_damage = matches!(e, Error::Corruption { .. });
                inspector.tell(e);
                match is_damage.then(|| walk.next_header(at + 1)).transpose() {
                    Ok(next) => next.flatten().unwrap_or(log.end),
                    Err(e) => {
                        inspector.tell(e);
                        log.end
                    }
                }
            }
        };
    }
    Ok(())
}

impl WrittenLog<'_> {
    fn damage(&self, offset: u64, detail: &str) -> Error {
        Error::corruption(self.path, offset, detail)
    }
}

struct Walk<'a> {
    log: &'a WrittenLog<'a>,
    window: Window,
    database: DatabaseId,
    last_sequence: Option<u64>,
}

impl Walk<'_> {
    fn header(&mut self, at: u64) -> Result<Option<FrameHeader>> {
        let bytes = self.window.at(at, FRAME_HEADER_SIZE).during("read", self.log.path)?;
        let (database, file) = (self.database, self.log.id.into());
        let header = FrameHeader::decode(bytes, FramePlace { database, file, offset: at });
        let room = self.log.end.saturating_sub(at + to_u64(FRAME_HEADER_SIZE));
        Ok(header.filter(|header| (1..=room).contains(&header.body_bytes)))
    }

    /// Verifies the record at `at`; gives where it ends.
    fn record(&mut self, at: u64, inspector: &mut dyn Inspector) -> Inspected<Result<u64>> {
        let header = match self.header(at) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(Err(self.log.damage(at, "the header of a record is damaged"))),
            Err(e) => return Ok(Err(e)),
        };
        inspector.pass(to_u64(FRAME_HEADER_SIZE))?;
        let begin = at + to_u64(FRAME_HEADER_SIZE);
        let end = begin + header.body_bytes;
        let (mut crc, mut offset) = (Crc::default(), begin);
        while offset < end {
            let wanted = usize::try_from(end - offset).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let read = match self.window.at(offset, wanted).during("read", self.log.path) {
                Ok(bytes) => {
                    let piece = bytes.get(..wanted).unwrap_or(bytes);
                    crc.update(piece);
                    to_u64(piece.len())
                }
                Err(e) => return Ok(Err(e)),
            };
            if read == 0 {
                return Ok(Err(self.log.damage(at, "the file ends in a record")));
            }
            offset += read;
            inspector.pass(read)?;
        }
        let rises = self.last_sequence.is_none_or(|last| last < header.sequence);
        self.last_sequence = Some(header.sequence);
        if crc.finish() != header.body_crc {
            inspector.tell(self.log.damage(at, "the checksum of a record does not match"));
        } else if !rises {
            inspector.tell(self.log.damage(at, "a record is older than the one before it"));
        }
        Ok(Ok(end))
    }

    /// The first intact header of a record from `at` on.
    fn next_header(&mut self, at: u64) -> Result<Option<u64>> {
        let last = self.log.end.saturating_sub(to_u64(FRAME_HEADER_SIZE));
        for at in at..=last {
            if self.header(at)?.is_some() {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}
