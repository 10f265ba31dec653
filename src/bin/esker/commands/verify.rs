//! `verify`: whether every file is what was written.

use crate::failure::{Failure, Kind, Result};
use crate::interrupt;
use crate::place::Global;
use crate::progress::Progress;
use clap::Args;
use esker::{FindingKind, VerifyOptions, VerifyReport};
use serde_json::{Value, json};

/// Read every file of the database from end to end and check it; nothing is changed.
///
/// Each damage is printed with its file and offset.
#[derive(Debug, Args)]
pub struct Verify {
    /// Read no more than so many bytes a second.
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    bytes_per_second: u64,
}

impl Verify {
    /// Does it.
    ///
    /// # Errors
    /// Something is damaged; it cannot be opened.
    pub fn run(&self, global: &Global) -> Result<()> {
        let db = global.open_to_read()?;
        interrupt::watch();
        let mut progress = Progress::new(global, "verifying");
        let options = VerifyOptions { bytes_per_second: self.bytes_per_second };
        let report = db.verify_with(options, |done| {
            progress.set(done.bytes_done, Some(done.bytes_in_all));
            interrupt::flow()
        })?;
        drop(progress);
        global.output().answer(report.to_string().trim_end(), &document(&report))?;
        if !report.is_complete {
            return Err(Failure::new(Kind::Interrupted, "the verification was interrupted"));
        }
        if !report.is_sound() {
            let text = format!("{} damages were found", report.damages);
            return Err(Failure::new(Kind::Damage, text)
                .remedy("restore a backup, or save what is left with esker repair"));
        }
        Ok(())
    }
}

fn document(report: &VerifyReport) -> Value {
    let findings = report.findings.iter().map(|finding| {
        let kind = match finding.kind {
            FindingKind::Damaged => "damaged",
            FindingKind::Unreadable => "unreadable",
            FindingKind::Unnamed => "unnamed",
            _ => "other",
        };
        let file = finding.file.display().to_string();
        json!({ "kind": kind, "file": file, "offset": finding.offset, "what": finding.what })
    });
    json!({
        "sound": report.is_sound(),
        "complete": report.is_complete,
        "files": report.files,
        "bytes": report.bytes,
        "entries": report.entries,
        "values": report.values,
        "damages": report.damages,
        "findings": findings.collect::<Vec<_>>(),
    })
}
