//! Memory for very many pieces of about the same size, in huge pages: a slab allocator (J. Bonwick,
//! The Slab Allocator, 1994).
//!
//! Place on the data's path: below the cache of blocks, whose blocks are what it is for. A `get` touches
//! one of tens of thousands of them; in pages of 4 KiB each has page table entries of its own to wait for, and is
//! a fault when it is loaded.
//!
//! One region is cut into slabs, each of the size of a huge page where that is 2 MiB, and a slab that is in use into cells
//! of one size. Sizes are a thirty-second or [`UNIT_BYTES`] apart ([`size_of_cell`]), and four in a row are a class, whose
//! slabs are cut for the size that nearly all of it ask for lately or for less ([`State::usual`]): so blocks of one kind, which
//! are nearly of one size, waste little, and where they are of many, slabs are of few. A slab of which no cell is in use
//! may become one of another size; but for a few, their memory goes back to the system. What is larger than
//! [`CELL_BYTES_MAX`], is of a rare size ([`ASKED_MIN`]), or finds no room, is for the caller to allocate. The first few slabs
//! take memory as it is written; where more are in use, they become huge pages when the system finds time for it
//! ([`SMALL_SLABS`]).
//!
//! INV-1: a cell of a slab is either free, as [`Slab::free`] and [`Slab::fresh`] say, or that of exactly one [`Cell`],
//! which is not cloned. Both only change hands under the lock.
//! INV-2: cells do not overlap, and lie within the region, whose bytes are initialised.
//!
//! Concurrency: all of it from any thread; one lock, held for the time of a push or a pop, and of one call of the system
//! where a slab's memory goes back.
#![expect(unsafe_code, reason = "cells of one region in many hands; proofs at each use")]

use super::region::Region;
use parking_lot::Mutex;
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::slice;
use std::sync::Arc;

/// Size of a slab, in bytes.
const SLAB_BYTES: usize = if cfg!(miri) { 128 << 10 } else { 2 << 20 };
/// What the sizes of cells are multiples of, in bytes: a line of the processor's caches.
const UNIT_BYTES: usize = 64;
/// The largest cells, in bytes.
pub const CELL_BYTES_MAX: usize = 16 << 10;
/// How often a class is asked for before it gets its first slab: what is rare, as the last block of a table is, would
/// take a huge page for itself.
const ASKED_MIN: u32 = 64;
/// When the asks of a class are so many, each counts half from then on.
const ASKED_MAX: u32 = 1024;
/// Of how many of its asks one may be for more than the slabs of a class are cut for.
const RARE: u32 = 8;
/// Of how many slabs without a cell in use the memory is kept.
const KEPT_MAX: usize = 2;
/// So many slabs, at the front, stand in small pages until there are more: of a few, the one that is not full yet would be no small
/// part, and who is slowed down by many small pages has more.
const SMALL_SLABS: usize = 8;
/// How many sizes there are from one to its double.
const STEPS: usize = 32;
/// How many sizes there are: those up to `STEPS * UNIT_BYTES`, and three times as many as from one to its double.
const SIZES: usize = STEPS * 4;
/// How many sizes are a class.
const CLASS: usize = STEPS / 8;

const _: () = assert!(cell_bytes(SIZES - 1) == CELL_BYTES_MAX);
const _: () = assert!(SLAB_BYTES.is_multiple_of(UNIT_BYTES));

/// A region, cut into slabs.
// Who reads a cell reads `region`: not on the cache line of the counts of its `Arc`, which come and go with cells.
#[repr(align(64))]
pub struct Slabs {
    region: Region,
    /// Where the first slab starts in it.
    front: usize,
    state: Line<Mutex<State>>,
}

/// Something on a cache line of its own. Here: what is written with each cell that comes or goes.
#[repr(align(64))]
struct Line<T>(T);

struct State {
    slabs: Box<[Slab]>,
    /// Those without a cell in use, the one to take next last.
    unused: Vec<u32>,
    /// How many at the end of them, at most, have memory.
    kept: usize,
    /// Those of each size with a free cell and one in use.
    open: [Vec<u32>; SIZES],
    /// How often each size was asked for lately.
    asked: [u32; SIZES],
    /// Those at the front may be huge pages too.
    is_large: bool,
}

#[derive(Default)]
struct Slab {
    /// Of its cells, as long as it is in use.
    size: usize,
    in_use: usize,
    /// The numbers of cells that came back.
    free: Vec<u32>,
    /// The first of those that were never used as cells of this size.
    fresh: u32,
    /// Its place among the open ones of its size, if it is one.
    open_at: usize,
}

/// Bytes of one's own, in a slab.
pub struct Cell {
    slabs: Arc<Slabs>,
    /// Where it starts behind the front, in units.
    start: u32,
    len: u16,
    /// Of the cell, which may be larger than `len` needs.
    size: u8,
}

impl Slabs {
    /// Of `size_bytes` in all, or a little less. What was never used of them takes no memory. `None`: the system will
    /// not have it.
    #[must_use]
    pub fn new(size_bytes: usize) -> Option<Arc<Slabs>> {
        // Cells are found by 32 bits.
        let units_max = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        let count = size_bytes.min(units_max.saturating_mul(UNIT_BYTES)) / SLAB_BYTES;
        // With room to begin at a huge page.
        let region = Region::try_zeroed((count + 1).checked_mul(SLAB_BYTES)?, 1)?;
        let front = region.base().as_ptr().align_offset(SLAB_BYTES).min(SLAB_BYTES);
        let small = count.min(SMALL_SLABS);
        region.allow_huge_pages(front + small * SLAB_BYTES, (count - small) * SLAB_BYTES);
        let unused = (0..count).rev().map(|slab| u32::try_from(slab).expect("fewer than units"));
        let unused = unused.collect();
        let slabs = (0..count).map(|_| Slab::default()).collect();
        let open = std::array::from_fn(|_| Vec::new());
        let state = State { slabs, unused, kept: 0, open, asked: [0; SIZES], is_large: false };
        Some(Arc::new(Slabs { region, front, state: Line(Mutex::new(state)) }))
    }

    /// A cell of `len` bytes, whatever is in them. `None`: it would be too large, or there is no room, or that was rarely
    /// asked for yet.
    #[must_use]
    pub fn cell(self: &Arc<Self>, len: usize) -> Option<Cell> {
        let size = size_of_cell(len)?;
        let mut state = self.state.0.lock();
        let (slab, cell, size) = state.take(size)?;
        if slab as usize >= SMALL_SLABS && !mem::replace(&mut state.is_large, true) {
            self.region.allow_huge_pages(self.front, SMALL_SLABS * SLAB_BYTES);
        }
        drop(state);
        // The bounds of a slab are multiples of units, and so are cells.
        let start = (slab as usize * SLAB_BYTES + cell as usize * cell_bytes(size)) / UNIT_BYTES;
        let start = u32::try_from(start).expect("`new` makes no more");
        let len = u16::try_from(len).expect("at most that of the largest");
        let size = u8::try_from(size).expect("there are fewer sizes");
        Some(Cell { slabs: Arc::clone(self), start, len, size })
    }

    /// The cell that starts `start` bytes behind the front is free again.
    fn give_back(&self, start: usize) {
        let mut state = self.state.0.lock();
        if let Some(slab) = state.give_back(start) {
            // SAFETY: a slab is within the region, none of its cells is in use (INV-1), and none comes to be as long as
            // the lock is held.
            unsafe { self.region.forget(self.front + slab * SLAB_BYTES, SLAB_BYTES) };
        }
    }
}

impl State {
    /// A free cell of that size or somewhat more, which is none any more: its slab, its number there, and its size.
    fn take(&mut self, size: usize) -> Option<(u32, u32, usize)> {
        let usual = self.usual(size);
        let at = match self.with_room(size, size / CLASS * CLASS + CLASS) {
            Some(at) => at,
            None if usual.is_none_or(|usual| usual < size) => return None,
            // Where all slabs are cut, what they have is there in any case, and memory beside them would come on top.
            None => self.cut(usual?).or_else(|| {
                let double = size_of_cell(2 * cell_bytes(size)).unwrap_or(SIZES);
                self.with_room(size, double)
            })?,
        };
        let slab = &mut self.slabs[at as usize];
        let cell = slab.free.pop().unwrap_or_else(|| {
            slab.fresh += 1;
            slab.fresh - 1
        });
        slab.in_use += 1;
        let size = slab.size;
        if slab.in_use == SLAB_BYTES / cell_bytes(size) {
            self.open[size].pop();
        }
        Some((at, cell, size))
    }

    /// For which size slabs of its class are to be cut, now that `size` is asked for once more. `None`: for none.
    fn usual(&mut self, size: usize) -> Option<usize> {
        let first = size / CLASS * CLASS;
        let asked = &mut self.asked[first..first + CLASS];
        if asked.iter().sum::<u32>() >= ASKED_MAX {
            asked.iter_mut().for_each(|asked| *asked /= 2);
        }
        asked[size - first] += 1;
        let all = asked.iter().sum::<u32>();
        let mut up_to = 0;
        let is_usual = |asked: &u32| {
            up_to += asked;
            up_to >= all - all / RARE
        };
        (all > ASKED_MIN).then(|| asked.iter().position(is_usual))?.map(|usual| first + usual)
    }

    /// A slab with a free cell of that size or a larger one, below `end`.
    fn with_room(&self, size: usize, end: usize) -> Option<u32> {
        self.open[size..end].iter().find_map(|open| open.last().copied())
    }

    /// A slab without a cell in use becomes one of that size.
    fn cut(&mut self, size: usize) -> Option<u32> {
        let at = self.unused.pop()?;
        self.kept = self.kept.saturating_sub(1);
        let slab = &mut self.slabs[at as usize];
        (slab.size, slab.fresh) = (size, 0);
        slab.free.clear();
        self.show(at, size);
        Some(at)
    }

    /// A slab has a free cell of that size.
    fn show(&mut self, at: u32, size: usize) {
        self.slabs[at as usize].open_at = self.open[size].len();
        self.open[size].push(at);
    }

    /// The cell that starts `start` bytes behind the front is free again. The slab whose memory is to be given back, if
    /// there is one.
    fn give_back(&mut self, start: usize) -> Option<usize> {
        let at = start / SLAB_BYTES;
        let number = u32::try_from(at).expect("fewer than units");
        let slab = &mut self.slabs[at];
        let (size, in_use) = (slab.size, slab.in_use);
        let cell = start % SLAB_BYTES / cell_bytes(size);
        slab.free.push(u32::try_from(cell).expect("fewer than units"));
        slab.in_use -= 1;
        if in_use == SLAB_BYTES / cell_bytes(size) {
            self.show(number, size);
        }
        if in_use > 1 {
            return None;
        }
        let open_at = self.slabs[at].open_at;
        self.open[size].swap_remove(open_at);
        if let Some(&moved) = self.open[size].get(open_at) {
            self.slabs[moved as usize].open_at = open_at;
        }
        self.unused.push(number);
        if self.kept == KEPT_MAX {
            // In place of the one that was the first to come of those that are kept.
            let first = self.unused.len() - 1 - KEPT_MAX;
            return self.unused.get(first).map(|slab| *slab as usize);
        }
        self.kept += 1;
        None
    }
}

/// The size of cells that `len` bytes take; `None`: more than the largest.
fn size_of_cell(len: usize) -> Option<usize> {
    if len > CELL_BYTES_MAX {
        return None;
    }
    let last = len.saturating_sub(1);
    let doubling = (last / (STEPS * UNIT_BYTES)).checked_ilog2().map_or(0, |log| log as usize + 1);
    let step = last / (UNIT_BYTES << doubling.saturating_sub(1));
    Some(match doubling {
        0 => step,
        // Its first step is the one behind the last of the sizes before.
        _ => doubling * STEPS + step - STEPS,
    })
}

/// The bytes of cells of a size: multiples of [`UNIT_BYTES`], from the [`STEPS`]th on of twice as much for each doubling.
const fn cell_bytes(size: usize) -> usize {
    let (doubling, step) = (size / STEPS, size % STEPS + 1);
    match doubling {
        0 => step * UNIT_BYTES,
        _ => (STEPS + step) * (UNIT_BYTES << (doubling - 1)),
    }
}

impl Cell {
    /// What it takes of memory, in bytes.
    #[must_use]
    pub fn reserved_bytes(&self) -> usize {
        cell_bytes(self.size.into())
    }

    /// Where it starts behind the front, in bytes.
    #[inline]
    fn start(&self) -> usize {
        self.start as usize * UNIT_BYTES
    }
}

impl Deref for Cell {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `start` and `len` are of a cell within the region (INV-2), which lives as long as `slabs`. No one else
        // has the cell (INV-1), so its bytes are written through `deref_mut` alone, which has `self` to itself.
        unsafe {
            let start = self.slabs.region.base().add(self.slabs.front + self.start());
            slice::from_raw_parts(start.as_ptr(), self.len.into())
        }
    }
}

impl DerefMut for Cell {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; and who has `self` to itself has the cell to itself (INV-1).
        unsafe {
            let start = self.slabs.region.base().add(self.slabs.front + self.start());
            slice::from_raw_parts_mut(start.as_ptr(), self.len.into())
        }
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.slabs.give_back(self.start());
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").field("start", &self.start()).field("len", &self.len).finish()
    }
}

impl fmt::Debug for Slabs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slabs").field("region", &self.region).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MEMORY: &str = "there is so much memory";
    const MOVES_MAX: usize = if cfg!(miri) { 30 } else { 600 };
    const EACH: usize = SLAB_BYTES / CELL_BYTES_MAX;

    /// A cell, however rarely one like it was asked for.
    fn cell(slabs: &Arc<Slabs>, len: usize) -> Option<Cell> {
        (0..=ASKED_MIN).find_map(|_| slabs.cell(len))
    }

    fn filled(slabs: &Arc<Slabs>, len: usize, byte: u8) -> Option<Cell> {
        let mut cell = cell(slabs, len)?;
        assert_eq!(cell.len(), len);
        cell.fill(byte);
        Some(cell)
    }

    /// Compared in one piece, for Miri.
    fn is_filled(cell: &Cell, byte: u8) -> bool {
        **cell == vec![byte; cell.len()]
    }

    #[test]
    fn sizes_are_few_and_near_each_other() {
        let some = [0, 31, 32, 63, 64, 127].map(cell_bytes);
        assert_eq!(some, [64, 2048, 2112, 4096, 4224, 16384]);
        for len in (0..=CELL_BYTES_MAX).step_by(if cfg!(miri) { 255 } else { 1 }) {
            let size = size_of_cell(len).expect("not too large");
            assert!(
                len <= cell_bytes(size) && cell_bytes(size) <= UNIT_BYTES + len * 33 / 32,
                "{len}"
            );
            assert!(size == 0 || cell_bytes(size - 1) < len, "{len} would do with less");
        }
        assert_eq!(size_of_cell(CELL_BYTES_MAX + 1), None);
    }

    /// Miri is slow, and has no files to keep failures in.
    fn config() -> ProptestConfig {
        match cfg!(miri) {
            true => {
                ProptestConfig { cases: 3, failure_persistence: None, ..ProptestConfig::default() }
            }
            false => ProptestConfig::with_cases(64),
        }
    }

    proptest! {
        #![proptest_config(config())]

        /// Whatever is taken and given back in whatever order, all that is held keeps its bytes.
        #[test]
        fn cells_do_not_overlap(
            moves in proptest::collection::vec((0..=CELL_BYTES_MAX, any::<proptest::sample::Index>(), 0..3_u8), 1..MOVES_MAX),
            slabs in 1..4_usize,
        ) {
            let slabs = Slabs::new(slabs * SLAB_BYTES).expect(MEMORY);
            let mut held: Vec<(u8, Cell)> = Vec::new();
            for ((len, index, kind), byte) in moves.into_iter().zip((0..=u8::MAX).cycle()) {
                if kind == 0 && !held.is_empty() {
                    let (byte, cell) = held.swap_remove(index.index(held.len()));
                    prop_assert!(is_filled(&cell, byte));
                } else {
                    held.extend(filled(&slabs, len, byte).map(|cell| (byte, cell)));
                }
            }
            for (byte, cell) in held {
                prop_assert!(is_filled(&cell, byte));
            }
            let state = slabs.state.0.lock();
            prop_assert_eq!(state.unused.len(), state.slabs.len(), "all of it is free again");
            prop_assert!(state.open.iter().all(Vec::is_empty));
        }
    }

    #[test]
    fn there_is_room_for_as_much_as_was_asked_for_and_no_more() {
        let slabs = Slabs::new(2 * SLAB_BYTES + 1).expect(MEMORY);
        let fill = |len| std::iter::from_fn(|| cell(&slabs, len)).collect::<Vec<Cell>>();
        let mut cells = fill(CELL_BYTES_MAX);
        assert_eq!(cells.len(), 2 * EACH);
        assert!(cell(&slabs, 1).is_none(), "nor one of another size");
        // A cell of each slab, then all of one: only a slab without any may be of another size.
        drop(cells.pop());
        drop(cells.remove(0));
        assert!(cell(&slabs, 1).is_none());
        assert_eq!(fill(CELL_BYTES_MAX).len(), 2);
        cells.drain(..EACH - 1);
        assert_eq!(fill(1).len(), SLAB_BYTES / UNIT_BYTES);
        drop(cells);
        assert_eq!(fill(CELL_BYTES_MAX).len(), 2 * EACH, "and they were given back");
        assert!(cell(&slabs, CELL_BYTES_MAX + 1).is_none());
        assert!(cell(&Slabs::new(SLAB_BYTES - 1).expect(MEMORY), 1).is_none());
    }

    /// What is in use keeps its bytes, and of what is not nearly all are zeros again.
    #[test]
    fn memory_goes_back_to_the_system() {
        let slabs = Slabs::new(8 * SLAB_BYTES).expect(MEMORY);
        let fill =
            || std::iter::from_fn(|| filled(&slabs, CELL_BYTES_MAX, 7)).collect::<Vec<Cell>>();
        let mut cells = fill();
        assert_eq!(cells.len(), 8 * EACH);
        cells.drain(EACH..7 * EACH);
        assert!(cells.iter().all(|cell| is_filled(cell, 7)));
        let again = std::iter::from_fn(|| cell(&slabs, CELL_BYTES_MAX)).collect::<Vec<Cell>>();
        let used = again.iter().filter(|cell| !is_filled(cell, 0)).count();
        assert_eq!(again.len(), 6 * EACH);
        assert!(used <= KEPT_MAX * EACH || cfg!(any(miri, not(target_os = "linux"))), "{used}");
    }

    #[test]
    fn what_is_rarely_asked_for_gets_no_slab() {
        let slabs = Slabs::new(SLAB_BYTES).expect(MEMORY);
        assert!((0..ASKED_MIN).all(|_| slabs.cell(4096).is_none()));
        let first = slabs.cell(4096).expect("and from then on it does");
        assert_eq!(first.reserved_bytes(), 4096);
        assert!(slabs.cell(1).is_none());
        drop(first);
        assert!(slabs.cell(4096).is_some(), "it need not ask again");
    }

    #[test]
    fn slabs_are_cut_for_what_nearly_all_of_a_class_ask_for() {
        let slabs = Slabs::new(3 * SLAB_BYTES).expect(MEMORY);
        let reserved = |cell: Option<Cell>| cell.map(|cell| cell.reserved_bytes());
        let _first = cell(&slabs, 4000).expect("there is room");
        let near = slabs.cell(3850).expect("of its class");
        assert_eq!((near.len(), near.reserved_bytes()), (3850, 4032));
        // What is rare and does not fit gets no slab, until it is no longer rare.
        assert!(slabs.cell(4096).is_none());
        let second = (0..20).find_map(|_| slabs.cell(4096));
        assert_eq!(second.as_ref().map(Cell::reserved_bytes), Some(4096));
        // Small ones take what is left of both slabs, and one of a third.
        let each = SLAB_BYTES / 4032 - 2 + SLAB_BYTES / 4096 - 1 + 1;
        let rest: Vec<Cell> = (0..each).map_while(|_| slabs.cell(3850)).collect();
        assert_eq!(rest.len(), each);
        // No slab is left: what is there serves what is smaller, unless it is by half.
        assert!(reserved(cell(&slabs, 2200)) > Some(3850));
        assert_eq!((reserved(cell(&slabs, 1500)), reserved(cell(&slabs, 4097))), (None, None));
        // Nor of small ones, of which there are few sizes to the double.
        let slabs = Slabs::new(SLAB_BYTES).expect(MEMORY);
        let _first = cell(&slabs, 2000).expect("there is room");
        assert_eq!((reserved(cell(&slabs, 1100)), reserved(cell(&slabs, 64))), (Some(2048), None));
    }

    #[test]
    fn slabs_start_where_huge_pages_do() {
        let slabs = Slabs::new(SLAB_BYTES).expect(MEMORY);
        let cell = cell(&slabs, 1).expect("there is room");
        assert!(cell.as_ptr().addr().is_multiple_of(SLAB_BYTES));
    }

    #[test]
    fn cells_outlive_their_slabs() {
        let slabs = Slabs::new(SLAB_BYTES).expect(MEMORY);
        let cells: Vec<Cell> = (1..=3).filter_map(|n| filled(&slabs, 1000, n)).collect();
        drop(slabs);
        assert!(cells.len() == 3);
        assert!(cells.iter().zip(1..).all(|(cell, n)| is_filled(cell, n)));
    }

    #[test]
    fn threads_have_each_their_own() {
        let slabs = Slabs::new(4 * SLAB_BYTES).expect(MEMORY);
        let rounds = if cfg!(miri) { 30 } else { 20_000 };
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let slabs = &slabs;
                scope.spawn(move || {
                    let mut held: Vec<Cell> = Vec::new();
                    for round in 0..rounds {
                        held.extend(filled(slabs, 100 + round % 700, thread));
                        if held.len() > 20 {
                            let cell = held.swap_remove(round % 20);
                            assert!(is_filled(&cell, thread));
                        }
                    }
                });
            }
        });
    }
}
