//! A range as a transaction sees it: the snapshot's entries under its own writes.

use super::reads::{Reads, WalkId};
use super::writes::Write;
use crate::error::Result;
use crate::read::{Key, Scan, Value};
use crate::store::Store;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::btree_map;

/// What an iteration gives out: keys with values, or keys alone.
pub trait Row: Sized {
    /// Its key.
    fn key(&self) -> &[u8];

    /// The row of a value that the transaction has set itself.
    fn own(key: &[u8], value: &[u8]) -> Self;
}

impl Row for (Key, Value) {
    fn key(&self) -> &[u8] {
        &self.0
    }

    fn own(key: &[u8], value: &[u8]) -> Self {
        (Key::copy(key), Value::copy(value))
    }
}

impl Row for Key {
    fn key(&self) -> &[u8] {
        self
    }

    fn own(key: &[u8], _: &[u8]) -> Self {
        Key::copy(key)
    }
}

/// A row of the snapshot. It may be kept, while own ones come first, until after its time.
pub struct Stored<R> {
    row: R,
    /// In milliseconds since the Unix epoch; `u64::MAX`: never.
    expires_at_ms: u64,
}

impl<R> Stored<R> {
    fn new((row, expires_at_ms): (R, u64)) -> Self {
        Stored { row, expires_at_ms }
    }
}

/// The snapshot's entries, from either end.
#[derive(Debug)]
pub struct Entries(pub Scan);

impl Iterator for Entries {
    type Item = Result<Stored<(Key, Value)>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_entry_until().map(|row| row.map(Stored::new))
    }
}

impl DoubleEndedIterator for Entries {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_entry_back_until().map(|row| row.map(Stored::new))
    }
}

/// The snapshot's keys, from either end.
#[derive(Debug)]
pub struct RowKeys(pub Scan);

impl Iterator for RowKeys {
    type Item = Result<Stored<Key>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_key_until().map(|key| key.map(Stored::new))
    }
}

impl DoubleEndedIterator for RowKeys {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_key_back_until().map(|key| key.map(Stored::new))
    }
}

/// An iterator of which the next item can be seen, at either end. It goes on to be the other
/// end's where there is no other.
struct Peeked<I: DoubleEndedIterator> {
    items: I,
    front: Option<I::Item>,
    back: Option<I::Item>,
}

impl<I: DoubleEndedIterator> Peeked<I> {
    fn new(items: I) -> Self {
        Peeked { items, front: None, back: None }
    }

    /// The next item at an end, in its place.
    fn at(&mut self, end: End) -> &mut Option<I::Item> {
        match end {
            End::Front => {
                if self.front.is_none() {
                    self.front = self.items.next().or_else(|| self.back.take());
                }
                &mut self.front
            }
            End::Back => {
                if self.back.is_none() {
                    self.back = self.items.next_back().or_else(|| self.front.take());
                }
                &mut self.back
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

/// Merges what a snapshot has in a range with the writes of the transaction, and tells `reads` what it
/// gives out.
pub struct Overlay<'a, I: DoubleEndedIterator> {
    stored: Peeked<I>,
    own: Peeked<btree_map::Range<'a, Vec<u8>, Write>>,
    store: &'a Store,
    reads: &'a RefCell<Reads>,
    walk: WalkId,
    has_ended: bool,
}

impl<'a> Overlay<'a, Entries> {
    /// What is left of it, keys alone.
    pub fn keys(self) -> Overlay<'a, RowKeys> {
        let Overlay { stored: Peeked { items: Entries(scan), front, back }, own, .. } = self;
        let key = |stored: Stored<(Key, Value)>| {
            let Stored { row: (row, _), expires_at_ms } = stored;
            Stored { row, expires_at_ms }
        };
        let (front, back) = (front.map(|row| row.map(key)), back.map(|row| row.map(key)));
        let Overlay { store, reads, walk, has_ended, .. } = self;
        Overlay {
            stored: Peeked { items: RowKeys(scan), front, back },
            own,
            store,
            reads,
            walk,
            has_ended,
        }
    }
}

impl<'a, R: Row, I: DoubleEndedIterator<Item = Result<Stored<R>>>> Overlay<'a, I> {
    /// Of `stored`, which is in `store`, under `own`, both of the range of `walk`.
    pub fn new(
        stored: I,
        own: btree_map::Range<'a, Vec<u8>, Write>,
        store: &'a Store,
        reads: &'a RefCell<Reads>,
        walk: WalkId,
    ) -> Self {
        let (stored, own) = (Peeked::new(stored), Peeked::new(own));
        Overlay { stored, own, store, reads, walk, has_ended: false }
    }

    /// The next from the front.
    pub fn next(&mut self) -> Option<Result<R>> {
        self.step(End::Front)
    }

    /// The next from the back.
    pub fn next_back(&mut self) -> Option<Result<R>> {
        self.step(End::Back)
    }

    fn step(&mut self, end: End) -> Option<Result<R>> {
        if self.has_ended {
            return None;
        }
        // Own rows, and one that is kept, ask nothing of the store.
        let row = match self.store.health.check_open() {
            Ok(()) => self.next_row(end),
            Err(e) => Some(Err(e)),
        };
        let mut reads = self.reads.borrow_mut();
        match (&row, end) {
            (Some(Ok(row)), End::Front) => reads.walk_front(self.walk, row.key()),
            (Some(Ok(row)), End::Back) => reads.walk_back(self.walk, row.key()),
            (Some(Err(_)), _) => self.has_ended = true,
            (None, _) => {
                self.has_ended = true;
                reads.end_walk(self.walk);
            }
        }
        row
    }

    fn next_row(&mut self, end: End) -> Option<Result<R>> {
        loop {
            let (stored, own) = (self.stored.at(end), self.own.at(end));
            if let Some(Ok(row)) = stored
                && self.store.is_expired(row.expires_at_ms)
            {
                *stored = None;
                continue;
            }
            let order = match (&*stored, &*own) {
                (None, None) => return None,
                (Some(Err(_)), _) | (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(Ok(Stored { row, .. })), Some((key, _))) => match end {
                    End::Front => row.key().cmp(key),
                    End::Back => row.key().cmp(key).reverse(),
                },
            };
            if order == Ordering::Less {
                return stored.take().map(|stored| stored.map(|stored| stored.row));
            }
            if order == Ordering::Equal {
                *stored = None; // The own one hides it.
            }
            if let Some((key, Write::Set(value, _))) = own.take() {
                return Some(Ok(R::own(key, value)));
            }
        }
    }
}
