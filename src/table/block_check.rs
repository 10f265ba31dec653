//! The check of a data block, in one pass over its entries: what comes from a file is believed afterwards.

use super::block::{Block, Columns, SHARED_SHORT_MAX, SHORT_KEY_HEAD};
use super::format::RESTART_INTERVAL;
use super::key_buffer::{KeyBuffer, PIECE};
use crate::format::key::common_prefix;
use crate::format::{EntryKind, EntryRef, KEY_BYTES_MAX, SeqNo};

// A key of the usual kind is not too long.
const _: () = assert!(SHARED_SHORT_MAX + PIECE <= KEY_BYTES_MAX);

const NO_KEY: &str = "its key does not fit";
const NOT_AFTER: &str = "expected a key after the one before, its prefix shared";

impl Block {
    /// Checks that all is what the methods of a block rely on.
    ///
    /// # Errors
    /// What was expected and found.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut check = Check {
            block: self,
            bytes: self.bytes(),
            columns: self.columns(),
            key: KeyBuffer::default(),
            key_at: 0,
            value_at: 0,
            last_seq: SeqNo::ZERO,
        };
        for entry in 0..self.entries() {
            check.step(entry).map_err(|what| format!("entry {entry} of the block: {what}"))?;
        }
        if check.key_at != self.keys_size() || check.value_at != self.values_size() {
            return Err("the block has bytes that belong to no entry".to_owned());
        }
        Ok(())
    }
}

/// A pass over the entries of a block.
struct Check<'a> {
    block: &'a Block,
    bytes: &'a [u8],
    columns: Columns,
    /// The key before.
    key: KeyBuffer,
    /// Where among the keys the next one starts, and where its value does.
    key_at: usize,
    value_at: usize,
    last_seq: SeqNo,
}

impl Check<'_> {
    /// Checks the entry of that number, up to which all are right.
    #[inline]
    fn step(&mut self, entry: usize) -> Result<(), &'static str> {
        let version = self.block.version_in(self.bytes, &self.columns, entry);
        let (seq, kind) = version.ok_or("unknown kind or version")?;
        if entry.is_multiple_of(RESTART_INTERVAL) {
            self.restart(entry, seq)?;
        } else if !self.short_key(seq) {
            self.any_key(seq)?;
        }
        self.last_seq = seq;
        self.value(entry, kind)
    }

    /// The key of an entry, where it is like most; false: nothing was done.
    #[inline(always)]
    fn short_key(&mut self, seq: SeqNo) -> bool {
        // Should it reach past the keys, then so does what comes after it, up to the end.
        let Some((shared, size, piece)) = self.block.short_key(self.bytes, self.key_at) else {
            return false;
        };
        let last = self.key.get();
        let follows = match (last.get(shared), size) {
            (Some(passed), 1..) => passed < &piece[0],
            (Some(_), 0) => false,
            (None, 1..) => shared == last.len(),
            (None, 0) => shared == last.len() && seq < self.last_seq,
        };
        if follows && self.key.replace_short_end(shared, size, piece).is_some() {
            self.key_at += SHORT_KEY_HEAD + size;
            return true;
        }
        false
    }

    /// The key of an entry that is no restart, whatever it is like.
    #[inline(never)]
    fn any_key(&mut self, seq: SeqNo) -> Result<(), &'static str> {
        let (shared, unshared, next_at) = self.block.step(self.key_at).ok_or(NO_KEY)?;
        let rest = self.key.get().get(shared..).ok_or(NOT_AFTER)?;
        let has_shared_all = common_prefix(rest, unshared) == 0;
        if !has_shared_all || !follows((rest, self.last_seq), (unshared, seq)) {
            return Err(NOT_AFTER);
        }
        self.put_key(shared, unshared, next_at)
    }

    /// The key of a restart, which stands whole.
    fn restart(&mut self, entry: usize, seq: SeqNo) -> Result<(), &'static str> {
        let (shared, whole, next_at) = self.block.step(self.key_at).ok_or(NO_KEY)?;
        let stated_at = self.block.restart(entry / RESTART_INTERVAL);
        if shared != 0 || stated_at != Some(self.key_at) {
            return Err("expected a restart here");
        }
        if entry > 0 && !follows((self.key.get(), self.last_seq), (whole, seq)) {
            return Err(NOT_AFTER);
        }
        self.put_key(0, whole, next_at)
    }

    fn put_key(&mut self, shared: usize, rest: &[u8], next_at: usize) -> Result<(), &'static str> {
        if shared + rest.len() > KEY_BYTES_MAX {
            return Err("its key is too long");
        }
        self.key.replace_end(shared, rest);
        self.key_at = next_at;
        Ok(())
    }

    /// The value of an entry, whose key is at hand.
    #[inline(always)]
    fn value(&mut self, entry: usize, kind: EntryKind) -> Result<(), &'static str> {
        let end = self.columns.end_of(self.bytes, entry);
        let end = end.filter(|&end| end <= self.block.values_size());
        let payload = end.and_then(|end| self.bytes.get(self.value_at..end));
        let payload = payload.ok_or("its payload does not fit")?;
        // One of the most usual kind can be anything.
        if kind != EntryKind::Set {
            let entry = EntryRef { key: self.key.get(), seq: self.last_seq, kind, payload };
            if !entry.is_well_formed() {
                return Err("its payload is not one of its kind");
            }
        }
        self.value_at += payload.len();
        Ok(())
    }
}

/// Whether an entry stands after the one before it, by what their keys do not share, and their numbers.
fn follows((last, last_seq): (&[u8], SeqNo), (key, seq): (&[u8], SeqNo)) -> bool {
    last < key || last == key && seq < last_seq
}
