//! What a verification is told, tells on its way, and tells in the end.

use crate::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How a database is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerifyOptions {
    /// How many bytes are read in a second at most; 0: as many as the disk gives. Default: 0.
    pub bytes_per_second: u64,
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// Bytes that were read and checked.
    pub bytes_done: u64,
    /// Bytes that there are, as far as is known when it begins: a value is counted with its file and with
    /// each pointer to it.
    pub bytes_in_all: u64,
    /// Findings so far that are damage.
    pub damages: u64,
}

/// What kind of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// Bytes are not what was written there, or a file is missing.
    Damaged,
    /// The system could not read there: the disk may be failing, or have a moment's trouble.
    Unreadable,
    /// A file that nothing names. It is in nobody's way.
    Unnamed,
}

/// One thing that was found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finding {
    /// What kind of thing it is.
    pub kind: FindingKind,
    /// The file.
    pub file: PathBuf,
    /// Where in the file, in bytes from its start: of a block, a record or a value its start.
    pub offset: u64,
    /// What was expected and what was found.
    pub what: String,
    /// The error that a read of this place is.
    pub(super) error: Option<Error>,
}

impl Finding {
    pub(super) fn of(error: Error) -> Self {
        let (kind, file, offset, what) = match &error {
            Error::Corruption { file, offset, detail } => {
                (FindingKind::Damaged, file.clone(), *offset, detail.clone())
            }
            Error::Io { path, .. } => (FindingKind::Unreadable, path.clone(), 0, error.to_string()),
            Error::UnsupportedFormat { file, .. } => {
                (FindingKind::Damaged, file.clone(), 0, error.to_string())
            }
            _ => (FindingKind::Damaged, PathBuf::new(), 0, error.to_string()),
        };
        Finding { kind, file, offset, what, error: Some(error) }
    }

    pub(super) fn unnamed(file: PathBuf) -> Self {
        let what = "nothing names this file".to_owned();
        Finding { kind: FindingKind::Unnamed, file, offset: 0, what, error: None }
    }

    /// Whether data is, or may be, lost there.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        self.kind != FindingKind::Unnamed
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { kind, file, offset, what, .. } = self;
        let file = file.display();
        match kind {
            FindingKind::Unnamed => write!(f, "{file}: {what}"),
            _ => write!(f, "{file} at offset {offset}: {what}"),
        }
    }
}

/// What a verification came to. `Display` writes it as a few lines.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Files that were looked at.
    pub files: u64,
    /// Bytes that were read and checked.
    pub bytes: u64,
    /// Entries of tables, tombstones and shadowed versions included.
    pub entries: u64,
    /// Large values that were read because an entry points to them.
    pub values: u64,
    /// Findings that are damage; of these, and of others, the first 10,000 are in `findings`.
    pub damages: u64,
    /// What was found, each place once, in the order in which it was.
    pub findings: Vec<Finding>,
    /// Whether it came to the end; if not, it was cancelled.
    pub is_complete: bool,
    /// How long it took.
    pub duration: Duration,
}

impl VerifyReport {
    /// Whether nothing is damaged of what was looked at.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damages == 0
    }

    /// The error of the first finding that is damage.
    pub(crate) fn first_damage(&self) -> Option<Error> {
        self.findings.iter().find_map(|finding| finding.error.clone())
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VerifyReport { files, bytes, entries, values, damages, duration, .. } = self;
        let state = if self.is_complete { "verified" } else { "cancelled:" };
        writeln!(
            f,
            "{state} {files} files, {bytes} bytes, {entries} entries, {values} large values in \
             {duration:.1?}: {damages} damages"
        )?;
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        Ok(())
    }
}
