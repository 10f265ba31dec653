//! What is known of a table without reading it: shared by the table, which
//! produces it, and the manifest, which keeps it.

use super::codec::{Decoder, put_bytes, put_u64, put_varint};
use super::ids::{SegmentId, SeqNo, TableId};
use super::key::{EntryKind, EntryRef};
use super::pointer::ValuePointer;

/// No count of one table is larger: those of all tables are added up.
const COUNT_MAX: u64 = 1 << 48;

/// What a table says of its entries. A table without entries has all zeros.
///
/// See the example of [`TableMeta`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties {
    /// Entries, tombstones and shadowed versions included.
    pub entries: u64,
    /// Entries that are tombstones.
    pub tombstones: u64,
    /// Entries that expire.
    pub expiring: u64,
    /// The earliest expiry among them, in milliseconds since the Unix epoch; 0
    /// where none expires.
    pub smallest_expiry_ms: u64,
    /// The latest one, likewise.
    pub largest_expiry_ms: u64,
    /// Keys and payloads of all entries, uncompressed, in bytes.
    pub raw_bytes: u64,
    /// Of these, those of entries that have a newer version in the same table:
    /// kept for a snapshot, or not merged yet.
    pub shadowed_bytes: u64,
    /// The smallest sequence number.
    pub smallest_seq: SeqNo,
    /// The largest sequence number.
    pub largest_seq: SeqNo,
    /// Key of the first entry.
    pub smallest_key: Vec<u8>,
    /// Key of the last entry.
    pub largest_key: Vec<u8>,
    /// Stored bytes of values to which shadowed versions point.
    pub shadowed_value_bytes: u64,
    /// Of each segment to whose values its entries point, in order: the stored bytes of
    /// those values.
    pub references: Vec<(SegmentId, u64)>,
}

impl Properties {
    /// Stored bytes of all values to which its entries point.
    ///
    /// See the example of [`TableMeta`].
    #[must_use]
    pub fn value_bytes(&self) -> u64 {
        self.references.iter().map(|(_, bytes)| bytes).sum()
    }

    fn refer(&mut self, pointer: ValuePointer, is_shadowed: bool) {
        self.shadowed_value_bytes += if is_shadowed { pointer.bytes() } else { 0 };
        match self.references.binary_search_by_key(&pointer.segment, |(segment, _)| *segment) {
            Ok(at) => self.references[at].1 += pointer.bytes(),
            Err(at) => self.references.insert(at, (pointer.segment, pointer.bytes())),
        }
    }

    /// Counts `entry`, which comes after all that were counted. `is_shadowed`: the
    /// one before has the same key. The keys are the caller's to note.
    pub fn count(&mut self, entry: EntryRef<'_>, is_shadowed: bool) {
        let bytes = super::codec::to_u64(entry.key.len() + entry.payload.len());
        let is_first = self.entries == 0;
        self.entries += 1;
        self.raw_bytes += bytes;
        self.shadowed_bytes += if is_shadowed { bytes } else { 0 };
        self.tombstones += u64::from(entry.kind == EntryKind::Delete);
        self.smallest_seq = if is_first { entry.seq } else { self.smallest_seq.min(entry.seq) };
        self.largest_seq = self.largest_seq.max(entry.seq);
        if let Some(pointer) = entry.pointer() {
            self.refer(pointer, is_shadowed);
        }
        if let Some((Some(expiry_ms), _)) = entry.value() {
            let is_first = self.expiring == 0;
            self.expiring += 1;
            let smallest = self.smallest_expiry_ms;
            self.smallest_expiry_ms = if is_first { expiry_ms } else { smallest.min(expiry_ms) };
            self.largest_expiry_ms = self.largest_expiry_ms.max(expiry_ms);
        }
    }

    /// Appends its bytes: all numbers as varints, in the order of the fields but for the keys,
    /// which come last, with their length; before the references stands their count.
    ///
    /// See the example of [`TableMeta`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        for n in [
            self.entries,
            self.tombstones,
            self.expiring,
            self.smallest_expiry_ms,
            self.largest_expiry_ms,
            self.raw_bytes,
            self.shadowed_bytes,
            self.smallest_seq.0,
            self.largest_seq.0,
            self.shadowed_value_bytes,
            super::codec::to_u64(self.references.len()),
        ]
        .into_iter()
        .chain(self.references.iter().flat_map(|&(segment, bytes)| [segment.0, bytes]))
        {
            put_varint(out, n);
        }
        put_bytes(out, &self.smallest_key);
        put_bytes(out, &self.largest_key);
    }

    /// The inverse of [`Properties::encode`]; `None` when the bytes are none.
    #[must_use]
    pub fn decode(d: &mut Decoder<'_>) -> Option<Self> {
        let properties = Properties {
            entries: d.varint()?,
            tombstones: d.varint()?,
            expiring: d.varint()?,
            smallest_expiry_ms: d.varint()?,
            largest_expiry_ms: d.varint()?,
            raw_bytes: d.varint()?,
            shadowed_bytes: d.varint()?,
            smallest_seq: SeqNo(d.varint()?),
            largest_seq: SeqNo(d.varint()?),
            shadowed_value_bytes: d.varint()?,
            references: decode_references(d)?,
            smallest_key: d.bytes()?.to_vec(),
            largest_key: d.bytes()?.to_vec(),
        };
        properties.is_possible().then_some(properties)
    }

    fn is_possible(&self) -> bool {
        self.smallest_key <= self.largest_key
            && self.smallest_seq <= self.largest_seq
            && self.smallest_expiry_ms <= self.largest_expiry_ms
            && self.entries <= COUNT_MAX
            && self.raw_bytes <= COUNT_MAX
            && self.tombstones <= self.entries
            && self.expiring <= self.entries
            && self.shadowed_bytes <= self.raw_bytes
            && self.references.iter().map(|(segment, _)| segment).is_sorted_by(|a, b| a < b)
            && self
                .references
                .iter()
                .try_fold(0_u64, |sum, &(_, bytes)| sum.checked_add(bytes))
                .is_some_and(|sum| self.shadowed_value_bytes <= sum && sum <= COUNT_MAX)
    }
}

fn decode_references(d: &mut Decoder<'_>) -> Option<Vec<(SegmentId, u64)>> {
    let count = d.varint_usize()?;
    // Each takes two bytes at least: what is allocated is bounded by what is there.
    let mut references = Vec::with_capacity(count.min(d.rest().len()));
    for _ in 0..count {
        references.push((SegmentId(d.varint()?), d.varint()?));
    }
    Some(references)
}

/// A finished table.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::Compression;
/// use esker::fuzzing::{DatabaseId, Entry, EntryKind, FileId, Identity, Properties, SeqNo, TableMeta, write_table};
/// let identity = Identity { database: DatabaseId(7), file: FileId(2) };
/// let entry = |key: &str, kind| Entry { key: key.into(), seq: SeqNo(1), kind, payload: vec![] };
/// let entries = [entry("a", EntryKind::Set), entry("c", EntryKind::Delete)];
/// let (bytes, meta): (_, TableMeta) = write_table(identity, 4096, Compression::None, &entries)?;
/// assert_eq!((meta.id.0, meta.size_bytes), (2, bytes.len() as u64));
/// assert_eq!((meta.smallest_key(), meta.largest_key()), (&b"a"[..], &b"c"[..]));
/// assert!(meta.may_contain(b"b") && !meta.may_contain(b"d"));
/// let said: &Properties = &meta.properties;
/// assert_eq!((said.entries, said.tombstones, said.value_bytes()), (2, 1, 0));
///
/// let [mut of_table, mut of_properties] = [Vec::new(), Vec::new()];
/// meta.encode(&mut of_table);
/// said.encode(&mut of_properties);
/// assert!(of_table.ends_with(&of_properties));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMeta {
    /// Names its file.
    pub id: TableId,
    /// Length of the file in bytes.
    pub size_bytes: u64,
    /// Checksum of what the file says of itself; tells it from another table,
    /// or an older state, under the same name.
    pub digest: u64,
    /// When the first of what is in it left memory, in milliseconds since the Unix
    /// epoch: how long a tombstone in it may have been waiting.
    pub written_ms: u64,
    /// What the file says of its entries.
    pub properties: Properties,
}

impl TableMeta {
    /// Appends the bytes that stand in a manifest: the numbers as varints, the
    /// digest as 8 bytes, then the properties.
    ///
    /// See the example of [`TableMeta`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.id.0);
        put_varint(out, self.size_bytes);
        put_u64(out, self.digest);
        put_varint(out, self.written_ms);
        self.properties.encode(out);
    }

    /// The inverse of [`TableMeta::encode`]; `None` when the bytes are not one.
    #[must_use]
    pub fn decode(d: &mut Decoder<'_>) -> Option<Self> {
        Some(TableMeta {
            id: TableId(d.varint()?),
            size_bytes: d.varint().filter(|&n| n <= COUNT_MAX)?,
            digest: d.u64()?,
            written_ms: d.varint()?,
            properties: Properties::decode(d)?,
        })
    }

    /// Key of the first entry.
    ///
    /// See the example of [`TableMeta`].
    #[must_use]
    pub fn smallest_key(&self) -> &[u8] {
        &self.properties.smallest_key
    }

    /// Key of the last entry.
    ///
    /// See the example of [`TableMeta`].
    #[must_use]
    pub fn largest_key(&self) -> &[u8] {
        &self.properties.largest_key
    }

    /// True when `key` lies within the key bounds.
    ///
    /// See the example of [`TableMeta`].
    #[must_use]
    pub fn may_contain(&self, key: &[u8]) -> bool {
        self.smallest_key() <= key && key <= self.largest_key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metas_round_trip() {
        let properties = Properties {
            entries: 5,
            tombstones: 1,
            expiring: 2,
            smallest_expiry_ms: 3,
            largest_expiry_ms: u64::MAX,
            raw_bytes: 700,
            shadowed_bytes: 70,
            smallest_seq: SeqNo(3),
            largest_seq: SeqNo(9),
            smallest_key: vec![],
            largest_key: vec![0xff; 300],
            shadowed_value_bytes: 400,
            references: vec![(SegmentId(3), 1 << 40), (SegmentId(900), 0)],
        };
        let meta =
            TableMeta { id: TableId(7), size_bytes: 900, digest: 1, written_ms: 77, properties };
        let mut bytes = Vec::new();
        meta.encode(&mut bytes);
        assert_eq!(TableMeta::decode(&mut Decoder::new(&bytes)), Some(meta));
        for cut in 0..bytes.len() {
            assert_eq!(TableMeta::decode(&mut Decoder::new(&bytes[..cut])), None, "cut at {cut}");
        }
    }

    #[test]
    fn entries_are_counted() {
        let payload = [&7_u64.to_le_bytes()[..], b"value"].concat();
        let entry = |key, seq, kind, payload| EntryRef { key, seq: SeqNo(seq), kind, payload };
        let mut counted = Properties::default();
        counted.count(entry(b"a", 9, EntryKind::Set, b"12"), false);
        counted.count(entry(b"a", 4, EntryKind::Delete, b""), true);
        counted.count(entry(b"b", 5, EntryKind::SetExpiring, &payload), false);
        let expected = Properties {
            entries: 3,
            tombstones: 1,
            expiring: 1,
            smallest_expiry_ms: 7,
            largest_expiry_ms: 7,
            raw_bytes: 3 + 1 + 14,
            shadowed_bytes: 1,
            smallest_seq: SeqNo(4),
            largest_seq: SeqNo(9),
            ..Properties::default()
        };
        assert_eq!(counted, expected);
    }
}
