//! A damaged log file in pieces: the records that are intact, and what is between them.

use super::format::HEADER_SIZE;
use super::replay::LogFile;
use crate::format::codec::{to_u64, to_usize, without_zeros_at_end};
use crate::format::frame::FRAME_HEADER_SIZE;
use crate::format::{Frame, FrameReader};

/// A piece of a log file.
#[derive(Debug)]
pub enum Piece<'a> {
    /// An intact record.
    Record(Frame<'a>),
    /// Bytes that are none: one damaged record or more.
    Hole {
        /// Where they begin.
        offset: u64,
        /// Where the next intact record is, or the last byte that is not zero.
        end: u64,
        /// What should be the body of the first damaged record, and what follows it.
        body: &'a [u8],
        /// The sequence of the next intact record of the file, if there is one.
        next_sequence: Option<u64>,
        /// The largest durable claim that stands behind it in the file.
        claim: Option<u64>,
    },
}

impl LogFile {
    /// The pieces up to the file offset `limit`, whether the header is intact or not.
    pub fn pieces(&self, limit: u64) -> impl Iterator<Item = Piece<'_>> {
        let mut reader = FrameReader::new(&self.bytes, HEADER_SIZE, self.database, self.id.into());
        std::iter::from_fn(move || {
            if reader.offset() >= limit {
                return None;
            }
            if let Some(frame) = reader.next() {
                return Some(Piece::Record(frame));
            }
            if reader.only_zeros_follow() {
                return None;
            }
            let (offset, claim) = (reader.offset(), reader.claims_after());
            let next = reader.resync().then(|| reader.offset());
            let written = to_u64(without_zeros_at_end(&self.bytes).len());
            let end = next.unwrap_or(written).min(limit).max(offset);
            let next_sequence = next.and_then(|_| reader.sequence());
            if next.is_none() {
                reader.end();
            }
            let range = to_usize(offset)?.saturating_add(FRAME_HEADER_SIZE)..to_usize(end)?;
            let body = self.bytes.get(range).unwrap_or_default();
            Some(Piece::Hole { offset, end, body, next_sequence, claim })
        })
    }
}
