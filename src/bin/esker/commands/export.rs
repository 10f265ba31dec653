//! `export`: everything as one JSON document.

use crate::failure::Result;
use crate::interrupt;
use crate::place::Global;
use crate::progress::Progress;
use crate::stream::{self, Destination};
use clap::Args;
use esker::{Engine, LsmEngine};
use serde_json::json;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Write the key-value pairs and the services as one JSON document.
///
/// Nothing is lost: what is not UTF-8 is {"$base64": "…"}. The same content gives the same bytes.
#[derive(Debug, Args)]
pub struct Export {
    /// The file, which has its name only when it is whole; - for standard output.
    #[arg(default_value = "-")]
    path: PathBuf,
}

impl Export {
    /// Does it.
    ///
    /// # Errors
    /// What the database fails with; the document cannot be written, be it that nobody reads on.
    pub fn run(&self, global: &Global) -> Result<()> {
        interrupt::watch();
        let engine = LsmEngine::new(global.open_to_read()?);
        let progress = Progress::new(global, "exporting");
        let to = Destination::create(&self.path, true, progress)?;
        let mut to = BufWriter::with_capacity(1 << 18, to);
        let report = engine.export(&mut to).map_err(|e| interrupt::or(e, "the export"))?;
        to.flush().map_err(|e| crate::failure::Failure::io("write", Path::new(&self.path), &e))?;
        let to = to
            .into_inner()
            .map_err(|e| crate::failure::Failure::io("write", &self.path, e.error()))?;
        to.finish()?;
        if stream::is_standard(&self.path) {
            return Ok(()); // Which has the document.
        }
        let path = self.path.display().to_string();
        let human = format!(
            "{path}: {} keys, {} services, {} bytes",
            report.kv, report.services, report.bytes
        );
        let document = json!({
            "path": path, "kv": report.kv, "services": report.services, "bytes": report.bytes,
        });
        global.output().answer(&human, &document)
    }
}
