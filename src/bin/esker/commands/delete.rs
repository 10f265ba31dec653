//! `delete`: keys, in one commit.

use crate::failure::Result;
use crate::place::{Global, KeySpace};
use clap::Args;
use esker::WriteBatch;
use serde_json::json;

/// Delete keys, all of them in one commit; those that are not there are fine.
#[derive(Debug, Args)]
pub struct Delete {
    /// The keys.
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    #[command(flatten)]
    space: KeySpace,
}

impl Delete {
    /// Does it.
    ///
    /// # Errors
    /// What the database fails with.
    pub fn run(&self, global: &Global) -> Result<()> {
        let mut batch = WriteBatch::new();
        for key in &self.keys {
            batch.delete(self.space.stored(key)?);
        }
        global.open_to_change()?.write(batch)?;
        global.output().confirm(&json!({ "keys": self.keys.len() }))
    }
}
