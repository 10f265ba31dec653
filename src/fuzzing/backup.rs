//! Backups.

use super::DIR;
use crate::archive::format::{
    Apart, END, END_SIZE, End, HEADER_SIZE, PLAIN, SNAPPY, place, read_entry,
};
use crate::archive::{ArchiveReader, ArchiveWriter, Held, InMemory, Output, StreamOutput};
use crate::error::Result;
use crate::format::codec::{to_u64, to_usize};
use crate::format::frame::FRAME_HEADER_SIZE;
use crate::format::{DatabaseId, Decoder, FrameHeader, ValuePointer, crc, snappy};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

pub use crate::archive::Header as BackupHeader;

/// An entry of a backup, with bytes of its own.
///
/// See the example of [`write_backup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// The key.
    pub key: Vec<u8>,
    /// When it expires, in milliseconds since the Unix epoch, if it does.
    pub expires_at_ms: Option<u64>,
    /// The value.
    pub held: BackedUpValue,
}

/// The value of an entry of a backup.
///
/// See the example of [`write_backup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackedUpValue {
    /// None: the key was deleted. In increments alone.
    Deleted,
    /// One that stands in its entry.
    Inline(Vec<u8>),
    /// One that stands behind the entries of its chunk, as it is stored.
    Apart {
        /// Its bytes.
        stored: Vec<u8>,
        /// They are in Snappy.
        is_compressed: bool,
    },
}

/// The entries of a backup, read to its end as a restore reads it.
///
/// See the example of [`write_backup`].
///
/// # Errors
/// [`crate::Error::Corruption`], [`crate::Error::UnsupportedFormat`].
pub fn decode_backup(bytes: &[u8]) -> Result<(BackupHeader, Vec<BackedUp>)> {
    let mut reader = ArchiveReader::new(bytes, Path::new(DIR).join(BACKUP_NAME))?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let held = match entry.held {
            Held::Deleted => BackedUpValue::Deleted,
            Held::Inline(value) => BackedUpValue::Inline(value.to_vec()),
            Held::Apart(stored) => BackedUpValue::Apart {
                stored: stored.bytes.to_vec(),
                is_compressed: stored.is_compressed,
            },
        };
        let (key, expires_at_ms) = (entry.key.to_vec(), entry.expires_at_ms);
        entries.push(BackedUp { key, expires_at_ms, held });
    }
    Ok((*reader.header(), entries))
}

/// What errors of [`decode_backup`] name, at the end of the path.
///
/// See the example of [`write_backup`].
pub const BACKUP_NAME: &str = "backup";

/// A backup with `entries`, in the encoding of the engine.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::fuzzing::*;
/// let header = BackupHeader { backup: DatabaseId(1), database: DatabaseId(7), seq: SeqNo(5), base: None, created_ms: 0, expiry_floor_ms: 0 };
/// let entry = |key: &str| BackedUp { key: key.into(), expires_at_ms: None, held: BackedUpValue::Inline(b"value".into()) };
/// let mut bytes = write_backup(header, &[entry("a"), entry("b")]);
/// let (said, entries) = decode_backup(&bytes)?;
/// assert_eq!((said, entries.len()), (header, 2));
/// assert_eq!(said.as_ref(), BackupRef { id: DatabaseId(1), seq: SeqNo(5) });
///
/// bytes[12] ^= 1; // The checksum of the header.
/// let refused = decode_backup(&bytes).unwrap_err();
/// assert!(refused.to_string().contains(BACKUP_NAME));
/// fix_backup(&mut bytes);
/// assert_eq!(decode_backup(&bytes)?.1, entries);
/// # Ok(()) }
/// ```
///
/// # Panics
/// When the keys do not rise.
#[must_use]
pub fn write_backup(header: BackupHeader, entries: &[BackedUp]) -> Vec<u8> {
    write_to(StreamOutput(Vec::new()), header, entries).expect("in memory").0
}

fn write_to<O: Output>(output: O, header: BackupHeader, entries: &[BackedUp]) -> Result<O> {
    let mut writer = ArchiveWriter::new(output, InMemory, header)?;
    for BackedUp { key, expires_at_ms, held } in entries {
        let held = match held {
            BackedUpValue::Deleted => Held::Deleted,
            BackedUpValue::Inline(value) => Held::Inline(value.as_slice()),
            BackedUpValue::Apart { stored, is_compressed } => {
                let stored_bytes = u32::try_from(stored.len()).expect("a value has 1 GiB at most");
                let checksum = ValuePointer::checksum(stored);
                let apart = Apart { stored_bytes, is_compressed: *is_compressed, checksum };
                Held::Apart((apart, stored.clone()))
            }
        };
        writer.add(key, *expires_at_ms, held)?;
    }
    Ok(writer.finish()?.0)
}

/// Puts right the checksums of a backup: of the header, of each chunk and of the values behind it, the digest
/// at the end; and the numbers and places that are part of them. Of a chunk in Snappy, the checksums of its values
/// stay, as they are part of what is compressed.
///
/// See the example of [`write_backup`].
pub fn fix_backup(bytes: &mut [u8]) {
    let Some(head) = bytes.first_chunk::<HEADER_SIZE>() else { return };
    let header_size = HEADER_SIZE + BackupHeader::more_bytes(head);
    let Some(header) = bytes.get_mut(..header_size) else { return };
    header[12..16].fill(0);
    let checksum = crc(header).to_le_bytes();
    header[12..16].copy_from_slice(&checksum);
    let Some(backup) = Decoder::new(header.get(16..).unwrap_or_default()).u64() else { return };
    let mut digest = Xxh3::new();
    digest.update(header);
    let (mut at, mut number) = (header_size, 1);
    while let Some(next) = fix_chunk(bytes, at, number, DatabaseId(backup), &mut digest) {
        (at, number) = (next, number + 1);
    }
}

/// Puts the chunk at `at` right, or the end; where the next one starts. `None`: none does.
fn fix_chunk(
    bytes: &mut [u8],
    at: usize,
    number: u64,
    backup: DatabaseId,
    digest: &mut Xxh3,
) -> Option<usize> {
    let (_, _, mut header) = FrameHeader::fields(bytes.get(at..)?)?;
    let body_at = at + FRAME_HEADER_SIZE;
    let body_end = body_at.checked_add(to_usize(header.body_bytes)?)?;
    let (head, behind) = bytes.split_at_mut_checked(body_end)?;
    let body = head.get_mut(body_at..)?;
    let is_end = body.first() == Some(&END) && body.len() == END_SIZE;
    let values_bytes = match *body.first()? {
        _ if is_end => {
            fix_end(body, to_u64(at), digest.digest128());
            0
        }
        PLAIN => fix_values_behind(body, behind),
        SNAPPY => {
            let entries = snappy::decompress(body.get(1..)?, 1 << 20).ok()?;
            fix_values_behind(&mut [&[PLAIN], entries.as_slice()].concat(), behind)
        }
        _ => 0,
    };
    header.body_crc = crc(body);
    (header.sequence, header.durable) = (number, to_u64(at));
    let encoded = header.encode(place(backup, to_u64(at)));
    bytes.get_mut(at..body_at)?.copy_from_slice(&encoded);
    digest.update(bytes.get(at..body_end)?);
    (!is_end).then_some(body_end + values_bytes)
}

fn fix_end(body: &mut [u8], offset: u64, digest: u128) {
    let Some(end) = End::decode(body) else { return };
    body.copy_from_slice(&End { bytes: offset, digest, ..end }.encode());
}

/// Puts right, in the entries of `body`, the checksums of the values that stand `behind` it;
/// how many bytes these are.
fn fix_values_behind(body: &mut [u8], behind: &[u8]) -> usize {
    let (mut at, mut value_at) = (1, 0);
    loop {
        let mut d = Decoder::new(body.get(at..).unwrap_or_default());
        let Some((.., held)) = read_entry(&mut d) else { return value_at };
        at = body.len() - d.rest().len();
        let Held::Apart(apart) = held else { continue };
        let size = usize::try_from(apart.stored_bytes).expect("an address has 32 bits");
        let Some(value) = behind.get(value_at..).and_then(|rest| rest.get(..size)) else {
            return value_at;
        };
        value_at += size;
        // The checksum is the last of an entry.
        let checksum = ValuePointer::checksum(value).to_le_bytes();
        body.get_mut(at - 4..at).unwrap_or_default().copy_from_slice(&checksum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::format::{BackupRef, SeqNo};

    const HEADER: BackupHeader = BackupHeader {
        backup: DatabaseId(3),
        database: DatabaseId(4),
        seq: SeqNo(9),
        base: None,
        created_ms: 5,
        expiry_floor_ms: 0,
    };
    const INCREMENT: BackupHeader =
        BackupHeader { base: Some(BackupRef { id: DatabaseId(2), seq: SeqNo(7) }), ..HEADER };

    /// A full backup and an increment, which has a delete as well.
    fn backups() -> [(BackupHeader, Vec<BackedUp>); 2] {
        let gone =
            BackedUp { key: b"gone".into(), expires_at_ms: None, held: BackedUpValue::Deleted };
        let changed = std::iter::once(gone).chain(entries()).collect();
        [(HEADER, entries()), (INCREMENT, changed)]
    }

    fn entries() -> Vec<BackedUp> {
        let entry = |n: u8| BackedUp {
            key: vec![b'k', n],
            expires_at_ms: (n == 4).then_some(0x0123_4567_89ab),
            held: match n % 3 {
                0 => BackedUpValue::Inline(vec![n, 31 + n, 97 - n]),
                1 => BackedUpValue::Apart { stored: vec![n; 40], is_compressed: false },
                _ => BackedUpValue::Apart {
                    stored: snappy::compress(&[n; 600]).expect("of one byte"),
                    is_compressed: true,
                },
            },
        };
        (0..6).map(entry).collect()
    }

    #[test]
    fn backups_round_trip_and_every_changed_byte_is_told() {
        for (header, entries) in backups() {
            let bytes = write_backup(header, &entries);
            assert_eq!(decode_backup(&bytes).expect("intact"), (header, entries));
            for at in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x40;
                let e = decode_backup(&damaged).expect_err("damaged");
                let is_told =
                    matches!(e, Error::Corruption { .. } | Error::UnsupportedFormat { .. });
                assert!(is_told, "byte {at}: {e}");
            }
        }
    }

    #[test]
    fn a_backup_that_is_right_stays_as_it_is_and_another_is_put_right() {
        // What an increment follows upon is as good as anything else, with its checksum.
        let [(header, entries), (increment, changed)] = backups();
        let mut fixed = write_backup(increment, &changed);
        fixed[72] ^= 1;
        assert!(decode_backup(&fixed).is_err());
        fix_backup(&mut fixed);
        let other = BackupRef { id: DatabaseId(3), seq: SeqNo(7) };
        let expected = (BackupHeader { base: Some(other), ..increment }, changed);
        assert_eq!(decode_backup(&fixed).expect("put right"), expected);
        let bytes = write_backup(header, &entries);
        let mut fixed = bytes.clone();
        fix_backup(&mut fixed);
        assert_eq!(fixed, bytes);
        // A byte of a value that stands apart, and one of an entry.
        let apart = bytes.windows(40).position(|run| run == [1; 40]).expect("a value");
        let inline = bytes.windows(3).position(|run| run == [3, 34, 94]).expect("a value");
        fixed[apart] = 7;
        fixed[inline] = 7;
        assert!(decode_backup(&fixed).is_err());
        fix_backup(&mut fixed);
        let (_, found) = decode_backup(&fixed).expect("put right");
        assert!(found != entries && found.len() == entries.len());
    }
}
