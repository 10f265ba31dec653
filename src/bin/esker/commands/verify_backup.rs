//! `verify-backup`: whether a backup is sound.

use crate::failure::Result;
use crate::interrupt;
use crate::place::Global;
use crate::progress::Progress;
use crate::stream::{self, Input};
use clap::Args;
use esker::{verify_backup, verify_backup_from};
use serde_json::json;
use std::path::PathBuf;

/// Read a backup from end to end and check all of it; nothing is changed, and no database is needed.
#[derive(Debug, Args)]
pub struct VerifyBackup {
    /// The backup; - for standard input.
    path: PathBuf,
}

impl VerifyBackup {
    /// Does it.
    ///
    /// # Errors
    /// It is damaged, or cannot be read.
    pub fn run(&self, global: &Global) -> Result<()> {
        let info = if stream::is_standard(&self.path) {
            interrupt::watch();
            let from = Input::open(&self.path, Progress::new(global, "verifying"))?;
            verify_backup_from(from).map_err(|e| interrupt::or(e, "the verification"))?
        } else {
            verify_backup(&self.path)?
        };
        let human = format!(
            "sound: {} entries of {} bytes up to sequence number {}, in {} bytes, of database {:#018x}",
            info.entries, info.raw_bytes, info.sequence_number, info.bytes, info.database_id
        );
        let document = json!({
            "sound": true,
            "database_id": format!("{:#018x}", info.database_id),
            "sequence_number": info.sequence_number,
            "backup_id": format!("{:#018x}", info.backup_id),
            "base_id": info.base_id.map(|id| format!("{id:#018x}")),
            "since": info.since,
            "created_ms": info.created_ms,
            "entries": info.entries,
            "deletes": info.deletes,
            "raw_bytes": info.raw_bytes,
            "bytes": info.bytes,
        });
        global.output().answer(&human, &document)
    }
}
