//! Operations: what the body of a log frame is made of.
//!
//! ```text
//! delete        0x00  key length (varint)  key
//! set           0x01  key length (varint)  key  payload length (varint)  payload
//! set expiring  0x02  the same; the payload starts with the expiry, 8 bytes, ms since the epoch
//! expiry floor  0x03  floor (varint, ms): everything that expires by then has been seen expired
//! compressed    0x04  as set; the payload is in Snappy
//! ... expiring  0x05  as set expiring; what follows the expiry is in Snappy
//! ```
//! Example: `01 01 61 02 68 69` sets `a` to `hi`.
//!
//! A batch is written in these bytes from the start, so that a commit encodes
//! nothing but large values that Snappy makes smaller. The n-th operation on a key, counted from the frame's sequence
//! number, has that number plus n; a floor takes none.

use crate::format::codec::{put_bytes, to_u64};
use crate::format::key::EXPIRY_SIZE;
use crate::format::{
    Decoder, EntryKind, EntryRef, KEY_BYTES_MAX, SeqNo, VALUE_BYTES_MAX, put_varint,
};

const FLOOR: u8 = 3;
const COMPRESSED: u8 = 4;
const COMPRESSED_EXPIRING: u8 = 5;

/// One operation, borrowed from a frame's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// Writes an entry.
    Entry(EntryRef<'a>),
    /// The same, with a value that stands in Snappy.
    Compressed(EntryRef<'a>),
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

/// Appends `key` with a value of which `compressed` is the Snappy form.
pub fn put_compressed(
    out: &mut Vec<u8>,
    key: &[u8],
    compressed: &[u8],
    expires_at_ms: Option<u64>,
) {
    out.push(if expires_at_ms.is_some() { COMPRESSED_EXPIRING } else { COMPRESSED });
    put_bytes(out, key);
    let expiry = expires_at_ms.map(u64::to_le_bytes);
    let expiry = expiry.as_ref().map_or(&[][..], <[u8; EXPIRY_SIZE]>::as_slice);
    put_varint(out, to_u64(compressed.len() + expiry.len()));
    out.extend_from_slice(expiry);
    out.extend_from_slice(compressed);
}

/// The longest encoding of an expiry floor: its mark, and a number of 64 bits.
pub const EXPIRY_FLOOR_BYTES_MAX: usize = 1 + 10;

/// Appends an expiry floor.
pub fn put_expiry_floor(out: &mut Vec<u8>, floor_ms: u64) {
    out.push(FLOOR);
    put_varint(out, floor_ms);
}

/// What an operation says before its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpHead<'a> {
    /// The key; `None`: it is an expiry floor.
    pub key: Option<&'a [u8]>,
    /// Bytes up to the payload.
    pub head_bytes: usize,
    /// Bytes of the payload that are no value: an expiry.
    pub expiry_bytes: usize,
    /// Bytes of the payload; 0 where there is none.
    pub payload_bytes: usize,
    /// The value is in Snappy.
    pub is_compressed: bool,
}

/// The most bytes that stand before the payload of an operation.
pub const HEAD_BYTES_MAX: usize = 1 + 10 + KEY_BYTES_MAX + 10;

/// Reads what stands before a payload off the front of `bytes`, of which the payload need not be part.
#[must_use]
pub fn read_head(bytes: &[u8]) -> Option<OpHead<'_>> {
    let mut d = Decoder::new(bytes);
    let tag = d.u8()?;
    let (mut key, mut payload_bytes) = (None, 0);
    if tag == FLOOR {
        d.varint()?;
    } else {
        key = Some(d.bytes().filter(|key| key.len() <= KEY_BYTES_MAX)?);
        if tag != EntryKind::Delete as u8 {
            let limit = VALUE_BYTES_MAX + EXPIRY_SIZE;
            payload_bytes = d.varint_usize().filter(|&size| size <= limit)?;
        }
    }
    let expiry_bytes = match tag {
        2 | COMPRESSED_EXPIRING => EXPIRY_SIZE,
        0..=COMPRESSED => 0,
        _ => return None,
    };
    let head_bytes = bytes.len() - d.rest().len();
    let is_compressed = matches!(tag, COMPRESSED | COMPRESSED_EXPIRING);
    (expiry_bytes <= payload_bytes).then_some(OpHead {
        key,
        head_bytes,
        expiry_bytes,
        payload_bytes,
        is_compressed,
    })
}

/// Reads operations, numbered from a frame's sequence number on.
#[derive(Debug, Clone)]
pub struct OpReader<'a> {
    rest: Decoder<'a>,
    body_bytes: usize,
    seq: u64,
}

impl<'a> OpReader<'a> {
    /// Reads `body`, whose first entry has the sequence number `first`.
    #[must_use]
    pub fn new(body: &'a [u8], first: SeqNo) -> Self {
        OpReader { rest: Decoder::new(body), body_bytes: body.len(), seq: first.0 }
    }

    /// Where in the body the next operation starts, which is where the last one's payload ends.
    #[must_use]
    pub fn position(&self) -> usize {
        self.body_bytes - self.rest.rest().len()
    }

    fn read(&mut self) -> Option<Op<'a>> {
        let tag = self.rest.u8()?;
        if tag == FLOOR {
            return Some(Op::ExpiryFloor(self.rest.varint()?));
        }
        let (kind, is_compressed) = match tag {
            0 => (EntryKind::Delete, false),
            1 => (EntryKind::Set, false),
            2 => (EntryKind::SetExpiring, false),
            COMPRESSED => (EntryKind::Set, true),
            COMPRESSED_EXPIRING => (EntryKind::SetExpiring, true),
            _ => return None,
        };
        let key = self.rest.bytes()?;
        let payload = if kind == EntryKind::Delete { &[][..] } else { self.rest.bytes()? };
        let entry = EntryRef { key, seq: SeqNo(self.seq), kind, payload };
        let fits = key.len() <= KEY_BYTES_MAX && payload.len() <= VALUE_BYTES_MAX + EXPIRY_SIZE;
        if !fits || !entry.is_well_formed() || entry.seq > SeqNo::MAX {
            return None;
        }
        self.seq += 1;
        Some(if is_compressed { Op::Compressed(entry) } else { Op::Entry(entry) })
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
    use crate::format::Content;
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
        assert_eq!((c.seq, c.value()), (SeqNo(12), Some((Some(5), Content::Inline(b"v")))));
    }

    /// Bodies of operations of all kinds.
    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let op = (0..6_u8, proptest::collection::vec(any::<u8>(), 0..200), any::<u64>());
        proptest::collection::vec(op, 0..8).prop_map(|ops| {
            let mut body = Vec::new();
            for (kind, bytes, n) in ops {
                let (key, value) = bytes.split_at(bytes.len() / 2);
                match kind {
                    0 => put_delete(&mut body, key),
                    1 => put_set(&mut body, key, value),
                    2 => drop(put_set_expiring(&mut body, key, value, n)),
                    3 => put_expiry_floor(&mut body, n),
                    4 => put_compressed(&mut body, key, value, None),
                    _ => put_compressed(&mut body, key, value, Some(n)),
                }
            }
            body
        })
    }

    proptest! {
        #[test]
        fn heads_say_what_the_operations_do(body in bodies()) {
            let mut reader = OpReader::new(&body, SeqNo(1));
            let mut begins = 0;
            while let Some(op) = reader.next() {
                let head = read_head(&body[begins..]).expect("an operation");
                let (key, payload, compressed) = match op.expect("an operation") {
                    Op::Entry(e) => (Some(e.key), e.payload, false),
                    Op::Compressed(e) => (Some(e.key), e.payload, true),
                    Op::ExpiryFloor(_) => (None, &[][..], false),
                };
                prop_assert_eq!((head.key, head.is_compressed), (key, compressed));
                prop_assert_eq!(begins + head.head_bytes + payload.len(), reader.position());
                prop_assert_eq!(head.payload_bytes, payload.len());
                begins = reader.position();
            }
        }

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
