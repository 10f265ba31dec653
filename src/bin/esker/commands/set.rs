//! `set`: a value under a key.

use super::value::Given;
use crate::failure::Result;
use crate::place::{Global, KeySpace, Lifetime};
use crate::text;
use clap::Args;
use serde_json::json;

/// Store a value under a key, in place of what was there.
///
/// Done means durable. Where there is no database, one is made.
#[derive(Debug, Args)]
pub struct Set {
    /// The key.
    key: String,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    lifetime: Lifetime,
    #[command(flatten)]
    space: KeySpace,
}

impl Set {
    /// Does it.
    ///
    /// # Errors
    /// The value cannot be read; what the database fails with.
    pub fn run(&self, global: &Global) -> Result<()> {
        let stored = self.space.stored(&self.key)?;
        let value = self.given.read()?;
        let db = global.open_to_fill()?;
        match self.lifetime.ttl {
            None => db.set(&stored, &value)?,
            Some(ttl) => db.set_with_ttl(&stored, &value, ttl)?,
        }
        let key = text::to_json(self.space.shown(&stored).unwrap_or_default());
        global.output().confirm(&json!({ "key": key, "bytes": value.len() }))
    }
}
