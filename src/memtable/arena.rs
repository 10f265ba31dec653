//! One allocation that holds all nodes of a skiplist, behind a safe interface.
//!
//! Nodes are never moved or freed while the arena lives. One node:
//!
//! ```text
//!   start (8-aligned)      at (8-aligned)
//!   v                      v
//!   | link[h-1] ... link[0] | header | key | payload | pad to 8 |
//! ```
//!
//! A link is one 64-bit word: in its low half `at`, counted in [`UNIT_BYTES`]
//! from the front of the arena; in its high half a hint about the node there,
//! which the arena does not interpret. The word 0 links to nothing. The tower
//! stands before the header so that the key's place does not depend on the
//! height, and so that what a search reads together is close together.
//!
//! INV-1 is that of [`super::space`]: units are given out once, and within the
//! capacity.
//! INV-2: a [`NodeRef`] names a node of the arena that it borrows, whose bytes
//! were all initialised before the `NodeRef` came to be (in the sense of
//! happens-before) and are never written again, its links excepted.
//! INV-3: a link other than 0 was written with `Release` by a thread that held
//! a [`NodeRef`] to its target, and links are read with `Acquire`. So whoever
//! reads a link may make a `NodeRef` of it: INV-2 passes from thread to thread.
//! INV-4: a node of height `h` has `h` links, and a link on level `l` leads to
//! a node taller than `l`. A [`NodeRef`] carries how tall its node is at least,
//! so that to follow a link no search needs to read a node's header.
//!
//! Concurrency: every method may be called from any thread; none blocks.
//! Not here: the order of nodes. A caller can make a nonsensical list of nodes
//! with this interface, but cannot read bytes that are not there.
#![expect(unsafe_code, reason = "nodes of varying size in one allocation; proofs at each use")]

use super::space::Space;
use super::sync::{AtomicU64, HEIGHT_MAX, Ordering, Published};
use crate::arena::{Region, prefetch_from, prefetch_value};
use crate::format::key::{pack_trailer, unpack_trailer};
use crate::format::{EntryRef, SeqNo};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

/// What links count in, and what every header is aligned to.
const UNIT_BYTES: usize = 8;

/// The front of a memtable is in small pages: there are databases of which no memtable ever has more, and programs with many such.
pub const SMALL_BYTES: usize = 2 << 20;

/// What is fetched of a node that a walk comes to next; of longer ones the rest comes by itself, as what is read in order does.
const FETCHED_BYTES: usize = 256;

/// The size of one link.
const LINK_SIZE: usize = size_of::<AtomicU64>();

/// The size of what stands between a node's tower and its key.
const HEADER_SIZE: usize = size_of::<Published<Header>>();

/// The head's links and header, at the front of every arena.
const HEAD_UNITS: u32 = tower_units(HEIGHT_MAX) + HEADER_UNITS;

/// The same in bytes.
const HEAD_BYTES: usize = HEAD_UNITS as usize * UNIT_BYTES;

const HEADER_UNITS: u32 = units(HEADER_SIZE);

/// Where the head's header is, in units.
const HEAD_AT: u32 = tower_units(HEIGHT_MAX);

const _: () = assert!(size_of::<Header>() == 16);
const _: () = assert!(align_of::<Published<Header>>() <= UNIT_BYTES);
const _: () = assert!(align_of::<AtomicU64>() <= UNIT_BYTES);
const _: () = assert!(HEIGHT_MAX <= u8::MAX as usize);

#[expect(clippy::cast_possible_truncation, reason = "just compared")]
const HEIGHT_MAX_U8: u8 = HEIGHT_MAX as u8;

/// What a node states about itself.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Header {
    /// Sequence number and kind.
    trailer: u64,
    payload_len: u32,
    key_len: u16,
    height: u8,
}

/// `bytes` in units, rounded up; `u32::MAX` when that does not fit.
const fn units(bytes: usize) -> u32 {
    let units = bytes.div_ceil(UNIT_BYTES);
    if units < u32::MAX as usize {
        #[expect(clippy::cast_possible_truncation, reason = "just compared")]
        return units as u32;
    }
    u32::MAX
}

/// The size of a tower of `height` links.
const fn tower_units(height: usize) -> u32 {
    units(height * LINK_SIZE)
}

/// The size of a node's header, key and payload.
const fn body_units(key_len: usize, payload_len: usize) -> u32 {
    units(key_len.saturating_add(payload_len).saturating_add(HEADER_SIZE))
}

/// What a node can take at most, whatever its height; never less than one takes.
const fn node_units_max(key_len: usize, payload_len: usize) -> u32 {
    tower_units(HEIGHT_MAX).saturating_add(body_units(key_len, payload_len))
}

/// [`node_units_max`] in bytes.
#[must_use]
pub const fn node_bytes_max(key_len: usize, payload_len: usize) -> usize {
    (node_units_max(key_len, payload_len) as usize).saturating_mul(UNIT_BYTES)
}

/// The most that an arena can set aside, as large as it can be.
pub const RESERVED_BYTES_MAX: usize = (u32::MAX - HEAD_UNITS) as usize * UNIT_BYTES;

/// The allocation and how much of it is spoken for.
///
/// `Sync`: through `&Arena` bytes are written only in units that `claim` gave to
/// the writing thread alone (INV-1), before a link to them exists (INV-3), or as
/// atomics.
pub struct Arena {
    /// In huge pages an insertion at 300,000 entries takes a third less time.
    region: Region,
    space: Space,
}

impl Arena {
    /// An arena with room for `capacity_bytes` of nodes, at most 32 GiB. Pages
    /// of it that were never written take no memory.
    pub fn new(capacity_bytes: usize) -> Self {
        let capacity_units = units(capacity_bytes).saturating_add(HEAD_UNITS);
        let capacity_bytes = (capacity_units as usize).saturating_mul(UNIT_BYTES);
        let region = Region::zeroed(capacity_bytes, UNIT_BYTES);
        let small_bytes = capacity_bytes.min(SMALL_BYTES);
        region.allow_huge_pages(small_bytes, capacity_bytes - small_bytes);
        let arena = Arena { region, space: Space::new(capacity_units, HEAD_UNITS) };
        let header = Header { trailer: 0, payload_len: 0, key_len: 0, height: HEIGHT_MAX_U8 };
        // SAFETY: the first `HEAD_UNITS` are in the allocation, belong to no
        // other node as `space` starts after them, and no other thread
        // knows of the arena yet.
        unsafe { arena.write_node(HEAD_AT, header, b"", b"") };
        arena
    }

    /// Sets room aside for nodes of together `bytes`, each counted as
    /// [`node_bytes_max`]. False: it does not fit, and nothing was set aside.
    pub fn reserve(&self, bytes: usize) -> bool {
        self.space.reserve(units(bytes))
    }

    /// Gives back what was set aside for nodes of together `bytes`.
    ///
    /// # Panics
    /// When less is set aside.
    pub fn release(&self, bytes: usize) {
        self.space.claim(units(bytes), 0);
    }

    /// What nodes take, in bytes; what is reserved but unused not counted.
    pub fn used_bytes(&self) -> usize {
        (self.space.top_units() - HEAD_UNITS) as usize * UNIT_BYTES
    }

    /// Has the system find memory for the nodes in `bytes`, counted as [`Arena::used_bytes`], so that whoever
    /// writes them need not. What is beyond the capacity is left out.
    pub fn populate(&self, bytes: Range<usize>) {
        let capacity_bytes = self.space.capacity_units() as usize * UNIT_BYTES;
        let [start, end] = [bytes.start, bytes.end].map(|at| capacity_bytes.min(HEAD_BYTES + at));
        self.region.populate(start, end.saturating_sub(start));
    }

    /// Where the huge page ends in which the node at `start_bytes` is, both counted as [`Arena::used_bytes`].
    pub fn huge_page_end(&self, start_bytes: usize) -> usize {
        self.region.huge_page_end(HEAD_BYTES + start_bytes) - HEAD_BYTES
    }

    /// The head: a node without a meaningful entry, of [`HEIGHT_MAX`] links.
    #[inline]
    pub fn head(&self) -> NodeRef<'_> {
        // `new` made it before anyone could call this (INV-2).
        NodeRef {
            base: self.region.base(),
            at: HEAD_AT,
            height_min: u32::from(HEIGHT_MAX_U8),
            arena: PhantomData,
        }
    }

    /// A new node that holds `entry` and `height` links to nothing. It uses up
    /// [`node_bytes_max`] of what was reserved, and gives back what it does not take.
    ///
    /// # Panics
    /// When that much is not reserved, `height` is not between 1 and
    /// [`HEIGHT_MAX`], or the key or payload is beyond what the engine takes.
    pub fn allocate(&self, entry: EntryRef<'_>, height: usize) -> NodeRef<'_> {
        assert!((1..=HEIGHT_MAX).contains(&height), "no node has a height of {height}");
        let (key_len, payload_len) = (entry.key.len(), entry.payload.len());
        let header = Header {
            trailer: pack_trailer(entry.seq, entry.kind),
            payload_len: u32::try_from(payload_len).expect("payloads are limited to 1 GiB"),
            key_len: u16::try_from(key_len).expect("keys are limited to 65,535 bytes"),
            height: u8::try_from(height).expect("just compared"),
        };
        let tower = tower_units(height);
        let start = self
            .space
            .claim(node_units_max(key_len, payload_len), tower + body_units(key_len, payload_len));
        let at = start + tower;
        // SAFETY: `claim` gave this thread alone the units from `start` on for
        // the tower and for header, key and payload.
        unsafe { self.write_node(at, header, entry.key, entry.payload) };
        // All of it is initialised, by this thread (INV-2).
        NodeRef {
            base: self.region.base(),
            at,
            height_min: u32::from(header.height),
            arena: PhantomData,
        }
    }

    /// Writes the node at `at`, its links to nothing.
    ///
    /// # Safety
    /// The units of the node's tower, header, key and payload are in the
    /// arena, given out by `space`, and this thread's alone.
    unsafe fn write_node(&self, at: u32, header: Header, key: &[u8], payload: &[u8]) {
        debug_assert_eq!(key.len(), usize::from(header.key_len));
        debug_assert_eq!(payload.len(), header.payload_len as usize);
        // SAFETY: all of these lie in the node's units, which by the contract
        // are in the allocation and shared with nobody. The header is aligned
        // as `base` and units are; each link is aligned as the header is and
        // its size is a multiple of its alignment. `key` and `payload` are
        // shared references, so they do not overlap memory that is ours alone.
        unsafe {
            let node = self.region.base().add(at as usize * UNIT_BYTES);
            for level in 0..usize::from(header.height) {
                node.sub((level + 1) * LINK_SIZE).cast().write(AtomicU64::new(0));
            }
            node.cast().write(Published::new(header));
            let body = node.add(HEADER_SIZE);
            body.copy_from_nonoverlapping(NonNull::from(key).cast(), key.len());
            body.add(key.len())
                .copy_from_nonoverlapping(NonNull::from(payload).cast(), payload.len());
        }
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("space", &self.space).finish()
    }
}

fn pack_link(at: u32, hint: u32) -> u64 {
    u64::from(hint) << 32 | u64::from(at)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "each takes its half")]
fn unpack_link(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

/// What a node links to.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// The node there.
    pub node: NodeRef<'a>,
    /// What whoever linked it noted about it.
    pub hint: u32,
}

/// A node (INV-2).
#[derive(Clone, Copy)]
pub struct NodeRef<'a> {
    /// The arena's.
    base: NonNull<u8>,
    /// Where the header is, in units.
    at: u32,
    /// The node has at least so many links (INV-4).
    height_min: u32,
    arena: PhantomData<&'a Arena>,
}

impl<'a> NodeRef<'a> {
    #[inline]
    fn start(self) -> NonNull<u8> {
        // SAFETY: `at` is in the arena (INV-2), so the sum is in one allocation.
        unsafe { self.base.add(self.at as usize * UNIT_BYTES) }
    }

    #[inline]
    fn header(self) -> Header {
        // SAFETY: a header was written there, aligned, before this `NodeRef`
        // came to be, and is never written again (INV-2).
        let header: &Published<Header> = unsafe { self.start().cast().as_ref() };
        header.get()
    }

    #[inline]
    fn link(self, level: usize) -> &'a AtomicU64 {
        assert!(level < self.height_min as usize, "INV-4");
        // SAFETY: there are at least `height_min` links before the header, of
        // which this is one (INV-4), and they were initialised before this
        // `NodeRef` came to be (INV-2). Afterwards they are only used as atomics.
        unsafe { self.start().sub((level + 1) * LINK_SIZE).cast().as_ref() }
    }

    /// The same node, whose height is known now.
    #[inline]
    pub fn of_known_height(self) -> Self {
        // INV-4: as many links as its header says.
        NodeRef { height_min: u32::from(self.header().height), ..self }
    }

    /// How many links it has at least.
    #[inline]
    pub fn height_min(self) -> usize {
        self.height_min as usize
    }

    /// Has the processor fetch the link on `level`.
    ///
    /// # Panics
    /// When the node is not as tall as that.
    #[inline]
    pub fn prefetch_link(self, level: usize) {
        prefetch_value(self.link(level));
    }

    /// Has the processor fetch the header and, as far as it stands with that, the key.
    #[inline]
    pub fn prefetch_key(self) {
        // SAFETY: as in `header`.
        let header: &Published<Header> = unsafe { self.start().cast().as_ref() };
        prefetch_value(header);
    }

    /// Has the processor fetch the node, or the front of it: lowest link, header, key and payload.
    #[inline]
    pub fn prefetch(self) {
        prefetch_from(self.start().as_ptr().wrapping_sub(LINK_SIZE), FETCHED_BYTES);
    }

    /// The key.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        let key_len = usize::from(self.header().key_len);
        // SAFETY: the key's bytes stand behind the header, as many as it says,
        // and are not written while the arena lives (INV-2).
        unsafe { slice::from_raw_parts(self.start().add(HEADER_SIZE).as_ptr(), key_len) }
    }

    /// When it was written.
    #[inline]
    pub fn seq(self) -> SeqNo {
        SeqNo(self.header().trailer >> 8)
    }

    /// The entry. Of the head: an empty one.
    #[inline]
    pub fn entry(self) -> EntryRef<'a> {
        let header = self.header();
        let (seq, kind) = unpack_trailer(header.trailer).expect("allocate packed it");
        let (key, payload_len) = (self.key(), header.payload_len as usize);
        // SAFETY: the payload stands behind the key, as long as the header
        // says, and is not written while the arena lives (INV-2).
        let payload = unsafe {
            slice::from_raw_parts(self.start().add(HEADER_SIZE + key.len()).as_ptr(), payload_len)
        };
        EntryRef { key, seq, kind, payload }
    }

    /// What this node links to on `level`.
    ///
    /// # Panics
    /// When the node is not as tall as that.
    #[inline]
    pub fn next(self, level: usize) -> Option<Link<'a>> {
        // Acquire: pairs with the Release stores of `link_between`, so that all
        // of the node that is found was written before (INV-3).
        let word = self.link(level).load(Ordering::Acquire);
        let (at, hint) = unpack_link(word);
        // INV-4: `link_between` links nodes only on levels that they have.
        #[expect(clippy::cast_possible_truncation, reason = "`link` found it below a u32")]
        let height_min = level as u32 + 1;
        (at != 0).then_some(Link { node: NodeRef { at, height_min, ..self }, hint })
    }

    /// Puts this node between `prev` and what `prev` linked to, `next`, on
    /// `level`; `hint` is about this node, `next_hint` about the one behind it.
    /// False: `prev` does not link to `next` any more, and was left as it is.
    ///
    /// # Panics
    /// When they are of different arenas or one is not as tall as that.
    pub fn link_between(
        self,
        prev: NodeRef<'a>,
        hint: u32,
        next: Option<Link<'a>>,
        next_hint: u32,
        level: usize,
    ) -> bool {
        assert!(self.base == prev.base, "one arena");
        assert!(next.is_none_or(|next| next.node.base == self.base), "one arena");
        assert!(next.is_none_or(|next| level < next.node.height_min as usize), "INV-4");
        let (expected, onward) = next.map_or((0, 0), |Link { node, hint }| {
            (pack_link(node.at, hint), pack_link(node.at, next_hint))
        });
        // Release, for INV-3: who came to this node by a lower level, on which it is linked already, may read this link before
        // the one below is there, and what it leads to may have been acquired by this thread after that level was linked.
        self.link(level).store(onward, Ordering::Release);
        // Release: this is what publishes the node; its bytes and the link
        // above were written before (INV-3). Relaxed on failure: the value is
        // not used, the caller reads the link again.
        prev.link(level)
            .compare_exchange(
                expected,
                pack_link(self.at, hint),
                Ordering::Release,
                Ordering::Relaxed,
            )
            .is_ok()
    }
}

impl PartialEq for NodeRef<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at && self.base == other.base
    }
}

impl Eq for NodeRef<'_> {}

impl fmt::Debug for NodeRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeRef({}, {:?})", self.at, self.entry())
    }
}

/// Some nodes, each of them or none, together with a share of the arena that they are in.
#[derive(Debug)]
pub struct HeldNodes<const N: usize> {
    arena: Arc<Arena>,
    /// The nodes' places; 0 for none. They came out of [`NodeRef`]s of `arena`.
    at: [u32; N],
}

impl<const N: usize> HeldNodes<N> {
    /// Holds `arena` and no node.
    pub fn new(arena: Arc<Arena>) -> Self {
        HeldNodes { arena, at: [0; N] }
    }

    /// The node of that index.
    #[inline]
    pub fn get(&self, index: usize) -> Option<NodeRef<'_>> {
        let at = self.at[index];
        // INV-2: there was a `NodeRef` to it in `set`, and whoever borrows
        // `self` now is ordered after that.
        (at != 0).then_some(NodeRef {
            base: self.arena.region.base(),
            at,
            height_min: 1,
            arena: PhantomData,
        })
    }

    /// Puts in the place of the node of that index the one that `find` makes of the arena and the nodes so far.
    ///
    /// # Panics
    /// When that is a node of another arena.
    #[inline]
    pub fn set(
        &mut self,
        index: usize,
        find: impl for<'a> FnOnce(&'a Arena, [Option<NodeRef<'a>>; N]) -> Option<NodeRef<'a>>,
    ) {
        let found = find(&self.arena, std::array::from_fn(|index| self.get(index)));
        assert!(found.is_none_or(|node| node.base == self.arena.region.base()), "one arena");
        self.at[index] = found.map_or(0, |node| node.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::EntryKind;

    fn entry<'a>(key: &'a [u8], payload: &'a [u8]) -> EntryRef<'a> {
        EntryRef { key, seq: SeqNo(7), kind: EntryKind::Set, payload }
    }

    #[test]
    fn nodes_fill_the_arena_to_its_last_byte_and_keep_their_bytes() {
        // Sizes that leave every rest modulo 8.
        let bytes: Vec<u8> = (0..40).collect();
        let capacity_bytes = node_bytes_max(13, 40) + 4096;
        let arena = Arena::new(capacity_bytes);
        let mut nodes = Vec::new();
        for i in 0.. {
            let entry = entry(&bytes[..i % 14], &bytes[..i % 41]);
            let bytes_max = node_bytes_max(entry.key.len(), entry.payload.len());
            let free_bytes = capacity_bytes - arena.used_bytes();
            assert_eq!(arena.reserve(bytes_max), bytes_max <= free_bytes);
            if bytes_max > free_bytes {
                break;
            }
            let height = 1 + i % HEIGHT_MAX;
            nodes.push((arena.allocate(entry, height), entry, height));
        }
        // As tall as can be: ends with the allocation, where one byte more is out of it.
        let free_bytes = capacity_bytes - arena.used_bytes();
        if let Some(payload_len) = free_bytes.checked_sub(node_bytes_max(0, 0)) {
            let entry = entry(b"", &bytes[..payload_len]);
            assert!(arena.reserve(free_bytes));
            nodes.push((arena.allocate(entry, HEIGHT_MAX), entry, HEIGHT_MAX));
            assert!(!arena.reserve(1));
        }
        for (node, entry, height) in nodes {
            assert_eq!(node.entry(), entry);
            for level in 0..height {
                assert!(node.next(level).is_none());
                assert!(node.link_between(arena.head(), 0, arena.head().next(level), 0, level));
            }
        }
        assert_eq!(arena.head().key(), b"");
    }

    #[test]
    fn a_node_gives_back_what_it_does_not_take() {
        let arena = Arena::new(10_000);
        assert!(arena.reserve(node_bytes_max(3, 5)));
        arena.allocate(entry(b"abc", b"defgh"), 1);
        assert_eq!(arena.used_bytes(), 8 + 16 + 8);
        assert!(!arena.reserve(10_000 - 32 + 1));
        assert!(arena.reserve(10_000 - 32));
        arena.release(10_000 - 32);
        assert!(arena.reserve(10_000 - 32));
    }

    #[test]
    fn reservations_that_fit_nowhere_are_refused() {
        let arena = Arena::new(0);
        assert!(arena.reserve(0));
        assert!(!arena.reserve(1));
        assert!(!arena.reserve(usize::MAX));
        assert_eq!(node_bytes_max(usize::MAX, usize::MAX), u32::MAX as usize * UNIT_BYTES);
        assert!(!arena.reserve(RESERVED_BYTES_MAX + 1));
    }

    #[test]
    #[should_panic(expected = "must have set aside room")]
    fn a_node_without_reserved_room_is_refused() {
        Arena::new(10_000).allocate(entry(b"a", b""), 1);
    }

    #[test]
    #[should_panic(expected = "INV-4")]
    fn a_link_above_the_tower_is_out_of_reach() {
        let arena = Arena::new(10_000);
        assert!(arena.reserve(1_000));
        let _ = arena.allocate(entry(b"a", b""), 3).next(3);
    }

    #[test]
    #[should_panic(expected = "INV-4")]
    fn a_link_leads_to_a_node_of_its_level() {
        let arena = Arena::new(10_000);
        assert!(arena.reserve(1_000));
        let node = arena.allocate(entry(b"a", b""), 3);
        assert!(node.link_between(arena.head(), 0, None, 0, 0));
        let _ = arena.head().next(0).expect("just linked").node.next(1);
    }

    #[test]
    #[should_panic(expected = "INV-4")]
    fn a_link_to_a_node_is_not_taken_up_to_where_it_has_none() {
        let arena = Arena::new(10_000);
        assert!(arena.reserve(1_000));
        let low = arena.allocate(entry(b"b", b""), 1);
        let tall = arena.allocate(entry(b"a", b""), 3);
        assert!(low.link_between(arena.head(), 0, None, 0, 0));
        tall.link_between(arena.head(), 0, arena.head().next(0), 0, 1);
    }

    #[test]
    #[should_panic(expected = "one arena")]
    fn nodes_of_two_arenas_are_not_linked() {
        let (a, b) = (Arena::new(10_000), Arena::new(10_000));
        assert!(a.reserve(1_000));
        let node = a.allocate(entry(b"a", b""), 3);
        node.link_between(b.head(), 0, None, 0, 0);
    }
}
