//! The bytes of a backup.
//!
//! All numbers are little-endian; `varint` is LEB128.
//!
//! ```text
//! file
//!   header | chunk 1 .. chunk n | end
//!   nothing before, between or after them
//!
//! header
//!    0     8  magic "ESKERBAK"
//!    8     4  format version, 1
//!   12     4  checksum: crc of the whole with this field zero
//!   16     8  backup id: drawn by chance, part of all checksums that follow
//!   24     8  database id; of an engine in memory, one that it drew
//!   32     8  sequence number: it holds what was visible then
//!   40     8  base: of an increment, the sequence number after which it has all changes; else 0
//!   48     8  when it was made, ms since the epoch
//!   56     8  expiry floor, ms
//!   64     4  kind: 0 full, 1 increment
//!   68     4  zero
//!   72     8  of an increment alone: the backup id of the one upon which it follows
//!
//! chunk
//!    0    32  frame header (`crate::format::frame`): database is the backup id, file is 0, the
//!             offset is that in the backup, sequence counts chunks from 1, durable is the offset
//!   32     1  how the entries are stored: 0 as they are, 1 in Snappy
//!   33        entries
//!   then      the values of those that have theirs apart, in order, with nothing between
//!
//! entry, its key greater than that of the one before, in this chunk or in an earlier one
//!   varint    how many bytes of the key are those of the entry before in the chunk
//!   varint    how many follow, and these
//!        1    kind (`EntryKind`): 0 deleted, 1 set, 2 set expiring, 3 value apart, 4 the same, expiring
//!        8    where it expires: when, ms since the epoch
//!   varint    kinds 1, 2: the value's length, and the value
//!   varint    kinds 3, 4: twice the value's length as stored, and 1 where it is in Snappy
//!        4    the same: crc of the value as stored
//!
//! end
//!    0    32  frame header, as of a chunk
//!   32     1  2
//!   33     8  count of entries
//!   41     8  of these, of deletes
//!   49     8  bytes of the file up to here
//!   57    16  digest: XXH3-128 over the header, and over frame header and body of each chunk. Through
//!             their checksums it covers the values that stand apart
//! ```
//! Version rule: an unknown version is refused; a change of this layout raises it. The header
//! stays where it is.
//!
//! A checksum proves accident and not attack: whoever can write a backup can write any content
//! into it. So what is read here is checked as if it came from anybody.

use crate::error::{Error, Result};
use crate::format::codec::{put_bytes, to_u64};
use crate::format::key::EXPIRY_SIZE;
use crate::format::{
    BackupRef, DatabaseId, Decoder, EntryKind, FileId, FrameHeader, FramePlace, KEY_BYTES_MAX,
    SeqNo, crc, put_u32, put_u64, put_varint,
};
use std::path::Path;

/// The first bytes of a backup.
pub const MAGIC: [u8; 8] = *b"ESKERBAK";
/// The version that this build writes, and the newest it reads.
pub const VERSION: u32 = 1;
/// Size of the header.
pub const HEADER_SIZE: usize = 8 + 4 + 4 + 8 + 8 + 8 + 8 + 8 + 8 + 4 + 4;
const _: () = assert!(HEADER_SIZE == 72);
/// By how much that of an increment is longer.
pub const BASE_SIZE: usize = 8;
/// Where it says of which kind it is.
const KIND_AT: usize = HEADER_SIZE - 4 - 4;
const FULL: u32 = 0;
const INCREMENT: u32 = 1;
/// Size of the end's body.
pub const END_SIZE: usize = 1 + 8 + 8 + 8 + 16;

/// The first byte of a body.
pub const PLAIN: u8 = 0;
/// The same: its entries are in Snappy.
pub const SNAPPY: u8 = 1;
/// The same: it is the end.
pub const END: u8 = 2;

/// A value of so many bytes and more stands apart.
pub const APART_BYTES_MIN: usize = 1 << 10;
/// A chunk ends when its entries take so many bytes, or
pub const ENTRIES_BYTES: usize = 256 << 10;
/// the values of its entries that stand apart.
pub const APART_BYTES: u64 = 1 << 20;
/// No chunk's entries take more, in bytes, in Snappy or not.
pub const ENTRIES_BYTES_MAX: usize = 1 << 20;
/// The most that one entry takes among the entries of a chunk.
pub const ENTRY_BYTES_MAX: usize = 10 + 10 + KEY_BYTES_MAX + 1 + EXPIRY_SIZE + 10 + APART_BYTES_MIN;
const _: () = assert!(ENTRIES_BYTES + ENTRY_BYTES_MAX < ENTRIES_BYTES_MAX);

/// What a backup says of itself.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
/// use esker::fuzzing::{BackupHeader as Header, decode_backup};
/// db.set("a", "1")?;
/// let mut bytes = Vec::new();
/// let report = db.backup_to(&mut bytes, esker::BackupOptions::default())?;
/// let (header, entries): (Header, _) = decode_backup(&bytes)?;
/// assert_eq!((header.backup.0, header.seq.0), (report.backup_id, 1));
/// assert_eq!((header.base, entries.len()), (None, 1)); // All there is, not an increment.
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Drawn by chance.
    pub backup: DatabaseId,
    /// Whose content it is.
    pub database: DatabaseId,
    /// It holds what was visible then.
    pub seq: SeqNo,
    /// For an increment, the backup upon which it follows: it has all changes since then.
    pub base: Option<BackupRef>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Everything that expires by then has been seen expired.
    pub expiry_floor_ms: u64,
}

impl Header {
    /// How those that follow upon it name it.
    ///
    /// See the example of [`crate::fuzzing::write_backup`].
    #[must_use]
    pub fn as_ref(&self) -> BackupRef {
        BackupRef { id: self.backup, seq: self.seq }
    }

    /// Its bytes.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// use esker::fuzzing::{BackupHeader, BackupRef, DatabaseId, SeqNo};
    /// let base = Some(BackupRef { id: DatabaseId(1), seq: SeqNo(5) });
    /// let header = BackupHeader { backup: DatabaseId(2), database: DatabaseId(7), seq: SeqNo(9), base, created_ms: 0, expiry_floor_ms: 0 };
    /// let bytes = header.encode();
    /// let (head, more) = bytes.split_first_chunk().expect("it is longer");
    /// assert_eq!(more.len(), BackupHeader::more_bytes(head)); // What the base takes.
    /// assert_eq!(BackupHeader::decode(head, more, "backup".as_ref())?, header);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_SIZE + BASE_SIZE);
        out.extend_from_slice(&MAGIC);
        put_u32(&mut out, VERSION);
        put_u32(&mut out, 0);
        put_u64(&mut out, self.backup.0);
        put_u64(&mut out, self.database.0);
        put_u64(&mut out, self.seq.0);
        put_u64(&mut out, self.base.map_or(SeqNo::ZERO, |base| base.seq).0);
        put_u64(&mut out, self.created_ms);
        put_u64(&mut out, self.expiry_floor_ms);
        put_u32(&mut out, if self.base.is_some() { INCREMENT } else { FULL });
        put_u32(&mut out, 0);
        if let Some(base) = self.base {
            put_u64(&mut out, base.id.0);
        }
        let checksum = crc(&out);
        out[12..16].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// How many bytes more a header has that begins with `head`.
    ///
    /// See the example of [`Header::encode`].
    #[must_use]
    pub fn more_bytes(head: &[u8; HEADER_SIZE]) -> usize {
        let is_increment = head[..8] == MAGIC && head[KIND_AT..][..4] == INCREMENT.to_le_bytes();
        if is_increment { BASE_SIZE } else { 0 }
    }

    /// The inverse of [`Header::encode`]; `more` is what [`Header::more_bytes`] asks for.
    ///
    /// See the example of [`Header::encode`].
    ///
    /// # Errors
    /// [`Error::Corruption`], [`Error::UnsupportedFormat`].
    pub fn decode(head: &[u8; HEADER_SIZE], more: &[u8], path: &Path) -> Result<Header> {
        let damaged = |detail: &str| Error::corruption(path, 0, detail);
        if head[..8] != MAGIC {
            return Err(damaged("this is no backup: it does not begin with ESKERBAK"));
        }
        let mut covered = *head;
        covered[12..16].fill(0);
        if crc(&[&covered, more].concat()).to_le_bytes() != head[12..16] {
            return Err(damaged("the checksum of the header does not match"));
        }
        let bytes = [head.get(8..).unwrap_or_default(), more].concat();
        let mut d = Decoder::new(&bytes);
        let version = d.u32().unwrap_or_default();
        if version > VERSION {
            let file = path.to_path_buf();
            return Err(Error::UnsupportedFormat { file, found: version, supported: VERSION });
        }
        Header::fields(&mut d)
            .filter(|_| version == VERSION)
            .ok_or_else(|| damaged("the header says what no backup says of itself"))
    }

    fn fields(d: &mut Decoder<'_>) -> Option<Header> {
        d.u32()?;
        let (backup, database) = (DatabaseId(d.u64()?), DatabaseId(d.u64()?));
        let (seq, base_seq) = (SeqNo(d.u64()?), SeqNo(d.u64()?));
        let (created_ms, expiry_floor_ms) = (d.u64()?, d.u64()?);
        let base = match (d.u32()?, d.u32()?) {
            (FULL, 0) if base_seq == SeqNo::ZERO => None,
            (INCREMENT, 0) if base_seq <= seq => {
                Some(BackupRef { id: DatabaseId(d.u64()?), seq: base_seq })
            }
            _ => return None,
        };
        let is_possible = seq <= SeqNo::COUNTED_FROM_MAX && d.is_empty();
        let header = Header { backup, database, seq, base, created_ms, expiry_floor_ms };
        is_possible.then_some(header)
    }
}

/// Where in the backup `backup` a frame stands.
#[must_use]
pub fn place(backup: DatabaseId, offset: u64) -> FramePlace {
    FramePlace { database: backup, file: FileId(0), offset }
}

/// Appends a frame of `body`, the `number`th of `backup`.
pub fn put_frame(out: &mut Vec<u8>, backup: DatabaseId, offset: u64, number: u64, body: &[u8]) {
    let header = FrameHeader {
        body_crc: crc(body),
        body_bytes: to_u64(body.len()),
        sequence: number,
        durable: offset,
    };
    out.extend_from_slice(&header.encode(place(backup, offset)));
    out.extend_from_slice(body);
}

/// What an entry has for a value, `A` being what is known of one that stands apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held<'a, A> {
    /// None: the key was deleted.
    Deleted,
    /// The value itself.
    Inline(&'a [u8]),
    /// A value that stands behind the entries of the chunk.
    Apart(A),
}

/// What an entry says of a value that stands apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Apart {
    /// Its length as stored.
    pub stored_bytes: u32,
    /// It is stored in Snappy.
    pub is_compressed: bool,
    /// Its crc as stored.
    pub checksum: u32,
}

/// Appends an entry with a key that shares `shared` bytes with the one before.
pub fn put_entry(
    out: &mut Vec<u8>,
    key: &[u8],
    shared: usize,
    expires_at_ms: Option<u64>,
    held: &Held<'_, Apart>,
) {
    put_varint(out, to_u64(shared));
    put_bytes(out, key.get(shared..).unwrap_or_default());
    let kind = match (held, expires_at_ms) {
        (Held::Deleted, _) => EntryKind::Delete,
        (Held::Inline(_), None) => EntryKind::Set,
        (Held::Inline(_), Some(_)) => EntryKind::SetExpiring,
        (Held::Apart(_), None) => EntryKind::SetPointer,
        (Held::Apart(_), Some(_)) => EntryKind::SetPointerExpiring,
    };
    out.push(kind as u8);
    if let Some(expires_at_ms) = expires_at_ms {
        put_u64(out, expires_at_ms);
    }
    match held {
        Held::Deleted => {}
        Held::Inline(value) => put_bytes(out, value),
        Held::Apart(Apart { stored_bytes, is_compressed, checksum }) => {
            put_varint(out, u64::from(*stored_bytes) << 1 | u64::from(*is_compressed));
            put_u32(out, *checksum);
        }
    }
}

/// An entry of a chunk: how much of the key before it shares, the rest of its key, when it
/// expires, and its value.
pub type RawEntry<'a> = (usize, &'a [u8], Option<u64>, Held<'a, Apart>);

/// Reads what [`put_entry`] wrote off the front of what is left; `None` where there is none.
pub fn read_entry<'a>(d: &mut Decoder<'a>) -> Option<RawEntry<'a>> {
    let shared = d.varint_usize()?;
    let rest = d.bytes()?;
    let kind = EntryKind::from_byte(d.u8()?)?;
    let expires_at_ms = match kind {
        EntryKind::SetExpiring | EntryKind::SetPointerExpiring => Some(d.u64()?),
        _ => None,
    };
    let held = match kind {
        EntryKind::Delete => Held::Deleted,
        EntryKind::Set | EntryKind::SetExpiring => Held::Inline(d.bytes()?),
        EntryKind::SetPointer | EntryKind::SetPointerExpiring => {
            let length = d.varint()?;
            let stored_bytes = u32::try_from(length >> 1).ok()?;
            Held::Apart(Apart { stored_bytes, is_compressed: length & 1 == 1, checksum: d.u32()? })
        }
    };
    Some((shared, rest, expires_at_ms, held))
}

/// What the end says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Entries.
    pub entries: u64,
    /// Of these, of deletes.
    pub deletes: u64,
    /// Bytes of the file up to the end's frame.
    pub bytes: u64,
    /// Digest of it.
    pub digest: u128,
}

impl End {
    /// The body of its frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(END_SIZE);
        out.push(END);
        put_u64(&mut out, self.entries);
        put_u64(&mut out, self.deletes);
        put_u64(&mut out, self.bytes);
        out.extend_from_slice(&self.digest.to_le_bytes());
        out
    }

    /// The inverse of [`End::encode`].
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<End> {
        let mut d = Decoder::new(body);
        if d.u8()? != END {
            return None;
        }
        let (entries, deletes, bytes) = (d.u64()?, d.u64()?, d.u64()?);
        let digest = u128::from_le_bytes(*d.take(16)?.first_chunk()?);
        d.is_empty().then_some(End { entries, deletes, bytes, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_round_trip_and_each_flipped_bit_is_told() {
        let header = Header {
            backup: DatabaseId(1),
            database: DatabaseId(2),
            seq: SeqNo(9),
            base: Some(BackupRef { id: DatabaseId(7), seq: SeqNo(3) }),
            created_ms: 4,
            expiry_floor_ms: 5,
        };
        for (header, size) in [(header, 80), (Header { base: None, ..header }, 72)] {
            let bytes = header.encode();
            let decoded = |bytes: &[u8]| {
                let (head, more) = bytes.split_first_chunk::<HEADER_SIZE>().expect("long enough");
                let more = more.get(..Header::more_bytes(head)).unwrap_or_default();
                Header::decode(head, more, Path::new("b"))
            };
            assert_eq!((decoded(&bytes).expect("sound"), bytes.len()), (header, size));
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let e = decoded(&flipped).expect_err("damaged");
                assert!(matches!(e, Error::Corruption { .. }), "bit {bit}: {e}");
            }
        }
    }

    #[test]
    fn example_entry() {
        let mut out = Vec::new();
        put_entry(&mut out, b"ab", 1, None, &Held::Inline(b"hi"));
        let apart = Apart { stored_bytes: 3, is_compressed: true, checksum: 1 };
        put_entry(&mut out, b"ac", 1, Some(2), &Held::Apart(apart));
        assert_eq!(out[..7], [1, 1, b'b', 1, 2, b'h', b'i']);
        assert_eq!(out[7..], [1, 1, b'c', 4, 2, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0, 0]);
        let mut d = Decoder::new(&out);
        assert_eq!(read_entry(&mut d), Some((1, &b"b"[..], None, Held::Inline(b"hi"))));
        assert_eq!(read_entry(&mut d), Some((1, &b"c"[..], Some(2), Held::Apart(apart))));
        assert!(d.is_empty());
    }
}
