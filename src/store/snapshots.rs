//! Which snapshots are held: what they see must be kept.

use super::visible::VisibleSeq;
use crate::format::SeqNo;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
struct Held {
    count: usize,
    /// When the first of them was taken, by the clock's elapsed time.
    since: Duration,
}

/// The sequence numbers at which somebody reads, and will go on to.
///
/// A number is entered, and the list is copied, under one lock, together with a
/// look at the visible number. So whoever copied the list without a number S
/// and then drops what only readers before V need, V being visible at that
/// moment, takes nothing from the holder of S: it was entered later, and is V or more.
#[derive(Debug, Default)]
pub struct Snapshots {
    held: Mutex<BTreeMap<SeqNo, Held>>,
}

impl Snapshots {
    /// Enters the number that is visible now. `now`: the clock's elapsed time.
    pub fn take(&self, visible: &VisibleSeq, now: Duration) -> SeqNo {
        let mut held = self.held.lock();
        let seq = visible.load();
        held.entry(seq).or_insert(Held { count: 0, since: now }).count += 1;
        seq
    }

    /// Enters a number once more that is entered already.
    pub fn take_again(&self, seq: SeqNo) {
        if let Some(held) = self.held.lock().get_mut(&seq) {
            held.count += 1;
        }
    }

    /// Takes back what [`Snapshots::take`] entered.
    pub fn release(&self, seq: SeqNo) {
        let mut held = self.held.lock();
        if let Some(entry) = held.get_mut(&seq) {
            entry.count -= 1;
            if entry.count == 0 {
                held.remove(&seq);
            }
        }
    }

    /// The numbers that are held, ascending.
    pub fn seqs(&self) -> Vec<SeqNo> {
        self.held.lock().keys().copied().collect()
    }

    /// How many snapshots are held, and the number and time of the oldest.
    pub fn summary(&self) -> (usize, Option<(SeqNo, Duration)>) {
        let held = self.held.lock();
        let count = held.values().map(|held| held.count).sum();
        (count, held.first_key_value().map(|(seq, held)| (*seq, held.since)))
    }
}
