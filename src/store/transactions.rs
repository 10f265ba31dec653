//! What all parts know of the transactions that are open.

use crate::format::SeqNo;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many open transactions have read, and since when all of them are in vain.
#[derive(Debug)]
pub struct Transactions {
    /// Open ones that have read something: while there are any, leaders note what is committed.
    readers: AtomicUsize,
    /// Raised by [`Transactions::invalidate_all`].
    epoch: AtomicU64,
    /// Since which number leaders note what is committed; `u64::MAX`: they do not. A hint, which
    /// decides nothing but where a check is made.
    noted_from: AtomicU64,
}

impl Default for Transactions {
    fn default() -> Self {
        let (readers, epoch) = (AtomicUsize::new(0), AtomicU64::new(0));
        Transactions { readers, epoch, noted_from: AtomicU64::new(u64::MAX) }
    }
}

impl Transactions {
    /// One more has read.
    pub fn enter(&self) {
        // Relaxed, here and below: a leader that sees it late begins to note late, and knows
        // from where its notes are whole.
        self.readers.fetch_add(1, Ordering::Relaxed);
    }

    /// One that has read is over.
    pub fn leave(&self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether an open one has read.
    #[inline]
    pub fn has_readers(&self) -> bool {
        self.readers.load(Ordering::Relaxed) > 0
    }

    /// What a transaction remembers from before it took its snapshot: once it is another, the
    /// transaction cannot commit.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Has every transaction that is open fail with `Conflict` when it commits, whatever it has read:
    /// what it saw is no longer what stands before it in the commit order.
    ///
    /// REQUIRES: the lead of the commit pipeline is held since before the change, which is visible by now (or
    /// given up). Then no commit that was checked before the change comes after it; and who took a snapshot
    /// before the change was visible remembers an epoch from before this call.
    pub fn invalidate_all(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// For a leader: its notes are whole from this number on; `None`: there are none.
    pub fn set_noted_from(&self, seq: Option<SeqNo>) {
        self.noted_from.store(seq.map_or(u64::MAX, |seq| seq.0), Ordering::Relaxed);
    }

    /// Whether leaders seem to have noted everything that was committed after `seq`.
    pub fn is_noted_since(&self, seq: SeqNo) -> bool {
        self.noted_from.load(Ordering::Relaxed) <= seq.0
    }
}
