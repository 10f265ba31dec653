//! Data blocks of a table, each alone.

use super::{Entry, Identity, path_of};
use crate::error::Result;
use crate::format::{FileKind, SeqNo};
use crate::options::Compression;
use crate::table::block::{Block, Found};
use crate::table::block_builder::BlockBuilder;
use crate::table::format::{Place, TRAILER_SIZE, block_trailer, open_block};
use crate::table::position::Position;
use std::path::Path;

/// A data block that was checked, as a table has it in memory.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::Compression;
/// use esker::fuzzing::{BlockBytes, DatabaseId, Entry, EntryKind, FileId, Identity, SeqNo, fix_block, store_block, write_block};
/// let identity = Identity { database: DatabaseId(7), file: FileId(2) };
/// let entry = |key: &str| Entry { key: key.into(), seq: SeqNo(1), kind: EntryKind::Delete, payload: vec![] };
/// let entries = [entry("a"), entry("c")];
/// let mut stored = store_block(&write_block(&entries), Compression::None, identity, 0);
/// let block = BlockBytes::open(&stored, identity, 0)?;
/// assert_eq!((block.entries_count(), block.entries()), (2, entries.to_vec()));
/// assert_eq!(block.entries_backwards()[0], entries[1]);
/// assert_eq!(block.lower_bound(b"b", SeqNo::MAX), (1, false));
///
/// assert!(BlockBytes::open(&stored, identity, 4096).is_err()); // It belongs elsewhere,
/// fix_block(&mut stored, identity, 4096); // unless its checksum says so.
/// assert!(BlockBytes::open(&stored, identity, 4096).is_ok());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct BlockBytes {
    block: Block,
}

impl BlockBytes {
    /// Decodes a block as stored at `offset` of the table `identity`: checksum,
    /// compression, and every entry.
    ///
    /// See the example of [`BlockBytes`].
    ///
    /// # Errors
    /// [`crate::Error::Corruption`].
    pub fn open(stored: &[u8], identity: Identity, offset: u64) -> Result<BlockBytes> {
        let path = path_of(FileKind::Table(identity.table()));
        let place = place(&path, identity);
        let payload = open_block(&place, offset, stored.to_vec(), None)?;
        let block = Block::parse(payload).map_err(|detail| place.damage(offset, detail))?;
        Ok(BlockBytes { block })
    }

    /// The count of entries, at least 1.
    ///
    /// See the example of [`BlockBytes`].
    #[must_use]
    pub fn entries_count(&self) -> usize {
        self.block.entries()
    }

    /// Its entries in order, by one pass over it.
    ///
    /// See the example of [`BlockBytes`].
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let mut position = Position::default();
        self.block.go_to(&mut position, 0);
        let mut entries = vec![self.block.entry_at(&position).into()];
        while self.block.advance(&mut position).is_some() {
            entries.push(self.block.entry_at(&position).into());
        }
        entries
    }

    /// Its entries from the last to the first, by one pass over it.
    ///
    /// See the example of [`BlockBytes`].
    #[must_use]
    pub fn entries_backwards(&self) -> Vec<Entry> {
        let mut position = Position::default();
        self.block.go_to(&mut position, self.block.entries() - 1);
        let mut entries = vec![self.block.entry_at(&position).into()];
        while self.block.retreat(&mut position) {
            entries.push(self.block.entry_at(&position).into());
        }
        entries
    }

    /// The number of the first entry at or after `(key, seq)`, the count of
    /// entries if there is none; and whether that has this key.
    ///
    /// See the example of [`BlockBytes`].
    #[must_use]
    pub fn lower_bound(&self, key: &[u8], seq: SeqNo) -> (usize, bool) {
        let Found { entry, is_key } = self.block.lower_bound(key, seq);
        (entry, is_key)
    }
}

/// The payload, uncompressed, of a block with these entries, which stand in
/// the order of [`Entry::order`].
///
/// See the example of [`BlockBytes`].
///
/// # Panics
/// When there is none, or they are out of order.
#[must_use]
pub fn write_block(entries: &[Entry]) -> Vec<u8> {
    let mut builder = BlockBuilder::default();
    entries.iter().for_each(|entry| builder.add(entry.borrowed()));
    builder.finish()
}

/// A block as stored at `offset` of the table `identity`, whatever its payload is.
///
/// See the example of [`BlockBytes`].
#[must_use]
pub fn store_block(
    payload: &[u8],
    compression: Compression,
    identity: Identity,
    offset: u64,
) -> Vec<u8> {
    let mut stored = match compression {
        Compression::None => payload.to_vec(),
        Compression::Snappy => snap::raw::Encoder::new()
            .compress_vec(payload)
            .expect("a payload within the format's 4 GiB"),
    };
    let path = path_of(FileKind::Table(identity.table()));
    let (trailer, _) = block_trailer(&place(&path, identity), offset, compression, &stored);
    stored.extend_from_slice(&trailer);
    stored
}

/// Puts right the checksum of a block as stored at `offset`.
///
/// See the example of [`BlockBytes`].
pub fn fix_block(stored: &mut [u8], identity: Identity, offset: u64) {
    let path = path_of(FileKind::Table(identity.table()));
    seal_block(stored, &place(&path, identity), offset);
}

/// Puts the checksum of a stored block into it, and returns it; `None` where
/// the block is shorter than its trailer.
pub(super) fn seal_block(stored: &mut [u8], place: &Place<'_>, offset: u64) -> Option<u32> {
    let (payload, trailer) = stored.split_last_chunk_mut::<TRAILER_SIZE>()?;
    let (flag, checksum) = trailer.split_first_mut()?;
    let computed = place.checksum(offset, &[payload, &[*flag]]);
    checksum.copy_from_slice(&computed.to_le_bytes());
    Some(computed)
}

pub(super) fn place(path: &Path, identity: Identity) -> Place<'_> {
    Place { database: identity.database, table: identity.table(), path }
}
