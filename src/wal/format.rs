//! A log file: this header, then frames (`crate::format::frame`), then zeros.
//!
//! ```text
//! offset  size  field
//!      0     8  magic "ESKERLOG"
//!      8     4  format version, 1
//!     12     4  checksum: crc of bytes 0..12 and 16..48
//!     16     8  database id
//!     24     8  log id, as in the file's name
//!     32     8  base: the position of this file's first byte, which is where the file before it ended
//!     40     8  durable: position below which everything was durable when this file was begun
//! ```
//! The sequence of a frame is the sequence number of its batch's first
//! operation. The body of a frame is a run of operations, see [`super::ops`].
//!
//! Version rule: a reader refuses a version above its own, untouched, before it looks at the
//! checksum. Any change of layout raises the version.

use crate::error::{Error, Result};
use crate::format::{DatabaseId, Decoder, LogId};
use std::path::Path;

/// The first bytes of every log file.
pub const MAGIC: [u8; 8] = *b"ESKERLOG";
/// The version that this build writes, and the newest that it reads.
pub const VERSION: u32 = 1;
/// Size of the header in bytes.
pub const HEADER_SIZE: usize = 8 + 4 + 4 + 8 + 8 + 8 + 8;
const _: () = assert!(HEADER_SIZE == 48);

/// The header of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHeader {
    /// The database.
    pub database: DatabaseId,
    /// The file.
    pub id: LogId,
    /// Position of the file's first byte.
    pub base: u64,
    /// Everything below this position was durable when the file was begun.
    pub durable: u64,
}

impl LogHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut out = [0; HEADER_SIZE];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..24].copy_from_slice(&self.database.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.id.0.to_le_bytes());
        out[32..40].copy_from_slice(&self.base.to_le_bytes());
        out[40..48].copy_from_slice(&self.durable.to_le_bytes());
        seal(&mut out);
        out
    }

    /// What the header at the front of `bytes` states, unverified: for who does not know which log it is.
    #[must_use]
    pub fn stated(bytes: &[u8]) -> Option<Self> {
        fields(bytes.first_chunk()?).map(|(_, header)| header)
    }

    /// Reads the header at the front of `bytes`, the file at `path`, which
    /// must be the log `id`, of whatever database. `None`: it is not intact.
    ///
    /// # Errors
    /// [`Error::UnsupportedFormat`] for a newer version.
    pub fn decode(bytes: &[u8], path: &Path, id: LogId) -> Result<Option<Self>> {
        let Some((head, _)) = bytes.split_first_chunk::<HEADER_SIZE>() else { return Ok(None) };
        let Some((version, header)) = fields(head) else { return Ok(None) };
        if version > VERSION {
            // A flipped bit can look like a newer version; then the checksum,
            // whose place no version moves, tells.
            if checksum(head).to_le_bytes() != head[12..16] {
                return Ok(None);
            }
            return Err(Error::UnsupportedFormat {
                file: path.to_path_buf(),
                found: version,
                supported: VERSION,
            });
        }
        let intact =
            version == VERSION && checksum(head).to_le_bytes() == head[12..16] && header.id == id;
        Ok(intact.then_some(header))
    }
}

/// Puts the checksum of a header into it.
pub fn seal(head: &mut [u8; HEADER_SIZE]) {
    let crc = checksum(head);
    head[12..16].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(head: &[u8; HEADER_SIZE]) -> u32 {
    let mut covered = *head;
    covered[12..16].fill(0);
    crate::format::crc(&covered)
}

fn fields(head: &[u8; HEADER_SIZE]) -> Option<(u32, LogHeader)> {
    let mut d = Decoder::new(head);
    if d.take(8)? != MAGIC {
        return None;
    }
    let version = d.u32()?;
    d.u32()?; // The checksum.
    let header = LogHeader {
        database: DatabaseId(d.u64()?),
        id: LogId(d.u64()?),
        base: d.u64()?,
        durable: d.u64()?,
    };
    Some((version, header))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: LogHeader =
        LogHeader { database: DatabaseId(1), id: LogId(2), base: 3, durable: 4 };

    fn decode(bytes: &[u8]) -> Result<Option<LogHeader>> {
        LogHeader::decode(bytes, Path::new("x.log"), LogId(2))
    }

    #[test]
    fn example_bytes() {
        let bytes = HEADER.encode();
        assert_eq!(&bytes[..8], b"ESKERLOG");
        assert_eq!(bytes[8..12], [1, 0, 0, 0]);
        assert_eq!(bytes[32..40], [3, 0, 0, 0, 0, 0, 0, 0]);
        assert!(matches!(decode(&bytes), Ok(Some(HEADER))));
    }

    #[test]
    fn any_flipped_bit_or_cut_is_noticed() {
        let good = HEADER.encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(decode(&bytes), Ok(None)), "bit {bit}");
        }
        for cut in 0..good.len() {
            assert!(matches!(decode(&good[..cut]), Ok(None)));
        }
    }

    #[test]
    fn a_newer_version_is_its_own_error() {
        let mut bytes = HEADER.encode();
        bytes[8] = 2;
        let crc = checksum(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(decode(&bytes), Err(Error::UnsupportedFormat { found: 2, .. })));
    }
}
