//! What a verification is told, tells on its way, and tells in the end.

use crate::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How a database is verified.
///
/// See the example of [`crate::Db::verify_with`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerifyOptions {
    /// How many bytes are read in a second at most; 0: as many as the disk gives. Default: 0.
    pub bytes_per_second: u64,
}

/// How far a verification has come.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// use esker::{VerifyOptions, VerifyProgress};
/// use std::ops::ControlFlow;
/// db.set("key", "value")?;
/// db.flush()?;
/// let mut last: Option<VerifyProgress> = None;
/// db.verify_with(VerifyOptions::default(), |progress| {
///     last = Some(progress);
///     ControlFlow::Continue(())
/// })?;
/// let last = last.expect("it is told at the end");
/// assert!(last.bytes_done > 0 && last.damages == 0);
/// # Ok(()) }
/// ```
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
///
/// See the example of [`Finding`].
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
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// use esker::{FindingKind, VerifyOptions};
/// use std::ops::ControlFlow;
/// std::fs::write(dir.path().join("000009.tbl"), "left over").expect("it can be written");
/// db.set("key", "value")?;
/// db.flush()?;
/// let table = dir.path().join(&db.layout().levels[0].tables[0].file);
/// let mut bytes = std::fs::read(&table).expect("the table");
/// bytes[0] ^= 1;
/// std::fs::write(&table, bytes).expect("it can be written");
///
/// let report = db.verify_with(VerifyOptions::default(), |_| ControlFlow::Continue(()))?;
/// assert!(!report.is_sound());
/// let damage = report.findings.iter().find(|finding| finding.is_damage()).expect("damage");
/// assert_eq!((damage.kind, &damage.file), (FindingKind::Damaged, &table));
/// # Ok(()) }
/// ```
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
    ///
    /// See the example of [`Finding`].
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
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("a", "1")?;
/// db.set("photo", [7; 10_000])?;
/// db.flush()?;
/// let report = db.verify()?;
/// assert!(report.is_complete && report.is_sound() && report.findings.is_empty());
/// assert_eq!((report.entries, report.values), (2, 1));
/// assert!(report.bytes > 10 && report.files >= 3);
/// # Ok(()) }
/// ```
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
    ///
    /// See the example of [`VerifyReport`].
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
