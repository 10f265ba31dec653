//! Loads blocks before they are asked for, on a thread of its own: those ahead of a cursor, and the rest of a table that
//! is half there ([`super::fill`]).
//!
//! To load a block (to read, verify, uncompress and check it) takes more than twice as long as to walk over its entries. A
//! cursor that had to load many blocks in a row has the thread load those that it comes to next, finds most of them in the
//! cache, and a walk over what is not in the cache has two processors.
//!
//! INV-1: no cursor waits for the thread. A block that is not in the cache when a cursor comes to it, the
//! cursor loads; and the thread, which it has caught up with, goes on some blocks ahead of it.
//! INV-2: the thread is ahead of a cursor by [`AHEAD_BYTES_MAX`] of the file at most, [`AHEAD_MEMORY_MAX`] in memory, or
//! one block, and does nothing while the cursor stands still.
//! INV-3: it keeps no table longer than the cursor does, or, to load the rest of it, than it is part of the database, but for
//! some blocks at hand.
//!
//! What fails on the thread ends its way ahead of that cursor and is not told: the cursor meets it when it comes there.
//! Nor is it told of the rest of a table.

use super::fill::Fill;
use super::head_memory::CountedHead;
use super::read_ahead::{Direction, ReadAhead};
use super::reader::Table;
use crate::worker::Helper;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// After how many blocks in a row that a cursor had to load the thread goes ahead of it: to wake it costs as
/// much as some blocks, and most walks are shorter.
pub(super) const AFTER_MISSES: usize = 32;
/// How far the thread goes ahead of a cursor, in bytes of the file.
pub(super) const AHEAD_BYTES_MAX: u64 = 512 << 10;
/// The same in bytes of memory.
const AHEAD_MEMORY_MAX: usize = 1 << 20;
/// Where a cursor has caught up with the thread, that goes on so many blocks ahead of it: it comes to them
/// late enough.
pub(super) const SKIPPED_BLOCKS: usize = 16;
/// So many blocks are loaded ahead of one cursor before it is the next one's turn.
const TURN_BLOCKS: usize = 8;
/// The thread goes ahead of so many cursors at once; others load for themselves.
const WALKS_MAX: usize = 8;
/// So many tables may wait for the rest of them to be loaded; others are loaded by those who read them.
const FILLS_MAX: usize = 64;
/// The least cache that is worth it: what is loaded ahead is a quarter of it at most.
const CACHE_BYTES_MIN: usize = 4 * WALKS_MAX * AHEAD_MEMORY_MAX;

/// The thread, which is started when it is first of use.
#[derive(Debug, Default)]
pub struct Preloader {
    shared: Arc<Shared>,
    helper: Helper,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was told to the thread, which may wait for it.
    told: Condvar,
    is_stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Not yet taken by the thread.
    new: Vec<Arc<Walk>>,
    /// Those it goes ahead of, these included.
    walks: usize,
    /// Tables that are to be loaded, not yet taken either, and how many there are with those that were.
    new_fills: Vec<Fill>,
    fills: usize,
}

/// The way of one cursor through a table.
#[derive(Debug)]
struct Walk {
    table: Arc<Table>,
    head: Arc<CountedHead>,
    /// The block from which steps are counted, and which way.
    from: usize,
    direction: Direction,
    /// The cursor is so many blocks further.
    steps: AtomicUsize,
    /// When it is that far, it wakes the thread.
    wakes_at: AtomicUsize,
    is_over: AtomicBool,
}

/// A cursor's side of it. Dropped, the thread goes no further.
#[derive(Debug)]
pub struct Preload {
    walk: Arc<Walk>,
    shared: Arc<Shared>,
}

impl Preloader {
    /// Whether it is worth it for a cache of that capacity.
    #[must_use]
    pub fn is_for(capacity_bytes: usize) -> bool {
        capacity_bytes >= CACHE_BYTES_MIN
    }

    /// Has the thread go ahead of a cursor that is at block `from` of `table` and goes on in that direction.
    /// `None`: there is no thread to be had, or it has enough to do.
    pub(super) fn go_ahead(
        &self,
        table: &Arc<Table>,
        head: Arc<CountedHead>,
        from: usize,
        direction: Direction,
    ) -> Option<Preload> {
        let mut state = self.shared.state.lock();
        if state.walks >= WALKS_MAX || !self.is_running() {
            return None;
        }
        let walk = Arc::new(Walk {
            table: Arc::clone(table),
            head,
            from,
            direction,
            steps: AtomicUsize::new(0),
            wakes_at: AtomicUsize::new(usize::MAX),
            is_over: AtomicBool::new(false),
        });
        state.walks += 1;
        state.new.push(Arc::clone(&walk));
        drop(state);
        self.shared.told.notify_one();
        Some(Preload { walk, shared: Arc::clone(&self.shared) })
    }

    /// Has the thread load the rest of `table`, if there is one and it has not too much to do.
    pub(super) fn fill(&self, table: &Arc<Table>, head: Arc<CountedHead>) {
        let mut state = self.shared.state.lock();
        if state.fills < FILLS_MAX && self.is_running() {
            state.fills += 1;
            state.new_fills.push(Fill::new(Arc::clone(table), head));
            drop(state);
            self.shared.told.notify_one();
        }
    }

    /// Starts the thread if there is none; false: the system gives none, or it was stopped.
    fn is_running(&self) -> bool {
        let (shared, of_panic) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        // Cursors do without the thread; who caused the panic will meet its cause.
        let on_panic = move |_| of_panic.stop();
        !self.shared.is_stopped.load(Ordering::SeqCst)
            && self.helper.start("esker-preload", move || run(&shared), on_panic)
    }

    /// Ends the thread, for good.
    pub fn stop(&self) {
        self.shared.stop();
        self.helper.stop();
    }
}

impl Drop for Preloader {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        // Dropped when the lock is: a table may go with it.
        let mut state = self.state.lock();
        let (new, new_fills) =
            (std::mem::take(&mut state.new), std::mem::take(&mut state.new_fills));
        drop(state);
        self.told.notify_all();
        drop((new, new_fills));
    }

    /// What changed before the lock is taken, the thread either sees or is woken by.
    fn wake(&self) {
        drop(self.state.lock());
        self.told.notify_one();
    }

    /// Waits until there is something to do, and adds what is new to `ahead` and `fills`; false: that is the end.
    fn wait(&self, ahead: &mut Vec<Ahead>, fills: &mut VecDeque<Fill>) -> bool {
        let mut state = self.state.lock();
        loop {
            ahead.extend(state.new.drain(..).map(Ahead::new));
            fills.extend(state.new_fills.drain(..));
            if self.is_stopped.load(Ordering::SeqCst) {
                return false;
            }
            if !fills.is_empty() || ahead.iter().any(Ahead::has_work) {
                return true;
            }
            self.told.wait(&mut state);
        }
    }

    fn leave(&self, walks: usize, fills: usize) {
        let mut state = self.state.lock();
        state.walks -= walks;
        state.fills -= fills;
    }
}

impl Preload {
    /// Says that the cursor has come to block `number`; false: that is not on its way, which has ended.
    pub(super) fn comes_to(&self, number: usize, direction: Direction) -> bool {
        let Walk { from, steps, wakes_at, .. } = &*self.walk;
        let gone = match direction {
            Direction::Forward => number.checked_sub(*from),
            Direction::Backward => from.checked_sub(number),
        };
        // No other thread writes it.
        let before = steps.load(Ordering::Relaxed);
        let Some(gone) =
            gone.filter(|&gone| direction == self.walk.direction && gone == before + 1)
        else {
            return false;
        };
        // In one order with the thread's writing of `wakes_at` and reading of `steps`: one of the two sees the other's.
        steps.store(gone, Ordering::SeqCst);
        if gone >= wakes_at.load(Ordering::SeqCst) {
            self.shared.wake();
        }
        true
    }
}

impl Drop for Preload {
    fn drop(&mut self) {
        self.walk.is_over.store(true, Ordering::SeqCst);
        self.shared.wake();
    }
}

fn run(shared: &Shared) {
    let (mut ahead, mut fills) = (Vec::new(), VecDeque::new());
    while shared.wait(&mut ahead, &mut fills) {
        let (walks, tables) = (ahead.len(), fills.len());
        turn(&mut ahead, &mut fills, &shared.is_stopped);
        shared.leave(walks - ahead.len(), tables - fills.len());
    }
}

/// Loads some blocks for each, and leaves those that there is nothing more to be done for.
pub(super) fn turn(ahead: &mut Vec<Ahead>, fills: &mut VecDeque<Fill>, is_stopped: &AtomicBool) {
    // First of all, since their tables may have to go (INV-3).
    ahead.retain(|ahead| !ahead.walk.is_over.load(Ordering::SeqCst));
    fills.retain(|fill| !fill.is_over());
    ahead.retain_mut(|ahead| ahead.go(is_stopped) != Gone::ToTheEnd);
    // Somebody waits for what is ahead of a cursor, and nobody for the rest of a table.
    let is_free = !ahead.iter().any(Ahead::has_work);
    if is_free && fills.front_mut().is_some_and(|fill| !fill.go(is_stopped)) {
        fills.pop_front();
    }
}

/// The thread's side of it.
pub(super) struct Ahead {
    walk: Arc<Walk>,
    /// The block to be loaded next, in steps.
    next: usize,
    reads: ReadAhead,
    /// What the last block that it loaded takes in memory.
    block_bytes: usize,
    /// It is as far ahead as it may be.
    is_far: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    On,
    /// There is nothing to do any more.
    ToTheEnd,
}

impl Ahead {
    fn new(walk: Arc<Walk>) -> Self {
        Ahead { walk, next: 1, reads: ReadAhead::for_cache(), block_bytes: 0, is_far: false }
    }

    fn has_work(&self) -> bool {
        let Walk { steps, wakes_at, is_over, .. } = &*self.walk;
        !self.is_far
            || is_over.load(Ordering::SeqCst)
            || steps.load(Ordering::SeqCst) >= wakes_at.load(Ordering::SeqCst)
    }

    /// Loads some blocks.
    fn go(&mut self, is_stopped: &AtomicBool) -> Gone {
        if !self.has_work() {
            return Gone::On;
        }
        self.is_far = false;
        self.walk.wakes_at.store(usize::MAX, Ordering::SeqCst);
        for _ in 0..TURN_BLOCKS {
            let steps = self.walk.steps.load(Ordering::SeqCst);
            if self.next <= steps {
                self.next = steps + SKIPPED_BLOCKS;
            }
            let is_over =
                self.walk.is_over.load(Ordering::SeqCst) || is_stopped.load(Ordering::SeqCst);
            let Some(number) = self.walk.block(self.next).filter(|_| !is_over) else {
                return Gone::ToTheEnd;
            };
            if self.is_far(steps, number) {
                self.is_far = true;
                // Above `steps`, or it would wake itself: there is a block between.
                self.walk.wakes_at.store((steps + 1).midpoint(self.next), Ordering::SeqCst);
                return Gone::On;
            }
            if self.load(number).is_none() {
                return Gone::ToTheEnd;
            }
            self.next += 1;
        }
        Gone::On
    }

    /// Whether block `number`, the next, is further from the cursor than it may be loaded; the very next one never is.
    fn is_far(&self, steps: usize, number: usize) -> bool {
        let blocks = self.next - steps;
        blocks > 1
            && (self.walk.bytes_to(steps, number) > AHEAD_BYTES_MAX
                || blocks.saturating_mul(self.block_bytes) > AHEAD_MEMORY_MAX)
    }

    /// Sees to it that the block of that number is in the cache; `None`: that fails.
    fn load(&mut self, number: usize) -> Option<()> {
        let Walk { table, head, direction, .. } = &*self.walk;
        if !table.has_cached(head, number) {
            self.block_bytes = load_ahead(table, head, &mut self.reads, number, *direction)?;
        }
        Some(())
    }
}

/// Loads a block that was not in the cache a moment before, and says how much memory it takes; `None`: that fails.
pub(super) fn load_ahead(
    table: &Table,
    head: &CountedHead,
    reads: &mut ReadAhead,
    number: usize,
    direction: Direction,
) -> Option<usize> {
    let block = reads.block(table, &head.index, number, direction).ok()?;
    let bytes = block.weight();
    // Who reads it may have come there meanwhile. Two who load a block at once would be two uses of it.
    if !table.has_cached(head, number) {
        block.mark_loaded_ahead();
        table.keep_block(head, number, block);
    }
    // One that is too large for the cache would be loaded in vain, and so would those behind it.
    table.has_cached(head, number).then_some(bytes)
}

impl Walk {
    /// The block that the cursor comes to with so many steps.
    fn block(&self, steps: usize) -> Option<usize> {
        let number = match self.direction {
            Direction::Forward => self.from.checked_add(steps),
            Direction::Backward => self.from.checked_sub(steps),
        };
        number.filter(|&number| number < self.head.index.blocks())
    }

    /// How far block `number` is from the one that the cursor is in, in bytes of the file.
    fn bytes_to(&self, steps: usize, number: usize) -> u64 {
        let start = |number| self.head.index.block(number).map_or(0, |(start, ..)| start);
        start(number).abs_diff(self.block(steps).map_or(0, start))
    }
}
