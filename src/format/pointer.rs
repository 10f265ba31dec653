//! Pointers: what stands in memory and in tables for a value that the value log has.

use super::checksum::crc;
use super::codec::{Decoder, put_u32, put_varint, to_u64, to_usize};
use super::ids::SegmentId;
use super::key::VALUE_BYTES_MAX;

/// Where a value is in the value log. It never changes, wherever the segment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValuePointer {
    /// The segment.
    pub segment: SegmentId,
    /// Where the value stood in the file in which the segment was first written.
    pub offset: u64,
    /// Its length as stored, in bytes.
    pub stored_bytes: u32,
    /// It is stored in Snappy.
    pub is_compressed: bool,
    /// Checksum of it as stored: [`ValuePointer::checksum`].
    pub checksum: u32,
}

/// The longest encoding of a pointer.
pub const POINTER_BYTES_MAX: usize = 10 + 10 + 5 + 4;

/// No offset in a segment is larger: they are counted on from.
const OFFSET_MAX: u64 = 1 << 56;

impl ValuePointer {
    /// The checksum of a value as stored. It is not bound to a place: the pointer, which names
    /// the place, is where it stands, so a value in a wrong place fails it.
    #[must_use]
    pub fn checksum(stored: &[u8]) -> u32 {
        crc(stored)
    }

    /// Appends its bytes: segment, offset, and length twice as large, with 1 added where
    /// it is compressed, as varints; the checksum as 4 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.segment.0);
        put_varint(out, self.offset);
        put_varint(out, u64::from(self.stored_bytes) << 1 | u64::from(self.is_compressed));
        put_u32(out, self.checksum);
    }

    /// The inverse of [`ValuePointer::encode`]; `None` where `bytes` are not one pointer.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        ValuePointer::read(&mut d).filter(|_| d.is_empty())
    }

    /// Reads a pointer off the front of what is left; `None` where there is none.
    #[must_use]
    pub fn read(d: &mut Decoder<'_>) -> Option<Self> {
        let segment = SegmentId(d.varint()?);
        let offset = d.varint().filter(|&offset| offset <= OFFSET_MAX)?;
        let length = d.varint()?;
        let checksum = d.u32()?;
        let stored_bytes = u32::try_from(length >> 1).ok()?;
        let is_possible = to_usize(length >> 1).is_some_and(|size| size <= VALUE_BYTES_MAX);
        is_possible.then_some(ValuePointer {
            segment,
            offset,
            stored_bytes,
            is_compressed: length & 1 == 1,
            checksum,
        })
    }

    /// Its length as stored, as a count of bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::from(self.stored_bytes)
    }

    /// Of `stored`, which stands at `offset`.
    #[must_use]
    pub fn to(segment: SegmentId, offset: u64, stored: &[u8], is_compressed: bool) -> Self {
        debug_assert!(to_u64(stored.len()) <= to_u64(VALUE_BYTES_MAX));
        ValuePointer {
            segment,
            offset,
            stored_bytes: u32::try_from(stored.len()).expect("a value has at most 1 GiB"),
            is_compressed,
            checksum: ValuePointer::checksum(stored),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn example_bytes() {
        let mut out = Vec::new();
        ValuePointer {
            segment: SegmentId(300),
            offset: 1,
            stored_bytes: 5,
            is_compressed: true,
            checksum: 0x0403_0201,
        }
        .encode(&mut out);
        assert_eq!(out, [0xac, 2, 1, 11, 1, 2, 3, 4]);
    }

    proptest! {
        #[test]
        fn pointers_round_trip(
            segment: u64,
            offset in 0..=OFFSET_MAX,
            stored_bytes in 0..=1_u32 << 30,
            is_compressed: bool,
            checksum: u32,
        ) {
            let segment = SegmentId(segment);
            let pointer = ValuePointer { segment, offset, stored_bytes, is_compressed, checksum };
            let mut out = Vec::new();
            pointer.encode(&mut out);
            prop_assert!(out.len() <= POINTER_BYTES_MAX);
            prop_assert_eq!(ValuePointer::decode(&out), Some(pointer));
            prop_assert_eq!(ValuePointer::decode(&out[..out.len() - 1]), None);
            out.push(0);
            prop_assert_eq!(ValuePointer::decode(&out), None);
        }
    }
}
