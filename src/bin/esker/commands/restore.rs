//! `restore`: what a backup, or a chain of them, holds, in place of everything.

use crate::failure::{Failure, Kind, Result};
use crate::interrupt;
use crate::place::Global;
use crate::progress::Progress;
use crate::stream;
use clap::Args;
use esker::{BackupProgress, Db, Error, Options, RestoreOptions};
use serde_json::json;
use std::path::PathBuf;

/// Put what a backup holds in the place of everything in the database.
///
/// The backup is checked before anything changes; on any failure the database is what it was. Where there
/// is none, one is made of the backup.
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup, and the increments upon it in their order; - for one from standard input, where there is a
    /// database already.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

impl Restore {
    /// Does it.
    ///
    /// # Errors
    /// The backup is damaged; what the database fails with.
    pub fn run(&self, global: &Global) -> Result<()> {
        let mut progress = Progress::new(global, "restoring");
        let mut tell = |done: BackupProgress| {
            progress.set(done.bytes_done, Some(done.bytes_total));
            interrupt::flow()
        };
        let options = RestoreOptions { progress: Some(&mut tell) };
        let from_standard = stream::standard_alone(&self.paths)?;
        let existing = Options { create_if_missing: false, ..Options::default() };
        let (db, entries) = match Db::open(&global.data_dir, existing) {
            Ok(db) => {
                interrupt::watch();
                let report = match from_standard {
                    Some(path) => db.restore_from(stream::open(path)?.0, options)?,
                    None => db.restore_chain(&self.paths, options)?,
                };
                (db, Some(report.entries))
            }
            Err(Error::InvalidArgument { .. }) if from_standard.is_some() => {
                let dir = global.data_dir.display();
                let text =
                    format!("there is no database in {dir} into which standard input is restored");
                return Err(Failure::new(Kind::Usage, text).remedy("name the backup's file"));
            }
            // There is none.
            Err(Error::InvalidArgument { .. }) => {
                let options = Options::default();
                (Db::create_from_backups(&self.paths, &global.data_dir, options)?, None)
            }
            Err(e) => return Err(global.not_opened(e)),
        };
        drop(progress); // Or its bar would be cleared with what is printed now.
        db.close()?;
        let dir = global.data_dir.display().to_string();
        let human = match entries {
            Some(entries) => {
                format!("{dir} holds the {entries} entries of the backup and nothing else")
            }
            None => format!("{dir} was made of the backup"),
        };
        let document = json!({ "data_dir": dir, "created": entries.is_none(), "entries": entries });
        global.output().answer(&human, &document)
    }
}
