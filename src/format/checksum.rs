//! Checksums, and the identity that is mixed into them.
//!
//! A checksum covers where its bytes belong (database, file, offset) beside
//! the bytes themselves, so that intact bytes in the wrong place (a file of
//! another database, a file swapped with another, stale bytes of a reused
//! block) fail it like damaged ones.

use super::ids::FileId;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A random number drawn when a database is created; part of every checksum.
///
/// See the example of [`crate::fuzzing::Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DatabaseId(pub u64);

/// The first bytes of a process, up to so many, are checksummed by a table. What the processor does faster, the library must ask
/// the processor for: two dozen `CPUID` instructions, each of which on a virtual machine leaves the machine: together
/// 80 us where it was measured, a third of an open and a first read.
const BY_TABLE_BYTES: usize = 128 << 10;

/// The same checksum without a look at the processor, and slower.
static TABLE: crc::Crc<u32, crc::Table<16>> =
    crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISO_HDLC);

/// How many bytes were checksummed by the table; all of them once the processor has been asked.
static BY_TABLE: AtomicUsize = AtomicUsize::new(0);

/// CRC-32 (IEEE) of `bytes`.
#[must_use]
pub fn crc(bytes: &[u8]) -> u32 {
    extend(0, bytes)
}

/// The checksum of what has the checksum `crc`, with `bytes` behind it.
#[inline]
fn extend(crc: u32, bytes: &[u8]) -> u32 {
    if BY_TABLE.load(Ordering::Relaxed) < BY_TABLE_BYTES && is_for_table(bytes.len()) {
        return extend_by_table(crc, bytes);
    }
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
}

/// Whether so many bytes more are for the table. If not, none are from now on.
#[cold]
fn is_for_table(bytes: usize) -> bool {
    let is_for_table = BY_TABLE.load(Ordering::Relaxed).saturating_add(bytes) <= BY_TABLE_BYTES;
    if is_for_table {
        BY_TABLE.fetch_add(bytes, Ordering::Relaxed);
    } else {
        BY_TABLE.store(BY_TABLE_BYTES, Ordering::Relaxed);
    }
    is_for_table
}

#[cold]
fn extend_by_table(crc: u32, bytes: &[u8]) -> u32 {
    // That library begins with a state that is not yet inverted and stands the other way round.
    let mut digest = TABLE.digest_with_initial((!crc).reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

/// The same of bytes that come in pieces.
#[derive(Debug, Clone, Copy, Default)]
pub struct Crc(u32);

impl Crc {
    /// Of bytes that belong at `offset` of that file of that database, as of [`crc_parts`].
    fn at(database: DatabaseId, file: FileId, offset: u64) -> Crc {
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
        self.0 = extend(self.0, bytes);
    }

    /// The checksum of all pieces.
    #[must_use]
    pub fn finish(self) -> u32 {
        self.0
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The value that the catalogue of checksums gives for it.
    #[test]
    fn example_checksum() {
        assert_eq!(extend_by_table(0, b"123456789"), 0xcbf4_3926);
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }

    proptest! {
        /// What one of the two has begun the other goes on with.
        #[test]
        fn the_table_and_the_processor_agree(
            pieces in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 0..300), any::<bool>()), 0..6),
        ) {
            let mut crc = 0;
            for (piece, is_by_table) in &pieces {
                crc = if *is_by_table {
                    extend_by_table(crc, piece)
                } else {
                    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
                    hasher.update(piece);
                    hasher.finalize()
                };
            }
            let whole: Vec<u8> = pieces.iter().flat_map(|(piece, _)| piece.clone()).collect();
            prop_assert_eq!(crc, crc32fast::hash(&whole));
        }
    }
}
