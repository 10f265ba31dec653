//! From the files of the last run to files of this one: a log, a manifest, and `CURRENT`, which names it.
//!
//! An open that had anything to recover does it before it returns. After a run that ended in order there is
//! nothing to lose, and what is there is durable (`Recorded::is_closed`): then the first who writes does it.

use super::files::list_files;
use crate::error::Result;
use crate::format::{FileKind, LogId, ManifestId, SegmentMeta};
use crate::fs::IoContext;
use crate::manifest::{Manifest, State, before_the_switch};
use crate::store::{RecoveryReport, Store, log_not_removed};
use crate::wal::LogWriter;
use std::collections::HashSet;
use std::sync::Arc;

/// What a run needs before it writes anything, and does not have yet.
#[derive(Debug)]
pub struct Switch {
    state: State,
}

impl Switch {
    /// To what `state` says, of the last run and of what was recovered.
    pub(super) fn new(state: State) -> Self {
        Switch { state }
    }

    /// What is in force once it is done, but for the numbers of this run.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Makes the log and the manifest of this run and puts them in force.
    ///
    /// # Errors
    /// [`crate::Error::Io`]. Where [`crate::manifest::before_the_switch`] says so, nothing has changed, and it may be
    /// tried again.
    pub fn run(&self, store: &Store) -> Result<(LogWriter, Manifest)> {
        let home = &store.home;
        let log_id = LogId(home.draw_file_id().0);
        let fs = home.fs.as_ref();
        let log = LogWriter::create(fs, &home.dir, home.log_identity, log_id, 0, 0)?;
        let manifest_id = ManifestId(home.draw_file_id().0);
        let mut state = self.state.clone();
        state.log_min = log_id;
        state.log_base = 0;
        state.opens += 1;
        state.expiry_floor_ms = store.expiry.get();
        state.next_file = home.next_file();
        // Syncs beside the manifest the log and the directory, and with it the names of the tables
        // and the log, and only then switches.
        let fs = Arc::clone(&home.fs);
        let sync_log = || log.sync_target().sync();
        let made = Manifest::create(fs, &home.dir, home.database, manifest_id, state, &[&sync_log]);
        let manifest = made.inspect_err(|e| {
            if before_the_switch(e) {
                // The first error is the one to tell; what cannot be removed now is by the next open.
                let _ = home.fs.remove(&home.path(FileKind::Log(log_id)));
            }
        })?;
        Ok((log, manifest))
    }
}

/// Removes what `manifest`, which is in force, does not name.
///
/// # Errors
/// [`crate::Error::Io`]: the directory cannot be listed.
pub fn clean_up(store: &Store, manifest: &Manifest, report: &mut RecoveryReport) -> Result<()> {
    let home = &store.home;
    let state = manifest.state();
    let segments: HashSet<FileKind> = state.segments.values().map(SegmentMeta::file).collect();
    for kind in list_files(home.fs.as_ref(), &home.dir).during("list", &home.dir)? {
        let needed = match kind {
            FileKind::Log(id) => {
                (state.log_min.0..home.next_file()).contains(&id.0) || segments.contains(&kind)
            }
            FileKind::Values(_) => segments.contains(&kind),
            FileKind::Table(id) => state.tables.contains_key(&id),
            FileKind::Manifest(id) => id == manifest.id(),
            FileKind::Current | FileKind::Lock => true,
            FileKind::Reserve => store.options.disk_reserve_bytes > 0,
            FileKind::CurrentTemporary => false,
        };
        if needed {
            continue;
        }
        match home.fs.remove(&home.path(kind)) {
            Ok(()) => report.files_removed += 1,
            Err(e) => {
                report.files_not_removed += 1;
                log_not_removed(&home.path(kind), &e);
            }
        }
    }
    Ok(())
}
