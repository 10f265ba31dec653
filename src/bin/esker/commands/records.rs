//! Lines of a user's file, each with its number.

use crate::failure::{Failure, Kind};
use crate::text;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// No line is longer, in bytes: one with the largest key and value, each byte of them escaped, is shorter.
const LINE_BYTES_MAX: u64 = 8 << 30;

/// What is wrong, and where: a line, a file.
#[derive(Debug)]
pub struct Bad {
    /// The place, for a person.
    pub place: String,
    /// What was expected, and what was found.
    pub what: String,
    /// The line, where there are lines.
    pub line: Option<u64>,
    /// There is no going on behind it.
    pub is_final: bool,
}

impl Bad {
    /// The failure that it is, where it is not passed over.
    pub fn failure(self, done: &str) -> Failure {
        let kind = if self.is_final { Kind::Io } else { Kind::Input };
        let mut failure = Failure::new(kind, format!("{}: {}; {done}", self.place, self.what));
        if let Some(line) = self.line {
            failure = failure.detail("line", line);
        }
        failure
    }
}

/// The lines of a stream, without their ends, from 1 on.
pub struct Lines<R> {
    from: BufReader<R>,
    path: PathBuf,
    number: u64,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    /// Of what `from` gives; errors name `path`.
    pub fn new(from: R, path: &Path) -> Self {
        let from = BufReader::with_capacity(1 << 18, from);
        Lines { from, path: path.to_path_buf(), number: 0, line: Vec::new() }
    }

    /// The next line.
    ///
    /// # Errors
    /// It cannot be read, or it is too long.
    pub fn next_line(&mut self) -> Option<Result<&[u8], Bad>> {
        self.line.clear();
        self.number += 1;
        let read = (&mut self.from).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line);
        match read {
            Ok(0) => None,
            Ok(count) if count as u64 == LINE_BYTES_MAX && !self.line.ends_with(b"\n") => {
                let e = io::Error::other("the line is longer than any entry");
                Some(Err(self.unreadable(&e)))
            }
            Ok(_) => {
                let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
                Some(Ok(line.strip_suffix(b"\r").unwrap_or(line)))
            }
            Err(e) => Some(Err(self.unreadable(&e))),
        }
    }

    fn unreadable(&self, e: &io::Error) -> Bad {
        Bad { is_final: true, ..self.bad(e.to_string()) }
    }

    /// What is wrong with the line that was read last.
    pub fn bad(&self, what: impl Into<String>) -> Bad {
        let (path, line) = (name_of(&self.path), Some(self.number));
        Bad {
            place: format!("line {} of {path}", self.number),
            what: what.into(),
            line,
            is_final: false,
        }
    }
}

/// What a path is called in what is told.
pub fn name_of(path: &Path) -> String {
    match path.to_str() {
        Some("-") => "standard input".to_string(),
        _ => path.display().to_string(),
    }
}

/// The bytes that a member of a JSON object stands for.
///
/// # Errors
/// What was expected.
pub fn member(document: &Value, name: &str) -> Result<Vec<u8>, String> {
    let value = document.get(name).ok_or_else(|| format!("expected the member \"{name}\""))?;
    text::from_json(value).ok_or_else(|| {
        format!("the member \"{name}\" is neither a string nor {{\"$base64\": \"…\"}}")
    })
}

/// That a JSON object has no members but `known`: a misspelt one must not pass in silence.
///
/// # Errors
/// The one that it has.
pub fn check_members(document: &Value, known: &[&str]) -> Result<(), String> {
    let members = document.as_object().ok_or("expected a JSON object")?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("the member {name:?} is none of {}", known.join(", "))),
        None => Ok(()),
    }
}
