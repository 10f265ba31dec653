//! CSV: rows, the first of which names the columns.

use super::super::records::{Bad, name_of};
use super::{Record, Source};
use crate::failure::{Failure, Kind, Result};
use clap::Args;
use csv::{ByteRecord, ErrorKind, ReaderBuilder};
use std::io::Read;
use std::path::Path;

/// Which columns of CSV count.
#[derive(Debug, Args)]
pub struct Columns {
    /// The column of CSV that has the keys.
    #[arg(long, value_name = "NAME", default_value = "key")]
    key_column: String,
    /// The column of CSV that has the values.
    #[arg(long, value_name = "NAME", default_value = "value")]
    value_column: String,
    /// The first row of CSV is an entry, too: keys are in the first column, values in the second, and there are
    /// no more.
    #[arg(long)]
    no_header: bool,
    /// What stands between the columns of CSV.
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = parse_delimiter)]
    delimiter: u8,
}

fn parse_delimiter(text: &str) -> std::result::Result<u8, String> {
    match text.as_bytes() {
        _ if text == "\\t" => Ok(b'\t'),
        [byte] => Ok(*byte),
        _ => Err("expected one character of ASCII, or \\t".to_string()),
    }
}

/// The entries that `from` gives, the file at `path`.
///
/// # Errors
/// Its first row cannot be read, or does not name the columns.
pub fn read(from: impl Read + 'static, path: &Path, columns: &Columns) -> Result<Source> {
    let mut rows = ReaderBuilder::new()
        .has_headers(!columns.no_header)
        .delimiter(columns.delimiter)
        .buffer_capacity(1 << 18)
        .from_reader(from);
    let path = path.to_path_buf();
    let (key_at, value_at) = if columns.no_header {
        (0, 1)
    } else {
        let header =
            rows.byte_headers().map_err(|e| bad(&e, &path).failure("nothing was loaded"))?;
        let find = |name: &String| {
            header.iter().position(|column| column == name.as_bytes()).ok_or_else(|| {
                let text = format!("the first row of {} names no column {name}", name_of(&path));
                Failure::new(Kind::Input, text)
                    .remedy("name it with --key-column or --value-column, or say --no-header")
                    .detail("line", 1)
            })
        };
        (find(&columns.key_column)?, find(&columns.value_column)?)
    };
    let is_bare = columns.no_header;
    let mut row = ByteRecord::new();
    Ok(Box::new(std::iter::from_fn(move || match rows.read_byte_record(&mut row) {
        Ok(false) => None,
        Ok(true) => {
            let count = row.len();
            let fields = row.get(key_at).zip(row.get(value_at)).filter(|_| !is_bare || count == 2);
            Some(match fields {
                Some((key, value)) => Ok(Record { key: key.to_vec(), value: value.to_vec() }),
                None => {
                    let line = row.position().map(csv::Position::line);
                    let what = format!("expected a key and a value, found {count} columns");
                    Err(placed(line, what, &path))
                }
            })
        }
        Err(e) => Some(Err(bad(&e, &path))),
    })))
}

/// What is wrong with a row.
fn bad(error: &csv::Error, path: &Path) -> Bad {
    let line = error.position().map(csv::Position::line);
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            placed(line, format!("expected {expected_len} columns, found {len}"), path)
        }
        ErrorKind::Io(e) => Bad { is_final: true, ..placed(None, e.to_string(), path) },
        _ => Bad { is_final: true, ..placed(line, error.to_string(), path) },
    }
}

fn placed(line: Option<u64>, what: String, path: &Path) -> Bad {
    let name = name_of(path);
    let place = line.map_or_else(|| name.clone(), |line| format!("line {line} of {name}"));
    Bad { place, what, line, is_final: false }
}
