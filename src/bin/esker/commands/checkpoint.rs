//! `checkpoint`: a second database, at once.

use crate::failure::Result;
use crate::place::Global;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Make a second database that holds what this one holds, at once: its files are linked, not copied.
///
/// It is no backup: damage to a file that both have is damage to both.
#[derive(Debug, Args)]
pub struct Checkpoint {
    /// The directory of the new one, which is not there or is empty.
    dir: PathBuf,
}

impl Checkpoint {
    /// Does it.
    ///
    /// # Errors
    /// What the database fails with.
    pub fn run(&self, global: &Global) -> Result<()> {
        global.open_to_change()?.checkpoint(&self.dir)?;
        let dir = self.dir.display().to_string();
        global.output().answer(&format!("{dir} was made"), &json!({ "dir": dir }))
    }
}
