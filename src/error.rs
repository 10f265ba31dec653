//! Every way a call can fail, one variant each, with what to do about it.
//!
//! `Display` is prose for a person; programs match on the variant. The phrases
//! of the reference's error table (`key not found`, `Corruption detected`, ...)
//! appear in it as that table has them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What every call of this crate returns.
///
/// ```
/// fn port(db: &esker::Db) -> esker::Result<Option<u16>> {
///     let bytes = db.get("port")?;
///     Ok(bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok()))
/// }
/// # let dir = tempfile::tempdir().expect("a directory");
/// let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("port", "8500")?;
/// assert_eq!(port(&db)?, Some(8500));
/// db.close()?;
/// assert!(port(&db).is_err());
/// # Ok::<(), esker::Error>(())
/// ```
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
///
/// An error is cheap to clone: a commit group shares the one cause among its
/// members, and a poisoned handle repeats its first cause for good.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// use esker::Error;
/// match db.set([0; 65_536], "") {
///     Err(Error::TooLarge { what, limit_bytes, .. }) => assert_eq!((what, limit_bytes), ("key", 65_535)),
///     other => panic!("{other:?}"),
/// }
/// let missing = Error::KeyNotFound;
/// assert_eq!(missing.to_string(), "key not found");
/// assert_eq!(missing.remedy(), Some("check the key name, create it if needed"));
/// assert!(Error::Conflict.is_retryable() && !missing.is_retryable());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The key does not exist. Only the `Engine` interface reports this as an
    /// error; `Db::get` answers `None`.
    KeyNotFound,
    /// The service was never registered, was deleted, or was purged after its expiry.
    ServiceNotFound,
    /// The service's time to live has passed.
    ServiceExpired,
    /// Another handle, here or in another process, has the directory open.
    /// Nothing in the directory was changed.
    Locked {
        /// The database directory.
        dir: PathBuf,
    },
    /// Bytes on disk are not what was written there.
    Corruption {
        /// The damaged file.
        file: PathBuf,
        /// Where in the file the damage was noticed, in bytes from its start.
        offset: u64,
        /// What was expected and what was found.
        detail: String,
    },
    /// The file was written by a newer format than this build reads. It was left untouched.
    UnsupportedFormat {
        /// The file.
        file: PathBuf,
        /// The version that the file states.
        found: u32,
        /// The newest version that this build reads.
        supported: u32,
    },
    /// The operating system refused a file operation. Nothing was acknowledged
    /// and, unless the handle says [`Error::Poisoned`] afterwards, later calls
    /// may succeed (a full disk may have been cleared, say).
    Io {
        /// The operation: `open`, `write`, `sync`, ...
        op: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's own error.
        source: Arc<io::Error>,
    },
    /// An argument or option makes no sense. Nothing was changed.
    InvalidArgument {
        /// What was wrong, and what to pass instead.
        detail: String,
    },
    /// A key, a value or a batch is beyond its limit. Nothing was written.
    TooLarge {
        /// `key`, `value` or `batch`.
        what: &'static str,
        /// Its size in bytes.
        size_bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
        /// Of what was to be imported: where it stands, as the path of [`Error::InvalidImport`], with
        /// the line and the column where they are known.
        path: Option<String>,
    },
    /// What was to be imported is not an export, or not one that can be taken. Nothing was written.
    InvalidImport {
        /// Where in the document, the names from its root on: `$.kv."config/host"`.
        path: String,
        /// The line, counted from 1; 0 where it was noticed only when all had been read, or
        /// where there is no text (`Engine::import_data`).
        line: usize,
        /// The column in that line where it was noticed, in bytes from 1; 0 as for the line.
        column: usize,
        /// What was found, and what was expected.
        detail: String,
    },
    /// `Config.type` names no engine.
    UnsupportedType {
        /// The name that was given.
        name: String,
    },
    /// The transaction was committed or rolled back already.
    TransactionClosed,
    /// What the transaction read has been written since by another commit, or the whole store
    /// was replaced. Nothing of it was written. Begin another one and do the same again,
    /// the reads above all: they may lead elsewhere now. `Db::transact` does so by itself.
    Conflict,
    /// Who was told of the progress asked to end it. Nothing came of it.
    Cancelled,
    /// The handle was closed.
    Closed,
    /// The database is open for reading only (`Db::open_read_only`). Nothing was changed.
    ReadOnly,
    /// The write failed in a way that leaves its outcome open: after a crash
    /// it may be there, whole, or not at all. In this handle it is not visible.
    Indeterminate {
        /// What failed.
        cause: Arc<Error>,
    },
    /// An earlier failure (a sync, a background thread) means that nothing
    /// more can be promised: every later write fails with that first cause.
    /// Reads go on. Close the handle and open the directory again.
    Poisoned {
        /// The first failure.
        cause: Arc<Error>,
    },
    /// A thread panicked while others relied on it; the text is its panic message.
    Panicked {
        /// The thread's name.
        thread: String,
        /// The panic message.
        message: String,
    },
}

impl Error {
    /// An I/O failure of `op` at `path`.
    pub(crate) fn io(op: &'static str, path: &Path, source: io::Error) -> Self {
        Error::Io { op, path: path.to_path_buf(), source: Arc::new(source) }
    }

    /// Damage found in `file` at `offset`.
    pub(crate) fn corruption(file: &Path, offset: u64, detail: impl Into<String>) -> Self {
        Error::Corruption { file: file.to_path_buf(), offset, detail: detail.into() }
    }

    /// A bad argument.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Error::InvalidArgument { detail: detail.into() }
    }

    /// True when the same call may succeed later without anything being
    /// reopened or repaired: an I/O refusal, a directory that is in use, or, of a
    /// transaction, a conflict: there it is the whole transaction that is to be run again.
    ///
    /// See the example of [`Error`].
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Io { .. } | Error::Locked { .. } | Error::Conflict)
    }

    /// What to do about it, in one clause; `None` where the caller knows best.
    ///
    /// See the example of [`Error`].
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Error::KeyNotFound => "check the key name, create it if needed",
            Error::ServiceNotFound => "register the service",
            Error::ServiceExpired => "re-register it and send heartbeats",
            Error::Locked { .. } => "stop the other instance, or close the other handle",
            Error::Corruption { .. } => "restore from a backup",
            Error::UnsupportedFormat { .. } => {
                "open it with the version that wrote it, or a newer one"
            }
            Error::Indeterminate { .. } => {
                "read the key back after reopening before writing it again"
            }
            Error::Poisoned { .. } | Error::Panicked { .. } => {
                "close this handle and open the directory again"
            }
            Error::UnsupportedType { .. } => "use \"lsm\" (alias \"badger\") or \"memory\"",
            Error::TransactionClosed => "begin a new transaction",
            Error::Conflict => "nothing was written; run the transaction again from its beginning",
            Error::Closed => "open the directory again",
            Error::ReadOnly => "open it with `Db::open` to write",
            Error::Io { .. } => "check the disk and the permissions; the call may be tried again",
            Error::InvalidArgument { .. }
            | Error::TooLarge { .. }
            | Error::InvalidImport { .. }
            | Error::Cancelled => return None,
        })
    }

    /// The text without the remedy.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::KeyNotFound => f.write_str("key not found"),
            Error::ServiceNotFound => f.write_str("service not found"),
            Error::ServiceExpired => f.write_str("service expired"),
            Error::Locked { dir } => write!(
                f,
                "failed to open {}: Cannot acquire directory lock: another process is using this database",
                dir.display()
            ),
            Error::Corruption { file, offset, detail } => {
                write!(f, "Corruption detected: {} at offset {offset}: {detail}", file.display())
            }
            Error::UnsupportedFormat { file, found, supported } => write!(
                f,
                "{} has format version {found}, this build reads up to version {supported}",
                file.display()
            ),
            Error::Io { op, path, source } => {
                write!(f, "{op} of {} failed: {source}", path.display())
            }
            Error::InvalidArgument { detail } => write!(f, "invalid argument: {detail}"),
            Error::TooLarge { what, size_bytes, limit_bytes, path } => {
                path.as_ref().map_or(Ok(()), |path| write!(f, "{path}: "))?;
                write!(
                    f,
                    "{what} of {size_bytes} bytes is too large, the limit is {limit_bytes} bytes"
                )
            }
            Error::InvalidImport { path, line, column, detail } => {
                f.write_str("nothing was imported: ")?;
                f.write_str(&place_in_text(path, *line, *column))?;
                write!(f, ": {detail}")
            }
            Error::UnsupportedType { name } => write!(f, "unsupported persistence type: {name}"),
            Error::TransactionClosed => {
                f.write_str("the transaction was already committed or rolled back")
            }
            Error::Conflict => f.write_str(
                "the transaction conflicts with another: what it read has changed since",
            ),
            Error::Cancelled => f.write_str("cancelled"),
            Error::Closed => f.write_str("the database is closed"),
            Error::ReadOnly => f.write_str("the database is open for reading only"),
            Error::Indeterminate { cause } => write!(
                f,
                "the write may or may not survive a crash, and is not visible here: {cause}"
            ),
            Error::Poisoned { cause } => {
                write!(f, "no more writes are taken after an earlier failure: {cause}")
            }
            Error::Panicked { thread, message } => {
                write!(f, "thread {thread} panicked: {message}")
            }
        }
    }
}

/// `path`, with the line and the column where they are known.
pub(crate) fn place_in_text(path: &str, line: usize, column: usize) -> String {
    match line {
        0 => path.to_owned(),
        _ => format!("{path} (line {line}, column {column})"),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f)?;
        match self {
            // Fixed to the letter by the reference, and the remedy is the caller's.
            Error::KeyNotFound | Error::Locked { .. } | Error::UnsupportedType { .. } => Ok(()),
            _ => self.remedy().map_or(Ok(()), |remedy| write!(f, " ({remedy})")),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source.as_ref()),
            Error::Indeterminate { cause } | Error::Poisoned { cause } => Some(cause.as_ref()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_reference_table() {
        assert_eq!(Error::KeyNotFound.to_string(), "key not found");
        assert!(Error::ServiceNotFound.to_string().starts_with("service not found"));
        assert!(Error::ServiceExpired.to_string().starts_with("service expired"));
        assert_eq!(
            Error::Locked { dir: "/d".into() }.to_string(),
            "failed to open /d: Cannot acquire directory lock: another process is using this database"
        );
        let damaged = Error::corruption(Path::new("7.tbl"), 12, "x").to_string();
        assert!(damaged.starts_with("Corruption detected: 7.tbl at offset 12"), "{damaged}");
        assert_eq!(
            Error::UnsupportedType { name: "x".into() }.to_string(),
            "unsupported persistence type: x"
        );
    }

    #[test]
    fn a_conflict_says_what_to_do() {
        let text = Error::Conflict.to_string();
        assert!(text.contains("changed") && text.contains("run the transaction again"), "{text}");
        assert!(Error::Conflict.is_retryable() && !Error::TransactionClosed.is_retryable());
    }

    #[test]
    fn causes_are_kept() {
        use std::error::Error as _;
        let io = Error::io("sync", Path::new("a"), io::Error::other("boom"));
        let poisoned = Error::Poisoned { cause: Arc::new(io) };
        assert!(poisoned.source().and_then(|s| s.source()).is_some());
        assert!(poisoned.to_string().contains("sync of a failed: boom"));
    }
}
