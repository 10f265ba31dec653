//! What a commit relies upon: that nothing of what was read has been written since.

use super::reads::{HalfOpen, Presence, Reads};
use crate::commit::Premise;
use crate::error::{Error, Result};
use crate::format::SeqNo;
use crate::read::Newer;
use crate::store::Store;
use std::sync::Arc;

/// So many operations since the snapshot are left to the leader; more are looked for before.
const LEFT_TO_THE_LEADER_MAX: u64 = 1024;

/// The reads of a transaction that is being committed.
#[derive(Debug)]
pub struct ReadSet {
    store: Arc<Store>,
    epoch: u64,
    /// It holds at this number.
    holds_at: SeqNo,
    keys: Vec<Vec<u8>>,
    ranges: Vec<HalfOpen>,
    _presence: Option<Presence>,
}

impl ReadSet {
    /// Of `reads` from `store` at the snapshot `seq`, which was taken in `epoch`, or before it ended.
    ///
    /// REQUIRES: the snapshot is held for as long as this is in use.
    pub fn new(store: Arc<Store>, epoch: u64, seq: SeqNo, reads: Reads) -> Self {
        let (keys, ranges, presence) = reads.into_parts();
        ReadSet { store, epoch, holds_at: seq, keys, ranges, _presence: presence }
    }

    /// Looks, without the lead, for what the leader would have to look for in the store itself, or
    /// much of it, up to what is visible now.
    ///
    /// # Errors
    /// [`Error::Conflict`]; [`Error::Closed`]; those of reading tables.
    pub fn advance(&mut self) -> Result<()> {
        // Before the view: that holds everything up to this number.
        let visible = self.store.visible.load();
        let is_near = visible.0 - self.holds_at.0 <= LEFT_TO_THE_LEADER_MAX;
        if self.is_empty()
            || visible == self.holds_at
            || (is_near && self.store.transactions.is_noted_since(self.holds_at))
        {
            return Ok(());
        }
        if self.is_broken_since(self.holds_at)? {
            self.store.counters.conflicts.add(1);
            return Err(Error::Conflict);
        }
        self.holds_at = visible;
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty()
    }
}

impl Premise for ReadSet {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn holds_at(&self) -> Option<SeqNo> {
        (!self.is_empty()).then_some(self.holds_at)
    }

    fn depends_on(&self, key: &[u8]) -> bool {
        if self.keys.binary_search_by(|read| read.as_slice().cmp(key)).is_ok() {
            return true;
        }
        let behind = self.ranges.partition_point(|(low, _)| low.as_slice() <= key);
        let range = behind.checked_sub(1).and_then(|at| self.ranges.get(at));
        range.is_some_and(|(_, high)| high.as_ref().is_none_or(|high| key < high.as_slice()))
    }

    fn is_broken_since(&self, seq: SeqNo) -> Result<bool> {
        self.store.health.check_open()?;
        let view = self.store.views.pin();
        let newer = Newer::new(&view, seq);
        for key in &self.keys {
            if newer.has_key(key)? {
                return Ok(true);
            }
        }
        for (low, high) in &self.ranges {
            if newer.has_range(low, high.as_deref())? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
