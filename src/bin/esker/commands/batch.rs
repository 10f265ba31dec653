//! `batch`: sets and deletes of a file, in one commit.

use super::records::{Lines, check_members, member};
use crate::failure::{Kind, Result};
use crate::place::{Global, KeySpace};
use crate::stream;
use crate::text;
use clap::Args;
use esker::WriteBatch;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Commit the sets and deletes of a file at once: all of them, or nothing
///
/// An operation a line, either as text with tabs between,
///
///   set<TAB>KEY<TAB>VALUE
///   delete<TAB>KEY
///
/// with keys and values escaped; or as JSON, {"set": KEY, "value": VALUE}, where "ttl_ms" may follow, and
/// {"delete": KEY}, where what is not UTF-8 is {"$base64": "…"}. Empty lines and those that begin with # are passed
/// over. Of two operations on one key the later holds. The batch is put together in memory.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Batch {
    /// The file; - for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    space: KeySpace,
}

/// What a line says.
enum Operation {
    Set { key: Vec<u8>, value: Vec<u8>, ttl: Option<Duration> },
    Delete { key: Vec<u8> },
}

impl Batch {
    /// Does it.
    ///
    /// # Errors
    /// A line is no operation; what the database fails with.
    pub fn run(&self, global: &Global) -> Result<()> {
        const UNDONE: &str = "nothing was written";
        let (from, _) = stream::open(&self.file)?;
        let mut lines = Lines::new(from, &self.file);
        let mut batch = WriteBatch::new();
        while let Some(line) = lines.next_line() {
            let line = line.map_err(|bad| bad.failure(UNDONE))?;
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            match self.operation(line) {
                Ok(Operation::Set { key, value, ttl: None }) => batch.set(key, value),
                Ok(Operation::Set { key, value, ttl: Some(ttl) }) => {
                    batch.set_with_ttl(key, value, ttl);
                }
                Ok(Operation::Delete { key }) => batch.delete(key),
                Err(what) => return Err(lines.bad(what).failure(UNDONE)),
            }
        }
        let operations = batch.len();
        global.open_to_fill()?.write(batch)?;
        let human = format!("{operations} operations committed");
        global.output().answer(&human, &json!({ "operations": operations }))
    }

    fn operation(&self, line: &[u8]) -> std::result::Result<Operation, String> {
        let operation = if line.starts_with(b"{") { of_json(line)? } else { of_text(line)? };
        let accept = |key: Vec<u8>| match self.space.accepts(&key) {
            true => Ok(self.space.with_prefix(&key)),
            false => Err("the key is not UTF-8; keys of any bytes need --raw-keys".to_string()),
        };
        Ok(match operation {
            Operation::Set { key, value, ttl } => Operation::Set { key: accept(key)?, value, ttl },
            Operation::Delete { key } => Operation::Delete { key: accept(key)? },
        })
    }
}

fn of_json(line: &[u8]) -> std::result::Result<Operation, String> {
    let document: Value = serde_json::from_slice(line).map_err(|e| format!("no JSON: {e}"))?;
    if document.get("delete").is_some() {
        check_members(&document, &["delete"])?;
        return Ok(Operation::Delete { key: member(&document, "delete")? });
    }
    check_members(&document, &["set", "value", "ttl_ms"])?;
    let ttl = match document.get("ttl_ms") {
        None => None,
        Some(ttl) => {
            let ttl = ttl.as_u64().filter(|&ttl| ttl > 0);
            Some(Duration::from_millis(
                ttl.ok_or("\"ttl_ms\" is no number of milliseconds above 0")?,
            ))
        }
    };
    Ok(Operation::Set { key: member(&document, "set")?, value: member(&document, "value")?, ttl })
}

fn of_text(line: &[u8]) -> std::result::Result<Operation, String> {
    let line =
        str::from_utf8(line).map_err(|_| "the line is not UTF-8; write \\xNN for such a byte")?;
    let unescape = |what: &str, text: &str| {
        text::unescape(text).map_err(|wrong| wrong.of(what, Kind::Input).sentence())
    };
    let mut parts = line.split('\t');
    let operation = match (parts.next(), parts.next(), parts.next()) {
        (Some("set"), Some(key), Some(value)) => Operation::Set {
            key: unescape("key", key)?,
            value: unescape("value", value)?,
            ttl: None,
        },
        (Some("delete"), Some(key), None) => Operation::Delete { key: unescape("key", key)? },
        _ => {
            return Err(
                "expected set, KEY and VALUE, or delete and KEY, with tabs between".to_string()
            );
        }
    };
    match parts.next() {
        None => Ok(operation),
        Some(_) => Err("a tab too many; in a value write \\t".to_string()),
    }
}
