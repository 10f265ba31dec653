//! `compact`: tables merged down as far as they go.

use crate::failure::Result;
use crate::interrupt;
use crate::place::{Global, KeySpace};
use clap::Args;
use esker::Error;
use serde_json::json;
use std::ops::Bound;

/// Merge all tables down as far as they go, so that what was overwritten, deleted or has expired gives its space back.
///
/// Large values give theirs back with gc, after this. Interrupted, it keeps what was done by then.
#[derive(Debug, Args)]
pub struct Compact {
    /// Only this key and those after it.
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    /// Only keys before this one.
    #[arg(long, value_name = "KEY")]
    to: Option<String>,
    #[command(flatten)]
    space: KeySpace,
}

impl Compact {
    /// Does it.
    ///
    /// # Errors
    /// What the database fails with.
    pub fn run(&self, global: &Global) -> Result<()> {
        let bound =
            |key: &Option<String>| key.as_ref().map(|key| self.space.stored(key)).transpose();
        let low = bound(&self.from)?.map_or(Bound::Unbounded, Bound::Included);
        let high = bound(&self.to)?.map_or(Bound::Unbounded, Bound::Excluded);
        let db = global.open_to_change()?;
        interrupt::watch_closing(&db);
        let before = db.metrics();
        db.compact_range((low, high)).map_err(|e| match e {
            Error::Closed => interrupt::failure("the compaction"),
            e => e.into(),
        })?;
        let after = db.metrics();
        db.close()?;
        let (from, to) = (before.table_bytes, after.table_bytes);
        let human =
            format!("{} tables of {from} bytes are now {} of {to}", before.tables, after.tables);
        global.output().answer(
            &human,
            &json!({
                "tables_before": before.tables, "tables": after.tables,
                "table_bytes_before": from, "table_bytes": to,
            }),
        )
    }
}
