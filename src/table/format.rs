//! The bytes of a table.
//!
//! All numbers are little-endian; `varint` is LEB128.
//!
//! ```text
//! file
//!   data block 0 .. data block n-1 | properties block
//!   filter page 0 .. | index page 0 .. | root | footer
//!   nothing before, between or after them; pages and root are stored as blocks are
//!
//! block, as stored                      checksum over: database id, table id,
//!   0     k  payload                    offset of the block in the file,
//!   k     1  0: raw  1: Snappy          payload as stored, the compression byte
//!   k+1   4  checksum
//!
//! data block, its payload uncompressed
//!   values    the payloads of the entries, in order
//!   keys      of each entry: varint shared, varint unshared, unshared bytes.
//!             `shared` is how many bytes the key has in common with the key
//!             before, all of them; 0 for every 16th entry, where a restart is
//!   restarts  4 bytes for every 16th entry: where it starts in `keys`
//!   versions  `version width` bytes for each entry:
//!             (sequence number - base) << 3 | kind
//!   ends      `end width` bytes for each entry: where its payload ends in `values`
//!   tail      0   8  base: the lowest sequence number
//!             8   4  count of entries, at least 1
//!             12  4  size of `keys`
//!             16  1  version width, 1 to 8
//!             17  1  end width, 1 to 4
//!
//! filter page, its payload, never compressed
//!   32 lines of 64 bytes, the last page what is left. The lines of all pages have 11 bits for
//!   each key (all versions of one count once), or up to twice that where their count was
//!   only foretold, in a table with entries one line at least; of each key, by its XXH3 hash h,
//!   line    (h * count of lines) >> 64
//!   bits    six of the 512 of that line: h * 0x9e3779b97f4a7c15 modulo 2^64,
//!           its upper 54 bits in six numbers of 9 bits; bit n is bit n % 8 of byte n / 8
//!
//! index page, its payload, never compressed
//!   varint  where its first data block starts
//!   entries of the data blocks from there on, at least one
//!
//! entry of an index
//!   varint  the size as stored of the block or page
//!   4       its checksum
//!   varint  0: the separator is before all versions of its key;
//!           s + 1: it is (key, sequence number s)
//!   varint shared, varint unshared, unshared bytes: the separator's key; `shared` is 0 at
//!           the front. That of block 0 is "", before everything; that of a page is that
//!           of its first block
//!
//! root, its payload, never compressed
//!   0   8  digest of all data blocks, filter pages and index pages, in this order
//!   varint  the count of the filter's lines
//!   4      for each filter page: its checksum
//!   entries of the index pages
//!
//! properties block, its payload, never compressed
//!   what `Properties::encode` writes, nothing after it
//!
//! footer                                checksum over: database id, table id,
//!   0   8  offset of the properties     offset of the footer, bytes 0 to 40,
//!   8   8  offset of the filter         version
//!   16  8  offset of the index
//!   24  8  offset of the root
//!   32  8  digest: that in the root, with the root added
//!   40  4  checksum
//!   44  4  version: 1
//!   48  8  magic: "eskertbl"
//! ```
//!
//! Keys, versions and payloads stand apart so that a search touches few cache
//! lines, and so that a version takes the bytes it needs and not 8.
//!
//! Version rule: version and magic keep their place, counted from the file's
//! end, in every version. A change to anything above is a new version; a
//! reader refuses versions above its own, before it looks at a checksum whose place it
//! cannot know: damage in those four bytes may be told as a newer version.

use crate::error::{Error, Result};
use crate::format::codec::{to_u64, to_usize};
use crate::format::snappy::{decompress, decompress_into};
use crate::format::{
    DatabaseId, Decoder, KEY_BYTES_MAX, TableId, VALUE_BYTES_MAX, crc_parts, put_u32, put_u64,
};
use crate::options::Compression;
use std::ops::DerefMut;
use std::path::Path;

/// The magic at the very end of a table.
pub const MAGIC: [u8; 8] = *b"eskertbl";
/// The version that this build writes, and the newest it reads.
pub const VERSION: u32 = 1;

const FOOTER_FIELDS_SIZE: usize = 8 + 8 + 8 + 8 + 8;
/// Size of the footer.
pub const FOOTER_SIZE: usize = FOOTER_FIELDS_SIZE + 4 + 4 + MAGIC.len();
const _: () = assert!(FOOTER_SIZE == 56);

/// A page or a block in the file: where it starts, where it ends, its checksum.
pub type Extent = (u64, u64, u32);

/// Size of what follows a block's payload: compression and checksum.
pub const TRAILER_SIZE: usize = 1 + 4;
/// Size of the tail of a data block.
pub const TAIL_SIZE: usize = 8 + 4 + 4 + 1 + 1;
const _: () = assert!(TAIL_SIZE == 18);
/// Size of one restart.
pub const RESTART_SIZE: usize = 4;
/// Every how many entries a key stands whole.
pub const RESTART_INTERVAL: usize = 16;
/// Bits of a version that are the kind.
pub const KIND_BITS: u32 = 3;

/// The largest block that is aimed at, whatever `block_bytes` says.
pub const BLOCK_TARGET_BYTES_MAX: usize = 1 << 20;
/// The largest data block uncompressed: one entry of the largest key and value,
/// or many up to the target (INV-5).
pub const BLOCK_BYTES_MAX: usize = VALUE_BYTES_MAX + KEY_BYTES_MAX + BLOCK_TARGET_BYTES_MAX;
// Offsets inside a block fit the 32 bits that restarts and ends give them.
const _: () = assert!(BLOCK_BYTES_MAX < u32::MAX as usize);

/// Where a table's bytes belong.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub database: DatabaseId,
    pub table: TableId,
    pub path: &'a Path,
}

impl Place<'_> {
    /// Of `parts`, one after the other, at `offset`.
    pub fn checksum(&self, offset: u64, parts: &[&[u8]]) -> u32 {
        crc_parts(self.database, self.table.into(), offset, parts)
    }

    /// Damage at `offset`.
    pub fn damage(&self, offset: u64, detail: impl Into<String>) -> Error {
        Error::corruption(self.path, offset, detail)
    }
}

/// The trailer of the block at `offset`, and the checksum in it.
#[must_use]
pub fn block_trailer(
    place: &Place<'_>,
    offset: u64,
    compression: Compression,
    payload: &[u8],
) -> ([u8; TRAILER_SIZE], u32) {
    let flag = match compression {
        Compression::None => 0,
        Compression::Snappy => 1,
    };
    let checksum = place.checksum(offset, &[payload, &[flag]]);
    let [a, b, c, d] = checksum.to_le_bytes();
    ([flag, a, b, c, d], checksum)
}

/// Checks the block at `offset` as stored, and gives how it is compressed, and
/// its payload as stored.
///
/// `expected`: the checksum that the index holds for it, where there is one.
///
/// # Errors
/// [`Error::Corruption`] where the checksum or the compression is wrong.
pub fn check_block<'a>(
    place: &Place<'_>,
    offset: u64,
    stored: &'a [u8],
    expected: Option<u32>,
) -> Result<(Compression, &'a [u8])> {
    let short = || place.damage(offset, "a block is shorter than its trailer");
    let (payload, trailer) = stored.split_last_chunk::<TRAILER_SIZE>().ok_or_else(short)?;
    let computed = place.checksum(offset, &[payload, &trailer[..1]]);
    let [flag, checksum @ ..] = *trailer;
    let found = u32::from_le_bytes(checksum);
    if computed != found || expected.is_some_and(|e| e != found) {
        let expected = expected.map_or(String::new(), |e| format!(", index {e:#010x}"));
        return Err(place.damage(
            offset,
            format!(
                "block checksum: computed {computed:#010x}, block {found:#010x}{expected}; \
                 damaged, or not a block of this table"
            ),
        ));
    }
    match flag {
        0 => Ok((Compression::None, payload)),
        1 => Ok((Compression::Snappy, payload)),
        _ => Err(place.damage(offset, format!("compression: expected 0 or 1, found {flag}"))),
    }
}

/// Checks the block at `offset` as [`check_block`] does, and gives its payload
/// uncompressed: without a copy where it is stored so.
///
/// # Errors
/// [`Error::Corruption`]; also where the uncompressed size is wrong.
pub fn open_block(
    place: &Place<'_>,
    offset: u64,
    mut stored: Vec<u8>,
    expected: Option<u32>,
) -> Result<Vec<u8>> {
    match check_block(place, offset, &stored, expected)? {
        (Compression::None, payload) => {
            let payload_size = payload.len();
            stored.truncate(payload_size);
            Ok(stored)
        }
        (Compression::Snappy, payload) => decompress(payload, to_u64(BLOCK_BYTES_MAX))
            .map_err(|detail| place.damage(offset, detail)),
    }
}

/// As [`open_block`], of a block that may be one of many in memory; into what `room` gives for so many
/// bytes, if it does.
///
/// # Errors
/// As [`open_block`].
pub fn open_block_into<B: DerefMut<Target = [u8]> + From<Vec<u8>>>(
    place: &Place<'_>,
    offset: u64,
    stored: &[u8],
    expected: Option<u32>,
    room: impl FnOnce(usize) -> Option<B>,
) -> Result<B> {
    match check_block(place, offset, stored, expected)? {
        (Compression::None, payload) => {
            let Some(mut bytes) = room(payload.len()) else { return Ok(payload.to_vec().into()) };
            bytes.copy_from_slice(payload);
            Ok(bytes)
        }
        (Compression::Snappy, payload) => {
            let room = |size| room(size).unwrap_or_else(|| vec![0; size].into());
            decompress_into(payload, to_u64(BLOCK_BYTES_MAX), room)
                .map_err(|detail| place.damage(offset, detail))
        }
    }
}

/// Whether the block at `offset` is one that is never compressed.
///
/// # Errors
/// [`Error::Corruption`] where it is not.
pub fn expect_uncompressed(place: &Place<'_>, offset: u64, compression: Compression) -> Result<()> {
    if compression == Compression::None {
        return Ok(());
    }
    let detail = "the block is compressed, which a page of filter or index, or the root, never is";
    Err(place.damage(offset, detail))
}

/// Adds one 64-bit word to a digest; each step is invertible, so two files
/// differ in their digests if they differ in one word.
#[must_use]
pub fn digest_step(digest: u64, word: u64) -> u64 {
    let mixed = (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// Adds a block to a digest, by its checksum and size as stored.
#[must_use]
pub fn digest_block(digest: u64, checksum: u32, stored_size: u64) -> u64 {
    digest_step(digest_step(digest, u64::from(checksum)), stored_size)
}

/// The footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// Where the properties block starts; also the size of all data blocks.
    pub properties_offset: u64,
    /// Where the first page of the filter starts.
    pub filter_offset: u64,
    /// Where the first page of the index starts.
    pub index_offset: u64,
    /// Where the root starts.
    pub root_offset: u64,
    /// Identifies the table's content.
    pub digest: u64,
}

impl Footer {
    /// The footer's bytes, standing at `offset`.
    #[must_use]
    pub fn encode(&self, place: &Place<'_>, offset: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_SIZE);
        put_u64(&mut out, self.properties_offset);
        put_u64(&mut out, self.filter_offset);
        put_u64(&mut out, self.index_offset);
        put_u64(&mut out, self.root_offset);
        put_u64(&mut out, self.digest);
        let version = VERSION.to_le_bytes();
        let checksum = place.checksum(offset, &[&out, &version]);
        put_u32(&mut out, checksum);
        out.extend_from_slice(&version);
        out.extend_from_slice(&MAGIC);
        out
    }

    /// Reads the footer that stands at `offset`.
    ///
    /// # Errors
    /// [`Error::UnsupportedFormat`] for a newer version, else [`Error::Corruption`].
    pub fn decode(place: &Place<'_>, offset: u64, bytes: &[u8; FOOTER_SIZE]) -> Result<Footer> {
        let short = || place.damage(offset, "the footer is short");
        let mut d = Decoder::new(bytes);
        let fields = d.take(FOOTER_FIELDS_SIZE).ok_or_else(short)?;
        let found = d.u32().ok_or_else(short)?;
        let version = d.u32().ok_or_else(short)?;
        if d.rest() != MAGIC {
            return Err(place.damage(
                offset,
                format!("magic: expected {MAGIC:?}, found {:?}; not a table", d.rest()),
            ));
        }
        if version > VERSION {
            let file = place.path.to_path_buf();
            return Err(Error::UnsupportedFormat { file, found: version, supported: VERSION });
        }
        let computed = place.checksum(offset, &[fields, &version.to_le_bytes()]);
        if computed != found || version != VERSION {
            return Err(place.damage(
                offset,
                format!(
                    "footer of version {version}: computed checksum {computed:#010x}, \
                     found {found:#010x}; damaged, or a file of another table or database"
                ),
            ));
        }
        let mut d = Decoder::new(fields);
        let footer = Footer {
            properties_offset: d.u64().ok_or_else(short)?,
            filter_offset: d.u64().ok_or_else(short)?,
            index_offset: d.u64().ok_or_else(short)?,
            root_offset: d.u64().ok_or_else(short)?,
            digest: d.u64().ok_or_else(short)?,
        };
        let Footer { properties_offset, filter_offset, index_offset, root_offset, .. } = footer;
        if ![properties_offset, filter_offset, index_offset, root_offset, offset].is_sorted() {
            return Err(place.damage(
                offset,
                format!(
                    "offsets: expected properties {properties_offset} <= filter {filter_offset} \
                     <= index {index_offset} <= root {root_offset} <= footer {offset}"
                ),
            ));
        }
        Ok(footer)
    }
}

/// The difference of two offsets as a size in memory, where it is one.
#[must_use]
pub fn span(from: u64, to: u64) -> Option<usize> {
    to.checked_sub(from).and_then(to_usize)
}

/// The size as stored of a block with this payload.
#[must_use]
pub fn stored_size(payload: &[u8]) -> u64 {
    to_u64(payload.len() + TRAILER_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place<'static> {
        Place { database: DatabaseId(1), table: TableId(2), path: Path::new("000002.tbl") }
    }

    #[test]
    fn example_footer() {
        let footer = Footer {
            properties_offset: 100,
            filter_offset: 150,
            index_offset: 200,
            root_offset: 250,
            digest: 0x0807,
        };
        let bytes = footer.encode(&place(), 300);
        let expected = [
            100, 0, 0, 0, 0, 0, 0, 0, // properties
            150, 0, 0, 0, 0, 0, 0, 0, // filter
            200, 0, 0, 0, 0, 0, 0, 0, // index
            250, 0, 0, 0, 0, 0, 0, 0, // root
            7, 8, 0, 0, 0, 0, 0, 0, // digest
            0, 0, 0, 0, // checksum, below
            1, 0, 0, 0, // version
            b'e', b's', b'k', b'e', b'r', b't', b'b', b'l',
        ];
        assert_eq!(bytes[..40], expected[..40]);
        assert_eq!(bytes[44..], expected[44..]);
        let bytes: [u8; FOOTER_SIZE] = bytes.try_into().expect("size");
        assert_eq!(Footer::decode(&place(), 300, &bytes).expect("valid"), footer);
        assert!(Footer::decode(&place(), 301, &bytes).is_err(), "another place");
    }

    #[test]
    fn a_newer_version_is_no_corruption() {
        let (properties_offset, filter_offset, index_offset, root_offset) = (1, 1, 2, 2);
        let footer =
            Footer { properties_offset, filter_offset, index_offset, root_offset, digest: 3 };
        let mut bytes: [u8; FOOTER_SIZE] = footer.encode(&place(), 9).try_into().expect("size");
        bytes[44] = 2;
        let error = Footer::decode(&place(), 9, &bytes).expect_err("newer");
        assert!(
            matches!(error, Error::UnsupportedFormat { found: 2, supported: 1, .. }),
            "{error}"
        );
        bytes[44] = 0;
        let error = Footer::decode(&place(), 9, &bytes).expect_err("never was");
        assert!(matches!(error, Error::Corruption { .. }), "{error}");
    }

    #[test]
    fn the_checksum_covers_the_place_and_the_compression() {
        let of = |place: &Place<'_>, offset, how| block_trailer(place, offset, how, b"bytes").1;
        let checksum = of(&place(), 5, Compression::None);
        assert_ne!(checksum, of(&place(), 5, Compression::Snappy));
        assert_ne!(checksum, of(&place(), 6, Compression::None));
        assert_ne!(checksum, of(&Place { table: TableId(3), ..place() }, 5, Compression::None));
        let other = Place { database: DatabaseId(2), ..place() };
        assert_ne!(checksum, of(&other, 5, Compression::None));
    }

    #[test]
    fn a_compression_bomb_is_refused_before_it_is_unpacked() {
        // Claims 1 GiB in a varint, then holds next to nothing.
        let mut stored = vec![0x80, 0x80, 0x80, 0x80, 0x04, 0];
        let (trailer, _) = block_trailer(&place(), 0, Compression::Snappy, &stored);
        stored.extend_from_slice(&trailer);
        let error = open_block(&place(), 0, stored, None).expect_err("bomb").to_string();
        assert!(error.contains("uncompressed size"), "{error}");
    }
}
