//! `CURRENT`, and the files that it names.
//!
//! ```text
//! CURRENT
//! offset  size  field
//!      0     8  magic "ESKERCUR"
//!      8     4  format version, 1
//!     12     4  checksum: crc of the whole with this field zero
//!     16     8  database id
//!     24     8  id of the manifest in force
//!
//! MANIFEST-n
//!      0     8  magic "ESKERMAN"
//!      8     4  format version, 1
//!     12     4  checksum, as above
//!     16     8  database id
//!     24     8  manifest id, as in the file's name
//!     32        frames (`crate::format::frame`), one edit each; their sequence counts from 1,
//!               their durable claim is the offset at which they stand
//! ```
//! An edit is a run of fields, a tag byte and then numbers as varints. The
//! first edit of a manifest is the whole state.
//!
//! ```text
//! 0x01  log minimum: the first log file whose records are not all in tables
//! 0x02  next file id
//! 0x03  last sequence number
//! 0x04  expiry floor, ms
//! 0x05  table added: level (1 byte), then `TableMeta`
//! 0x06  table removed: table id
//! 0x07  log base: the position at which the log minimum begins
//! 0x08  opens: how often the database has been opened
//! 0x09  segment, new or in another file: `SegmentMeta`
//! 0x0a  segment removed: segment id
//! 0x0b  backups upon which increments can follow, all of them, the oldest first: how many; for each
//!       the backup's id (8 bytes) and its sequence number
//! 0x0c  closed: no log file from the log minimum on holds a record. It is written alone and not synced; that
//!       all before it is durable is its durable claim
//! ```
//! Version rule: as for the log. A field with an unknown tag is damage: from the first release on, new
//! fields raise the version.

use super::state::Edit;
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::names::FILE_NUMBER_COUNTED_FROM_MAX;
use crate::format::{
    BackupRef, DatabaseId, Decoder, Level, LogId, ManifestId, SegmentId, SegmentMeta, SeqNo,
    TableId, TableMeta, crc, put_u64, put_varint,
};
use std::path::Path;

/// The first bytes of `CURRENT`.
pub const CURRENT_MAGIC: [u8; 8] = *b"ESKERCUR";
/// The first bytes of a manifest.
pub const MANIFEST_MAGIC: [u8; 8] = *b"ESKERMAN";
/// The version that this build writes, and the newest that it reads.
pub const VERSION: u32 = 1;
/// Size of `CURRENT`, and of a manifest's header, in bytes.
pub const HEADER_SIZE: usize = 8 + 4 + 4 + 8 + 8;
const _: () = assert!(HEADER_SIZE == 32);

/// Encodes `CURRENT`, or a manifest's header, by the magic.
#[must_use]
pub fn encode_header(
    magic: [u8; 8],
    database: DatabaseId,
    manifest: ManifestId,
) -> [u8; HEADER_SIZE] {
    let mut out = [0; HEADER_SIZE];
    out[..8].copy_from_slice(&magic);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[16..24].copy_from_slice(&database.0.to_le_bytes());
    out[24..32].copy_from_slice(&manifest.0.to_le_bytes());
    seal(&mut out);
    out
}

/// Puts the checksum of a header into it.
pub fn seal(head: &mut [u8; HEADER_SIZE]) {
    head[12..16].fill(0);
    let checksum = crc(head);
    head[12..16].copy_from_slice(&checksum.to_le_bytes());
}

/// Reads what [`encode_header`] wrote off the front of `bytes`, the file at `path`.
///
/// # Errors
/// [`Error::Corruption`]; [`Error::UnsupportedFormat`] for a newer version.
pub fn decode_header(
    bytes: &[u8],
    magic: [u8; 8],
    path: &Path,
) -> Result<(DatabaseId, ManifestId)> {
    let damaged = |detail: &str| Error::corruption(path, 0, detail);
    let (head, _) = bytes
        .split_first_chunk::<HEADER_SIZE>()
        .ok_or_else(|| damaged("the file is shorter than its header"))?;
    let mut covered = *head;
    covered[12..16].fill(0);
    let checksum_holds = crc(&covered).to_le_bytes() == head[12..16];
    let mut d = Decoder::new(head);
    if d.take(8) != Some(&magic) {
        return Err(damaged("the file does not start with its magic bytes"));
    }
    let version = d.u32().unwrap_or_default();
    if !checksum_holds {
        return Err(damaged("the header's checksum does not match"));
    }
    if version > VERSION {
        return Err(Error::UnsupportedFormat {
            file: path.to_path_buf(),
            found: version,
            supported: VERSION,
        });
    }
    if version != VERSION {
        return Err(damaged("the header states a version that never was"));
    }
    d.u32();
    match (d.u64(), d.u64()) {
        (Some(database), Some(manifest)) => Ok((DatabaseId(database), ManifestId(manifest))),
        _ => Err(damaged("the header is cut short")),
    }
}

/// No count and no position in an edit is larger: all of them are counted on
/// from, which must not overflow.
const COUNT_MAX: u64 = 1 << 60;

const LOG_MIN: u8 = 1;
const NEXT_FILE: u8 = 2;
const LAST_SEQ: u8 = 3;
const EXPIRY_FLOOR: u8 = 4;
const TABLE_ADDED: u8 = 5;
const TABLE_REMOVED: u8 = 6;
const LOG_BASE: u8 = 7;
const OPENS: u8 = 8;
const SEGMENT: u8 = 9;
const SEGMENT_REMOVED: u8 = 10;
const FOLLOWED: u8 = 11;
const CLOSED: u8 = 12;

/// The bytes of `edit`.
#[must_use]
pub fn encode_edit(edit: &Edit) -> Vec<u8> {
    let mut out = Vec::new();
    let numbers = [
        (LOG_MIN, edit.log_min.map(|id| id.0)),
        (NEXT_FILE, edit.next_file),
        (LAST_SEQ, edit.last_seq.map(|seq| seq.0)),
        (EXPIRY_FLOOR, edit.expiry_floor_ms),
        (LOG_BASE, edit.log_base),
        (OPENS, edit.opens),
    ];
    for (tag, number) in numbers {
        if let Some(n) = number {
            out.push(tag);
            put_varint(&mut out, n);
        }
    }
    for (level, meta) in &edit.added {
        out.push(TABLE_ADDED);
        out.push(level.number());
        meta.encode(&mut out);
    }
    for id in &edit.removed {
        out.push(TABLE_REMOVED);
        put_varint(&mut out, id.0);
    }
    for meta in &edit.segments {
        out.push(SEGMENT);
        meta.encode(&mut out);
    }
    for id in &edit.segments_removed {
        out.push(SEGMENT_REMOVED);
        put_varint(&mut out, id.0);
    }
    if let Some(backups) = &edit.followed {
        out.push(FOLLOWED);
        put_varint(&mut out, to_u64(backups.len()));
        for backup in backups {
            put_u64(&mut out, backup.id.0);
            put_varint(&mut out, backup.seq.0);
        }
    }
    if edit.is_closed {
        out.push(CLOSED);
    }
    out
}

/// The inverse of [`encode_edit`]; `None` when the bytes are not an edit.
#[must_use]
pub fn decode_edit(bytes: &[u8]) -> Option<Edit> {
    let mut d = Decoder::new(bytes);
    let mut edit = Edit::default();
    while !d.is_empty() {
        match d.u8()? {
            LOG_MIN => {
                // With a number above it, the next.
                let number = file_number(&mut d).filter(|&n| n < FILE_NUMBER_COUNTED_FROM_MAX)?;
                edit.log_min = Some(LogId(number));
            }
            NEXT_FILE => edit.next_file = Some(file_number(&mut d)?),
            LAST_SEQ => {
                let seq = SeqNo(d.varint()?);
                if seq > SeqNo::COUNTED_FROM_MAX {
                    return None;
                }
                edit.last_seq = Some(seq);
            }
            EXPIRY_FLOOR => edit.expiry_floor_ms = Some(d.varint()?),
            LOG_BASE => edit.log_base = Some(count(&mut d)?),
            OPENS => edit.opens = Some(count(&mut d)?),
            TABLE_ADDED => {
                let level = Level::new(d.u8()?)?;
                edit.added.push((level, TableMeta::decode(&mut d)?));
            }
            TABLE_REMOVED => edit.removed.push(TableId(d.varint()?)),
            SEGMENT => edit.segments.push(SegmentMeta::decode(&mut d)?),
            SEGMENT_REMOVED => edit.segments_removed.push(SegmentId(d.varint()?)),
            FOLLOWED => edit.followed = Some(followed(&mut d)?),
            CLOSED => edit.is_closed = true,
            _ => return None,
        }
    }
    Some(edit)
}

/// Each takes nine bytes and more, so that a count that lies ends soon.
fn followed(d: &mut Decoder<'_>) -> Option<Vec<BackupRef>> {
    let mut backups = Vec::new();
    for _ in 0..d.varint()? {
        let backup = BackupRef { id: DatabaseId(d.u64()?), seq: SeqNo(d.varint()?) };
        if backup.seq > SeqNo::COUNTED_FROM_MAX {
            return None;
        }
        backups.push(backup);
    }
    Some(backups)
}

fn file_number(d: &mut Decoder<'_>) -> Option<u64> {
    d.varint().filter(|&n| n <= FILE_NUMBER_COUNTED_FROM_MAX)
}

fn count(d: &mut Decoder<'_>) -> Option<u64> {
    d.varint().filter(|&n| n <= COUNT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Properties;
    use proptest::prelude::*;

    #[test]
    fn example_bytes() {
        let edit = Edit { log_min: Some(LogId(300)), removed: vec![TableId(2)], ..Edit::default() };
        assert_eq!(encode_edit(&edit), [0x01, 0xac, 0x02, 0x06, 0x02]);
    }

    proptest! {
        #[test]
        fn edits_round_trip(
            log_min in proptest::option::of(0..FILE_NUMBER_COUNTED_FROM_MAX),
            opens in proptest::option::of(0..=FILE_NUMBER_COUNTED_FROM_MAX),
            floor: Option<u64>,
            seq in proptest::option::of(0..=SeqNo::COUNTED_FROM_MAX.0),
            keys: Vec<(Vec<u8>, u64)>,
            removed: Vec<u64>,
            is_closed: bool,
        ) {
            let meta = |(key, n): (Vec<u8>, u64)| TableMeta {
                id: TableId(n),
                size_bytes: n >> 16,
                digest: 77,
                written_ms: n,
                properties: Properties {
                    entries: 2,
                    tombstones: 1,
                    expiring: 1,
                    smallest_expiry_ms: n >> 1,
                    largest_expiry_ms: n,
                    raw_bytes: n >> 16,
                    shadowed_bytes: n >> 17,
                    largest_key: key.iter().copied().chain([1]).collect(),
                    smallest_key: key,
                    smallest_seq: SeqNo(1),
                    largest_seq: SeqNo(2),
                    shadowed_value_bytes: n >> 18,
                    references: vec![(SegmentId(n >> 20), n >> 17)],
                },
            };
            let segment = |n: u64| SegmentMeta {
                id: SegmentId(n >> 9),
                moved_to: None,
                file_bytes: n >> 17,
                largest_expiry_ms: n,
            };
            let edit = Edit {
                log_min: log_min.map(LogId),
                log_base: log_min,
                opens,
                next_file: opens,
                last_seq: seq.map(SeqNo),
                expiry_floor_ms: floor,
                added: keys.into_iter().map(|k| (Level::LAST, meta(k))).collect(),
                segments: removed.iter().map(|&n| segment(n)).collect(),
                segments_removed: removed.iter().copied().map(SegmentId).collect(),
                followed: opens.map(|id| {
                    let seq = SeqNo(seq.unwrap_or_default());
                    vec![BackupRef { id: DatabaseId(id), seq }; removed.len()]
                }),
                removed: removed.into_iter().map(TableId).collect(),
                is_closed,
            };
            prop_assert_eq!(decode_edit(&encode_edit(&edit)), Some(edit));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = decode_edit(&bytes);
        }
    }

    // The next open counted on from them, and overflowed.
    #[test]
    fn counts_without_room_above_them_are_refused() {
        for tag in [LOG_MIN, NEXT_FILE, LOG_BASE, OPENS] {
            let mut bytes = vec![tag];
            put_varint(&mut bytes, u64::MAX);
            assert_eq!(decode_edit(&bytes), None, "tag {tag}");
        }
    }
}
