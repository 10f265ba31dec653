//! The bytes of a value file.
//!
//! All numbers are little-endian; `varint` is LEB128.
//!
//! ```text
//! file
//!   header | record 0 .. record n-1 | map | footer
//!   nothing before, between or after them
//!
//! header
//!   0     8  magic "ESKERVAL"
//!   8     4  format version, 1
//!   12    4  checksum: crc of the whole with this field zero
//!   16    8  database id
//!   24    8  file id, as in the file's name
//!
//! record
//!   0     4  checksum over: database id, file id, offset of the record, the fields up to the value
//!   4        varint  size of the fields that follow, up to the value
//!            varint  sequence number of the entry
//!            the pointer (`ValuePointer::encode`) that leads to the value; its offset is 0 where the
//!                    segment has this file's number: there it is where the value stands
//!            varint key length, key
//!   then     the value as stored
//!
//! map: of each record of another segment, in the order of segments and offsets
//!   varint   segment, less that of the entry before
//!   varint   offset in the segment, less that of the entry before, if of the same segment
//!   varint   offset of the value in this file
//!
//! footer                           checksum over: database id, file id, offset of the footer,
//!   0     8  offset of the map     bytes 0 to 16, version
//!   8     4  count of its entries
//!   12    4  checksum: crc of the map
//!   16    4  checksum
//!   20    4  version: 1
//!   24    8  magic: "eskerval"
//! ```
//! Version rule: as for tables.

use crate::error::{Error, Result};
use crate::format::codec::{put_bytes, to_u64, to_usize};
use crate::format::pointer::POINTER_BYTES_MAX;
use crate::format::{
    DatabaseId, Decoder, KEY_BYTES_MAX, SegmentId, SeqNo, ValueFileId, ValuePointer, crc,
    crc_parts, put_u32, put_u64, put_varint,
};
use std::path::Path;

/// The first bytes of a value file.
pub const MAGIC: [u8; 8] = *b"ESKERVAL";
/// The last bytes of a value file.
pub const FOOTER_MAGIC: [u8; 8] = *b"eskerval";
/// The version that this build writes, and the newest it reads.
pub const VERSION: u32 = 1;
/// Size of the header.
pub const HEADER_SIZE: usize = 8 + 4 + 4 + 8 + 8;
const FOOTER_FIELDS_SIZE: usize = 8 + 4 + 4;
/// Size of the footer.
pub const FOOTER_SIZE: usize = FOOTER_FIELDS_SIZE + 4 + 4 + FOOTER_MAGIC.len();
/// Size of what stands before the fields of a record: checksum, and a varint of three bytes at most.
pub const RECORD_PREFIX_BYTES_MAX: usize = 4 + 3;
/// The largest size of the fields of a record.
pub const RECORD_FIELDS_BYTES_MAX: usize = 10 + POINTER_BYTES_MAX + 3 + KEY_BYTES_MAX;

/// Where a value file's bytes belong.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub database: DatabaseId,
    pub file: ValueFileId,
    pub path: &'a Path,
}

impl Place<'_> {
    fn checksum(&self, offset: u64, parts: &[&[u8]]) -> u32 {
        crc_parts(self.database, self.file.into(), offset, parts)
    }

    /// Damage at `offset`.
    pub fn damage(&self, offset: u64, detail: impl Into<String>) -> Error {
        Error::corruption(self.path, offset, detail)
    }

    /// The segment whose values stand where their pointers say.
    pub fn own_segment(&self) -> SegmentId {
        SegmentId(self.file.0)
    }
}

/// The header's bytes.
#[must_use]
pub fn encode_header(place: &Place<'_>) -> [u8; HEADER_SIZE] {
    let mut out = [0; HEADER_SIZE];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[16..24].copy_from_slice(&place.database.0.to_le_bytes());
    out[24..].copy_from_slice(&place.file.0.to_le_bytes());
    let checksum = crc(&out);
    out[12..16].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// The database that the header `bytes` states, unverified; `None` where they are too short for one.
#[must_use]
pub fn stated_database(bytes: &[u8]) -> Option<DatabaseId> {
    let head = bytes.first_chunk::<HEADER_SIZE>()?;
    Decoder::new(&head[16..24]).u64().map(DatabaseId)
}

/// Checks that `bytes` are the header of the file at `place`.
///
/// # Errors
/// [`Error::Corruption`], [`Error::UnsupportedFormat`].
pub fn check_header(place: &Place<'_>, bytes: &[u8]) -> Result<()> {
    let expected = encode_header(place);
    match bytes.first_chunk::<HEADER_SIZE>() {
        Some(found) if *found == expected => Ok(()),
        Some(found) => {
            let mut covered = *found;
            covered[12..16].fill(0);
            let [.., a, b, c, d] = found[..12] else { unreachable!("twelve bytes") };
            let version = u32::from_le_bytes([a, b, c, d]);
            let is_intact = crc(&covered).to_le_bytes() == found[12..16];
            if is_intact && found[..8] == MAGIC && version > VERSION {
                let file = place.path.to_path_buf();
                return Err(Error::UnsupportedFormat { file, found: version, supported: VERSION });
            }
            Err(place.damage(0, "the header is damaged, or of another file or database"))
        }
        None => Err(place.damage(0, "the file is shorter than its header")),
    }
}

/// The checksum of a record at `offset`, of which `head` is what stands between that and the value.
#[cfg(feature = "sim")]
#[must_use]
pub fn record_checksum(place: &Place<'_>, offset: u64, head: &[u8]) -> u32 {
    place.checksum(offset, &[head])
}

/// What a record says of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHead {
    /// The key under which it was set.
    pub key: Vec<u8>,
    /// When.
    pub seq: SeqNo,
    /// The pointer that leads to it.
    pub pointer: ValuePointer,
    /// Where it stands in this file.
    pub value_offset: u64,
}

/// Where the value of a record comes from.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// It is new: nothing points to it yet.
    New {
        /// Its length as it is stored.
        stored_bytes: u32,
        /// That is in Snappy.
        is_compressed: bool,
        /// Its checksum.
        checksum: u32,
    },
    /// It stood elsewhere, and this points to it.
    Moved(ValuePointer),
}

/// Appends to `out` what stands before the value of a record at `offset`; gives the
/// pointer to the value, and where that will stand.
pub fn put_record_head(
    out: &mut Vec<u8>,
    place: &Place<'_>,
    offset: u64,
    key: &[u8],
    seq: SeqNo,
    origin: Origin,
) -> (ValuePointer, u64) {
    let mut pointer = match origin {
        Origin::Moved(pointer) => pointer,
        Origin::New { stored_bytes, is_compressed, checksum } => {
            let segment = place.own_segment();
            ValuePointer { segment, offset: 0, stored_bytes, is_compressed, checksum }
        }
    };
    let mut fields = Vec::with_capacity(64 + key.len());
    put_varint(&mut fields, seq.0);
    pointer.encode(&mut fields);
    put_bytes(&mut fields, key);
    let mut size = Vec::new();
    put_varint(&mut size, to_u64(fields.len()));
    put_u32(out, place.checksum(offset, &[&size, &fields]));
    out.extend_from_slice(&size);
    out.extend_from_slice(&fields);
    let value_offset = offset + to_u64(4 + size.len() + fields.len());
    if let Origin::New { .. } = origin {
        pointer.offset = value_offset;
    }
    (pointer, value_offset)
}

/// Reads what stands before the value of the record at `offset`, off the front of `bytes`.
///
/// # Errors
/// [`Error::Corruption`].
pub fn read_record_head(place: &Place<'_>, offset: u64, bytes: &[u8]) -> Result<RecordHead> {
    let damaged = || place.damage(offset, "the record of a value is damaged");
    let mut d = Decoder::new(bytes);
    let found = d.u32().ok_or_else(damaged)?;
    let covered = d.rest();
    let size = d.varint_usize().filter(|&n| n <= RECORD_FIELDS_BYTES_MAX).ok_or_else(damaged)?;
    let size_bytes = covered.len() - d.rest().len();
    let fields = d.take(size).ok_or_else(damaged)?;
    let covered = covered.get(..size_bytes + size).ok_or_else(damaged)?;
    if place.checksum(offset, &[covered]) != found {
        return Err(damaged());
    }
    let value_offset = offset + to_u64(4 + covered.len());
    decode_fields(place, fields, value_offset).ok_or_else(damaged)
}

fn decode_fields(place: &Place<'_>, fields: &[u8], value_offset: u64) -> Option<RecordHead> {
    let mut d = Decoder::new(fields);
    let seq = SeqNo(d.varint()?);
    let mut pointer = ValuePointer::read(&mut d)?;
    if pointer.segment == place.own_segment() {
        pointer.offset = value_offset;
    }
    let key = d.bytes().filter(|key| key.len() <= KEY_BYTES_MAX)?.to_vec();
    (d.is_empty() && seq <= SeqNo::MAX).then_some(RecordHead { key, seq, pointer, value_offset })
}

/// The footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// Where the map begins, and the records end.
    pub map_offset: u64,
    /// How many entries it has.
    pub entries: u32,
    /// Its checksum.
    pub map_crc: u32,
}

impl Footer {
    /// The footer's bytes, standing at `offset`.
    #[must_use]
    pub fn encode(&self, place: &Place<'_>, offset: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_SIZE);
        put_u64(&mut out, self.map_offset);
        put_u32(&mut out, self.entries);
        put_u32(&mut out, self.map_crc);
        let version = VERSION.to_le_bytes();
        let checksum = place.checksum(offset, &[&out, &version]);
        put_u32(&mut out, checksum);
        out.extend_from_slice(&version);
        out.extend_from_slice(&FOOTER_MAGIC);
        out
    }

    /// What the footer `bytes` states, unverified.
    #[cfg(feature = "sim")]
    #[must_use]
    pub fn stated(bytes: &[u8]) -> Option<Footer> {
        let mut d = Decoder::new(bytes);
        Some(Footer { map_offset: d.u64()?, entries: d.u32()?, map_crc: d.u32()? })
    }

    /// Reads the footer that stands at `offset`.
    ///
    /// # Errors
    /// [`Error::UnsupportedFormat`] for a newer version, else [`Error::Corruption`].
    pub fn decode(place: &Place<'_>, offset: u64, bytes: &[u8; FOOTER_SIZE]) -> Result<Footer> {
        let damaged = || {
            let detail = "the footer is damaged, or of another file or database";
            place.damage(offset, detail)
        };
        let mut d = Decoder::new(bytes);
        let fields = d.take(FOOTER_FIELDS_SIZE).ok_or_else(damaged)?;
        let found = d.u32().ok_or_else(damaged)?;
        let version = d.u32().ok_or_else(damaged)?;
        if d.rest() != FOOTER_MAGIC {
            return Err(damaged());
        }
        if version > VERSION {
            let file = place.path.to_path_buf();
            return Err(Error::UnsupportedFormat { file, found: version, supported: VERSION });
        }
        if place.checksum(offset, &[fields, &version.to_le_bytes()]) != found || version != VERSION
        {
            return Err(damaged());
        }
        let mut d = Decoder::new(fields);
        let footer = Footer {
            map_offset: d.u64().ok_or_else(damaged)?,
            entries: d.u32().ok_or_else(damaged)?,
            map_crc: d.u32().ok_or_else(damaged)?,
        };
        let is_possible = to_usize(footer.map_offset).is_some()
            && footer.map_offset >= to_u64(HEADER_SIZE)
            && footer.map_offset <= offset;
        if is_possible { Ok(footer) } else { Err(damaged()) }
    }
}
