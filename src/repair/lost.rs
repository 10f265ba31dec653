//! What was lost, as far as it decides on what may be shown: a pure matter of keys and order.

use crate::format::SeqNo;
use std::ops::Bound;

/// Where an entry stands in the order of versions: of one key, what has a smaller rank is newer. 0 is the
/// log; then come the tables of level 0, newest first, then the levels below it.
pub type Rank = usize;

/// A range of keys of which entries are lost.
#[derive(Debug, Clone)]
pub struct LostRange {
    /// Where they stood.
    pub rank: Rank,
    /// The least key that may be among them.
    pub low: Bound<Vec<u8>>,
    /// The greatest.
    pub high: Bound<Vec<u8>>,
    /// None of them is newer than this.
    pub largest_seq: SeqNo,
}

impl LostRange {
    /// Of one key.
    pub fn of_key(key: &[u8], rank: Rank, largest_seq: SeqNo) -> Self {
        let (low, high) = (Bound::Included(key.to_vec()), Bound::Included(key.to_vec()));
        LostRange { rank, low, high, largest_seq }
    }

    fn is_passed_at(&self, key: &[u8]) -> bool {
        match &self.high {
            Bound::Included(high) => high.as_slice() < key,
            Bound::Excluded(high) => high.as_slice() <= key,
            Bound::Unbounded => false,
        }
    }

    fn has_begun_at(&self, key: &[u8]) -> bool {
        match &self.low {
            Bound::Included(low) => low.as_slice() <= key,
            Bound::Excluded(low) => low.as_slice() < key,
            Bound::Unbounded => true,
        }
    }
}

/// All that was lost so far, for somebody who goes through the keys in order.
#[derive(Debug, Default)]
pub struct LostRanges(Vec<LostRange>);

impl LostRanges {
    /// Adds a range.
    pub fn push(&mut self, range: LostRange) {
        self.0.push(range);
    }

    /// Whether a version of `key` that is newer than the one of number `seq` at `rank` may be lost. The
    /// keys come in ascending order.
    ///
    /// What stood at a larger rank is older (INV-4 of `store`), and so is what has a smaller number. At the
    /// same rank stands the rest of the same table, or level: a block of it that may have held the key.
    pub fn may_hide(&mut self, key: &[u8], rank: Rank, seq: SeqNo) -> bool {
        self.0.retain(|range| !range.is_passed_at(key));
        self.0
            .iter()
            .any(|range| range.has_begun_at(key) && range.rank <= rank && range.largest_seq > seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(rank: Rank, low: &str, high: &str, largest_seq: u64) -> LostRange {
        let (low, high) = (Bound::Included(low.into()), Bound::Excluded(high.into()));
        LostRange { rank, low, high, largest_seq: SeqNo(largest_seq) }
    }

    #[test]
    fn what_may_be_newer_hides_what_is_older() {
        let mut lost = LostRanges::default();
        lost.push(range(2, "b", "d", 100));
        // Key, rank, number, and whether something newer may be lost.
        for (key, rank, seq, hidden) in [
            ("a", 3, 50, false),
            ("b", 3, 50, true),
            ("b", 3, 100, false),
            ("b", 2, 50, true),
            ("b", 1, 50, false),
            ("c", 3, 99, true),
            ("d", 3, 50, false),
        ] {
            let found = lost.may_hide(key.as_bytes(), rank, SeqNo(seq));
            assert_eq!(found, hidden, "{key} {rank} {seq}");
        }
        assert!(lost.0.is_empty(), "what was passed takes no memory");
    }

    #[test]
    fn one_key_alone() {
        let mut lost = LostRanges::default();
        lost.push(LostRange::of_key(b"k", 0, SeqNo(9)));
        assert!(!lost.may_hide(b"j", 5, SeqNo(1)));
        assert!(lost.may_hide(b"k", 0, SeqNo(8)));
        assert!(!lost.may_hide(b"k", 0, SeqNo(9)) && !lost.may_hide(b"kk", 0, SeqNo(1)));
    }
}
