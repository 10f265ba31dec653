//! Memory that is there before the writers come to it, made by a thread of its own.
//!
//! The first write into a page of memory has the system find it and clear it: a third of a millisecond for one of 2 MiB,
//! and ten times that in a virtual machine whose host has no memory behind it yet. A writer that fills a memtable spent a
//! seventh of its time so, all of it in stalls. So a memtable that is being filled has the thread make what comes next.
//!
//! INV-1: no writer waits for the thread. Where it is late the writer has the memory made itself, as any program does. (The
//! system has who maps or unmaps memory meanwhile wait for the page at hand.)
//! INV-2: the thread is ahead of the writers by [`LEAD_BYTES_MAX`] and a huge page at most, and does nothing while they do nothing.
//! INV-3: it keeps no memtable's memory longer than its writers and readers do, but for the step at hand.

use super::arena::Arena;
use crate::arena::Region;
use crate::worker::Helper;
use parking_lot::{Condvar, Mutex};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// With so much left of what was made, the next page is, at first: as much as the fastest writers fill in two milliseconds.
const LEAD_BYTES_MIN: usize = 512 << 10;

/// The same at most, where the thread was late.
const LEAD_BYTES_MAX: usize = 2 << 20;

/// A memtable with less in it has nothing made.
const FILLED_BYTES_MIN: usize = 1 << 20;

/// The thread, which is started when it is first of use.
#[derive(Debug, Default)]
pub struct MemoryAhead {
    shared: Arc<Shared>,
    helper: Helper,
}

#[derive(Debug)]
struct Shared {
    wanted: Mutex<Wanted>,
    told: Condvar,
    /// With less than that left of what was made, the next page is. The thread alone changes it.
    lead_bytes: AtomicUsize,
}

impl Default for Shared {
    fn default() -> Self {
        let (wanted, told) = (Mutex::default(), Condvar::new());
        Shared { wanted, told, lead_bytes: AtomicUsize::new(LEAD_BYTES_MIN) }
    }
}

#[derive(Debug, Default)]
struct Wanted {
    /// What is to be made next, where anything is.
    step: Option<Step>,
    is_stopped: bool,
}

/// A part of an arena.
#[derive(Debug)]
struct Step {
    arena: Arc<Arena>,
    bytes: Range<usize>,
}

/// A memtable's side of it.
#[derive(Debug)]
pub struct Ahead {
    /// Up to where memory was asked for, counted as [`Arena::used_bytes`].
    asked_bytes: AtomicUsize,
    thread: Arc<MemoryAhead>,
}

impl MemoryAhead {
    /// Ends the thread, for good.
    pub fn stop(&self) {
        self.shared.stop();
        self.helper.stop();
    }

    fn ask(&self, mut step: Step) {
        let mut wanted = self.shared.wanted.lock();
        if !Region::CAN_POPULATE || wanted.is_stopped || !self.is_running() {
            return;
        }
        // What it has not come to yet is made with it, in whatever order they were asked for; or it is of another memtable, one of which is
        // full: then a page may be left to the writers.
        let late = wanted.step.take();
        if let Some(late) = late.as_ref().filter(|late| Arc::ptr_eq(&late.arena, &step.arena)) {
            step.bytes.start = step.bytes.start.min(late.bytes.start);
            step.bytes.end = step.bytes.end.max(late.bytes.end);
        }
        wanted.step = Some(step);
        drop(wanted);
        drop(late); // Perhaps with its memory.
        self.shared.told.notify_one();
    }

    /// Starts the thread if there is none; false: the system gives none.
    fn is_running(&self) -> bool {
        let (shared, of_panic) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        self.helper.start("esker-memory", move || shared.run(), move |_| of_panic.stop())
    }
}

impl Drop for MemoryAhead {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn stop(&self) {
        let mut wanted = self.wanted.lock();
        wanted.is_stopped = true;
        let step = wanted.step.take();
        drop(wanted);
        drop(step);
        self.told.notify_all();
    }

    fn run(&self) {
        while let Some(Step { arena, bytes }) = self.wait() {
            let start_bytes = bytes.start;
            arena.populate(bytes);
            let left_bytes = start_bytes.saturating_sub(arena.used_bytes());
            // Relaxed: how early to ask, and nothing else, depends on it.
            let lead_bytes = self.lead_bytes.load(Ordering::Relaxed);
            self.lead_bytes.store(next_lead(lead_bytes, left_bytes), Ordering::Relaxed);
        }
    }

    fn wait(&self) -> Option<Step> {
        let mut wanted = self.wanted.lock();
        loop {
            if wanted.is_stopped {
                return None;
            }
            if let Some(step) = wanted.step.take() {
                return Some(step);
            }
            self.told.wait(&mut wanted);
        }
    }
}

/// How early to ask, when so much was left to the writers when memory was made for which they had
/// asked `lead_bytes` early: earlier where they had come to it, a little later where there was time for it twice.
fn next_lead(lead_bytes: usize, left_bytes: usize) -> usize {
    let next = match left_bytes {
        0 => lead_bytes * 2,
        left if left > lead_bytes / 2 => lead_bytes - lead_bytes / 16,
        _ => lead_bytes,
    };
    next.clamp(LEAD_BYTES_MIN, LEAD_BYTES_MAX)
}

impl Ahead {
    /// For a memtable, the first `there_bytes` of which need nobody.
    pub fn new(thread: Arc<MemoryAhead>, there_bytes: usize) -> Self {
        Ahead { asked_bytes: AtomicUsize::new(there_bytes), thread }
    }

    /// Has more of `arena` made, if the writers are near the end of what was.
    #[inline]
    pub fn follow(&self, arena: &Arc<Arena>) {
        let used_bytes = arena.used_bytes();
        // Relaxed: nothing is published by it.
        let asked_bytes = self.asked_bytes.load(Ordering::Relaxed);
        let lead_bytes = self.thread.shared.lead_bytes.load(Ordering::Relaxed);
        if used_bytes + lead_bytes > asked_bytes && used_bytes >= FILLED_BYTES_MIN {
            self.ask(arena, used_bytes, asked_bytes);
        }
    }

    #[cold]
    fn ask(&self, arena: &Arc<Arena>, used_bytes: usize, asked_bytes: usize) {
        let start_bytes = asked_bytes.max(used_bytes);
        let (order, end_bytes) = (Ordering::Relaxed, arena.huge_page_end(start_bytes));
        // One of the writers that see it asks.
        if self.asked_bytes.compare_exchange(asked_bytes, end_bytes, order, order).is_ok() {
            self.thread.ask(Step { arena: Arc::clone(arena), bytes: start_bytes..end_bytes });
        }
    }
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;
    use crate::format::{EntryKind, EntryRef, SeqNo};
    use crate::fs::disk::DiskFs;
    use crate::fs::{Fs, OpenMode, read_exact_at};
    use crate::memtable::Memtable;
    use std::time::{Duration, Instant};

    const MIB: usize = 1 << 20;
    const PAGE_BYTES: usize = 4096;
    const CAPACITY_BYTES: usize = 33 * MIB;

    /// How many bytes from `address` on, up to `size_bytes`, have memory behind them.
    fn resident_bytes(address: usize, size_bytes: usize) -> usize {
        // Eight bytes a page, of which the highest bit says that it is in memory (proc_pid_pagemap(5)).
        let path = std::path::Path::new("/proc/self/pagemap");
        let pagemap = DiskFs::new().open(path, OpenMode::Read).expect("every process has one");
        let mut pages = vec![0; size_bytes / PAGE_BYTES * 8];
        let start = (address / PAGE_BYTES * 8) as u64;
        read_exact_at(pagemap.as_ref(), &mut pages, start).expect("of our memory");
        let (pages, _) = pages.as_chunks::<8>();
        pages.iter().filter(|page| page[7] & 0x80 != 0).count() * PAGE_BYTES
    }

    struct Scene {
        memtable: Memtable,
        seq: u64,
    }

    impl Scene {
        fn new(thread: &Arc<MemoryAhead>) -> Self {
            let memtable = Memtable::new(CAPACITY_BYTES).with_memory_ahead(thread);
            Scene { memtable, seq: 0 }
        }

        fn resident_bytes(&self) -> usize {
            let head = self.memtable.arena.head();
            resident_bytes(head.key().as_ptr().addr(), CAPACITY_BYTES)
        }

        /// Inserts until so much is in use.
        fn fill_to(&mut self, used_bytes: usize) {
            while self.memtable.used_bytes() < used_bytes {
                self.insert(&[7; 4000]);
            }
        }

        fn insert(&mut self, payload: &[u8]) {
            self.seq += 1;
            let (key, seq) = (self.seq.to_be_bytes(), SeqNo(self.seq));
            let entry = EntryRef { key: &key, seq, kind: EntryKind::Set, payload };
            assert!(self.memtable.reserve(Memtable::entry_bytes_max(key.len(), payload.len())));
            self.memtable.insert(entry);
        }

        fn asked_bytes(&self) -> usize {
            let ahead = self.memtable.ahead.as_ref().expect("it has");
            ahead.asked_bytes.load(Ordering::Relaxed)
        }

        /// Waits until so much is there.
        fn await_resident(&self, bytes: usize) {
            let begun = Instant::now();
            while self.resident_bytes() < bytes {
                assert!(begun.elapsed() < Duration::from_secs(20), "{}", self.resident_bytes());
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn memory_is_there_before_the_writer_and_not_much_more_than_it_needs() {
        let thread = Arc::default();
        let mut scene = Scene::new(&thread);
        // A little one takes what it needs, in small pages.
        scene.fill_to(MIB / 2);
        assert!(!thread.helper.is_running() && scene.resident_bytes() < MIB);
        for mib in 2..12 {
            scene.fill_to(mib * MIB);
            scene.await_resident(mib * MIB + LEAD_BYTES_MIN);
            let resident = scene.resident_bytes();
            assert!(resident <= mib * MIB + LEAD_BYTES_MAX + 4 * MIB, "{resident} at {mib}");
            // To the end of a huge page; the last entry may reach beyond the mebibyte.
            let (asked_bytes, used_bytes) = (scene.asked_bytes(), scene.memtable.used_bytes());
            assert!(asked_bytes <= used_bytes + LEAD_BYTES_MAX + 2 * MIB, "{asked_bytes} at {mib}");
        }
    }

    #[test]
    fn who_was_late_is_asked_earlier_and_who_was_early_a_little_later() {
        let (min, max) = (LEAD_BYTES_MIN, LEAD_BYTES_MAX);
        assert_eq!(next_lead(min, 0), 2 * min);
        assert_eq!(next_lead(max, 0), max);
        assert_eq!(next_lead(max, max / 4), max, "just in time");
        assert_eq!(next_lead(max, max / 2 + 1), max - max / 16);
        assert_eq!(next_lead(min, min), min);
    }

    #[test]
    fn it_ends_with_the_memtable() {
        let thread = Arc::default();
        let mut scene = Scene::new(&thread);
        scene.fill_to(CAPACITY_BYTES - 5000);
        scene.await_resident(CAPACITY_BYTES - 5000);
    }

    #[test]
    fn nothing_is_made_by_one_that_was_stopped() {
        let thread = Arc::default();
        let mut scene = Scene::new(&thread);
        scene.fill_to(3 * MIB);
        scene.await_resident(3 * MIB + LEAD_BYTES_MIN);
        thread.stop();
        scene.fill_to(9 * MIB);
        // The page that the writer is in, and at most what was made for it before.
        assert!(scene.resident_bytes() <= 9 * MIB + 2 * MIB, "{}", scene.resident_bytes());
        assert!(!thread.helper.is_running());
    }

    // Its region was an allocation: where the program had freed as much in a row, the allocator took that and wrote zeros
    // over all of it. The write that needed a new memtable stood for 25 ms, and memory that nobody used was there.
    #[test]
    fn a_memtable_is_not_made_of_what_the_program_has_freed() {
        let mut pieces: Vec<Vec<u8>> = (0..500).map(|_| vec![1; 100_000]).collect();
        // So that they do not go back to the system.
        let last = pieces.pop();
        drop(pieces);
        let resident_bytes = Scene::new(&Arc::default()).resident_bytes();
        assert!(resident_bytes < MIB, "{resident_bytes}");
        drop(last);
    }

    /// A panic of the thread ends in the same way.
    #[test]
    fn nothing_is_kept_for_one_that_has_ended() {
        let thread: Arc<MemoryAhead> = Arc::default();
        thread.shared.stop();
        Scene::new(&thread).fill_to(3 * MIB);
        assert!(thread.shared.wanted.lock().step.is_none());
    }

    #[test]
    fn a_jump_past_what_was_made_is_followed() {
        let thread = Arc::default();
        let mut scene = Scene::new(&thread);
        scene.insert(&vec![7; 9 * MIB]);
        // Two pages at most are as much as there is to be.
        scene.insert(b"");
        let asked_bytes = scene.asked_bytes();
        assert!(asked_bytes >= scene.memtable.used_bytes() + LEAD_BYTES_MIN, "{asked_bytes}");
        scene.await_resident(9 * MIB + LEAD_BYTES_MIN);
    }
}
