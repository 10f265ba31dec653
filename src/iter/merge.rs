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

/// A cursor over the entries of many cursors.
///
/// The sources that stand on an entry play a knock-out tournament, whose winner has its turn, and each match of which
/// keeps its loser: a tree of losers (Knuth, "The Art of Computer Programming", volume 3, 5.4.1). When the winner has
/// moved, it plays those again that it had beaten, from its leaf to the root: one comparison for
/// two sources, two for up to four. No two sources hold the same key with the same sequence number.
///
/// A loser's match remembers how much its key has in common with that of the one who won it. On the way of
/// the winner that is the key which it leaves, and a cursor tells how much the next key shares
/// with that; so a comparison begins behind what both share with it. It is what
/// offset-value codes rest on (Conner, "Offset-value coding", IBM Technical Disclosure Bulletin, 1977).
#[derive(Debug)]
pub struct Merge<C> {
    sources: Vec<C>,
    /// Indices of those that stand on an entry, each at its leaf of the tree. The last one left stays.
    leaves: Vec<usize>,
    /// The matches: that of node `n` is between the winners of `2n` and `2n + 1`, and the leaves follow on the nodes. The
    /// first is not used.
    losers: Vec<Loser>,
    /// The leaf of the winner.
    turn: Option<usize>,
    direction: Direction,
}

/// Who has lost a match.
#[derive(Debug, Clone, Copy, Default)]
struct Loser {
    leaf: usize,
    /// Its key has so many bytes in common with the winner's.
    shared: usize,
    /// It is the winner's key.
    is_same_key: bool,
}

/// How one source is to another.
#[derive(Debug, Clone, Copy)]
struct Compared {
    /// It has its turn before.
    is_before: bool,
    is_same_key: bool,
    /// So many bytes their keys have in common at the front.
    shared: usize,
}

impl<C: Cursor> Merge<C> {
    /// Merges `sources`.
    #[must_use]
    pub fn new(sources: Vec<C>) -> Self {
        let leaves = Vec::with_capacity(sources.len());
        let losers = Vec::with_capacity(sources.len());
        Merge { sources, leaves, losers, turn: None, direction: Direction::Forward }
    }

    /// The source whose turn it is.
    #[inline]
    fn winner(&self) -> Option<&C> {
        self.sources.get(*self.leaves.get(self.turn?)?)
    }

    #[inline]
    fn place_of(&self, leaf: usize) -> Option<(&[u8], SeqNo)> {
        self.sources.get(*self.leaves.get(leaf)?)?.place()
    }

    /// How the source of leaf `a` is to that of leaf `b`; so many bytes at the front of their keys are known to be the
    /// same. One that stands on nothing comes last.
    #[inline]
    fn compare(&self, a: usize, b: usize, known: usize) -> Compared {
        let (Some((a, a_seq)), Some((b, b_seq))) = (self.place_of(a), self.place_of(b)) else {
            let is_before = self.place_of(b).is_none();
            return Compared { is_before, is_same_key: false, shared: 0 };
        };
        let (keys, shared) = compare_behind(known, a, b);
        // As of `format::key::compare`, which would compare the keys twice.
        let order = keys.then_with(|| b_seq.cmp(&a_seq));
        let first = match self.direction {
            Direction::Forward => Ordering::Less,
            Direction::Backward => Ordering::Greater,
        };
        Compared { is_before: order == first, is_same_key: keys.is_eq(), shared }
    }

    /// Has all sources that stand on an entry play.
    fn play(&mut self, direction: Direction) {
        self.direction = direction;
        self.leaves.clear();
        self.leaves.extend((0..self.sources.len()).filter(|&i| self.sources[i].place().is_some()));
        self.losers.clear();
        self.losers.resize(self.leaves.len(), Loser::default());
        self.turn = (!self.leaves.is_empty()).then(|| self.winner_of(1));
    }

    /// Has all below `node` play; the leaf that wins.
    fn winner_of(&mut self, node: usize) -> usize {
        if let Some(leaf) = node.checked_sub(self.leaves.len()) {
            return leaf;
        }
        let (a, b) = (self.winner_of(2 * node), self.winner_of(2 * node + 1));
        let Compared { is_before, is_same_key, shared } = self.compare(a, b, 0);
        let (winner, leaf) = if is_before { (a, b) } else { (b, a) };
        self.losers[node] = Loser { leaf, shared, is_same_key };
        winner
    }

    /// Has the source at leaf `turn`, which has `moved`, play those that it had beaten. How the merge has moved.
    #[inline]
    fn play_again(&mut self, turn: usize, moved: Moved) -> Moved {
        let Moved { mut is_version, mut shared } = moved;
        let (mut winner, mut node) = (turn, self.leaves.len().midpoint(turn));
        while node > 0 {
            let loser = self.losers[node];
            // Both share so much with the key that is left.
            let known = shared.min(loser.shared);
            let Compared { is_before, is_same_key, shared: common } =
                self.compare(loser.leaf, winner, known);
            // Which of them comes next cannot be foretold: chosen, not branched upon, four sources take a quarter less.
            let leaf = select_unpredictable(is_before, winner, loser.leaf);
            winner = select_unpredictable(is_before, loser.leaf, winner);
            is_version = select_unpredictable(is_before, loser.is_same_key, is_version);
            shared = select_unpredictable(is_before, loser.shared, shared);
            self.losers[node] = Loser { leaf, shared: common, is_same_key };
            node /= 2;
        }
        self.turn = Some(winner);
        if self.place_of(turn).is_none() {
            // It plays no more.
            self.play(self.direction);
        }
        Moved { is_version, shared }
    }

    /// [`Cursor::next_at_hand`] where more than one source is left.
    #[inline(never)]
    fn next_of_many(&mut self, turn: usize) -> Option<(EntryRef<'_>, Moved)> {
        if self.leaves.len() == 2 {
            return self.next_of_two(turn);
        }
        let (_, moved) = self.sources.get_mut(*self.leaves.get(turn)?)?.next_at_hand()?;
        let moved = self.play_again(turn, moved);
        Some((self.entry()?, moved))
    }

    /// The same of two: both entries are looked at once.
    #[inline]
    fn next_of_two(&mut self, turn: usize) -> Option<(EntryRef<'_>, Moved)> {
        let [first, second] = *self.leaves.first_chunk()?;
        let both = if turn == 0 { [first, second] } else { [second, first] };
        let loser = self.losers.get_mut(1)?;
        let [winner, waiting] = self.sources.get_disjoint_mut(both).ok()?;
        let waiting = waiting.entry()?;
        let (next, moved) = winner.next_at_hand()?;
        let of_waiting = Moved { is_version: loser.is_same_key, shared: loser.shared };
        let known = moved.shared.min(loser.shared);
        let (keys, shared) = compare_behind(known, waiting.key, next.key);
        (loser.is_same_key, loser.shared) = (keys.is_eq(), shared);
        if keys.then_with(|| next.seq.cmp(&waiting.seq)).is_lt() {
            (self.turn, loser.leaf) = (Some(loser.leaf), turn);
            Some((waiting, of_waiting))
        } else {
            Some((next, moved))
        }
    }

    /// After an error it stands on nothing (INV-1).
    fn clear(&mut self) {
        self.turn = None;
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
        self.play(direction);
        Ok(())
    }

    /// Moves the source whose turn it is one step. How the merge has moved.
    #[inline]
    fn step(&mut self) -> Result<Moved> {
        let Some(turn) = self.turn else { return Ok(Moved::default()) };
        let source = &mut self.sources[self.leaves[turn]];
        let moved = match self.direction {
            Direction::Forward => source.next(),
            Direction::Backward => source.prev().map(|()| Moved::default()),
        };
        match moved {
            // Whether it stands on an entry is seen when that is asked for.
            Ok(moved) if self.leaves.len() == 1 => Ok(moved),
            Ok(moved) => Ok(self.play_again(turn, moved)),
            Err(e) => {
                self.clear();
                Err(e)
            }
        }
    }

    /// Turns round: every source but the one whose turn it is stands on the wrong side of
    /// the current entry.
    fn turn(&mut self, direction: Direction) -> Result<()> {
        let Some(entry) = self.entry() else { return Ok(()) };
        let (key, seq) = (entry.key.to_vec(), entry.seq);
        let turn = self.turn.map(|turn| self.leaves[turn]);
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
        self.play(direction);
        Ok(())
    }
}

impl<C: Cursor> Cursor for Merge<C> {
    #[inline]
    fn entry(&self) -> Option<EntryRef<'_>> {
        self.winner()?.entry()
    }

    #[inline]
    fn place(&self) -> Option<(&[u8], SeqNo)> {
        self.winner()?.place()
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
        self.step()
    }

    #[inline(always)]
    fn next_at_hand(&mut self) -> Option<(EntryRef<'_>, Moved)> {
        let turn = self.turn.filter(|_| self.direction == Direction::Forward)?;
        match *self.leaves.as_slice() {
            [alone] => self.sources.get_mut(alone)?.next_at_hand(),
            _ => self.next_of_many(turn),
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        if self.direction == Direction::Forward {
            self.turn(Direction::Backward)?;
        }
        self.step().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Move, Run, apply, moves, next};
    use super::*;
    use proptest::prelude::*;

    type Keys = Vec<(Vec<u8>, usize)>;

    /// Keys that have much in common, each with the run that it is in.
    fn keys() -> impl Strategy<Value = (Keys, usize)> {
        let key = proptest::collection::vec(0..2_u8, 0..12);
        (proptest::collection::vec((key, 0..12_usize), 0..60), 1..6_usize)
    }

    /// Those keys in so many runs, merged, and in one.
    fn merged(keys: Keys, count: usize) -> (Merge<Run>, Run) {
        let (mut runs, mut all) = (vec![Vec::new(); count], Vec::new());
        for (seq, (key, run)) in (1..).zip(keys) {
            runs[run % count].push((key.clone(), SeqNo(seq)));
            all.push((key, SeqNo(seq)));
        }
        (Merge::new(runs.into_iter().map(Run::new).collect()), Run::new(all))
    }

    proptest! {
        /// A merge of runs moves like one run with all their entries.
        #[test]
        fn moves_like_one_run(
            (keys, count) in keys(),
            moves in proptest::collection::vec(moves(), 0..60),
        ) {
            let (mut merged, mut one) = merged(keys, count);
            for m in moves {
                let is_version = apply(&mut one, &m);
                prop_assert_eq!(apply(&mut merged, &m), is_version, "{:?}", m);
                prop_assert_eq!(one.entry(), merged.entry(), "after {:?}", m);
            }
        }

        /// And so it does from end to end with what is at hand.
        #[test]
        fn walks_like_one_run((keys, count) in keys()) {
            let (mut merged, mut one) = merged(keys, count);
            apply(&mut merged, &Move::First);
            apply(&mut one, &Move::First);
            while one.entry().is_some() {
                prop_assert_eq!(one.entry(), merged.entry());
                prop_assert_eq!(next(&mut merged, true), next(&mut one, true));
            }
            prop_assert_eq!(merged.entry(), None);
        }
    }
}
