//! `scan`: keys with their values.

use crate::failure::Result;
use crate::place::{Global, KeySpace};
use crate::text;
use clap::Args;
use esker::{Db, Range};
use serde_json::json;
use std::ops::Bound;

/// Which entries.
#[derive(Debug, Args)]
pub struct Selection {
    /// Only keys that begin with this.
    #[arg(conflicts_with_all = ["from", "to"])]
    prefix: Option<String>,
    /// Only this key and those after it.
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    /// Only keys before this one.
    #[arg(long, value_name = "KEY")]
    to: Option<String>,
    /// No more than so many.
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<u64>,
    /// From the last to the first.
    #[arg(long, short)]
    pub reverse: bool,
    #[command(flatten)]
    pub space: KeySpace,
}

impl Selection {
    /// How many at most.
    pub fn limit(&self) -> u64 {
        self.limit.unwrap_or(u64::MAX)
    }

    /// The entries of `db`, as they are now.
    ///
    /// # Errors
    /// A key has an escape that is none.
    pub fn range(&self, db: &Db) -> Result<Range> {
        if let Some(prefix) = &self.prefix {
            return Ok(db.prefix(text_prefix(prefix, self.space)?));
        }
        let space = self.space.prefix().as_bytes();
        if self.from.is_none() && self.to.is_none() {
            return Ok(db.prefix(space));
        }
        let low = match &self.from {
            Some(from) => self.space.stored(from)?,
            None => space.to_vec(),
        };
        let high = match &self.to {
            Some(to) => Bound::Excluded(self.space.stored(to)?),
            None => end_of(space),
        };
        Ok(db.range((Bound::Included(low), high)))
    }
}

/// What keys in the database that begin with the argument `prefix` begin with. It may end within a character.
fn text_prefix(prefix: &str, space: KeySpace) -> Result<Vec<u8>> {
    let wrong = |wrong: text::WrongEscape| wrong.of("prefix", crate::failure::Kind::Usage);
    Ok(space.with_prefix(&text::unescape(prefix).map_err(wrong)?))
}

/// The end of all keys that begin with `prefix`, of which no byte is 0xff.
fn end_of(prefix: &[u8]) -> Bound<Vec<u8>> {
    match prefix.split_last() {
        Some((last, rest)) => Bound::Excluded([rest, &[last.saturating_add(1)]].concat()),
        None => Bound::Unbounded,
    }
}

/// Print keys and values, a line each: the key, a tab, the value, both escaped.
///
/// With --json, {"key": …, "value": …} a line, which load reads.
#[derive(Debug, Args)]
pub struct Scan {
    #[command(flatten)]
    selection: Selection,
}

impl Scan {
    /// Does it.
    ///
    /// # Errors
    /// What the database fails with.
    pub fn run(&self, global: &Global) -> Result<()> {
        let mut range = self.selection.range(&global.open_to_read()?)?;
        let mut lines = global.output().lines();
        let (space, limit) = (self.selection.space, self.selection.limit());
        let mut count = 0_u64;
        while count < limit {
            let next = if self.selection.reverse { range.next_back() } else { range.next() };
            let Some((key, value)) = next.transpose()? else { break };
            let Some(key) = space.shown(&key) else { continue };
            count += 1;
            lines.entry(
                |to| write!(to, "{}\t{}", text::escape(key), text::escape(&value)),
                || json!({ "key": text::to_json(key), "value": text::to_json(&value) }),
            )?;
        }
        lines.finish()
    }
}
