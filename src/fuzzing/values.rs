//! Value files.

use super::{DIR, Entry, Identity, holding};
use crate::error::Result;
use crate::format::codec::{to_u64, to_usize};
use crate::format::{Decoder, EntryKind, FileKind, SegmentId, ValueFileId, ValuePointer, crc};
use crate::fs::sim::SimFs;
use crate::fs::{Fs, OpenFiles, OpenMode, read_exact_at};
use crate::vlog::format::{
    FOOTER_SIZE, Footer, HEADER_SIZE, Place, RECORD_FIELDS_BYTES_MAX, encode_header,
    record_checksum,
};
use crate::vlog::{MapCache, ValueFile, ValueWriter};
use std::path::Path;
use std::sync::Arc;

/// A value in a value file.
///
/// See the example of [`write_values`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredValue {
    /// Key, sequence number, and the value as payload.
    pub entry: Entry,
    /// Where it was first written: number of the segment, offset in it. `None`: in this file.
    pub moved_from: Option<(u64, u64)>,
    /// It is stored in Snappy.
    pub is_compressed: bool,
}

impl Identity {
    fn values(self) -> ValueFileId {
        ValueFileId(self.file.0)
    }
}

/// All values of a value file, read through the pointers that its records state, as a `get` and a
/// collection of garbage read them.
///
/// See the example of [`write_values`].
///
/// # Errors
/// [`crate::Error::Corruption`], [`crate::Error::UnsupportedFormat`].
pub fn decode_values(bytes: &[u8], identity: Identity) -> Result<Vec<StoredValue>> {
    let kind = FileKind::Values(identity.values());
    let fs: Arc<dyn Fs> = Arc::new(holding(kind, bytes)?);
    let files = Arc::new(OpenFiles::new(fs));
    let maps = Arc::new(MapCache::new(64 << 20));
    let file = ValueFile::open(kind, Path::new(DIR), identity.database, files, maps);
    let mut records = file.records()?;
    let mut values = Vec::new();
    while let Some(record) = records.next_record()? {
        let payload = file.read(&record.pointer)?;
        let (key, seq, kind) = (record.key, record.seq, EntryKind::Set);
        let ValuePointer { segment, offset, is_compressed, .. } = record.pointer;
        let is_own = segment == file.own_segment();
        values.push(StoredValue {
            entry: Entry { key, seq, kind, payload },
            moved_from: (!is_own).then_some((segment.0, offset)),
            is_compressed,
        });
    }
    Ok(values)
}

/// A value file with `values`, in the encoding of the engine.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::fuzzing::{DatabaseId, Entry, EntryKind, FileId, Identity, SeqNo, StoredValue, decode_values, fix_values, write_values};
/// let identity = Identity { database: DatabaseId(7), file: FileId(2) };
/// let entry = Entry { key: b"a".into(), seq: SeqNo(1), kind: EntryKind::Set, payload: b"a large value".into() };
/// let values = [StoredValue { entry, moved_from: None, is_compressed: false }];
/// let mut bytes = write_values(identity, &values);
/// assert_eq!(decode_values(&bytes, identity)?, values);
///
/// let at = bytes.windows(5).position(|five| five == b"large").expect("it is raw");
/// bytes[at] = b'L';
/// assert!(decode_values(&bytes, identity).is_err());
/// fix_values(&mut bytes, identity);
/// assert_eq!(decode_values(&bytes, identity)?[0].entry.payload, b"a Large value");
/// # Ok(()) }
/// ```
///
/// # Panics
/// When a value that is to be compressed does not get smaller.
#[must_use]
pub fn write_values(identity: Identity, values: &[StoredValue]) -> Vec<u8> {
    let fs = SimFs::new();
    let id = identity.values();
    let dir = Path::new(DIR);
    let mut writer = ValueWriter::create(&fs, dir, identity.database, id).expect("in memory");
    for StoredValue { entry, moved_from, is_compressed } in values {
        let compressed = is_compressed.then(|| {
            crate::format::snappy::compress(&entry.payload).expect("a value that gets smaller")
        });
        let stored = compressed.as_ref().unwrap_or(&entry.payload);
        let added = match *moved_from {
            None => {
                let checksum = ValuePointer::checksum(stored);
                writer.add(&entry.key, entry.seq, stored, *is_compressed, checksum).map(drop)
            }
            Some((segment, offset)) => {
                let pointer = ValuePointer::to(SegmentId(segment), offset, stored, *is_compressed);
                writer.add_moved(&entry.key, entry.seq, pointer, stored)
            }
        };
        added.expect("in memory");
    }
    let len = writer.finish().expect("in memory");
    let path = dir.join(FileKind::Values(id).name());
    let file = fs.open(&path, OpenMode::Read).expect("just written");
    let mut bytes = vec![0; to_usize(len).expect("in memory")];
    read_exact_at(file.as_ref(), &mut bytes, 0).expect("just written");
    bytes
}

/// Puts right the checksums of a value file: of header and footer, of the map, of each record's head
/// and of its value.
///
/// See the example of [`write_values`].
pub fn fix_values(bytes: &mut [u8], identity: Identity) {
    let path = Path::new(DIR).join(FileKind::Values(identity.values()).name());
    let place = Place { database: identity.database, file: identity.values(), path: &path };
    if let Some(head) = bytes.get_mut(..HEADER_SIZE) {
        head.copy_from_slice(&encode_header(&place));
    }
    let Some(footer_at) = bytes.len().checked_sub(FOOTER_SIZE) else { return };
    let stated = bytes.get(footer_at..).and_then(Footer::stated);
    let Some(mut footer) = stated else { return };
    let Some(map_at) = to_usize(footer.map_offset).filter(|&at| at <= footer_at) else { return };
    footer.map_crc = crc(bytes.get(map_at..footer_at).unwrap_or_default());
    if let Some(tail) = bytes.get_mut(footer_at..) {
        tail.copy_from_slice(&footer.encode(&place, to_u64(footer_at)));
    }
    let mut at = HEADER_SIZE;
    while at < map_at {
        let Some(next) = fix_record(bytes, at, map_at, &place) else { return };
        at = next;
    }
}

/// Puts one record right; where the next one starts. `None`: it is none.
fn fix_record(bytes: &mut [u8], at: usize, end: usize, place: &Place<'_>) -> Option<usize> {
    let record = bytes.get(at..end)?;
    let mut d = Decoder::new(record.get(4..)?);
    let size = d.varint_usize().filter(|&size| size <= RECORD_FIELDS_BYTES_MAX)?;
    let fields_at = record.len() - d.rest().len();
    let mut fields = Decoder::new(d.take(size)?);
    fields.varint()?;
    let pointer = ValuePointer::read(&mut fields)?;
    // Its checksum ends where the key begins.
    let crc_end = fields_at + size - fields.rest().len();
    let value_at = fields_at + size;
    let stored = record.get(value_at..)?.get(..to_usize(pointer.bytes())?)?;
    let value_end = value_at + stored.len();
    let value_crc = ValuePointer::checksum(stored).to_le_bytes();
    bytes.get_mut(at + crc_end - 4..at + crc_end)?.copy_from_slice(&value_crc);
    let head = bytes.get(at + 4..at + value_at)?;
    let checksum = record_checksum(place, to_u64(at), head).to_le_bytes();
    bytes.get_mut(at..at + 4)?.copy_from_slice(&checksum);
    Some(at + value_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::format::{DatabaseId, FileId, SeqNo};

    const IDENTITY: Identity = Identity { database: DatabaseId(3), file: FileId(9) };

    fn values() -> Vec<StoredValue> {
        let value = |n: u64| StoredValue {
            entry: Entry {
                key: format!("key{n}").into_bytes(),
                seq: SeqNo(100 + n),
                kind: EntryKind::Set,
                // The last one is empty, and stands where the map begins.
                payload: vec![b'v'; 100 * usize::try_from(7 - n).expect("small")],
            },
            moved_from: (!n.is_multiple_of(3)).then_some((n % 3, 1000 - n)),
            is_compressed: !n.is_multiple_of(2) && n < 5,
        };
        (0..8).map(value).collect()
    }

    #[test]
    fn values_round_trip_and_every_changed_byte_is_told() {
        let bytes = write_values(IDENTITY, &values());
        assert!(decode_values(&bytes, IDENTITY).expect("intact") == values());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            let e = decode_values(&damaged, IDENTITY).expect_err("damaged");
            let is_told = matches!(e, Error::Corruption { .. } | Error::UnsupportedFormat { .. });
            assert!(is_told, "byte {at}: {e}");
        }
        for cut in 0..bytes.len() {
            assert!(decode_values(&bytes[..cut], IDENTITY).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_file_that_is_right_stays_as_it_is_and_another_is_put_right() {
        let bytes = write_values(IDENTITY, &values());
        let mut fixed = bytes.clone();
        fix_values(&mut fixed, IDENTITY);
        assert_eq!(fixed, bytes);
        // A byte of a value: another value, and no damage.
        let at = bytes.windows(9).rposition(|run| run == b"vvvvvvvvv").expect("a value");
        fixed[at] = b'w';
        assert!(decode_values(&fixed, IDENTITY).is_err());
        fix_values(&mut fixed, IDENTITY);
        let found = decode_values(&fixed, IDENTITY).expect("put right");
        assert!(found != values() && found.len() == values().len());
    }

    // The offset that was told was that of the pointer, in another file.
    #[test]
    fn damage_in_a_value_that_was_moved_is_told_where_it_is() {
        let value = StoredValue {
            entry: Entry {
                key: b"key".to_vec(),
                seq: SeqNo(1),
                kind: EntryKind::Set,
                payload: vec![b'v'; 1000],
            },
            moved_from: Some((1, 1 << 40)),
            is_compressed: true,
        };
        let mut bytes = write_values(IDENTITY, &[value]);
        let at = bytes.windows(3).position(|run| run == b"key").expect("the key") + 3;
        bytes[at] ^= 1; // The length that Snappy states.
        fix_values(&mut bytes, IDENTITY);
        match decode_values(&bytes, IDENTITY) {
            Err(Error::Corruption { offset, .. }) => assert_eq!(offset, to_u64(at)),
            other => panic!("{other:?}"),
        }
    }
}
