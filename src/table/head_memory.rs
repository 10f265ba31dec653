//! The heads of all tables of a database in memory, within a budget.
//!
//! A head is read when its table is used, by a walk at once, by gets after a few ([`super::cold`]). When the heads together take more than
//! the budget, those not used since the last time round are dropped, and are read
//! again likewise: a clock, as in operating systems. Between two uses
//! of a head there is nothing but an atomic load: it takes no lock, and the flag of its use is
//! written only where it is not set, so that threads do not take the cache line from each other.

use super::head::Head;
use crate::error::Result;
use arc_swap::{ArcSwapOption, Guard};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// Below this count the clock is not gone through for tables that are no more.
const DEAD_MIN: usize = 64;

/// Counts the memory of the heads of the tables of one database, and bounds it.
#[derive(Debug)]
pub struct HeadMemory {
    budget_bytes: usize,
    used_bytes: Arc<AtomicUsize>,
    clock: Mutex<Clock>,
}

/// The tables that have a head in memory, each once, those to be looked at
/// next in front; and tables that are no more.
#[derive(Debug)]
struct Clock {
    ring: VecDeque<Weak<HeadSlot>>,
    /// At this length the tables that are no more are taken out.
    tidy_at: usize,
}

/// Where the head of one table is, if it is in memory.
#[derive(Debug, Default)]
pub struct HeadSlot {
    head: ArcSwapOption<CountedHead>,
    /// Since the clock last came by.
    is_used: AtomicBool,
    /// Held by the one that reads the head, so that it is read once.
    loading: Mutex<()>,
    /// How often since it last had one it was asked for a key without ([`super::cold`]).
    looks: AtomicU64,
}

/// A head, counted for as long as anyone has it.
#[derive(Debug)]
pub struct CountedHead {
    head: Head,
    bytes: usize,
    used_bytes: Arc<AtomicUsize>,
}

impl Drop for CountedHead {
    fn drop(&mut self) {
        self.used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Deref for CountedHead {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

/// A head for the time of one read.
#[derive(Debug)]
pub struct HeadGuard(Guard<Option<Arc<CountedHead>>>);

impl HeadGuard {
    /// The head for longer than that. It is not dropped meanwhile.
    pub fn pin(&self) -> Arc<CountedHead> {
        Arc::clone(self.counted())
    }

    #[inline]
    fn counted(&self) -> &Arc<CountedHead> {
        self.0.as_ref().expect("a guard is made of a head that is there")
    }
}

impl Deref for HeadGuard {
    type Target = Head;

    #[inline]
    fn deref(&self) -> &Head {
        &self.counted().head
    }
}

impl HeadSlot {
    /// The head, if it is in memory.
    #[inline]
    pub fn current(&self) -> Option<HeadGuard> {
        let guard = self.head.load();
        guard.as_ref()?;
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
        Some(HeadGuard(guard))
    }

    /// Whether it may be asked without a head once more, of `max` times since it last had one.
    #[cold]
    pub fn take_look(&self, max: u64) -> bool {
        self.looks.load(Ordering::Relaxed) < max && self.looks.fetch_add(1, Ordering::Relaxed) < max
    }
}

impl HeadMemory {
    /// At most `budget_bytes`, beside the heads that are being used.
    #[must_use]
    pub fn new(budget_bytes: usize) -> Self {
        HeadMemory {
            budget_bytes,
            used_bytes: Arc::default(),
            clock: Mutex::new(Clock { ring: VecDeque::new(), tidy_at: DEAD_MIN }),
        }
    }

    /// What the heads in memory take, those that only readers still have included.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// The head in `slot`; where there is none, the one that `read` reads. A failure
    /// is not kept: it may be the disk's mood, and damage is found again.
    ///
    /// # Errors
    /// Those of `read`.
    #[inline]
    pub fn get(
        &self,
        slot: &Arc<HeadSlot>,
        read: impl FnOnce() -> Result<Head>,
    ) -> Result<HeadGuard> {
        match slot.current() {
            Some(head) => Ok(head),
            None => self.load(slot, read),
        }
    }

    #[cold]
    fn load(&self, slot: &Arc<HeadSlot>, read: impl FnOnce() -> Result<Head>) -> Result<HeadGuard> {
        let _loading = slot.loading.lock();
        if let Some(head) = slot.current() {
            return Ok(head);
        }
        let head = read()?;
        let bytes = head.weight();
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        let used_bytes = Arc::clone(&self.used_bytes);
        let head = Arc::new(CountedHead { head, bytes, used_bytes });
        // Freed outside of the lock: they may be of many megabytes.
        let dropped = self.keep(slot, &head);
        drop(dropped);
        Ok(HeadGuard(Guard::from_inner(Some(head))))
    }

    /// Puts `head` into `slot`, and takes out of others what is too much.
    fn keep(&self, slot: &Arc<HeadSlot>, head: &Arc<CountedHead>) -> Vec<Arc<CountedHead>> {
        let mut clock = self.clock.lock();
        slot.head.store(Some(Arc::clone(head)));
        // Not marked as used: what is used once only goes before what is used again.
        slot.is_used.store(false, Ordering::Relaxed);
        clock.ring.push_back(Arc::downgrade(slot));
        clock.tidy();
        clock.take_out(self.used_bytes().saturating_sub(self.budget_bytes))
    }
}

impl Clock {
    /// Forgets tables that are no more, each time that the ring has doubled.
    fn tidy(&mut self) {
        if self.ring.len() >= self.tidy_at {
            self.ring.retain(|slot| slot.strong_count() > 0);
            self.tidy_at = DEAD_MIN.max(2 * self.ring.len());
        }
    }

    /// Takes heads out of their slots until they make up `excess` bytes, or all
    /// that are left are in use.
    fn take_out(&mut self, mut excess: usize) -> Vec<Arc<CountedHead>> {
        let mut taken = Vec::new();
        // The first time round their flags are taken back, the second time they go.
        for _ in 0..2 * self.ring.len() {
            if excess == 0 {
                break;
            }
            let Some(next) = self.ring.pop_front() else { break };
            let Some(slot) = next.upgrade() else { continue };
            let Some(head) = slot.head.load_full() else { continue };
            // Here and in the slot; another has it for longer, and dropping it
            // would free nothing.
            let is_pinned = Arc::strong_count(&head) > 2;
            if slot.is_used.swap(false, Ordering::Relaxed) || is_pinned {
                self.ring.push_back(next);
            } else {
                slot.looks.store(0, Ordering::Relaxed);
                slot.head.store(None);
                excess = excess.saturating_sub(head.bytes);
                taken.push(head);
            }
        }
        taken
    }
}
