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
/// The source whose turn it is stands apart from the others that stand on an
/// entry, which are kept in a binary heap. As long as it stays before the
/// runner-up, the top of that heap, a step costs one comparison; the last source
/// left costs none. Else the two change places and the heap is put in order.
/// No two sources hold the same key with the same sequence number.
#[derive(Debug)]
pub struct Merge<C> {
    sources: Vec<C>,
    /// The source whose turn it is. It stands on an entry, unless it is the last one left.
    turn: Option<usize>,
    /// Indices of the other sources that stand on an entry, as a heap.
    heap: Vec<usize>,
    direction: Direction,
}

impl<C: Cursor> Merge<C> {
    /// Merges `sources`.
    #[must_use]
    pub fn new(sources: Vec<C>) -> Self {
        let heap = Vec::with_capacity(sources.len());
        Merge { sources, turn: None, heap, direction: Direction::Forward }
    }

    /// True when source `a` has its turn before source `b`.
    fn before(&self, a: usize, b: usize) -> bool {
        let (Some(a), Some(b)) = (self.sources[a].entry(), self.sources[b].entry()) else {
            debug_assert!(false, "only sources on an entry are compared");
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
        self.turn = self.pop();
    }

    /// Takes the first source out of the heap.
    fn pop(&mut self) -> Option<usize> {
        if self.heap.is_empty() {
            return None;
        }
        let first = self.heap.swap_remove(0);
        self.sift_down(0);
        Some(first)
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

    /// After an error it stands on nothing (INV-1).
    fn clear(&mut self) {
        self.turn = None;
        self.heap.clear();
    }

    /// Moves all sources, then orders them.
    fn seek_all(
        &mut self,
        direction: Direction,
        mut seek: impl FnMut(&mut C) -> Result<()>,
    ) -> Result<()> {
        self.clear();
        for source in &mut self.sources {
            seek(source)?;
        }
        self.rebuild(direction);
        Ok(())
    }

    /// Moves the source whose turn it is one step.
    #[inline]
    fn step(&mut self) -> Result<()> {
        let Some(turn) = self.turn else { return Ok(()) };
        let source = &mut self.sources[turn];
        let moved = match self.direction {
            Direction::Forward => source.next(),
            Direction::Backward => source.prev(),
        };
        if moved.is_err() {
            self.clear();
            return moved;
        }
        match self.heap.first() {
            // The last one left: whether it stands on an entry is seen when that is asked for.
            None => {}
            Some(_) if self.sources[turn].entry().is_none() => self.turn = self.pop(),
            Some(&runner_up) if self.before(runner_up, turn) => {
                self.turn = Some(runner_up);
                self.heap[0] = turn;
                self.sift_down(0);
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Turns round: every source but the one whose turn it is stands on the wrong side of
    /// the current entry.
    fn turn(&mut self, direction: Direction) -> Result<()> {
        let Some(entry) = self.entry() else { return Ok(()) };
        let (key, seq) = (entry.key.to_vec(), entry.seq);
        let turn = self.turn;
        for (i, source) in self.sources.iter_mut().enumerate() {
            if Some(i) == turn {
                continue;
            }
            let moved = match direction {
                Direction::Forward => source.seek(&key, seq),
                Direction::Backward => source.seek_before(&key, seq),
            };
            if moved.is_err() {
                self.clear();
                return moved;
            }
        }
        self.rebuild(direction);
        Ok(())
    }
}

impl<C: Cursor> Cursor for Merge<C> {
    #[inline]
    fn entry(&self) -> Option<EntryRef<'_>> {
        self.sources.get(self.turn?)?.entry()
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

    #[inline]
    fn next(&mut self) -> Result<()> {
        if self.direction == Direction::Backward {
            self.turn(Direction::Forward)?;
        }
        self.step()
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        if self.direction == Direction::Forward {
            self.turn(Direction::Backward)?;
        }
        self.step()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, apply, moves};
    use super::*;
    use proptest::prelude::*;

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
