//! A place in a block, and how it moves.
//!
//! A key is put together from what it shares with the one before and the rest, so to go on is
//! cheap, and to go back is to begin anew at the restart before. Whoever walks backwards
//! therefore keeps the keys of a run, whole.

use super::block::{Block, CHECKED, Columns, SHORT_KEY_HEAD};
use super::format::RESTART_INTERVAL;
use super::key_buffer::KeyBuffer;
use crate::format::{EntryKind, EntryRef, SeqNo};
use crate::iter::Moved;
use std::ops::Range;

/// A place in a block, with the key put together and the rest of the entry looked up: a merge
/// asks for the entry several times before it goes on. The key's memory is kept
/// from block to block.
#[derive(Debug)]
pub struct Position {
    entry: usize,
    key: KeyBuffer,
    /// Where in `keys` the entry after starts.
    next_at: usize,
    seq: SeqNo,
    kind: EntryKind,
    /// Where in the block.
    payload: Range<usize>,
    columns: Columns,
    /// Of the block it is in; empty unless it went backwards there.
    run: RunKeys,
}

impl Default for Position {
    fn default() -> Self {
        let (seq, kind) = (SeqNo::ZERO, EntryKind::Delete);
        let (key, columns, run) = Default::default();
        Position { entry: 0, key, next_at: 0, seq, kind, payload: 0..0, columns, run }
    }
}

/// The keys of some entries of one run, from its first on.
#[derive(Debug, Default)]
struct RunKeys {
    first: usize,
    keys: Vec<u8>,
    /// Of each entry: where its key ends in `keys`, and where in those of the block the entry after starts.
    places: Vec<(usize, usize)>,
}

impl RunKeys {
    /// The key of an entry, and where the one after starts.
    #[inline]
    fn get(&self, entry: usize) -> Option<(&[u8], usize)> {
        let at = entry.checked_sub(self.first)?;
        let (end, next_at) = *self.places.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.places[before].0);
        Some((&self.keys[start..end], next_at))
    }

    fn push(&mut self, key: &[u8], next_at: usize) {
        self.keys.extend_from_slice(key);
        self.places.push((self.keys.len(), next_at));
    }

    #[inline]
    fn clear(&mut self) {
        self.keys.clear();
        self.places.clear();
    }
}

impl Block {
    /// Moves `position` to the entry of that number, from the restart before it.
    pub fn go_to(&self, position: &mut Position, entry: usize) {
        debug_assert!(entry < self.entries());
        position.run.clear();
        self.restart_at(position, entry);
        while position.entry < entry {
            position.entry += 1;
            self.load_key(position);
        }
        (position.seq, position.kind) = self.version(entry).expect(CHECKED);
        position.payload = self.start(entry)..self.end(entry).expect(CHECKED);
        position.columns = self.columns();
    }

    /// Moves `position` on by one, to the entry that it gives. `None`: it was on the last entry.
    #[inline(always)]
    pub fn advance<'a>(&'a self, position: &'a mut Position) -> Option<(EntryRef<'a>, Moved)> {
        let entry = position.entry + 1;
        if entry >= self.entries() {
            return None;
        }
        // Where they are is worked out once.
        let bytes = self.bytes();
        position.entry = entry;
        let moved = self.load_key_of(bytes, position);
        let (seq, kind) = self.version_in(bytes, &position.columns, entry).expect(CHECKED);
        let end = position.columns.end_of(bytes, entry).expect(CHECKED);
        // A payload starts where the one before ends.
        let range = position.payload.end..end;
        let payload = bytes.get(range.clone()).expect(CHECKED);
        (position.seq, position.kind, position.payload) = (seq, kind, range);
        Some((EntryRef { key: position.key.get(), seq, kind, payload }, moved))
    }

    /// Moves `position` back by one; false: it was on the first entry.
    pub fn retreat(&self, position: &mut Position) -> bool {
        let Some(entry) = position.entry.checked_sub(1) else { return false };
        if position.run.get(entry).is_none() {
            self.load_run(position, entry);
        }
        let (key, next_at) = position.run.get(entry).expect("the run was just loaded");
        position.key.replace_end(0, key);
        (position.entry, position.next_at) = (entry, next_at);
        (position.seq, position.kind) = self.version(entry).expect(CHECKED);
        position.payload = self.start(entry)..position.payload.start;
        true
    }

    /// Puts the keys together of the run that `entry` is in, up to that.
    fn load_run(&self, position: &mut Position, entry: usize) {
        position.run.clear();
        self.restart_at(position, entry);
        position.run.first = position.entry;
        loop {
            position.run.push(position.key.get(), position.next_at);
            if position.entry == entry {
                return;
            }
            position.entry += 1;
            self.load_key(position);
        }
    }

    /// The entry and the key of the restart at or before `entry`.
    fn restart_at(&self, position: &mut Position, entry: usize) {
        let run = entry / RESTART_INTERVAL;
        position.entry = run * RESTART_INTERVAL;
        position.next_at = self.restart(run).expect(CHECKED);
        self.load_key(position);
    }

    fn load_key(&self, position: &mut Position) {
        self.load_key_of(self.bytes(), position);
    }

    /// The key of the next entry, out of the bytes of this block, and how it is to the one there was.
    #[inline(always)]
    fn load_key_of(&self, bytes: &[u8], position: &mut Position) -> Moved {
        if let Some((shared, size, piece)) = self.short_key(bytes, position.next_at)
            && let Some(is_version) = position.key.replace_short_end(shared, size, piece)
        {
            position.next_at += SHORT_KEY_HEAD + size;
            return Moved { is_version, shared };
        }
        self.load_any_key(position)
    }

    /// The same, whatever the key is like. Apart, so that the usual case is short enough to stand where it is used.
    #[inline(never)]
    fn load_any_key(&self, position: &mut Position) -> Moved {
        let key = &mut position.key;
        let (shared, rest, next_at) = self.step(position.next_at).expect(CHECKED);
        // All that it can share it shares, but for a restart.
        let is_version =
            rest.is_empty() && shared == key.get().len() || shared == 0 && rest == key.get();
        key.replace_end(shared, rest);
        position.next_at = next_at;
        // A restart shares more than it says.
        Moved { is_version, shared }
    }

    /// Key and number of the entry at `position`.
    #[inline]
    pub fn place_at<'a>(&self, position: &'a Position) -> (&'a [u8], SeqNo) {
        (position.key.get(), position.seq)
    }

    /// The entry at `position`.
    #[inline(always)]
    pub fn entry_at<'a>(&'a self, position: &'a Position) -> EntryRef<'a> {
        let Position { key, seq, kind, payload, .. } = position;
        let payload = self.payload(payload.clone());
        EntryRef { key: key.get(), seq: *seq, kind: *kind, payload }
    }
}

#[cfg(test)]
mod tests {
    use super::super::block_builder::BlockBuilder;
    use super::*;
    use crate::format::key::common_prefix;
    use proptest::prelude::*;
    use std::cmp::Reverse;

    proptest! {
        /// Wherever it goes, it is where a walk from the front comes to, and it knows what is a version.
        #[test]
        fn moves_like_a_place_in_a_list(
            entries in proptest::collection::btree_set(
                // Few short ones, and so many versions of each.
                (prop_oneof![
                    proptest::collection::vec(0..3_u8, 0..40),
                    proptest::collection::vec(0..3_u8, 0..3),
                ], (0..9_u64).prop_map(Reverse)), 1..70),
            moves in proptest::collection::vec((0..6_u8, any::<proptest::sample::Index>()), 0..200),
            // What they share at least: lengths of one byte and of two.
            shared in prop_oneof![2 => Just(0), 2 => 90..140_usize, 1 => Just(300)],
        ) {
            let mut builder = BlockBuilder::default();
            let whole = |key: Vec<u8>| [vec![7; shared], key].concat();
            let entries: Vec<_> = entries.into_iter().map(|(key, seq)| (whole(key), seq)).collect();
            for (number, (key, Reverse(seq))) in entries.iter().enumerate() {
                let payload = &[7; 9][..number % 10];
                builder.add(EntryRef { key, seq: SeqNo(*seq), kind: EntryKind::Set, payload });
            }
            let block = Block::parse(builder.finish()).expect("valid");
            let (mut at, mut position) = (0, Position::default());
            block.go_to(&mut position, 0);
            for (kind, index) in moves {
                match kind {
                    0 => {
                        at = index.index(entries.len());
                        block.go_to(&mut position, at);
                    }
                    1 | 2 => {
                        let next = entries.get(at + 1);
                        let is_version = next.map(|next| next.0 == entries[at].0);
                        let moved = block.advance(&mut position);
                        prop_assert_eq!(moved.map(|(_, moved)| moved.is_version), is_version);
                        let shared = next.map(|next| common_prefix(&next.0, &entries[at].0));
                        prop_assert!(moved.map(|(_, moved)| moved.shared) <= shared);
                        let given = moved.map(|(entry, _)| (entry.key, entry.seq, entry.payload.len()));
                        let size = (at + 1) % 10;
                        prop_assert_eq!(given, next.map(|(key, Reverse(seq))| (&key[..], SeqNo(*seq), size)));
                        at += usize::from(next.is_some());
                    }
                    _ => {
                        prop_assert_eq!(block.retreat(&mut position), at > 0);
                        at = at.saturating_sub(1);
                    }
                }
                let (entry, (key, Reverse(seq))) = (block.entry_at(&position), &entries[at]);
                prop_assert_eq!((entry.key, entry.seq), (&key[..], SeqNo(*seq)));
                prop_assert_eq!(entry.payload.len(), at % 10);
            }
        }
    }
}
