//! `backup`: all of the database in one file.

use crate::failure::Result;
use crate::interrupt;
use crate::place::Global;
use crate::progress::Progress;
use crate::stream::{self, Destination};
use clap::Args;
use esker::{BackupOptions, BackupProgress};
use serde_json::json;
use std::path::PathBuf;

/// Write all of the database into one file, in place of what is there.
///
/// What is there stands until the new file is whole, read back and durable. Whoever reads a backup from
/// standard output knows by its end whether it is whole.
#[derive(Debug, Args)]
pub struct Backup {
    /// The file; - for standard output.
    path: PathBuf,
    /// Do not read the file back and check it.
    #[arg(long)]
    no_verify: bool,
    /// Write no more than so many bytes a second.
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    bytes_per_second: u64,
}

impl Backup {
    /// Does it.
    ///
    /// # Errors
    /// What the database fails with; the file cannot be written.
    pub fn run(&self, global: &Global) -> Result<()> {
        interrupt::watch();
        let mut progress = Progress::new(global, "backing up");
        let mut tell = |done: BackupProgress| {
            progress.set(done.bytes_done, Some(done.bytes_total));
            interrupt::flow()
        };
        let options = BackupOptions {
            bytes_per_second: self.bytes_per_second,
            verify: !self.no_verify,
            progress: Some(&mut tell),
            ..BackupOptions::default()
        };
        let to_stream = stream::is_standard(&self.path);
        let report = if to_stream {
            let db = global.open_to_read()?;
            let mut to = Destination::create(&self.path, false, Progress::silent())?;
            let report = db.backup_to(&mut to, options)?;
            to.finish()?;
            report
        } else {
            global.open_to_change()?.backup_with(&self.path, options)?
        };
        drop(progress); // Or its bar would be cleared with what is printed now.
        let path = self.path.display().to_string();
        let human = format!("{path}: {} entries, {} bytes", report.entries, report.bytes);
        let document = json!({
            "path": path, "entries": report.entries, "bytes": report.bytes,
            "sequence_number": report.sequence_number,
        });
        // Standard output has the backup itself.
        if to_stream { Ok(()) } else { global.output().answer(&human, &document) }
    }
}
