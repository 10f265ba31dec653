//! JSON lines: `{"key": …, "value": …}`.

use super::super::records::{Bad, Lines, check_members, member};
use super::Record;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// The entries that `from` gives, the file at `path`. Empty lines are passed over.
pub fn read<R: Read>(from: R, path: &Path) -> impl Iterator<Item = Result<Record, Bad>> + use<R> {
    let mut lines = Lines::new(from, path);
    std::iter::from_fn(move || {
        loop {
            let record = match lines.next_line()? {
                Ok(line) if line.trim_ascii().is_empty() => continue,
                Ok(line) => record(line),
                Err(bad) => return Some(Err(bad)),
            };
            return Some(record.map_err(|what| lines.bad(what)));
        }
    })
}

fn record(line: &[u8]) -> Result<Record, String> {
    let document: Value =
        serde_json::from_slice(line).map_err(|e| format!("it is not JSON: {e}"))?;
    check_members(&document, &["key", "value"])?;
    Ok(Record { key: member(&document, "key")?, value: member(&document, "value")? })
}
