//! Whether what a transaction has read still stands, when its turn comes.
//!
//! Backward validation (H. T. Kung and J. T. Robinson, On Optimistic Methods for Concurrency
//! Control, 1981): the leader looks at each member of its group that has read, after the
//! lead is its own and before it gives out numbers. What was committed after the number at which
//! the member read, and what the members before it in the group are about to commit, must
//! not touch what it read. As numbers are given out under the same lead, nothing comes between the
//! check and the number (INV-6 of `commit`).

use super::group::Group;
use super::pipeline::Pipeline;
use super::window::Window;
use crate::error::{Error, Result};
use crate::format::SeqNo;
use std::fmt::Debug;

/// What a commit relies upon.
pub trait Premise: Send + Sync + Debug {
    /// `Transactions::epoch` from before the first read.
    fn epoch(&self) -> u64;

    /// Up to which number it is known to hold; `None`: nothing was read, it always does.
    fn holds_at(&self) -> Option<SeqNo>;

    /// Whether a write of `key` breaks it.
    fn depends_on(&self, key: &[u8]) -> bool;

    /// Whether the store has an entry, visible or on its way to become so, that was written after
    /// `seq` and breaks it.
    ///
    /// REQUIRES: everything that was ever committed is in memtables or tables.
    ///
    /// # Errors
    /// Those of reading tables.
    fn is_broken_since(&self, seq: SeqNo) -> Result<bool>;
}

impl Pipeline {
    /// Refuses the members of `group` whose premise does not hold. `entered_seq`: the last number that is
    /// visible or will be.
    pub(super) fn check_premises(
        &self,
        group: &mut Group<'_>,
        window: &Window,
        entered_seq: SeqNo,
    ) {
        for index in 0..group.len() {
            let Some(premise) = group.premise(index) else { continue };
            let mut held = self.check_premise(premise, window, entered_seq);
            if held.is_ok() && group.is_touched_before(index, premise) {
                held = Err(Error::Conflict);
            }
            if let Err(e) = held {
                if matches!(e, Error::Conflict) {
                    self.store.counters.conflicts.add(1);
                }
                group.refuse(index, e);
            }
        }
    }

    fn check_premise(
        &self,
        premise: &dyn Premise,
        window: &Window,
        entered_seq: SeqNo,
    ) -> Result<()> {
        if premise.epoch() != self.store.transactions.epoch() {
            return Err(Error::Conflict);
        }
        let Some(seq) = premise.holds_at().filter(|seq| *seq < entered_seq) else { return Ok(()) };
        let is_broken = match window.has_since(seq, |key| premise.depends_on(key)) {
            Some(is_broken) => is_broken,
            None => {
                // Members of groups before ours may be on their way into the memtable. They do
                // not need the lead for that, and take microseconds.
                if !self.store.visible.wait_for(entered_seq) {
                    self.store.health.check_sound()?;
                    return Err(Error::Conflict);
                }
                premise.is_broken_since(seq)?
            }
        };
        if is_broken { Err(Error::Conflict) } else { Ok(()) }
    }
}
