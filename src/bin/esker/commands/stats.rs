//! `stats`: what a database consists of.

use crate::failure::Result;
use crate::place::Global;
use clap::Args;
use esker::Metrics;
use indicatif::HumanBytes;
use serde_json::{Value, json};
use std::fmt::{self, Write as _};

/// Print what the database consists of: tables by level, large values, and what the last run left in the log.
#[derive(Debug, Args)]
pub struct Stats {}

impl Stats {
    /// Does it.
    ///
    /// # Errors
    /// What the database fails with.
    #[expect(clippy::unused_self, reason = "as its siblings, which have arguments")]
    pub fn run(&self, global: &Global) -> Result<()> {
        let metrics = global.open_to_read()?.metrics();
        let mut human = String::new();
        describe(&metrics, &mut human).expect("a string takes all");
        global.output().answer(human.trim_end(), &document(&metrics))
    }
}

fn describe(metrics: &Metrics, to: &mut String) -> fmt::Result {
    writeln!(to, "level  tables       bytes     entries  tombstones")?;
    for level in metrics.levels.iter().filter(|level| level.tables > 0) {
        let bytes = HumanBytes(level.bytes).to_string();
        writeln!(
            to,
            "{:>5}  {:>6}  {bytes:>10}  {:>10}  {:>10}",
            level.level, level.tables, level.entries, level.tombstones
        )?;
    }
    let total = HumanBytes(metrics.table_bytes).to_string();
    writeln!(to, "  all  {:>6}  {total:>10}", metrics.tables)?;
    let values = &metrics.values;
    let (stored, live) = (HumanBytes(values.stored_bytes), HumanBytes(values.live_bytes));
    writeln!(to, "large values    {stored} in {} files, {live} of them live", values.files)?;
    let found = &metrics.recovery;
    let (log, batches) = (HumanBytes(found.log_bytes), found.batches_replayed);
    writeln!(
        to,
        "log             {log} in {} files, {batches} batches not in tables yet",
        found.log_files
    )?;
    if let Some((file, offset)) = &found.log_cut_at {
        let bytes = found.log_cut_bytes;
        writeln!(
            to,
            "torn tail       {bytes} bytes at {offset} of {file}, which the next open cuts off"
        )?;
    }
    writeln!(to, "last sequence   {}", metrics.last_seq)
}

fn document(metrics: &Metrics) -> Value {
    let levels = metrics.levels.iter().map(|level| {
        json!({
            "level": level.level, "tables": level.tables, "bytes": level.bytes,
            "entries": level.entries, "tombstones": level.tombstones,
            "shadowed_bytes": level.shadowed_bytes,
        })
    });
    let (values, found) = (&metrics.values, &metrics.recovery);
    let cut = found.log_cut_at.as_ref().map(
        |(file, offset)| json!({ "file": file, "offset": offset, "bytes": found.log_cut_bytes }),
    );
    json!({
        "last_seq": metrics.last_seq,
        "tables": metrics.tables,
        "table_bytes": metrics.table_bytes,
        "levels": levels.collect::<Vec<_>>(),
        "values": {
            "files": values.files, "segments": values.segments,
            "stored_bytes": values.stored_bytes, "live_bytes": values.live_bytes,
        },
        "log": {
            "files": found.log_files, "bytes": found.log_bytes,
            "batches": found.batches_replayed, "cut_at": cut,
        },
    })
}
