//! A restore's place in the commit order.

use super::log::Sealed;
use super::pipeline::{Leader, Pipeline};
use crate::error::{Error, Result};
use crate::format::{LogId, SeqNo};
use crate::fs::IoContext;
use crate::store::Store;

/// Where in the order a restore takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Its number: what was committed before has smaller ones, what comes after it greater ones.
    pub seq: SeqNo,
    /// The log file from which on records count, and the position at which it begins. Its header
    /// and its name are durable.
    pub log: (LogId, u64),
}

impl Pipeline {
    /// Has `install` put something else in the place of all that was committed, as one commit. Nobody commits
    /// meanwhile, the active memtable is empty, and names of files made before are durable.
    ///
    /// # Errors
    /// As [`Pipeline::seal`]; [`Error::Io`] with operation `sync` where the log's next file could not
    /// be made durable, and then the caller poisons; what `install` fails with.
    pub fn replace(&self, install: impl FnOnce(Turn) -> Result<()>) -> Result<SeqNo> {
        self.lead_alone(|leader| self.replace_leading(leader, install))
    }

    fn replace_leading(
        &self,
        leader: &mut Leader,
        install: impl FnOnce(Turn) -> Result<()>,
    ) -> Result<SeqNo> {
        let Store { health, visible, home, .. } = &*self.store;
        health.check_open()?;
        health.check_sound()?;
        if leader.ended {
            return Err(Error::Closed);
        }
        let seq = SeqNo(leader.last_seq.0 + 1);
        assert!(seq <= SeqNo::MAX, "2^56 operations");
        // Also where there is nothing to seal: the records of the current file, expiry floors at
        // least, are of the time before.
        let Sealed { next_log, next_base, next_file, .. } = self.rotate(leader, 0)?;
        // Recovery relies on the header of the log that the manifest names, and on its name, as on those
        // of the files that are put in force.
        next_file.sync()?;
        home.fs.sync_dir(&home.dir).during("sync", &home.dir)?;
        // Also if it fails: it may be in force after a crash, and what is committed
        // from now on must be newer.
        leader.last_seq = seq;
        install(Turn { seq, log: (next_log, next_base) }).inspect_err(|e| {
            // It may be in force after a crash, before what is committed from now on.
            if matches!(e, Error::Indeterminate { .. }) {
                self.store.transactions.invalidate_all();
            }
        })?;
        leader.window.forget(seq);
        self.store.transactions.set_noted_from(leader.window.noted_from());
        leader.entered_seq = seq;
        leader.sealed_seq = seq;
        let ticket = visible.enter(seq, 1);
        visible.member_done(ticket);
        self.store.counters.commits.add(1);
        // Where it never becomes visible, the handle is poisoned: by a commit before it.
        let is_visible = visible.wait(ticket);
        // What they have read is no longer what stands before them.
        self.store.transactions.invalidate_all();
        if is_visible { Ok(seq) } else { health.check_sound().map(|()| seq) }
    }
}
