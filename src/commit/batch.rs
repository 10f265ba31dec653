//! A batch on its way into the log.

use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::frame::BODY_BYTES_MAX;
use crate::format::{KEY_BYTES_MAX, SeqNo, VALUE_BYTES_MAX, key::EXPIRY_SIZE};
use crate::memtable::Memtable;
use crate::wal::{Op, OpReader, ops};

/// Operations that are committed together: encoded as the log holds them.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    ops: Vec<u8>,
    entries: u64,
    /// Of these, the deletes.
    deletes: u64,
    /// Of keys and values.
    user_bytes: u64,
    /// What the memtable needs at most to take it.
    memtable_bytes: usize,
}

impl Batch {
    /// Adds a value for `key`.
    pub fn set(&mut self, key: &[u8], value: &[u8]) {
        ops::put_set(&mut self.ops, key, value);
        self.count(key, value.len(), value.len());
    }

    /// Adds a value for `key` that expires; returns where its expiry stands,
    /// for [`Batch::set_expiry`].
    pub fn set_expiring(&mut self, key: &[u8], value: &[u8]) -> usize {
        self.count(key, value.len(), value.len() + EXPIRY_SIZE);
        ops::put_set_expiring(&mut self.ops, key, value, u64::MAX)
    }

    /// Sets the expiry at `place`, which [`Batch::set_expiring`] returned.
    pub fn set_expiry(&mut self, place: usize, expires_at_ms: u64) {
        self.ops[place..place + EXPIRY_SIZE].copy_from_slice(&expires_at_ms.to_le_bytes());
    }

    /// Adds a tombstone for `key`.
    pub fn delete(&mut self, key: &[u8]) {
        ops::put_delete(&mut self.ops, key);
        self.deletes += 1;
        self.count(key, 0, 0);
    }

    fn count(&mut self, key: &[u8], value_len: usize, payload_len: usize) {
        self.entries += 1;
        self.user_bytes += to_u64(key.len() + value_len);
        let bytes = Memtable::entry_bytes_max(key.len(), payload_len);
        self.memtable_bytes = self.memtable_bytes.saturating_add(bytes);
    }

    /// Operations in it.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Whether it sets a key.
    #[must_use]
    pub fn has_sets(&self) -> bool {
        self.deletes < self.entries
    }

    /// Bytes of the keys and values in it.
    #[must_use]
    pub fn user_bytes(&self) -> u64 {
        self.user_bytes
    }

    /// True without any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The encoded operations.
    #[must_use]
    pub fn ops(&self) -> &[u8] {
        &self.ops
    }

    /// What the memtable needs at most to take it, in bytes.
    #[must_use]
    pub fn memtable_bytes(&self) -> usize {
        self.memtable_bytes
    }

    /// A batch that asks for no room, so that its insertion panics: what a
    /// mistake in the memtable would be like.
    #[cfg(test)]
    #[must_use]
    pub fn without_room(mut self) -> Self {
        self.memtable_bytes = 0;
        self
    }

    /// Forgets the operations, keeps the memory.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.entries = 0;
        self.deletes = 0;
        self.user_bytes = 0;
        self.memtable_bytes = 0;
    }

    /// # Errors
    /// [`Error::TooLarge`] for the whole batch.
    pub fn check_size(&self) -> Result<()> {
        let size_bytes = to_u64(self.ops.len());
        if size_bytes > BODY_BYTES_MAX {
            return Err(Error::TooLarge { what: "batch", size_bytes, limit_bytes: BODY_BYTES_MAX });
        }
        // Many small entries take more in memory than in the log.
        check("batch", self.memtable_bytes, Memtable::RESERVED_BYTES_MAX)
    }

    /// Puts the entries into `memtable`, numbered from `first` on.
    pub fn insert_into(&self, memtable: &Memtable, first: SeqNo) {
        for op in OpReader::new(&self.ops, first) {
            match op.expect("we encoded it ourselves") {
                Op::Entry(entry) => memtable.insert(entry),
                Op::ExpiryFloor(_) => {}
            }
        }
    }
}

/// # Errors
/// [`Error::TooLarge`] for a key beyond [`KEY_BYTES_MAX`].
pub fn check_key(key: &[u8]) -> Result<()> {
    check("key", key.len(), KEY_BYTES_MAX)
}

/// # Errors
/// [`Error::TooLarge`] for a value beyond [`VALUE_BYTES_MAX`].
pub fn check_value(value: &[u8]) -> Result<()> {
    check("value", value.len(), VALUE_BYTES_MAX)
}

fn check(what: &'static str, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    Err(Error::TooLarge { what, size_bytes: to_u64(size), limit_bytes: to_u64(limit) })
}

#[cfg(test)]
mod tests {
    use super::*;

    // The leader found no memtable that would take such a batch, and panicked:
    // half a gigabyte of deletes was enough.
    #[test]
    fn a_batch_that_no_memtable_takes_is_too_large() {
        let mut batch = Batch::default();
        batch.delete(b"a");
        batch.memtable_bytes = Memtable::RESERVED_BYTES_MAX;
        batch.check_size().expect("the largest");
        batch.delete(b"a");
        let e = batch.check_size().expect_err("one more");
        assert!(matches!(e, Error::TooLarge { what: "batch", .. }), "{e}");
    }
}
