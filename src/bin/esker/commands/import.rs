//! `import`: a JSON document, over what is there.

use crate::failure::Result;
use crate::interrupt;
use crate::place::Global;
use crate::progress::Progress;
use crate::stream::Input;
use clap::Args;
use esker::{Engine, LsmEngine};
use serde_json::json;
use std::path::PathBuf;

/// Store what a JSON document holds, as export writes it, over what is there: all of it, or nothing.
///
/// Exports of Konsul are read, too. Where there is no database, one is made.
#[derive(Debug, Args)]
pub struct Import {
    /// The file; - for standard input.
    #[arg(default_value = "-")]
    path: PathBuf,
}

impl Import {
    /// Does it.
    ///
    /// # Errors
    /// The document is none; what the database fails with.
    pub fn run(&self, global: &Global) -> Result<()> {
        let mut from = Input::open(&self.path, Progress::new(global, "importing"))?;
        let db = global.open_to_fill()?;
        interrupt::watch();
        let imported = LsmEngine::new(db.clone()).import(&mut from);
        drop(from);
        let report = imported.map_err(|e| interrupt::or(e, "the import"))?;
        db.close()?;
        let (kv, services, expired) = (report.kv, report.services, report.expired);
        let human =
            format!("{kv} keys and {services} services imported, {expired} expired ones left out");
        let document = json!({ "kv": kv, "services": services, "expired": expired });
        global.output().answer(&human, &document)
    }
}
