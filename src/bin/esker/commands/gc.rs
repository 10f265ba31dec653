//! `gc`: the space of large values that nothing points to.

use crate::failure::Result;
use crate::interrupt;
use crate::place::Global;
use clap::Args;
use esker::Error;
use serde_json::json;

/// Give back the space of large values that nothing points to any more.
///
/// What was overwritten or deleted is pointed to until tables are merged: compact before this gives back
/// all that can be.
#[derive(Debug, Args)]
pub struct Gc {}

impl Gc {
    /// Does it.
    ///
    /// # Errors
    /// What the database fails with.
    #[expect(clippy::unused_self, reason = "as its siblings, which have arguments")]
    pub fn run(&self, global: &Global) -> Result<()> {
        let db = global.open_to_change()?;
        interrupt::watch_closing(&db);
        let collected = db.collect_garbage().map_err(|e| match e {
            Error::Closed => interrupt::failure("the collection"),
            e => e.into(),
        })?;
        db.close()?;
        let (files, values) = (collected.files, collected.values);
        let (written, freed) = (collected.written_bytes, collected.freed_bytes);
        let human = format!(
            "{files} files collected: {freed} bytes given back, {values} values of {written} bytes kept"
        );
        global.output().answer(
            &human,
            &json!({ "files": files, "values": values, "written_bytes": written, "freed_bytes": freed }),
        )
    }
}
