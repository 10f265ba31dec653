//! Sorted runs that do not overlap, one behind the other, as one.

use super::{Cursor, Moved};
use crate::error::Result;
use crate::format::{EntryRef, SeqNo};
use std::fmt::Debug;

/// Runs in order: every key of one is less than every key of the next, and
/// none is empty.
pub trait Runs: Debug {
    /// A cursor of one run.
    type Cursor: Cursor + Debug;

    /// How many runs there are.
    fn len(&self) -> usize;

    /// The keys of the first and the last entry of a run.
    fn ends(&self, run: usize) -> (&[u8], &[u8]);

    /// A new cursor over a run.
    fn cursor(&self, run: usize) -> Self::Cursor;

    /// The first run with a key that is not less than `key`; `len` if there is none.
    fn find(&self, key: &[u8]) -> usize {
        let (mut first, mut after) = (0, self.len());
        while first < after {
            let middle = first.midpoint(after);
            if self.ends(middle).1 < key {
                first = middle + 1;
            } else {
                after = middle;
            }
        }
        first
    }
}

/// A cursor over runs, of which it opens those that it comes to, one at a time.
#[derive(Debug)]
pub struct Concat<R: Runs> {
    runs: R,
    /// The run it stands in or was last in, and its cursor.
    run: usize,
    cursor: Option<R::Cursor>,
}

impl<R: Runs> Concat<R> {
    /// Over `runs`.
    #[must_use]
    pub fn new(runs: R) -> Self {
        Concat { runs, run: 0, cursor: None }
    }

    /// The cursor of the run that it stands in.
    #[inline]
    pub fn cursor(&mut self) -> Option<&mut R::Cursor> {
        self.cursor.as_mut()
    }

    /// The cursor of a run, kept if it is of this run already. `None`: there is no such run.
    fn enter(&mut self, run: usize) -> Option<&mut R::Cursor> {
        if run >= self.runs.len() {
            self.cursor = None;
            return None;
        }
        if self.run != run || self.cursor.is_none() {
            self.cursor = Some(self.runs.cursor(run));
            self.run = run;
        }
        self.cursor.as_mut()
    }

    fn first_of(&mut self, run: usize) -> Result<()> {
        self.enter(run).map_or(Ok(()), Cursor::seek_first)
    }

    fn last_of(&mut self, run: Option<usize>) -> Result<()> {
        match run.and_then(|run| self.enter(run)) {
            Some(cursor) => cursor.seek_last(),
            None => {
                self.cursor = None;
                Ok(())
            }
        }
    }

    fn is_at_end(&self) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.place().is_none())
    }
}

impl<R: Runs> Cursor for Concat<R> {
    #[inline(always)]
    fn entry(&self) -> Option<EntryRef<'_>> {
        self.cursor.as_ref()?.entry()
    }

    #[inline]
    fn place(&self) -> Option<(&[u8], SeqNo)> {
        self.cursor.as_ref()?.place()
    }

    fn seek_first(&mut self) -> Result<()> {
        self.first_of(0)
    }

    fn seek_last(&mut self) -> Result<()> {
        self.last_of(self.runs.len().checked_sub(1))
    }

    fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        let run = self.runs.find(key);
        let Some(cursor) = self.enter(run) else { return Ok(()) };
        cursor.seek(key, seq)?;
        // Where `key` is its last, all its versions may come before the place.
        if self.is_at_end() { self.first_of(run + 1) } else { Ok(()) }
    }

    fn seek_before(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        let run = self.runs.find(key);
        // A run that begins behind the place need not be opened.
        if run >= self.runs.len() || self.runs.ends(run).0 > key {
            return self.last_of(run.checked_sub(1));
        }
        let Some(cursor) = self.enter(run) else { return Ok(()) };
        cursor.seek_before(key, seq)?;
        if self.is_at_end() { self.last_of(run.checked_sub(1)) } else { Ok(()) }
    }

    #[inline]
    fn next(&mut self) -> Result<Moved> {
        let Some(cursor) = &mut self.cursor else { return Ok(Moved::default()) };
        if cursor.place().is_none() {
            return Ok(Moved::default()); // A cursor on nothing stays there.
        }
        let moved = cursor.next()?;
        if self.is_at_end() {
            // The keys of two runs need have nothing in common.
            self.first_of(self.run + 1)?;
            return Ok(Moved::default());
        }
        Ok(moved)
    }

    #[inline(always)]
    fn next_at_hand(&mut self) -> Option<(EntryRef<'_>, Moved)> {
        self.cursor.as_mut()?.next_at_hand()
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        if cursor.place().is_none() {
            return Ok(());
        }
        cursor.prev()?;
        if self.is_at_end() { self.last_of(self.run.checked_sub(1)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, apply, moves};
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;

    #[derive(Debug)]
    struct Vectors {
        runs: Vec<Run>,
        opened: Cell<usize>,
    }

    impl Runs for Vectors {
        type Cursor = Run;
        fn len(&self) -> usize {
            self.runs.len()
        }
        fn ends(&self, run: usize) -> (&[u8], &[u8]) {
            self.runs[run].ends()
        }
        fn cursor(&self, run: usize) -> Run {
            self.opened.set(self.opened.get() + 1);
            self.runs[run].clone()
        }
    }

    fn level(runs: Vec<Vec<(Vec<u8>, SeqNo)>>) -> Concat<Vectors> {
        let runs = runs.into_iter().map(Run::new).collect();
        Concat::new(Vectors { runs, opened: Cell::new(0) })
    }

    #[test]
    fn opens_what_it_comes_to() {
        let run = |key: u8| vec![(vec![key], SeqNo(2)), (vec![key], SeqNo(1))];
        let mut level = level((0..100).map(run).collect());
        level.seek(&[50], SeqNo::MAX).expect("in memory");
        level.seek_before(&[50], SeqNo(1)).expect("in memory");
        assert_eq!(level.runs.opened.get(), 1);
        level.seek_before(&[50, 0], SeqNo::MAX).expect("in memory");
        assert_eq!(level.runs.opened.get(), 1, "the run behind is not needed");
        level.next().expect("in memory");
        assert_eq!(level.entry().expect("the next").key, [51]);
        assert_eq!(level.runs.opened.get(), 2);
    }

    proptest! {
        /// A level of runs moves like one run with all their entries.
        #[test]
        fn moves_like_one_run(
            keys in proptest::collection::btree_map(
                proptest::collection::vec(0..3_u8, 0..3), (1..4_u64, any::<bool>()), 0..14),
            moves in proptest::collection::vec(moves(), 0..60),
        ) {
            let (mut runs, mut all) = (Vec::<Vec<_>>::new(), Vec::new());
            for (key, (versions, begins)) in keys {
                let entries: Vec<_> = (1..=versions).map(|n| (key.clone(), SeqNo(9 * n))).collect();
                all.extend(entries.clone());
                match runs.last_mut().filter(|_| !begins) {
                    Some(run) => run.extend(entries),
                    None => runs.push(entries),
                }
            }
            let (mut one, mut level) = (Run::new(all), level(runs));
            for m in moves {
                let is_version = apply(&mut one, &m);
                prop_assert_eq!(apply(&mut level, &m), is_version, "{:?}", m);
                prop_assert_eq!(one.entry(), level.entry(), "after {:?}", m);
            }
        }
    }
}
