//! What the manifest knows of a segment of the value log.

use super::codec::{Decoder, put_varint};
use super::ids::{LogId, SegmentId, ValueFileId};
use super::names::{FILE_NUMBER_MAX, FileKind};

/// No count of one segment is larger: those of all are added up.
const COUNT_MAX: u64 = 1 << 48;

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentMeta {
    /// What pointers name it.
    pub id: SegmentId,
    /// The value file that holds it; `None`: the log file of its own number.
    pub moved_to: Option<ValueFileId>,
    /// What that file takes, the same for all segments in it, in bytes: of a log file its length, of a
    /// value file the stored values that it was written with. So what does not live is garbage, be it of
    /// values, of small entries that are in tables now, or of segments that are gone.
    pub file_bytes: u64,
    /// When the last of them expires, in milliseconds since the Unix epoch; 0 where
    /// one never does.
    pub largest_expiry_ms: u64,
}

impl SegmentMeta {
    /// The file that holds it.
    #[must_use]
    pub fn file(&self) -> FileKind {
        self.moved_to.map_or(FileKind::Log(LogId(self.id.0)), FileKind::Values)
    }

    /// Whether it is where it was first written.
    #[must_use]
    pub fn is_at_home(&self) -> bool {
        self.moved_to.is_none_or(|file| file.0 == self.id.0)
    }

    /// Appends the bytes that stand in a manifest: all numbers as varints, for the file 0 or its number.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.id.0);
        put_varint(out, self.moved_to.map_or(0, |file| file.0));
        put_varint(out, self.file_bytes);
        put_varint(out, self.largest_expiry_ms);
    }

    /// The inverse of [`SegmentMeta::encode`]; `None` when the bytes are not one.
    #[must_use]
    pub fn decode(d: &mut Decoder<'_>) -> Option<Self> {
        let number = |n: u64| (n <= FILE_NUMBER_MAX).then_some(n);
        let id = SegmentId(number(d.varint()?)?);
        let file = number(d.varint()?)?;
        Some(SegmentMeta {
            id,
            moved_to: (file > 0).then_some(ValueFileId(file)),
            file_bytes: d.varint().filter(|&n| n <= COUNT_MAX)?,
            largest_expiry_ms: d.varint()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_round_trip() {
        for moved_to in [None, Some(ValueFileId(9))] {
            let meta = SegmentMeta {
                id: SegmentId(300),
                moved_to,
                file_bytes: 1 << 30,
                largest_expiry_ms: u64::MAX,
            };
            let mut bytes = Vec::new();
            meta.encode(&mut bytes);
            assert_eq!(SegmentMeta::decode(&mut Decoder::new(&bytes)), Some(meta.clone()));
            for cut in 0..bytes.len() {
                assert_eq!(SegmentMeta::decode(&mut Decoder::new(&bytes[..cut])), None);
            }
            let is_log = meta.file() == FileKind::Log(LogId(300));
            assert_eq!((is_log, meta.is_at_home()), (moved_to.is_none(), moved_to.is_none()));
        }
    }
}
