//! For the tests of what is built of cursors: a run in memory, and random moves.

use super::Cursor;
use crate::error::Result;
use crate::format::key::compare;
use crate::format::{EntryKind, EntryRef, SeqNo};
use proptest::prelude::*;
use std::cmp::Ordering;

/// A cursor over a sorted vector.
#[derive(Debug, Clone)]
pub struct Run {
    entries: Vec<(Vec<u8>, SeqNo)>,
    at: Option<usize>,
}

impl Run {
    /// Of these entries, in any order.
    pub fn new(mut entries: Vec<(Vec<u8>, SeqNo)>) -> Self {
        entries.sort_by(|a, b| compare(&a.0, a.1, &b.0, b.1));
        Run { entries, at: None }
    }

    /// The keys of the first and the last entry.
    pub fn ends(&self) -> (&[u8], &[u8]) {
        (&self.entries[0].0, &self.entries[self.entries.len() - 1].0)
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
    fn next(&mut self) -> Result<bool> {
        let left = self.at.map(|at| &self.entries[at].0);
        let next = self.at.and_then(|at| self.entries.get(at + 1)).map(|(key, _)| key);
        let is_version = left.is_some() && left == next;
        self.stand(self.at.map(|at| at + 1))?;
        Ok(is_version)
    }
    fn next_at_hand(&mut self) -> Option<(EntryRef<'_>, bool)> {
        // All but the end: as in a block.
        self.at.filter(|at| at + 1 < self.entries.len())?;
        let is_version = self.next().ok()?;
        Some((self.entry()?, is_version))
    }
    fn prev(&mut self) -> Result<()> {
        self.stand(self.at.and_then(|at| at.checked_sub(1)))
    }
}

#[derive(Debug, Clone)]
pub enum Move {
    First,
    Last,
    Next,
    NextAtHand,
    Prev,
    Seek(Vec<u8>, u64),
    SeekBefore(Vec<u8>, u64),
}

pub fn moves() -> impl Strategy<Value = Move> {
    let key = proptest::collection::vec(0..3_u8, 0..3);
    prop_oneof![
        1 => Just(Move::First),
        1 => Just(Move::Last),
        2 => Just(Move::Next),
        2 => Just(Move::NextAtHand),
        4 => Just(Move::Prev),
        1 => (key.clone(), 0..40_u64).prop_map(|(k, s)| Move::Seek(k, s)),
        1 => (key, 0..40_u64).prop_map(|(k, s)| Move::SeekBefore(k, s)),
    ]
}

/// What [`Cursor::next`] says; false of the other moves.
pub fn apply(cursor: &mut impl Cursor, m: &Move) -> bool {
    match m {
        Move::First => cursor.seek_first(),
        Move::Last => cursor.seek_last(),
        Move::Next => return cursor.next().expect("in memory"),
        Move::NextAtHand => return next_by_hand(cursor),
        Move::Prev => cursor.prev(),
        Move::Seek(key, seq) => cursor.seek(key, SeqNo(*seq)),
        Move::SeekBefore(key, seq) => cursor.seek_before(key, SeqNo(*seq)),
    }
    .expect("in memory");
    false
}

/// Moves on by [`Cursor::next_at_hand`] if it can, whose entry must be the one that it then stands on.
pub fn next_by_hand(cursor: &mut impl Cursor) -> bool {
    let at_hand = cursor.next_at_hand().map(|(entry, is_version)| {
        ((entry.key.to_vec(), entry.seq, entry.kind, entry.payload.to_vec()), is_version)
    });
    let Some((given, is_version)) = at_hand else { return cursor.next().expect("in memory") };
    let entry = cursor.entry().expect("it has moved there");
    assert_eq!(given, (entry.key.to_vec(), entry.seq, entry.kind, entry.payload.to_vec()));
    is_version
}
