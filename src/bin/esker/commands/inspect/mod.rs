//! `inspect`: what is in a file.

mod describe;

use crate::failure::{Failure, Kind, Result};
use crate::output::Lines;
use crate::place::Global;
use clap::Args;
use esker::Error;
use esker::inspect::{Damage, InspectOptions, Inspection, inspect};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Print what is in a file of a database, or in a backup, piece by piece: a log file, a table, a value file, a manifest, CURRENT.
///
/// Checksums are checked on the way. Where the file is damaged, what comes before is printed, then where the
/// damage begins, and the exit code is 3. An open cuts a torn tail off the last log file and goes on; here it
/// counts as damage, and is called what it is. The file is only read, and no lock is taken.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The file.
    path: PathBuf,
    /// Print the values, too, as they are stored.
    #[arg(long)]
    values: bool,
    /// No more than so many pieces.
    #[arg(long, short = 'n', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// The identity of the database, as CURRENT has it; needed for a table that is not beside its CURRENT.
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    database_id: Option<u64>,
}

fn parse_id(text: &str) -> std::result::Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16)
        .map_err(|_| "expected a number in hexadecimal, as in 0x0123456789abcdef".to_string())
}

impl Inspect {
    /// Does it.
    ///
    /// # Errors
    /// The file is damaged, cannot be read, or is none of ours.
    pub fn run(&self, global: &Global) -> Result<()> {
        let options = InspectOptions { values: self.values, database_id: self.database_id };
        let mut lines = global.output().lines();
        let (mut left, mut refused) = (self.limit.unwrap_or(u64::MAX), None);
        let found = inspect(&self.path, &options, &mut |item| {
            left -= 1;
            let told = lines.entry(|to| describe::item(item, to), || json!(item));
            match told {
                Ok(()) if left > 0 => ControlFlow::Continue(()),
                Ok(()) => ControlFlow::Break(()),
                Err(failure) => {
                    refused = Some(failure);
                    ControlFlow::Break(())
                }
            }
        });
        if let Some(failure) = refused {
            return Err(failure);
        }
        let found = found.map_err(|e| match e {
            Error::InvalidArgument { .. } => Failure::from(e).remedy("see esker inspect --help"),
            e => e.into(),
        })?;
        summarise(&found, &mut lines)?;
        lines.finish()?;
        found.damage.map_or(Ok(()), |damage| Err(self.failure(&damage)))
    }

    fn failure(&self, damage: &Damage) -> Failure {
        let path = self.path.display();
        let Damage { offset, what, is_torn_tail, .. } = damage;
        let begin = if *is_torn_tail { "ends in a torn tail" } else { "is damaged" };
        let remedy = match is_torn_tail {
            true => {
                "of the last log file or the manifest an open cuts it off; of another see esker verify"
            }
            false => "restore a backup, or save what is left with esker repair",
        };
        Failure::new(Kind::Damage, format!("{path} {begin} at offset {offset}: {what}"))
            .remedy(remedy)
            .detail("file", path.to_string())
            .detail("offset", *offset)
            .detail("is_torn_tail", *is_torn_tail)
    }
}

fn summarise(found: &Inspection, lines: &mut Lines) -> Result<()> {
    lines.entry(
        |to| describe::inspection(found, to),
        || {
            let mut document = json!(found);
            document["item"] = json!("summary");
            document
        },
    )
}
