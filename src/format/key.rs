//! Entries and their order: user key ascending, then newest first.

use super::codec::wide;
use super::ids::SeqNo;
use super::pointer::ValuePointer;
use std::cmp::Ordering;

/// The longest key, in bytes, prefix of the `Engine` interface included.
///
/// ```
/// use esker::fuzzing::KEY_BYTES_MAX;
/// let mut batch = esker::WriteBatch::new();
/// let db = esker::Db::open_with_fs(std::sync::Arc::new(esker::sim::SimFs::new()), "/db", esker::Options::default())?;
/// batch.set([7; KEY_BYTES_MAX], "value");
/// db.write(batch)?;
/// assert!(db.set([7; KEY_BYTES_MAX + 1], "value").is_err());
/// # Ok::<(), esker::Error>(())
/// ```
pub const KEY_BYTES_MAX: usize = 65_535;

// The widest key fits the 16 bits that some layouts give its length.
const _: () = assert!(KEY_BYTES_MAX <= u16::MAX as usize);

/// The longest value, in bytes: 1 GiB.
pub const VALUE_BYTES_MAX: usize = 1 << 30;

/// What an entry says about its key.
///
/// ```
/// use esker::fuzzing::EntryKind;
/// assert_eq!(EntryKind::from_byte(1), Some(EntryKind::Set));
/// assert_eq!(EntryKind::from_byte(EntryKind::SetPointer as u8), Some(EntryKind::SetPointer));
/// assert_eq!(EntryKind::from_byte(9), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// The key is gone: a tombstone.
    Delete = 0,
    /// The key has this value.
    Set = 1,
    /// The key has this value until a moment: the payload starts with that
    /// moment, 8 bytes, in milliseconds since the Unix epoch.
    SetExpiring = 2,
    /// The key has a value, to which the payload points.
    SetPointer = 3,
    /// The same until a moment, which stands before the pointer.
    SetPointerExpiring = 4,
}

impl EntryKind {
    /// The kind that `byte` stands for.
    ///
    /// See the example of [`EntryKind`].
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(EntryKind::Delete),
            1 => Some(EntryKind::Set),
            2 => Some(EntryKind::SetExpiring),
            3 => Some(EntryKind::SetPointer),
            4 => Some(EntryKind::SetPointerExpiring),
            _ => None,
        }
    }
}

/// What an entry has for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// The value itself.
    Inline(&'a [u8]),
    /// Where it is, encoded: see [`super::ValuePointer`].
    Pointer(&'a [u8]),
}

/// Size of an expiry at the front of the payload of [`EntryKind::SetExpiring`].
pub const EXPIRY_SIZE: usize = 8;

/// Packs a sequence number and a kind into one word, on disk and in memory:
/// `seq << 8 | kind`.
#[must_use]
pub fn pack_trailer(seq: SeqNo, kind: EntryKind) -> u64 {
    debug_assert!(seq <= SeqNo::MAX);
    seq.0 << 8 | u64::from(kind as u8)
}

/// The inverse of [`pack_trailer`]; `None` for an unknown kind.
#[must_use]
pub fn unpack_trailer(trailer: u64) -> Option<(SeqNo, EntryKind)> {
    let kind = EntryKind::from_byte(trailer.to_le_bytes()[0])?;
    Some((SeqNo(trailer >> 8), kind))
}

/// The order of all entries: user key ascending, then sequence number descending,
/// so that the first entry at or after `(key, seq)` is what a read at `seq` sees.
#[must_use]
#[inline]
pub fn compare(a_key: &[u8], a_seq: SeqNo, b_key: &[u8], b_seq: SeqNo) -> Ordering {
    a_key.cmp(b_key).then_with(|| b_seq.cmp(&a_seq))
}

/// How many bytes `a` and `b` have in common at their front.
#[inline]
#[must_use]
pub fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (mut rest_of_a, mut rest_of_b, mut shared) = (a, b, 0);
    while let (Some((word_of_a, next_of_a)), Some((word_of_b, next_of_b))) =
        (rest_of_a.split_first_chunk::<8>(), rest_of_b.split_first_chunk::<8>())
    {
        let differing = u64::from_le_bytes(*word_of_a) ^ u64::from_le_bytes(*word_of_b);
        if differing != 0 {
            return shared + wide(differing.trailing_zeros() / 8);
        }
        (rest_of_a, rest_of_b, shared) = (next_of_a, next_of_b, shared + 8);
    }
    shared + rest_of_a.iter().zip(rest_of_b).take_while(|(a, b)| a == b).count()
}

/// The order of `a` and `b`, whose first `known` bytes are known to be the same, and how many are.
#[inline]
#[must_use]
pub fn compare_behind(known: usize, a: &[u8], b: &[u8]) -> (Ordering, usize) {
    debug_assert_eq!(a.get(..known), b.get(..known));
    let (rest_of_a, rest_of_b) = (a.get(known..), b.get(known..));
    let shared =
        known + common_prefix(rest_of_a.unwrap_or_default(), rest_of_b.unwrap_or_default());
    (a.get(shared).cmp(&b.get(shared)), shared)
}

/// One entry, borrowed from wherever it stands (memtable or block).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// The user's key.
    pub key: &'a [u8],
    /// When it was written, in commit order.
    pub seq: SeqNo,
    /// What it says.
    pub kind: EntryKind,
    /// The value; for [`EntryKind::SetExpiring`] the expiry stands before it;
    /// empty for a tombstone.
    pub payload: &'a [u8],
}

impl<'a> EntryRef<'a> {
    /// The expiry in milliseconds (`None`: it never expires) and what there is of the value.
    /// `None` in place of the pair: a tombstone, or a payload too short to be
    /// real (which the decoders refuse before it gets here).
    #[must_use]
    #[inline]
    pub fn value(&self) -> Option<(Option<u64>, Content<'a>)> {
        let expiring = || {
            let (expiry, rest) = self.payload.split_first_chunk::<EXPIRY_SIZE>()?;
            Some((Some(u64::from_le_bytes(*expiry)), rest))
        };
        match self.kind {
            EntryKind::Delete => None,
            EntryKind::Set => Some((None, Content::Inline(self.payload))),
            EntryKind::SetExpiring => {
                expiring().map(|(expiry, rest)| (expiry, Content::Inline(rest)))
            }
            EntryKind::SetPointer => Some((None, Content::Pointer(self.payload))),
            EntryKind::SetPointerExpiring => {
                expiring().map(|(expiry, rest)| (expiry, Content::Pointer(rest)))
            }
        }
    }

    /// Whether it has its value itself, and that is one of `threshold` bytes or more.
    #[must_use]
    pub fn is_large(&self, threshold: usize) -> bool {
        match self.value() {
            Some((_, Content::Inline(value))) => value.len() >= threshold,
            _ => false,
        }
    }

    /// An entry with a pointer for a value; `payload` is memory for it.
    pub fn to_pointer(
        key: &'a [u8],
        seq: SeqNo,
        expires_at_ms: Option<u64>,
        pointer: ValuePointer,
        payload: &'a mut Vec<u8>,
    ) -> Self {
        payload.clear();
        let kind = match expires_at_ms {
            Some(expires_at_ms) => {
                payload.extend_from_slice(&expires_at_ms.to_le_bytes());
                EntryKind::SetPointerExpiring
            }
            None => EntryKind::SetPointer,
        };
        pointer.encode(payload);
        EntryRef { key, seq, kind, payload }
    }

    /// When it expires, in milliseconds, if it does.
    #[must_use]
    pub fn expiry_ms(&self) -> Option<u64> {
        self.value()?.0
    }

    /// Whether its value is not in the entry.
    #[must_use]
    pub fn is_pointer(&self) -> bool {
        matches!(self.kind, EntryKind::SetPointer | EntryKind::SetPointerExpiring)
    }

    /// Where its value is, if that is not in the entry.
    #[must_use]
    pub fn pointer(&self) -> Option<ValuePointer> {
        match self.value()? {
            (_, Content::Pointer(bytes)) => ValuePointer::decode(bytes),
            (_, Content::Inline(_)) => None,
        }
    }

    /// True when the payload can be what `kind` says.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        match self.kind {
            EntryKind::Delete => self.payload.is_empty(),
            EntryKind::Set => true,
            EntryKind::SetExpiring => self.payload.len() >= EXPIRY_SIZE,
            EntryKind::SetPointer | EntryKind::SetPointerExpiring => self.pointer().is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_version_of_a_key_comes_first() {
        assert_eq!(compare(b"a", SeqNo(2), b"a", SeqNo(1)), Ordering::Less);
        assert_eq!(compare(b"a", SeqNo(1), b"b", SeqNo(9)), Ordering::Less);
        assert_eq!(compare(b"a", SeqNo(1), b"a", SeqNo(1)), Ordering::Equal);
        assert_eq!(compare(b"", SeqNo(1), b"\0", SeqNo(1)), Ordering::Less);
    }

    #[test]
    fn trailers_round_trip() {
        for kind in (0..5).filter_map(EntryKind::from_byte) {
            let packed = pack_trailer(SeqNo::MAX, kind);
            assert_eq!(unpack_trailer(packed), Some((SeqNo::MAX, kind)));
        }
        assert_eq!(unpack_trailer(5), None);
    }
}
