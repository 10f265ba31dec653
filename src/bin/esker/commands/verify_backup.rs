//! `verify-backup`: whether a backup is sound.

use crate::failure::Result;
use crate::interrupt;
use crate::place::Global;
use crate::progress::Progress;
use crate::stream::{self, Input};
use clap::Args;
use esker::{BackupInfo, verify_backup, verify_backup_chain, verify_backup_from};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Read a backup from end to end and check all of it; nothing is changed, and no database is needed.
///
/// Of several it is also checked that each follows upon the one before, as `restore` wants them.
#[derive(Debug, Args)]
pub struct VerifyBackup {
    /// The backup, and the increments upon it in their order; - for one from standard input.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

impl VerifyBackup {
    /// Does it.
    ///
    /// # Errors
    /// One is damaged, cannot be read, or does not follow upon the one before.
    pub fn run(&self, global: &Global) -> Result<()> {
        let infos = match (stream::standard_alone(&self.paths)?, self.paths.as_slice()) {
            (Some(path), _) => {
                interrupt::watch();
                let from = Input::open(path, Progress::new(global, "verifying"))?;
                vec![verify_backup_from(from).map_err(|e| interrupt::or(e, "the verification"))?]
            }
            // An increment alone may be sound, too.
            (None, [path]) => vec![verify_backup(path)?],
            (None, paths) => verify_backup_chain(paths)?,
        };
        let output = global.output();
        infos.iter().try_for_each(|info| output.answer(&in_words(info), &document(info)))
    }
}

fn in_words(info: &BackupInfo) -> String {
    let kind = match info.base_id {
        Some(base) => format!(", an increment upon the backup {base:#018x}"),
        None => String::new(),
    };
    format!(
        "sound: {} entries of {} bytes up to sequence number {}, in {} bytes, of database {:#018x}{kind}",
        info.entries, info.raw_bytes, info.sequence_number, info.bytes, info.database_id
    )
}

fn document(info: &BackupInfo) -> Value {
    let id = |id: u64| format!("{id:#018x}");
    json!({
        "sound": true,
        "backup_id": id(info.backup_id),
        "base_id": info.base_id.map(id),
        "database_id": id(info.database_id),
        "sequence_number": info.sequence_number,
        "since": info.since,
        "created_ms": info.created_ms,
        "entries": info.entries,
        "deletes": info.deletes,
        "raw_bytes": info.raw_bytes,
        "bytes": info.bytes,
    })
}
