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

    /// The numbers that are held and the one that is visible now, which is entered at any
    /// moment, ascending. Tables may hold newer entries, of an ingest that is about to be published.
    pub fn seqs_and_visible(&self, visible: &VisibleSeq) -> Vec<SeqNo> {
        let held = self.held.lock();
        let seq = visible.load();
        let others = held.keys().copied().filter(|&other| other != seq);
        others.chain([seq]).collect()
    }

    /// How many snapshots are held, and the number and time of the oldest.
    pub fn summary(&self) -> (usize, Option<(SeqNo, Duration)>) {
        let held = self.held.lock();
        let count = held.values().map(|held| held.count).sum();
        (count, held.first_key_value().map(|(seq, held)| (*seq, held.since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A merge that began between an ingest's edit and its publication would drop what a
    // reader sees that is entered a moment later.
    #[test]
    fn the_visible_number_may_be_entered_at_any_moment() {
        let snapshots = Snapshots::default();
        let visible = VisibleSeq::new(SeqNo(10));
        assert_eq!(snapshots.seqs_and_visible(&visible), [SeqNo(10)]);
        snapshots.take(&visible, Duration::ZERO);
        assert_eq!(snapshots.seqs_and_visible(&visible), [SeqNo(10)]);
        let ticket = visible.enter(SeqNo(12), 1);
        visible.member_done(ticket);
        assert_eq!(snapshots.seqs_and_visible(&visible), [SeqNo(10), SeqNo(12)]);
        assert_eq!(snapshots.seqs(), [SeqNo(10)]);
    }
}
