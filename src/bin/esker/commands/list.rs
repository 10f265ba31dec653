//! `list`: keys.

use super::scan::Selection;
use crate::failure::Result;
use crate::place::Global;
use crate::text;
use clap::Args;
use serde_json::json;

/// Print keys in the order of their bytes, a line each.
///
/// With --json, {"key": …} a line.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    selection: Selection,
    /// Print only how many there are.
    #[arg(long)]
    count: bool,
}

impl List {
    /// Does it.
    ///
    /// # Errors
    /// What the database fails with.
    pub fn run(&self, global: &Global) -> Result<()> {
        let range = self.selection.range(&global.open_to_read()?)?;
        let mut keys = range.keys();
        let mut lines = global.output().lines();
        let (space, limit) = (self.selection.space, self.selection.limit());
        let mut count = 0_u64;
        while count < limit {
            let next = if self.selection.reverse { keys.next_back() } else { keys.next() };
            let Some(key) = next.transpose()? else { break };
            let Some(key) = space.shown(&key) else { continue };
            count += 1;
            if !self.count {
                lines.entry(
                    |to| write!(to, "{}", text::escape(key)),
                    || json!({ "key": text::to_json(key) }),
                )?;
            }
        }
        if self.count {
            lines.entry(|to| write!(to, "{count}"), || json!({ "count": count }))?;
        }
        lines.finish()
    }
}
