//! Many sorted runs as one.

use super::{Cursor, Moved};
use crate::error::Result;
use crate::format::key::compare_behind;
use crate::format::{EntryRef, SeqNo};
use std::cmp::Ordering;
use std::hint::select_unpredictable;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// How one source is to another.
#[derive(Debug, Clone, Copy)]
struct Compared {
    /// It has its turn before.
    is_before: bool,
    /// They have the same key.
    is_same_key: bool,
    /// So many bytes their keys have in common at the front.
    common: usize,
}

/// A cursor over the entries of many cursors.
///
/// The source whose turn it is stands apart from the others that stand on an
/// entry, which are kept in a binary heap. As long as it stays before the
/// runner-up, the top of that heap, a step costs one comparison; the last source
/// left costs none. Else the two change places and the heap is put in order.
/// No two sources hold the same key with the same sequence number.
///
/// A comparison begins behind the bytes that are the same for sure: those that the key shares with
/// the one its source left, as far as the runner-up shares them with that one. It is what offset-value
/// codes rest on (Conner, "Offset-value coding", IBM Technical Disclosure Bulletin, 1977).
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
    /// So many bytes, at least, the key has in common with that of the runner-up.
    common: usize,
    direction: Direction,
}

impl<C: Cursor> Merge<C> {
    /// Merges `sources`.
    #[must_use]
    pub fn new(sources: Vec<C>) -> Self {
        let heap = Vec::with_capacity(sources.len());
        let (turn, direction) = (None, Direction::Forward);
        Merge { sources, turn, heap, is_key_shared: false, common: 0, direction }
    }

    /// True when source `a` has its turn before source `b`.
    fn before(&self, a: usize, b: usize) -> bool {
        self.order(a, b, 0).is_before
    }

    /// How source `a` is to source `b`; so many bytes at the front of their keys are known to be the same.
    #[inline]
    fn order(&self, a: usize, b: usize, known: usize) -> Compared {
        let (Some((a, a_seq)), Some((b, b_seq))) =
            (self.sources[a].place(), self.sources[b].place())
        else {
            debug_assert!(false, "only sources on an entry are compared");
            return Compared { is_before: false, is_same_key: false, common: 0 };
        };
        let (keys, common) = compare_behind(known, a, b);
        // As of `format::key::compare`, which would compare the keys twice.
        let order = keys.then_with(|| b_seq.cmp(&a_seq));
        let first = match self.direction {
            Direction::Forward => Ordering::Less,
            Direction::Backward => Ordering::Greater,
        };
        Compared { is_before: order == first, is_same_key: keys.is_eq(), common }
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
        (self.is_key_shared, self.common) = match (self.turn, self.heap.first()) {
            (Some(turn), Some(&runner_up)) => {
                let order = self.order(turn, runner_up, 0);
                (order.is_same_key, order.common)
            }
            _ => (false, 0),
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
    fn step(&mut self, turn: usize) -> Result<Moved> {
        let source = &mut self.sources[turn];
        let moved = match self.direction {
            Direction::Forward => source.next(),
            Direction::Backward => source.prev().map(|()| Moved::default()),
        };
        if moved.is_err() {
            self.clear();
        }
        moved
    }

    /// Lets the runner-up have its turn, where source `turn`, which has `moved`, is behind it now.
    /// How the merge has moved.
    #[inline]
    fn take_turns(&mut self, turn: usize, runner_up: usize, moved: Moved) -> Moved {
        // Of the key that is left.
        let of_runner_up = Moved { is_version: self.is_key_shared, shared: self.common };
        if self.sources[turn].place().is_none() {
            self.pop();
            return of_runner_up;
        }
        // Both share so much with the key that is left.
        let known = moved.shared.min(self.common);
        let order = self.order(runner_up, turn, known);
        (self.is_key_shared, self.common) = (order.is_same_key, order.common);
        // Which of two comes next cannot be foretold: a branch on it would be mistaken each second or third time.
        let is_before = order.is_before;
        self.turn = Some(select_unpredictable(is_before, runner_up, turn));
        self.heap[0] = select_unpredictable(is_before, turn, runner_up);
        if self.heap.len() > 1 && is_before {
            self.sift_down(0);
            self.look_at_runner_up();
        }
        Moved {
            is_version: select_unpredictable(is_before, of_runner_up.is_version, moved.is_version),
            shared: select_unpredictable(is_before, of_runner_up.shared, moved.shared),
        }
    }

    /// [`Cursor::next_at_hand`] of the last two sources that are left: both entries are looked at once.
    #[inline]
    fn next_of_two(&mut self, turn: usize, runner_up: usize) -> Option<(EntryRef<'_>, Moved)> {
        let [ahead, behind] = self.sources.get_disjoint_mut([turn, runner_up]).ok()?;
        let other = behind.entry()?;
        let (next, moved) = ahead.next_at_hand()?;
        // Both share so much with the key that is left.
        let (keys, common) = compare_behind(moved.shared.min(self.common), other.key, next.key);
        let of_other = Moved { is_version: self.is_key_shared, shared: self.common };
        let is_before = keys.then_with(|| next.seq.cmp(&other.seq)).is_lt();
        (self.is_key_shared, self.common) = (keys.is_eq(), common);
        if is_before {
            self.turn = Some(runner_up);
            self.heap[0] = turn;
            Some((other, of_other))
        } else {
            Some((next, moved))
        }
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
    fn next(&mut self) -> Result<Moved> {
        if self.direction == Direction::Backward {
            self.turn(Direction::Forward)?;
        }
        let Some(turn) = self.turn else { return Ok(Moved::default()) };
        // The last one left: whether it stands on an entry is seen when that is asked for.
        let Some(&runner_up) = self.heap.first() else { return self.step(turn) };
        let moved = self.step(turn)?;
        Ok(self.take_turns(turn, runner_up, moved))
    }

    #[inline]
    fn next_at_hand(&mut self) -> Option<(EntryRef<'_>, Moved)> {
        let turn = self.turn.filter(|_| self.direction == Direction::Forward)?;
        let Some(&runner_up) = self.heap.first() else {
            return self.sources.get_mut(turn)?.next_at_hand();
        };
        if self.heap.len() == 1 {
            return self.next_of_two(turn, runner_up);
        }
        let (_, moved) = self.sources.get_mut(turn)?.next_at_hand()?;
        let moved = self.take_turns(turn, runner_up, moved);
        Some((self.entry()?, moved))
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        if self.direction == Direction::Forward {
            self.turn(Direction::Backward)?;
        }
        let Some(turn) = self.turn else { return Ok(()) };
        let moved = self.step(turn)?;
        if let Some(&runner_up) = self.heap.first() {
            self.take_turns(turn, runner_up, moved);
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
