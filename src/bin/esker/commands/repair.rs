//! `repair`: what is left of a damaged database, in a new one.

use crate::failure::{Failure, Kind, Result};
use crate::holder;
use crate::place::Global;
use crate::text;
use clap::Args;
use esker::{Error, Options, RepairReport};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Save what verifies of a damaged database into a new one; the damaged one is only read.
///
/// Nothing that was deleted or overwritten comes back; what cannot be told is left out, and counted. Where
/// anything was lost the exit code is 3, and the new database is whole all the same. Interrupted, it leaves a directory
/// that does not open and may be removed.
#[derive(Debug, Args)]
pub struct Repair {
    /// The directory of the new database, which is not there or is empty.
    into: PathBuf,
}

impl Repair {
    /// Does it.
    ///
    /// # Errors
    /// Something was lost; nothing can be saved.
    pub fn run(&self, global: &Global) -> Result<()> {
        let report = esker::repair(&global.data_dir, &self.into, &Options::default());
        let report = report.map_err(|e| match e {
            Error::Locked { .. } => holder::locked(&global.data_dir),
            e => e.into(),
        })?;
        global.output().answer(report.to_string().trim_end(), &document(&report))?;
        if report.is_whole() {
            return Ok(());
        }
        let text = format!(
            "not everything could be saved: {} parts lost, {} keys withheld",
            report.losses_in_all, report.keys_withheld
        );
        let remedy =
            format!("what could be is in {}; the rest may be in a backup", self.into.display());
        Err(Failure::new(Kind::Damage, text).remedy(remedy))
    }
}

fn document(report: &RepairReport) -> Value {
    let losses = report.losses.iter().map(|loss| {
        let keys = loss.keys.as_ref().map(|(low, high)| [text::to_json(low), text::to_json(high)]);
        json!({
            "file": loss.file.display().to_string(), "offset": loss.offset, "bytes": loss.bytes,
            "entries": loss.entries, "keys": keys, "what": loss.what,
        })
    });
    let cut = report.log_cut_at.as_ref().map(|(file, offset, bytes)| {
        json!({ "file": file.display().to_string(), "offset": offset, "bytes": bytes })
    });
    json!({
        "whole": report.is_whole(),
        "entries": report.entries,
        "tables": report.tables,
        "values": report.values,
        "batches": report.batches,
        "keys_withheld": report.keys_withheld,
        "values_lost": report.values_lost,
        "log_cut_at": cut,
        "losses_in_all": report.losses_in_all,
        "losses": losses.collect::<Vec<_>>(),
    })
}
