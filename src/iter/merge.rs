//! Many sorted runs as one.

use super::Cursor;
use crate::error::Result;
use crate::format::key::compare;
use crate::format::{EntryRef, SeqNo};
use std::cmp::Ordering;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// A cursor over the entries of many cursors.
///
/// The sources that stand on an entry are kept in a binary heap, the one whose
/// turn it is on top, so that a step costs the logarithm of their number.
/// No two sources hold the same key with the same sequence number.
#[derive(Debug)]
pub struct Merge<C> {
    sources: Vec<C>,
    /// Indices of the sources that stand on an entry, as a heap.
    heap: Vec<usize>,
    direction: Direction,
}

impl<C: Cursor> Merge<C> {
    /// Merges `sources`.
    #[must_use]
    pub fn new(sources: Vec<C>) -> Self {
        let heap = Vec::with_capacity(sources.len());
        Merge { sources, heap, direction: Direction::Forward }
    }

    /// True when source `a` has its turn before source `b`.
    fn before(&self, a: usize, b: usize) -> bool {
        let (Some(a), Some(b)) = (self.sources[a].entry(), self.sources[b].entry()) else {
            debug_assert!(false, "only sources on an entry are in the heap");
            return false;
        };
        let order = compare(a.key, a.seq, b.key, b.seq);
        match self.direction {
            Direction::Forward => order == Ordering::Less,
            Direction::Backward => order == Ordering::Greater,
        }
    }

    fn rebuild(&mut self, direction: Direction) {
        self.direction = direction;
        self.heap.clear();
        self.heap.extend((0..self.sources.len()).filter(|&i| self.sources[i].entry().is_some()));
        for at in (0..self.heap.len() / 2).rev() {
            self.sift_down(at);
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut first = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.before(self.heap[child], self.heap[first]) {
                    first = child;
                }
            }
            if first == at {
                return;
            }
            self.heap.swap(at, first);
            at = first;
        }
    }

    /// Moves all sources, then orders them.
    fn seek_all(
        &mut self,
        direction: Direction,
        mut seek: impl FnMut(&mut C) -> Result<()>,
    ) -> Result<()> {
        self.heap.clear();
        for source in &mut self.sources {
            seek(source)?;
        }
        self.rebuild(direction);
        Ok(())
    }

    /// Moves the source on top one step and puts it in its new place.
    fn step(&mut self) -> Result<()> {
        let Some(&top) = self.heap.first() else { return Ok(()) };
        let source = &mut self.sources[top];
        let moved = match self.direction {
            Direction::Forward => source.next(),
            Direction::Backward => source.prev(),
        };
        if let Err(e) = moved {
            self.heap.clear();
            return Err(e);
        }
        if source.entry().is_none() {
            self.heap.swap_remove(0);
        }
        self.sift_down(0);
        Ok(())
    }

    /// Turns round: every source but the top one stands on the wrong side of
    /// the current entry.
    fn turn(&mut self, direction: Direction) -> Result<()> {
        let Some(entry) = self.entry() else { return Ok(()) };
        let (key, seq) = (entry.key.to_vec(), entry.seq);
        let top = self.heap[0];
        for (i, source) in self.sources.iter_mut().enumerate() {
            if i == top {
                continue;
            }
            let moved = match direction {
                Direction::Forward => source.seek(&key, seq),
                Direction::Backward => source.seek_before(&key, seq),
            };
            if let Err(e) = moved {
                self.heap.clear();
                return Err(e);
            }
        }
        self.rebuild(direction);
        Ok(())
    }
}

impl<C: Cursor> Cursor for Merge<C> {
    #[inline]
    fn entry(&self) -> Option<EntryRef<'_>> {
        self.sources.get(*self.heap.first()?)?.entry()
    }

    fn seek_first(&mut self) -> Result<()> {
        self.seek_all(Direction::Forward, C::seek_first)
    }

    fn seek_last(&mut self) -> Result<()> {
        self.seek_all(Direction::Backward, C::seek_last)
    }

    fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        self.seek_all(Direction::Forward, |source| source.seek(key, seq))
    }

    fn seek_before(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        self.seek_all(Direction::Backward, |source| source.seek_before(key, seq))
    }

    fn next(&mut self) -> Result<()> {
        if self.direction == Direction::Backward {
            self.turn(Direction::Forward)?;
        }
        self.step()
    }

    fn prev(&mut self) -> Result<()> {
        if self.direction == Direction::Forward {
            self.turn(Direction::Backward)?;
        }
        self.step()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::EntryKind;
    use proptest::prelude::*;

    /// A cursor over a sorted vector.
    #[derive(Debug, Clone)]
    struct Run {
        entries: Vec<(Vec<u8>, SeqNo)>,
        at: Option<usize>,
    }

    impl Run {
        fn new(mut entries: Vec<(Vec<u8>, SeqNo)>) -> Self {
            entries.sort_by(|a, b| compare(&a.0, a.1, &b.0, b.1));
            Run { entries, at: None }
        }

        fn first_at_or_after(&self, key: &[u8], seq: SeqNo) -> usize {
            self.entries.partition_point(|e| compare(&e.0, e.1, key, seq) == Ordering::Less)
        }

        fn stand(&mut self, at: Option<usize>) -> Result<()> {
            self.at = at.filter(|&at| at < self.entries.len());
            Ok(())
        }
    }

    impl Cursor for Run {
        fn entry(&self) -> Option<EntryRef<'_>> {
            let (key, seq) = self.entries.get(self.at?)?;
            Some(EntryRef { key, seq: *seq, kind: EntryKind::Set, payload: &[] })
        }
        fn seek_first(&mut self) -> Result<()> {
            self.stand(Some(0))
        }
        fn seek_last(&mut self) -> Result<()> {
            self.stand(self.entries.len().checked_sub(1))
        }
        fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
            self.stand(Some(self.first_at_or_after(key, seq)))
        }
        fn seek_before(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
            self.stand(self.first_at_or_after(key, seq).checked_sub(1))
        }
        fn next(&mut self) -> Result<()> {
            self.stand(self.at.map(|at| at + 1))
        }
        fn prev(&mut self) -> Result<()> {
            self.stand(self.at.and_then(|at| at.checked_sub(1)))
        }
    }

    #[derive(Debug, Clone)]
    enum Move {
        First,
        Last,
        Next,
        Prev,
        Seek(Vec<u8>, u64),
        SeekBefore(Vec<u8>, u64),
    }

    fn moves() -> impl Strategy<Value = Move> {
        let key = proptest::collection::vec(0..3_u8, 0..3);
        prop_oneof![
            1 => Just(Move::First),
            1 => Just(Move::Last),
            4 => Just(Move::Next),
            4 => Just(Move::Prev),
            1 => (key.clone(), 0..40_u64).prop_map(|(k, s)| Move::Seek(k, s)),
            1 => (key, 0..40_u64).prop_map(|(k, s)| Move::SeekBefore(k, s)),
        ]
    }

    fn apply(cursor: &mut impl Cursor, m: &Move) {
        match m {
            Move::First => cursor.seek_first(),
            Move::Last => cursor.seek_last(),
            Move::Next => cursor.next(),
            Move::Prev => cursor.prev(),
            Move::Seek(key, seq) => cursor.seek(key, SeqNo(*seq)),
            Move::SeekBefore(key, seq) => cursor.seek_before(key, SeqNo(*seq)),
        }
        .expect("in memory");
    }

    proptest! {
        /// A merge of runs moves like one run with all their entries.
        #[test]
        fn moves_like_one_run(
            keys in proptest::collection::vec(
                (proptest::collection::vec(0..3_u8, 0..3), 0..4_usize), 0..40),
            moves in proptest::collection::vec(moves(), 0..60),
        ) {
            let mut runs = vec![Vec::new(); 4];
            let mut all = Vec::new();
            for (seq, (key, run)) in (1..).zip(keys) {
                runs[run].push((key.clone(), SeqNo(seq)));
                all.push((key, SeqNo(seq)));
            }
            let mut one = Run::new(all);
            let mut merged = Merge::new(runs.into_iter().map(Run::new).collect());
            for m in moves {
                apply(&mut one, &m);
                apply(&mut merged, &m);
                prop_assert_eq!(one.entry(), merged.entry(), "after {:?}", m);
            }
        }
    }
}
