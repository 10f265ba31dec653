//! Operations: what the body of a log frame is made of.
//!
//! ```text
//! delete        0x00  key length (varint)  key
//! set           0x01  key length (varint)  key  payload length (varint)  payload
//! set expiring  0x02  the same; the payload starts with the expiry, 8 bytes, ms since the epoch
//! expiry floor  0x03  floor (varint, ms): everything that expires by then has been seen expired
//! ```
//! Example: `01 01 61 02 68 69` sets `a` to `hi`.
//!
//! A batch is written in these bytes from the start, so that a commit encodes
//! nothing. The n-th operation on a key, counted from the frame's sequence
//! number, has that number plus n; a floor takes none.

use crate::format::codec::{put_bytes, to_u64};
use crate::format::key::EXPIRY_SIZE;
use crate::format::{
    Decoder, EntryKind, EntryRef, KEY_BYTES_MAX, SeqNo, VALUE_BYTES_MAX, put_varint,
};

const FLOOR: u8 = 3;

/// One operation, borrowed from a frame's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// Writes an entry.
    Entry(EntryRef<'a>),
    /// Raises the expiry floor, in milliseconds.
    ExpiryFloor(u64),
}

/// Appends a tombstone for `key`.
pub fn put_delete(out: &mut Vec<u8>, key: &[u8]) {
    out.push(EntryKind::Delete as u8);
    put_bytes(out, key);
}

/// Appends `key` with `value`.
pub fn put_set(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.reserve(key.len() + value.len() + 12);
    out.push(EntryKind::Set as u8);
    put_bytes(out, key);
    put_bytes(out, value);
}

/// Appends `key` with `value` until `expires_at_ms`; returns where in `out`
/// the expiry's 8 bytes stand, so that they can still be changed.
pub fn put_set_expiring(out: &mut Vec<u8>, key: &[u8], value: &[u8], expires_at_ms: u64) -> usize {
    out.push(EntryKind::SetExpiring as u8);
    put_bytes(out, key);
    put_varint(out, to_u64(value.len() + EXPIRY_SIZE));
    let expiry_at = out.len();
    out.extend_from_slice(&expires_at_ms.to_le_bytes());
    out.extend_from_slice(value);
    expiry_at
}

/// The longest encoding of an expiry floor: its mark, and a number of 64 bits.
pub const EXPIRY_FLOOR_BYTES_MAX: usize = 1 + 10;

/// Appends an expiry floor.
pub fn put_expiry_floor(out: &mut Vec<u8>, floor_ms: u64) {
    out.push(FLOOR);
    put_varint(out, floor_ms);
}

/// Reads operations, numbered from a frame's sequence number on.
#[derive(Debug, Clone)]
pub struct OpReader<'a> {
    rest: Decoder<'a>,
    seq: u64,
}

impl<'a> OpReader<'a> {
    /// Reads `body`, whose first entry has the sequence number `first`.
    #[must_use]
    pub fn new(body: &'a [u8], first: SeqNo) -> Self {
        OpReader { rest: Decoder::new(body), seq: first.0 }
    }

    fn read(&mut self) -> Option<Op<'a>> {
        let tag = self.rest.u8()?;
        if tag == FLOOR {
            return Some(Op::ExpiryFloor(self.rest.varint()?));
        }
        let kind = EntryKind::from_byte(tag)?;
        let key = self.rest.bytes()?;
        let payload = if kind == EntryKind::Delete { &[][..] } else { self.rest.bytes()? };
        let entry = EntryRef { key, seq: SeqNo(self.seq), kind, payload };
        let fits = key.len() <= KEY_BYTES_MAX && payload.len() <= VALUE_BYTES_MAX + EXPIRY_SIZE;
        if !fits || !entry.is_well_formed() || entry.seq > SeqNo::MAX {
            return None;
        }
        self.seq += 1;
        Some(Op::Entry(entry))
    }
}

/// An operation that cannot be decoded ends the run with `Some(None)`.
impl<'a> Iterator for OpReader<'a> {
    type Item = Option<Op<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let op = self.read();
        if op.is_none() {
            self.rest = Decoder::new(&[]);
        }
        Some(op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn example_bytes() {
        let mut body = Vec::new();
        put_set(&mut body, b"a", b"hi");
        assert_eq!(body, [0x01, 0x01, 0x61, 0x02, 0x68, 0x69]);
        put_delete(&mut body, b"b");
        put_expiry_floor(&mut body, 9);
        let at = put_set_expiring(&mut body, b"c", b"v", 0);
        body[at..at + 8].copy_from_slice(&5_u64.to_le_bytes());
        let ops: Vec<_> = OpReader::new(&body, SeqNo(10)).collect();
        let [Some(Op::Entry(a)), Some(Op::Entry(b)), Some(Op::ExpiryFloor(9)), Some(Op::Entry(c))] =
            ops[..]
        else {
            panic!("{ops:?}")
        };
        assert_eq!((a.key, a.seq, a.payload), (&b"a"[..], SeqNo(10), &b"hi"[..]));
        assert_eq!((b.key, b.seq, b.kind), (&b"b"[..], SeqNo(11), EntryKind::Delete));
        assert_eq!((c.seq, c.value()), (SeqNo(12), Some((Some(5), &b"v"[..]))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(body: Vec<u8>, first in 0..=SeqNo::MAX.0) {
            let mut read = 0;
            for op in OpReader::new(&body, SeqNo(first)) {
                read += usize::from(op.is_some());
            }
            prop_assert!(read <= body.len());
        }
    }
}
