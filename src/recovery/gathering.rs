//! The memtable that a log is replayed into.
//!
//! Entries of many records are gathered, as copies, and go into it at once: it takes them faster so than one after the other.

use crate::format::{EntryKind, EntryRef, SeqNo};
use crate::memtable::Memtable;
use std::ops::Range;
use std::sync::Arc;

/// With so many bytes of keys and payloads they go into the memtable: few enough to stay in the processor's cache.
const BYTES_MAX: usize = 64 << 10;

/// And with so many entries.
const ENTRIES_MAX: usize = 256;

/// A memtable, and entries on their way into it.
#[derive(Debug)]
pub struct GatheringMemtable {
    memtable: Arc<Memtable>,
    /// Keys and payloads of the gathered entries, one after the other.
    bytes: Vec<u8>,
    entries: Vec<Gathered>,
}

#[derive(Debug)]
struct Gathered {
    key: Range<usize>,
    payload: Range<usize>,
    seq: SeqNo,
    kind: EntryKind,
}

impl GatheringMemtable {
    /// Into `memtable`, which nobody else inserts into.
    pub fn new(memtable: Arc<Memtable>) -> Self {
        GatheringMemtable { memtable, bytes: Vec::new(), entries: Vec::new() }
    }

    /// As [`Memtable::reserve`].
    #[must_use]
    pub fn reserve(&mut self, bytes: usize) -> bool {
        if self.memtable.reserve(bytes) {
            return true;
        }
        // What was gathered has the most set aside that its entries can take, and mostly takes less.
        self.settle();
        self.memtable.reserve(bytes)
    }

    /// As [`Memtable::insert`], now or later.
    pub fn insert(&mut self, entry: EntryRef<'_>) {
        let EntryRef { key, seq, kind, payload } = entry;
        // A large one gains nothing by being copied once more.
        if key.len() + payload.len() > BYTES_MAX / 2 {
            return self.memtable.insert(entry);
        }
        let [key, payload] = [key, payload].map(|bytes| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            start..self.bytes.len()
        });
        self.entries.push(Gathered { key, payload, seq, kind });
        if self.bytes.len() >= BYTES_MAX || self.entries.len() == ENTRIES_MAX {
            self.settle();
        }
    }

    /// The memtable, with all that was inserted.
    pub fn memtable(&mut self) -> &Arc<Memtable> {
        self.settle();
        &self.memtable
    }

    /// Goes on with `next`; returns the memtable so far, with all that was inserted.
    pub fn replace(&mut self, next: Arc<Memtable>) -> Arc<Memtable> {
        self.settle();
        std::mem::replace(&mut self.memtable, next)
    }

    fn settle(&mut self) {
        let GatheringMemtable { memtable, bytes, entries } = self;
        memtable.insert_all(|inserter| {
            for Gathered { key, payload, seq, kind } in entries.drain(..) {
                let (key, payload) = (&bytes[key], &bytes[payload]);
                inserter.insert(EntryRef { key, seq, kind, payload });
            }
        });
        bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iter::Cursor;

    fn entry(key: &[u8], seq: u64, payload: &'static [u8]) -> (Vec<u8>, SeqNo, &'static [u8]) {
        (key.to_vec(), SeqNo(seq), payload)
    }

    #[test]
    fn all_entries_come_into_the_memtable_that_they_were_for() {
        static LARGE: [u8; BYTES_MAX] = [7; BYTES_MAX];
        let mut gathering = GatheringMemtable::new(Arc::new(Memtable::new(4 << 20)));
        let mut seq = 0;
        for round in 0..3_u8 {
            let mut wanted = Vec::new();
            // Enough to go into the memtable on the way, a large one among them, and some that are left.
            for number in 0..1000_u16 {
                seq += 1;
                let key = [&[round][..], &number.to_be_bytes()].concat();
                let payload = if number == 500 { &LARGE[..] } else { &LARGE[..200] };
                wanted.push(entry(&key, seq, payload));
            }
            for (key, seq, payload) in &wanted {
                assert!(gathering.reserve(Memtable::entry_bytes_max(key.len(), payload.len())));
                gathering.insert(EntryRef { key, seq: *seq, kind: EntryKind::Set, payload });
            }
            assert_eq!(gathering.memtable().len(), wanted.len());
            let full = gathering.replace(Arc::new(Memtable::new(4 << 20)));
            let mut cursor = full.cursor();
            cursor.seek_first().expect("it never fails");
            for (key, seq, payload) in &wanted {
                let found = cursor.entry().map(|entry| (entry.key, entry.seq, entry.payload));
                assert_eq!(found, Some((&key[..], *seq, *payload)));
                cursor.next().expect("it never fails");
            }
            assert_eq!(cursor.entry(), None);
        }
        assert!(gathering.memtable().is_empty());
    }

    // Little entries set aside five times what they take: a memtable that counted those on their way so was full with a
    // fifth of the entries, and an open made as many more tables.
    #[test]
    fn a_memtable_is_filled_to_the_brim_by_little_entries() {
        let count_with = |insert: &mut dyn FnMut(EntryRef<'_>) -> bool| {
            (1..)
                .take_while(|seq: &u64| {
                    let key = seq.to_be_bytes();
                    insert(EntryRef {
                        key: &key,
                        seq: SeqNo(*seq),
                        kind: EntryKind::Delete,
                        payload: b"",
                    })
                })
                .count()
        };
        let bytes = Memtable::entry_bytes_max(8, 0);
        let alone = Memtable::new(1 << 16);
        let wanted = count_with(&mut |entry| {
            let fits = alone.reserve(bytes);
            if fits {
                alone.insert(entry);
            }
            fits
        });
        let mut gathering = GatheringMemtable::new(Arc::new(Memtable::new(1 << 16)));
        let found = count_with(&mut |entry| {
            let fits = gathering.reserve(bytes);
            if fits {
                gathering.insert(entry);
            }
            fits
        });
        assert_eq!((found, gathering.memtable().len()), (wanted, wanted));
    }
}
