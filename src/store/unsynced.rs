//! The log files before the current one that a sync must cover.

use crate::format::LogId;
use crate::wal::SyncTarget;
use parking_lot::Mutex;

/// Log files that were sealed with bytes that no sync has covered yet, in
/// order. Each is open: it leaves when it is synced or, under a policy that
/// never syncs, when its content is in a table; else the files, though
/// removed, would take up descriptors and disk space for ever.
#[derive(Debug, Default)]
pub struct UnsyncedLogs {
    files: Mutex<Vec<(LogId, SyncTarget)>>,
}

impl UnsyncedLogs {
    /// Adds a file that was just sealed.
    pub fn push(&self, log: LogId, target: SyncTarget) {
        self.files.lock().push((log, target));
    }

    /// Takes all, to sync them.
    pub fn take(&self) -> Vec<SyncTarget> {
        std::mem::take(&mut *self.files.lock()).into_iter().map(|(_, target)| target).collect()
    }

    /// Its content is in a durable table: no sync needs to cover it.
    pub fn forget(&self, log: LogId) {
        self.files.lock().retain(|(id, _)| *id != log);
    }
}
