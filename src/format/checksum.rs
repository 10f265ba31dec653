//! Checksums, and the identity that is mixed into them.
//!
//! A checksum covers where its bytes belong (database, file, offset) beside
//! the bytes themselves, so that intact bytes in the wrong place (a file of
//! another database, a file swapped with another, stale bytes of a reused
//! block) fail it like damaged ones.

use super::ids::FileId;

/// A random number drawn when a database is created; part of every checksum.
///
/// See the example of [`crate::fuzzing::Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DatabaseId(pub u64);

/// CRC-32 (IEEE) of `bytes`.
#[must_use]
pub fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The same of bytes that come in pieces.
#[derive(Debug, Clone, Default)]
pub struct Crc(crc32fast::Hasher);

impl Crc {
    /// Of bytes that belong at `offset` of that file of that database, as of [`crc_parts`].
    #[must_use]
    pub fn at(database: DatabaseId, file: FileId, offset: u64) -> Crc {
        let mut place = [0; 24];
        place[..8].copy_from_slice(&database.0.to_le_bytes());
        place[8..16].copy_from_slice(&file.0.to_le_bytes());
        place[16..].copy_from_slice(&offset.to_le_bytes());
        let mut crc = Crc::default();
        crc.update(&place);
        crc
    }

    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all pieces.
    #[must_use]
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }
}

/// CRC-32 (IEEE) of the place and of the parts, in that order.
#[must_use]
pub fn crc_parts(database: DatabaseId, file: FileId, offset: u64, parts: &[&[u8]]) -> u32 {
    let mut crc = Crc::at(database, file, offset);
    for part in parts {
        crc.update(part);
    }
    crc.finish()
}
