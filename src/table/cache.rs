//! The cache of data blocks, uncompressed and checked.

use super::block::Block;
use crate::counter::Sharded;
use crate::format::TableId;
use crate::format::codec::to_u64;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// What a block is taken to weigh where the count of blocks is foretold.
const BLOCK_BYTES_USUAL: usize = 4 << 10;

/// A block's table, and where the block starts in the table's file.
type BlockKey = (TableId, u64);

/// Blocks of the tables of one database, kept by how recently and how often
/// they were used. Two databases must not share one: the numbers of their
/// tables are the same.
///
/// A block larger than the share of one shard is not kept.
pub struct BlockCache {
    /// `None`: nothing is kept.
    blocks: Option<Cache<BlockKey, Arc<Block>, Weight, PlaceHasher>>,
    /// Hits and misses. (Those of `quick_cache` would count in each block as well.)
    lookups: Sharded<2>,
}

impl BlockCache {
    /// A cache of blocks that take up to `capacity_bytes` together; 0 keeps none.
    #[must_use]
    pub fn new(capacity_bytes: usize) -> Self {
        let options = OptionsBuilder::new()
            .weight_capacity(to_u64(capacity_bytes))
            .estimated_items_capacity(capacity_bytes / BLOCK_BYTES_USUAL)
            .build()
            .ok()
            .filter(|_| capacity_bytes > 0);
        BlockCache {
            blocks: options.map(|options| {
                Cache::with_options(options, Weight, PlaceHasher, DefaultLifecycle::default())
            }),
            lookups: Sharded::default(),
        }
    }

    /// The block at `offset` of `table`.
    #[inline]
    pub(super) fn get(&self, table: TableId, offset: u64) -> Option<Arc<Block>> {
        let found = self.blocks.as_ref().and_then(|blocks| blocks.get(&(table, offset)));
        self.lookups.add(if found.is_some() { [1, 0] } else { [0, 1] });
        found
    }

    /// Keeps a block.
    pub(super) fn insert(&self, table: TableId, offset: u64, block: &Arc<Block>) {
        if let Some(blocks) = &self.blocks {
            blocks.insert((table, offset), Arc::clone(block));
        }
    }

    /// Blocks that were looked up and there, and those that were not.
    #[must_use]
    pub fn hits_and_misses(&self) -> [u64; 2] {
        self.lookups.get()
    }

    /// What the blocks that are kept take together, in bytes.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.blocks.as_ref().map_or(0, Cache::weight)
    }
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let capacity_bytes = self.blocks.as_ref().map_or(0, Cache::capacity);
        f.debug_struct("BlockCache").field("capacity_bytes", &capacity_bytes).finish()
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<BlockKey, Arc<Block>> for Weight {
    fn weight(&self, _: &BlockKey, block: &Arc<Block>) -> u64 {
        to_u64(block.weight())
    }
}

/// Hashes the two numbers of a [`BlockKey`]. Nobody outside chooses them, so it need not
/// withstand an attack, and the standard hasher's 20 ns are a part of a `get`
/// that one would notice.
#[derive(Debug, Clone, Copy)]
struct PlaceHasher;

impl BuildHasher for PlaceHasher {
    type Hasher = PlaceHash;

    fn build_hasher(&self) -> PlaceHash {
        PlaceHash(0)
    }
}

struct PlaceHash(u64);

impl Hasher for PlaceHash {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(23) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    // The multiplication mixes upwards only; the table takes low bits too.
    fn finish(&self) -> u64 {
        let folded = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        folded ^ (folded >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::super::block_builder::BlockBuilder;
    use super::*;
    use crate::format::{EntryKind, EntryRef, SeqNo};

    fn block(size: usize) -> Arc<Block> {
        let payload = vec![0; size];
        let mut builder = BlockBuilder::default();
        let (seq, kind) = (SeqNo(1), EntryKind::Set);
        builder.add(EntryRef { key: b"k", seq, kind, payload: &payload });
        Arc::new(Block::parse(builder.finish()).expect("valid"))
    }

    #[test]
    fn keeps_by_place_and_within_its_capacity() {
        let cache = BlockCache::new(1 << 20);
        for i in 0..1000 {
            cache.insert(TableId(i % 3), i * 4096, &block(4000));
            assert!(cache.get(TableId(i % 3), i * 4096).is_some(), "{i}");
            assert!(cache.get(TableId(i % 3 + 1), i * 4096).is_none());
        }
        assert!((700 << 10..=1 << 20).contains(&cache.used_bytes()), "{}", cache.used_bytes());
    }

    #[test]
    fn a_block_too_large_to_keep_drives_nothing_out() {
        let cache = BlockCache::new(1 << 20);
        cache.insert(TableId(1), 0, &block(4000));
        cache.insert(TableId(1), 4000, &block(2 << 20));
        assert!(cache.get(TableId(1), 0).is_some());
        assert!(cache.get(TableId(1), 4000).is_none());
    }

    #[test]
    fn a_capacity_of_zero_keeps_nothing() {
        let cache = BlockCache::new(0);
        cache.insert(TableId(1), 0, &block(1));
        assert!(cache.get(TableId(1), 0).is_none());
        assert_eq!(cache.used_bytes(), 0);
    }
}
