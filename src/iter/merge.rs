//! Many sorted runs as one.

use super::Cursor;
use crate::error::Result;
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
    /// The runner-up, the top of that heap, stands on another version of the key. Known from the
    /// comparison that settled the turn; of use forwards alone.
    is_key_shared: bool,
    direction: Direction,
}

impl<C: Cursor> Merge<C> {
    /// Merges `sources`.
    #[must_use]
    pub fn new(sources: Vec<C>) -> Self {
        let heap = Vec::with_capacity(sources.len());
        let (turn, direction) = (None, Direction::Forward);
        Merge { sources, turn, heap, is_key_shared: false, direction }
    }

    /// True when source `a` has its turn before source `b`.
    fn before(&self, a: usize, b: usize) -> bool {
        self.order(a, b).0 == Ordering::Less
    }

    /// `Less` when source `a` has its turn before source `b`; and whether they have the same key.
    #[inline]
    fn order(&self, a: usize, b: usize) -> (Ordering, bool) {
        let (Some((a, a_seq)), Some((b, b_seq))) =
            (self.sources[a].place(), self.sources[b].place())
        else {
            debug_assert!(false, "only sources on an entry are compared");
            return (Ordering::Greater, false);
        };
        // As of `format::key::compare`, which would compare the keys twice.
        let keys = a.cmp(b);
        let order = keys.then_with(|| b_seq.cmp(&a_seq));
        let order = if self.direction == Direction::Forward { order } else { order.reverse() };
        (order, keys.is_eq())
    }

    fn rebuild(&mut self, direction: Direction) {
        self.direction = direction;
        self.heap.clear();
        self.heap.extend((0..self.sources.len()).filter(|&i| self.sources[i].place().is_some()));
        for at in (0..self.heap.len() / 2).rev() {
            self.sift_down(at);
        }
        self.pop();
    }

    /// The first source in the heap has its turn.
    fn pop(&mut self) {
        self.turn = None;
        if !self.heap.is_empty() {
            self.turn = Some(self.heap.swap_remove(0));
            self.sift_down(0);
        }
        self.look_at_runner_up();
    }

    fn look_at_runner_up(&mut self) {
        self.is_key_shared = match (self.turn, self.heap.first()) {
            (Some(turn), Some(&runner_up)) => self.order(turn, runner_up).1,
            _ => false,
        };
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

    /// Moves the source whose turn it is one step; what it says to that.
    #[inline]
    fn step(&mut self, turn: usize) -> Result<bool> {
        let source = &mut self.sources[turn];
        let moved = match self.direction {
            Direction::Forward => source.next(),
            Direction::Backward => source.prev().map(|()| false),
        };
        if moved.is_err() {
            self.clear();
        }
        moved
    }

    /// Lets the runner-up have its turn, where source `turn`, which has moved, is behind it now;
    /// whether it has.
    #[inline]
    fn take_turns(&mut self, turn: usize, runner_up: usize) -> bool {
        if self.sources[turn].place().is_none() {
            self.pop();
            return true;
        }
        let (order, is_key_shared) = self.order(runner_up, turn);
        self.is_key_shared = is_key_shared;
        if order != Ordering::Less {
            return false;
        }
        self.turn = Some(runner_up);
        self.heap[0] = turn;
        if self.heap.len() > 1 {
            self.sift_down(0);
            self.look_at_runner_up();
        }
        true
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

    #[inline]
    fn place(&self) -> Option<(&[u8], SeqNo)> {
        self.sources.get(self.turn?)?.place()
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
    fn next(&mut self) -> Result<bool> {
        if self.direction == Direction::Backward {
            self.turn(Direction::Forward)?;
        }
        let Some(turn) = self.turn else { return Ok(false) };
        // The last one left: whether it stands on an entry is seen when that is asked for.
        let Some(&runner_up) = self.heap.first() else { return self.step(turn) };
        // Of the key that is left.
        let is_key_shared = self.is_key_shared;
        let is_version = self.step(turn)?;
        Ok(if self.take_turns(turn, runner_up) { is_key_shared } else { is_version })
    }

    /// Where it is the last source that is left.
    #[inline]
    fn next_at_hand(&mut self) -> Option<(EntryRef<'_>, bool)> {
        let is_alone = self.heap.is_empty() && self.direction == Direction::Forward;
        self.turn.filter(|_| is_alone).and_then(|turn| self.sources.get_mut(turn)?.next_at_hand())
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        if self.direction == Direction::Forward {
            self.turn(Direction::Backward)?;
        }
        let Some(turn) = self.turn else { return Ok(()) };
        self.step(turn)?;
        if let Some(&runner_up) = self.heap.first() {
            self.take_turns(turn, runner_up);
        }
        Ok(())
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
                let is_version = apply(&mut one, &m);
                prop_assert_eq!(apply(&mut merged, &m), is_version, "{:?}", m);
                prop_assert_eq!(one.entry(), merged.entry(), "after {:?}", m);
            }
        }
    }
}
