//! For the tests of what is built of cursors: a run in memory, and random moves.

use super::{Cursor, Moved};
use crate::error::Result;
use crate::format::key::{common_prefix, compare};
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
    fn next(&mut self) -> Result<Moved> {
        let left = self.at.map(|at| &self.entries[at].0);
        let next = self.at.and_then(|at| self.entries.get(at + 1)).map(|(key, _)| key);
        let is_version = left.is_some() && left == next;
        // It may say less than there is, but not more.
        let shared = left.zip(next).map_or(0, |(left, next)| common_prefix(left, next));
        let shared = shared.saturating_sub(self.at.unwrap_or_default() % 2);
        self.stand(self.at.map(|at| at + 1))?;
        Ok(Moved { is_version, shared })
    }
    fn next_at_hand(&mut self) -> Option<(EntryRef<'_>, Moved)> {
        // All but the end: as in a block.
        self.at.filter(|at| at + 1 < self.entries.len())?;
        let moved = self.next().ok()?;
        Some((self.entry()?, moved))
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

/// Whether [`Cursor::next`] says that it came to an older version; false of the other moves. What it says of
/// the bytes in common holds.
pub fn apply(cursor: &mut impl Cursor, m: &Move) -> bool {
    match m {
        Move::First => cursor.seek_first(),
        Move::Last => cursor.seek_last(),
        Move::Next => return next(cursor, false),
        Move::NextAtHand => return next(cursor, true),
        Move::Prev => cursor.prev(),
        Move::Seek(key, seq) => cursor.seek(key, SeqNo(*seq)),
        Move::SeekBefore(key, seq) => cursor.seek_before(key, SeqNo(*seq)),
    }
    .expect("in memory");
    false
}

/// Moves on, by [`Cursor::next_at_hand`] if it can and is to: the entry which that gives must be the one that
/// it then stands on.
pub fn next(cursor: &mut impl Cursor, at_hand: bool) -> bool {
    let left = cursor.entry().map(|entry| entry.key.to_vec());
    let whole =
        |entry: EntryRef<'_>| (entry.key.to_vec(), entry.seq, entry.kind, entry.payload.to_vec());
    let given = if at_hand { cursor.next_at_hand() } else { None };
    let given = given.map(|(entry, moved)| (whole(entry), moved));
    let (given, moved) = match given {
        Some((given, moved)) => (Some(given), moved),
        None => (None, cursor.next().expect("in memory")),
    };
    let entry = cursor.entry();
    if given.is_some() {
        assert_eq!(given, entry.map(whole));
    }
    if let (Some(left), Some(entry)) = (left, entry) {
        assert!(moved.shared <= common_prefix(&left, entry.key), "{left:?}, {:?}", entry.key);
        assert_eq!(moved.is_version, left == entry.key);
    }
    moved.is_version
}
