//! `backup`: all of the database in one file, or what has changed since such a file was made.

use crate::failure::{Failure, Kind, Result};
use crate::interrupt;
use crate::place::Global;
use crate::progress::Progress;
use crate::stream::{self, Destination};
use clap::Args;
use esker::inspect::{InspectOptions, Item, inspect};
use esker::{BackupOptions, BackupProgress, BackupReport, Db};
use serde_json::json;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Write all of the database into one file, in place of what is there.
///
/// What is there stands until the new file is whole, read back and durable. Whoever reads a backup from
/// standard output knows by its end whether it is whole.
#[derive(Debug, Args)]
pub struct Backup {
    /// The file; - for standard output.
    path: PathBuf,
    /// Let increments follow upon it: from now on, what is deleted is kept in mind for them.
    #[arg(long)]
    followed: bool,
    /// An increment: only what has changed since the backup in FILE, which was itself --followed or an increment.
    #[arg(long, value_name = "FILE", conflicts_with = "followed")]
    since: Option<PathBuf>,
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
        let base = self.since.as_deref().map(id_of).transpose()?;
        interrupt::watch();
        let mut progress = Progress::new(global, "backing up");
        let mut tell = |done: BackupProgress| {
            progress.set(done.bytes_done, Some(done.bytes_total));
            interrupt::flow()
        };
        let options = BackupOptions {
            bytes_per_second: self.bytes_per_second,
            verify: !self.no_verify,
            followed: self.followed,
            progress: Some(&mut tell),
        };
        let to_stream = stream::is_standard(&self.path);
        let is_kept_in_mind = self.followed || base.is_some();
        let report = if to_stream {
            let db =
                if is_kept_in_mind { global.open_to_change()? } else { global.open_to_read()? };
            let mut to = Destination::create(&self.path, false, Progress::silent())?;
            let report = write_to(&db, base, &mut to, options)?;
            to.finish()?;
            report
        } else {
            let db = global.open_to_change()?;
            match base {
                Some(base) => db.backup_since_with(base, &self.path, options)?,
                None => db.backup_with(&self.path, options)?,
            }
        };
        drop(progress); // Or its bar would be cleared with what is printed now.
        let path = self.path.display().to_string();
        let human = format!("{path}: {} entries, {} bytes", report.entries, report.bytes);
        let document = json!({
            "path": path, "entries": report.entries, "bytes": report.bytes,
            "sequence_number": report.sequence_number,
            "backup_id": format!("{:#018x}", report.backup_id),
        });
        // Standard output has the backup itself.
        if to_stream { Ok(()) } else { global.output().answer(&human, &document) }
    }
}

fn write_to(
    db: &Db,
    base: Option<u64>,
    to: impl Write,
    options: BackupOptions<'_>,
) -> esker::Result<BackupReport> {
    match base {
        Some(base) => db.backup_since_to(base, to, options),
        None => db.backup_to(to, options),
    }
}

/// The number that the backup in the file drew: it stands at its beginning.
fn id_of(path: &Path) -> Result<u64> {
    let mut id = None;
    let found = inspect(path, &InspectOptions::default(), &mut |item| {
        if let Item::BackupHeader(header) = item {
            id = Some(header.backup_id.0);
        }
        ControlFlow::Break(())
    })?;
    id.ok_or_else(|| {
        let why =
            found.damage.map_or_else(|| "it is another file of a database".into(), |d| d.what);
        Failure::new(Kind::Usage, format!("{} is no backup: {why}", path.display()))
            .remedy("name the file upon which the increment is to follow")
    })
}
