//! Why a command failed: one sentence with the remedy, and the code that the process ends with.

use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// What a command comes to.
pub type Result<T> = std::result::Result<T, Failure>;

/// The kinds of failure that a script can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    NotFound,
    Usage,
    Damage,
    Locked,
    Conflict,
    Io,
    Unknown,
    Format,
    Input,
    Interrupted,
    /// Who read standard output has enough; no failure at all.
    OutputClosed,
}

impl Kind {
    /// The kind's name in JSON, and its exit code.
    const fn named(self) -> (&'static str, u8) {
        match self {
            Kind::OutputClosed => ("output_closed", 0),
            Kind::NotFound => ("not_found", 1),
            Kind::Usage => ("usage", 2),
            Kind::Damage => ("damage", 3),
            Kind::Locked => ("locked", 4),
            Kind::Conflict => ("conflict", 5),
            Kind::Io => ("io", 6),
            Kind::Unknown => ("unknown", 7),
            Kind::Format => ("format", 8),
            Kind::Input => ("input", 9),
            Kind::Interrupted => ("interrupted", 130),
        }
    }

    /// What the process ends with.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// The same as a number.
    pub fn code(self) -> u8 {
        self.named().1
    }
}

/// A failure, as a person and a script are told of it.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    message: String,
    remedy: Option<String>,
    /// What JSON has beyond the message: a file, an offset, a line.
    details: Vec<(&'static str, Value)>,
}

impl Failure {
    /// A failure of `kind`; `message` is a sentence without its full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), remedy: None, details: Vec::new() }
    }

    /// With what to do about it, as a clause.
    pub fn remedy(self, remedy: impl Into<String>) -> Failure {
        Failure { remedy: Some(remedy.into()), ..self }
    }

    /// With a detail for JSON alone.
    pub fn detail(mut self, name: &'static str, value: impl Into<Value>) -> Failure {
        self.details.push((name, value.into()));
        self
    }

    /// `op` on a file of the user's was refused.
    pub fn io(op: &str, path: &Path, error: &io::Error) -> Failure {
        Failure::new(Kind::Io, format!("{op} {}: {error}", path.display()))
            .remedy("check the path and the permissions")
            .detail("path", path.display().to_string())
    }

    /// The sentence, with its remedy.
    pub fn sentence(&self) -> String {
        match &self.remedy {
            Some(remedy) => format!("{} ({remedy})", self.message),
            None => self.message.clone(),
        }
    }

    /// All of it as JSON.
    pub fn to_json(&self) -> Value {
        let (name, code) = self.kind.named();
        let mut error = json!({
            "kind": name, "exit_code": code, "message": self.message, "remedy": self.remedy,
        });
        for (name, value) in &self.details {
            error[*name] = value.clone();
        }
        json!({ "error": error })
    }
}

impl From<esker::Error> for Failure {
    fn from(error: esker::Error) -> Failure {
        use esker::Error;
        let kind = match &error {
            Error::KeyNotFound | Error::ServiceNotFound | Error::ServiceExpired => Kind::NotFound,
            Error::Locked { .. } => Kind::Locked,
            Error::Corruption { .. } => Kind::Damage,
            Error::UnsupportedFormat { .. } => Kind::Format,
            Error::Conflict | Error::TransactionClosed => Kind::Conflict,
            Error::TooLarge { .. } | Error::InvalidImport { .. } => Kind::Input,
            Error::Cancelled => Kind::Interrupted,
            Error::Indeterminate { .. } | Error::Poisoned { .. } | Error::Panicked { .. } => {
                Kind::Unknown
            }
            Error::Io { .. } => Kind::Io,
            _ => Kind::Usage,
        };
        let whole = error.to_string();
        let remedy = error.remedy();
        // The library's text has the remedy at its end; here the two are apart.
        let message = remedy
            .and_then(|remedy| whole.strip_suffix(&format!(" ({remedy})")))
            .unwrap_or(&whole)
            .to_string();
        let mut failure = Failure::new(kind, message);
        failure.remedy = remedy.map(str::to_string);
        match error {
            Error::Corruption { file, offset, .. } => {
                failure.detail("file", file.display().to_string()).detail("offset", offset)
            }
            Error::UnsupportedFormat { file, .. } => {
                failure.detail("file", file.display().to_string())
            }
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker::Error;
    use std::path::PathBuf;
    use std::sync::Arc;

    /// Each error of the library, with the code that a script sees. A new one has to be put down here and in docs/cli.md.
    #[test]
    fn each_error_has_its_code() {
        let file = || PathBuf::from("x");
        let io =
            || Error::Io { op: "write", path: file(), source: Arc::new(io::Error::other("x")) };
        let detail = || "x".to_owned();
        for (error, name, code) in [
            (Error::KeyNotFound, "not_found", 1),
            (Error::ServiceNotFound, "not_found", 1),
            (Error::ServiceExpired, "not_found", 1),
            (Error::InvalidArgument { detail: detail() }, "usage", 2),
            (Error::UnsupportedType { name: detail() }, "usage", 2),
            (Error::ReadOnly, "usage", 2),
            (Error::Closed, "usage", 2),
            (Error::Corruption { file: file(), offset: 1, detail: detail() }, "damage", 3),
            (Error::Locked { dir: file() }, "locked", 4),
            (Error::Conflict, "conflict", 5),
            (Error::TransactionClosed, "conflict", 5),
            (io(), "io", 6),
            (Error::Indeterminate { cause: Arc::new(io()) }, "unknown", 7),
            (Error::Poisoned { cause: Arc::new(io()) }, "unknown", 7),
            (Error::Panicked { thread: detail(), message: detail() }, "unknown", 7),
            (Error::UnsupportedFormat { file: file(), found: 9, supported: 1 }, "format", 8),
            (
                Error::TooLarge { what: "key", size_bytes: 2, limit_bytes: 1, path: None },
                "input",
                9,
            ),
            (
                Error::InvalidImport { path: detail(), line: 1, column: 1, detail: detail() },
                "input",
                9,
            ),
            (Error::Cancelled, "interrupted", 130),
        ] {
            let text = error.to_string();
            let failure = Failure::from(error);
            assert_eq!(failure.kind.named(), (name, code), "{text}");
            assert_eq!(failure.to_json()["error"]["exit_code"], code, "{text}");
            // One sentence with the remedy in it once, as the library has it.
            let sentence = failure.sentence();
            assert!(sentence == text || failure.remedy.is_some(), "{sentence}");
        }
    }
}
