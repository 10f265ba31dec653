//! What the manifest knows of a table: shared by the table, which produces
//! it, and the manifest, which keeps it.

use super::codec::{Decoder, put_bytes, put_u64, put_varint};
use super::ids::{SeqNo, TableId};

/// A finished table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMeta {
    /// Names its file.
    pub id: TableId,
    /// Length of the file in bytes.
    pub size_bytes: u64,
    /// Entries, tombstones and shadowed versions included.
    pub entries: u64,
    /// Entries that are tombstones.
    pub tombstones: u64,
    /// Key of the first entry.
    pub smallest_key: Vec<u8>,
    /// Key of the last entry.
    pub largest_key: Vec<u8>,
    /// The smallest sequence number in it.
    pub smallest_seq: SeqNo,
    /// The largest sequence number in it.
    pub largest_seq: SeqNo,
    /// Checksum of what the file says of itself; tells it from another table,
    /// or an older state, under the same name.
    pub digest: u64,
}

impl TableMeta {
    /// Appends the bytes that stand in a manifest: all numbers as varints, in
    /// the order of the fields, keys with their length, the digest as 8 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.id.0);
        put_varint(out, self.size_bytes);
        put_varint(out, self.entries);
        put_varint(out, self.tombstones);
        put_bytes(out, &self.smallest_key);
        put_bytes(out, &self.largest_key);
        put_varint(out, self.smallest_seq.0);
        put_varint(out, self.largest_seq.0);
        put_u64(out, self.digest);
    }

    /// True when `key` lies within the key bounds.
    #[must_use]
    pub fn may_contain(&self, key: &[u8]) -> bool {
        self.smallest_key.as_slice() <= key && key <= self.largest_key.as_slice()
    }

    /// The inverse of [`TableMeta::encode`]; `None` when the bytes are not one.
    #[must_use]
    pub fn decode(d: &mut Decoder<'_>) -> Option<Self> {
        let meta = TableMeta {
            id: TableId(d.varint()?),
            size_bytes: d.varint()?,
            entries: d.varint()?,
            tombstones: d.varint()?,
            smallest_key: d.bytes()?.to_vec(),
            largest_key: d.bytes()?.to_vec(),
            smallest_seq: SeqNo(d.varint()?),
            largest_seq: SeqNo(d.varint()?),
            digest: d.u64()?,
        };
        let ordered =
            meta.smallest_key <= meta.largest_key && meta.smallest_seq <= meta.largest_seq;
        ordered.then_some(meta)
    }
}
