//! Entries and their order: user key ascending, then newest first.

use super::ids::SeqNo;
use std::cmp::Ordering;

/// The longest key, in bytes, prefix of the `Engine` interface included.
pub const KEY_BYTES_MAX: usize = 65_535;

// The widest key fits the 16 bits that some layouts give its length.
const _: () = assert!(KEY_BYTES_MAX <= u16::MAX as usize);

/// The longest value, in bytes: 1 GiB.
pub const VALUE_BYTES_MAX: usize = 1 << 30;

/// What an entry says about its key.
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
}

impl EntryKind {
    /// The kind that `byte` stands for.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(EntryKind::Delete),
            1 => Some(EntryKind::Set),
            2 => Some(EntryKind::SetExpiring),
            _ => None,
        }
    }
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
    /// The expiry in milliseconds (`None`: it never expires) and the value.
    /// `None` in place of the pair: a tombstone, or a payload too short to be
    /// real (which the decoders refuse before it gets here).
    #[must_use]
    pub fn value(&self) -> Option<(Option<u64>, &'a [u8])> {
        match self.kind {
            EntryKind::Delete => None,
            EntryKind::Set => Some((None, self.payload)),
            EntryKind::SetExpiring => {
                let (expiry, value) = self.payload.split_first_chunk::<EXPIRY_SIZE>()?;
                Some((Some(u64::from_le_bytes(*expiry)), value))
            }
        }
    }

    /// True when the payload can be what `kind` says.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        match self.kind {
            EntryKind::Delete => self.payload.is_empty(),
            EntryKind::Set => true,
            EntryKind::SetExpiring => self.payload.len() >= EXPIRY_SIZE,
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
        for kind in [EntryKind::Delete, EntryKind::Set, EntryKind::SetExpiring] {
            let packed = pack_trailer(SeqNo::MAX, kind);
            assert_eq!(unpack_trailer(packed), Some((SeqNo::MAX, kind)));
        }
        assert_eq!(unpack_trailer(3), None);
    }
}
