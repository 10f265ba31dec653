//! The cache of data blocks, uncompressed and checked.
//!
//! What is kept, and what goes when there is too much, is `quick_cache`'s matter. But a lookup in
//! its hash table waits for memory three times, which was a quarter of a `get`; so the head of
//! each table has a slot for each of its blocks ([`BlockSlots`]), and whoever has the head finds a block
//! that is in the cache by its number.
//!
//! INV-1: a slot holds a block only while the cache does, or for a moment before. What is put into a
//! slot is put into the cache after it; and what leaves the cache is taken out of its slot.
//!
//! The cache must still learn which blocks are used. A block counts its uses itself ([`Block::note_use`]): the
//! first is told the cache by a lookup, so that it tells those used again from those of one scan; the
//! others are asked for when it looks for what may go ([`Lifecycle::is_pinned`]).

use super::block::Block;
use super::preload::Preloader;
use crate::arena::{CELL_BYTES_MAX, Cell, Slabs};
use crate::counter::Sharded;
use crate::format::TableId;
use crate::format::codec::to_u64;
use arc_swap::{ArcSwapOption, Guard};
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};

/// From which capacity on blocks stand in slabs, and after how many bytes of blocks that were loaded: a few slabs
/// are not full, which is to be a small part of what the cache takes.
const SLABS_FROM_BYTES: usize = 64 << 20;
const SLABS_AFTER_BYTES: usize = 4 << 20;

/// What a block is taken to weigh where the count of blocks is foretold.
const BLOCK_BYTES_USUAL: usize = 4 << 10;

/// A smaller table is loaded by those who read it.
const FILLED_BLOCKS_MIN: usize = 64;

/// A block's table, and where the block starts in the table's file.
type BlockKey = (TableId, u64);

/// Blocks of the tables of one database, kept by how recently and how often
/// they were used. Two databases must not share one: the numbers of their
/// tables are the same.
///
/// A block larger than the share of one shard is not kept.
pub struct BlockCache {
    /// `None`: nothing is kept.
    blocks: Option<Blocks>,
    capacity_bytes: usize,
    preloader: Preloader,
    /// The memory of blocks, once it is worth the while; `None` in it: it is not, or cannot be had. How many bytes
    /// of blocks came before.
    slabs: OnceLock<Option<Arc<Slabs>>>,
    loaded_bytes: AtomicUsize,
    /// Hits and misses. (Those of `quick_cache` would count in each block as well.)
    lookups: Sharded<2>,
}

/// The blocks of one table that are in the cache, by number.
#[derive(Debug, Default)]
pub struct BlockSlots {
    slots: Box<[ArcSwapOption<Block>]>,
    /// How often somebody had to load one of them.
    loads: AtomicUsize,
}

/// A block and where it is from.
#[derive(Debug, Clone, Copy)]
pub struct BlockPlace<'a> {
    /// The slots of its table.
    pub slots: &'a Arc<BlockSlots>,
    /// Its number in the table.
    pub number: usize,
    /// Its table.
    pub table: TableId,
    /// Where in the table's file it starts.
    pub offset: u64,
}

/// A block for the time of one read. To have it costs no write to memory that other threads use.
#[derive(Debug)]
pub struct BlockGuard(Guard<Option<Arc<Block>>>);

type Blocks = Cache<BlockKey, Kept, Weight, PlaceHasher, Uses>;

/// What the cache has of a block.
#[derive(Debug, Clone)]
struct Kept {
    block: Arc<Block>,
    slots: Weak<BlockSlots>,
    number: usize,
}

impl BlockGuard {
    /// Of a block that need not be in the cache.
    pub fn of(block: Arc<Block>) -> Self {
        BlockGuard(Guard::from_inner(Some(block)))
    }

    /// The block for longer than that.
    pub fn pin(self) -> Arc<Block> {
        Guard::into_inner(self.0).expect("a guard is made of a block that is there")
    }
}

impl Deref for BlockGuard {
    type Target = Block;

    #[inline]
    fn deref(&self) -> &Block {
        self.0.as_ref().expect("a guard is made of a block that is there")
    }
}

impl BlockSlots {
    /// For so many blocks.
    #[must_use]
    pub fn new(blocks: usize) -> Self {
        let slots = (0..blocks).map(|_| ArcSwapOption::empty()).collect();
        BlockSlots { slots, loads: AtomicUsize::new(0) }
    }

    /// Bytes of memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of_val::<[_]>(&self.slots)
    }

    /// The block of that number, if it is in the cache. It does not count as used.
    #[inline]
    pub(super) fn load(&self, number: usize) -> Option<BlockGuard> {
        let guard = self.slots.get(number)?.load();
        guard.is_some().then(|| BlockGuard(guard))
    }

    /// Notes that somebody had to load a block. True once: half of them are here, if none has left the cache again.
    pub(super) fn note_load(&self) -> bool {
        self.slots.len() >= FILLED_BLOCKS_MIN
            && self.loads.fetch_add(1, Relaxed) + 1 == self.slots.len() / 2
    }

    /// How often that was noted.
    #[cfg(test)]
    pub(super) fn loads(&self) -> usize {
        self.loads.load(Relaxed)
    }

    fn store(&self, number: usize, block: &Arc<Block>) {
        if let Some(slot) = self.slots.get(number) {
            slot.store(Some(Arc::clone(block)));
        }
    }

    /// Takes `block` out, if it is what the slot holds.
    fn clear(&self, number: usize, block: &Arc<Block>) {
        let Some(slot) = self.slots.get(number) else { return };
        let held = slot.load();
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, block)) {
            slot.compare_and_swap(&held, None);
        }
    }
}

impl Kept {
    fn leave_slot(&self) {
        if let Some(slots) = self.slots.upgrade() {
            slots.clear(self.number, &self.block);
        }
    }
}

/// Into so many parts, with a lock each, what is kept is divided. Only loads of blocks meet them; lookups find their block
/// in its slot. A fixed count, since the library would ask the system how many threads may run, which reads
/// files of `/sys`: a tenth of a millisecond of the first open of a process.
const SHARDS: usize = 16;

impl BlockCache {
    /// A cache of blocks that take up to `capacity_bytes` together; 0 keeps none.
    #[must_use]
    pub fn new(capacity_bytes: usize) -> Self {
        let options = OptionsBuilder::new()
            .weight_capacity(to_u64(capacity_bytes))
            .estimated_items_capacity(capacity_bytes / BLOCK_BYTES_USUAL)
            .shards(SHARDS)
            .build()
            .ok()
            .filter(|_| capacity_bytes > 0);
        BlockCache {
            blocks: options.map(|options| Cache::with_options(options, Weight, PlaceHasher, Uses)),
            capacity_bytes,
            preloader: Preloader::default(),
            slabs: OnceLock::new(),
            loaded_bytes: AtomicUsize::new(0),
            lookups: Sharded::default(),
        }
    }

    /// What loads blocks ahead of cursors, where the cache is large enough for that.
    pub(super) fn preloader(&self) -> Option<&Preloader> {
        Preloader::is_for(self.capacity_bytes).then_some(&self.preloader)
    }

    /// Whether it has room for much more: a quarter of it is free.
    pub(super) fn has_much_room(&self) -> bool {
        self.used_bytes() < to_u64(self.capacity_bytes) / 4 * 3
    }

    /// Ends the thread that loads blocks ahead of cursors, if there is one.
    pub fn stop_preloading(&self) {
        self.preloader.stop();
    }

    /// Whether a block of that size that is going to be kept stands in a slab, if one has room.
    #[inline]
    pub(super) fn is_for_slabs(&self, size: usize) -> bool {
        size <= CELL_BYTES_MAX && matches!(self.slabs.get(), Some(Some(_)))
    }

    /// Memory for a block that is going to be kept, whatever is in it. `None`: it is to have its own.
    pub(super) fn room(&self, size: usize) -> Option<Cell> {
        self.slabs.get()?.as_ref()?.cell(size)
    }

    /// Notes that a block has come, as long as there are no slabs.
    fn count(&self, block: &Block) {
        let before = self.loaded_bytes.fetch_add(block.weight(), Relaxed);
        if before + block.weight() >= SLABS_AFTER_BYTES {
            let is_worth = self.capacity_bytes >= SLABS_FROM_BYTES;
            self.slabs.get_or_init(|| is_worth.then(|| Slabs::new(self.capacity_bytes)).flatten());
        }
    }

    /// The block at `place`, if it is here.
    #[inline]
    pub(super) fn get(&self, place: &BlockPlace<'_>) -> Option<BlockGuard> {
        let found = match place.slots.load(place.number) {
            Some(block) if !block.note_use() => Some(block),
            in_slot => self.look_up(place, in_slot),
        };
        self.lookups.add(if found.is_some() { [1, 0] } else { [0, 1] });
        found
    }

    /// The block of that table which starts there, if it is here, for who has no slots.
    pub(super) fn get_without_slot(&self, table: TableId, offset: u64) -> Option<Arc<Block>> {
        let found = self.blocks.as_ref().and_then(|blocks| blocks.get(&(table, offset)));
        self.lookups.add(if found.is_some() { [1, 0] } else { [0, 1] });
        found.map(|kept| kept.block)
    }

    /// Whether the block at `place` is here.
    pub(super) fn has(&self, place: &BlockPlace<'_>) -> bool {
        let is_kept = |blocks: &Blocks| blocks.contains_key(&(place.table, place.offset));
        place.slots.load(place.number).is_some() || self.blocks.as_ref().is_some_and(is_kept)
    }

    /// Looks into the cache itself: for the first use of a block, which is to be told, and where its
    /// slot is empty, as when the table's head was read anew.
    #[inline(never)]
    fn look_up(&self, place: &BlockPlace<'_>, in_slot: Option<BlockGuard>) -> Option<BlockGuard> {
        let blocks = self.blocks.as_ref()?;
        let kept = blocks.get(&(place.table, place.offset));
        if in_slot.is_some() {
            return in_slot;
        }
        let kept = kept?;
        if kept.slots.as_ptr() == Arc::as_ptr(place.slots) {
            // Two threads had read the block at once, and the slot was left with neither's.
            place.slots.store(place.number, &kept.block);
            let again = blocks.peek(&(place.table, place.offset));
            if !again.is_some_and(|again| Arc::ptr_eq(&again.block, &kept.block)) {
                kept.leave_slot();
            }
        } else {
            self.insert(place, &kept.block);
        }
        Some(BlockGuard::of(kept.block))
    }

    /// Keeps a block.
    pub(super) fn insert(&self, place: &BlockPlace<'_>, block: &Arc<Block>) {
        let Some(blocks) = &self.blocks else { return };
        let (slots, number) = (Arc::downgrade(place.slots), place.number);
        // First: INV-1.
        place.slots.store(number, block);
        let kept = Kept { block: Arc::clone(block), slots, number };
        blocks.insert((place.table, place.offset), kept);
        if self.slabs.get().is_none() {
            self.count(block);
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
        f.debug_struct("BlockCache").field("capacity_bytes", &self.capacity_bytes).finish()
    }
}

/// What the cache asks and says of the blocks it has.
#[derive(Debug, Clone)]
struct Uses;

impl Lifecycle<BlockKey, Kept> for Uses {
    /// Freed when the shard is no longer locked: mostly one goes for one that comes.
    type RequestState = [Option<Kept>; 2];

    /// Asked of a block that may go. One that was used since it was last asked stays.
    fn is_pinned(&self, _: &BlockKey, kept: &Kept) -> bool {
        kept.block.take_use()
    }

    fn on_evict(&self, evicted: &mut Self::RequestState, _: BlockKey, kept: Kept) {
        kept.leave_slot();
        if let Some(free) = evicted.iter_mut().find(|evicted| evicted.is_none()) {
            *free = Some(kept);
        }
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<BlockKey, Kept> for Weight {
    fn weight(&self, _: &BlockKey, kept: &Kept) -> u64 {
        to_u64(kept.block.weight())
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

    fn place(slots: &Arc<BlockSlots>, number: usize) -> BlockPlace<'_> {
        BlockPlace { slots, number, table: TableId(1), offset: to_u64(number) * 4096 }
    }

    fn is_kept(cache: &BlockCache, at: &BlockPlace<'_>) -> bool {
        cache.blocks.as_ref().is_some_and(|blocks| blocks.peek(&(at.table, at.offset)).is_some())
    }

    /// INV-1, when nobody is at it.
    fn assert_slots_hold_what_is_kept(cache: &BlockCache, slots: &Arc<BlockSlots>) -> usize {
        let held = (0..slots.slots.len()).filter(|&number| slots.load(number).is_some());
        held.inspect(|&number| assert!(is_kept(cache, &place(slots, number)), "{number}")).count()
    }

    #[test]
    fn blocks_stand_in_slabs_where_there_are_many() {
        let (slots, loaded) = (Arc::new(BlockSlots::new(1)), block(SLABS_AFTER_BYTES / 4));
        let place = |offset| BlockPlace { slots: &slots, number: 0, table: TableId(1), offset };
        for (capacity, is_for_slabs) in [(SLABS_FROM_BYTES, true), (SLABS_FROM_BYTES - 1, false)] {
            let cache = BlockCache::new(capacity);
            for n in 0..4 {
                assert!(cache.room(4000).is_none() && !cache.is_for_slabs(4000), "{n}");
                cache.insert(&place(n), &loaded);
            }
            let cell = (0..1000).find_map(|_| cache.room(4000));
            assert_eq!(cell.map(|cell| cell.len()), is_for_slabs.then_some(4000));
            assert_eq!(cache.is_for_slabs(4000), is_for_slabs);
            assert!(cache.room(CELL_BYTES_MAX + 1).is_none());
            assert!(!cache.is_for_slabs(CELL_BYTES_MAX + 1));
        }
    }

    #[test]
    fn keeps_by_place_and_within_its_capacity() {
        let cache = BlockCache::new(1 << 20);
        let slots = [(); 4].map(|()| Arc::new(BlockSlots::new(1000)));
        for number in 0..1000 {
            let of = |table: usize| BlockPlace {
                table: TableId(to_u64(table)),
                ..place(&slots[table], number)
            };
            cache.insert(&of(number % 3), &block(4000));
            assert!(cache.get(&of(number % 3)).is_some(), "{number}");
            assert!(cache.get(&of(number % 3 + 1)).is_none());
        }
        assert!((700 << 10..=1 << 20).contains(&cache.used_bytes()), "{}", cache.used_bytes());
    }

    #[test]
    fn what_leaves_the_cache_leaves_its_slot_and_its_memory_goes() {
        let cache = BlockCache::new(1 << 20);
        let slots = Arc::new(BlockSlots::new(2000));
        let blocks: Vec<Weak<Block>> = (0..2000)
            .map(|number| {
                let block = block(4000);
                cache.insert(&place(&slots, number), &block);
                Arc::downgrade(&block)
            })
            .collect();
        let kept = assert_slots_hold_what_is_kept(&cache, &slots);
        assert!((150..=256).contains(&kept), "{kept} slots hold a block");
        let in_memory = blocks.iter().filter(|block| block.strong_count() > 0).count();
        assert_eq!(in_memory, kept);
    }

    #[test]
    fn a_block_that_is_used_stays_when_many_pass_by() {
        let cache = BlockCache::new(1 << 20);
        let slots = Arc::new(BlockSlots::new(10_000));
        let used = 0..50;
        for number in used.clone() {
            cache.insert(&place(&slots, number), &block(4000));
        }
        for passing in used.end..10_000 {
            for number in used.clone() {
                assert!(cache.get(&place(&slots, number)).is_some(), "{number} beside {passing}");
            }
            cache.insert(&place(&slots, passing), &block(4000));
            // Once is enough for the cache to take it for one that may be used again.
            assert!(cache.get(&place(&slots, passing)).is_some(), "{passing}");
        }
        assert_slots_hold_what_is_kept(&cache, &slots);
    }

    #[test]
    fn a_head_that_is_read_anew_finds_the_blocks_again() {
        let cache = BlockCache::new(1 << 20);
        let slots = Arc::new(BlockSlots::new(10));
        (0..10).for_each(|number| cache.insert(&place(&slots, number), &block(100)));
        drop(slots);
        let anew = Arc::new(BlockSlots::new(10));
        for number in 0..10 {
            assert!(anew.load(number).is_none());
            assert!(cache.get(&place(&anew, number)).is_some());
            assert!(anew.load(number).is_some());
        }
        assert_eq!(cache.hits_and_misses(), [10, 0]);
        assert_eq!(assert_slots_hold_what_is_kept(&cache, &anew), 10);
    }

    /// Threads that load the same blocks at once replace each other's in the cache: of neither may
    /// a slot be left with a block that the cache will never be asked to let go.
    #[test]
    fn threads_leave_no_block_in_a_slot_alone() {
        let cache = BlockCache::new(256 << 10);
        let slots = Arc::new(BlockSlots::new(300));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (cache, slots) = (&cache, &slots);
                scope.spawn(move || {
                    let mut random = 0x9e37_79b9_7f4a_7c15_u64 + thread;
                    for _ in 0..20_000 {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let number = usize::try_from((random >> 33) % 300).expect("small");
                        let at = place(slots, number);
                        if cache.get(&at).is_none() {
                            cache.insert(&at, &block(4000));
                        }
                    }
                });
            }
        });
        let held = assert_slots_hold_what_is_kept(&cache, &slots);
        assert!((20..=64).contains(&held), "{held}");
    }

    #[test]
    fn a_block_too_large_to_keep_drives_nothing_out() {
        let cache = BlockCache::new(1 << 20);
        let slots = Arc::new(BlockSlots::new(2));
        cache.insert(&place(&slots, 0), &block(4000));
        cache.insert(&place(&slots, 1), &block(2 << 20));
        assert!(cache.get(&place(&slots, 0)).is_some());
        assert!(cache.get(&place(&slots, 1)).is_none());
        assert_eq!(assert_slots_hold_what_is_kept(&cache, &slots), 1);
    }

    #[test]
    fn a_capacity_of_zero_keeps_nothing() {
        let cache = BlockCache::new(0);
        let slots = Arc::new(BlockSlots::new(1));
        cache.insert(&place(&slots, 0), &block(1));
        assert!(cache.get(&place(&slots, 0)).is_none());
        assert_eq!(cache.used_bytes(), 0);
    }
}
