//! What a repair tells: what it saved, and what is lost, place by place.

use std::fmt;
use std::path::PathBuf;

/// No more losses than this are listed: each takes memory.
const LOSSES_MAX: usize = 10_000;

/// One thing that could not be saved.
///
/// See the example of [`RepairReport`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The file.
    pub file: PathBuf,
    /// Where in it, in bytes from its start.
    pub offset: u64,
    /// How many bytes, as far as is known.
    pub bytes: Option<u64>,
    /// How many entries, as far as is known: of a table, its tombstones and older versions included.
    pub entries: Option<u64>,
    /// The range of keys, both ends included, in which entries may be missing; `None`: it is not known.
    pub keys: Option<(Vec<u8>, Vec<u8>)>,
    /// What was expected and what was found.
    pub what: String,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}: {}", self.file.display(), self.offset, self.what)?;
        if let Some(entries) = self.entries {
            write!(f, "; {entries} entries")?;
        }
        if let Some(bytes) = self.bytes {
            write!(f, "; {bytes} bytes")?;
        }
        match &self.keys {
            Some((low, high)) if low == high => write!(f, "; key {}", low.escape_ascii()),
            Some((low, high)) => {
                write!(f, "; keys {} to {}", low.escape_ascii(), high.escape_ascii())
            }
            None => Ok(()),
        }
    }
}

/// What a repair came to. `Display` writes it as a few lines and one for each loss.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
/// use esker::{Options, repair};
/// for key in ["a", "z"] {
///     db.set(key, "value")?;
///     db.flush()?;
/// }
/// let file = db.layout().levels[0].tables[0].file.clone(); // The newest, of `z`.
/// db.close()?;
/// std::fs::remove_file(dir.path().join("db").join(&file)).expect("it is there");
///
/// let report = repair(dir.path().join("db"), dir.path().join("repaired"), &Options::default())?;
/// assert!(!report.is_whole());
/// assert_eq!((report.entries, report.losses_in_all), (1, 1));
/// let loss: &esker::Loss = &report.losses[0];
/// assert!(loss.file.ends_with(&file));
/// assert_eq!(loss.keys, Some((b"z".to_vec(), b"z".to_vec())));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// Keys that are in the new database.
    pub entries: u64,
    /// Tables that hold them there.
    pub tables: usize,
    /// Large values among them, in files of their own.
    pub values: u64,
    /// Batches that were taken from the log.
    pub batches: u64,
    /// Keys of which an older version is there and is not shown, because a newer one, or a delete, may
    /// be among what is lost.
    pub keys_withheld: u64,
    /// Keys whose newest version points to a large value that is damaged or missing; older ones are not shown.
    pub values_lost: u64,
    /// Where the log ended in a torn tail, as after a crash, and how many bytes of it were
    /// left out: file, offset, bytes. They had not been acknowledged as durable.
    pub log_cut_at: Option<(PathBuf, u64, u64)>,
    /// How many things were lost; of these the first 10,000 are in `losses`.
    pub losses_in_all: u64,
    /// What was lost.
    pub losses: Vec<Loss>,
}

impl RepairReport {
    /// Whether nothing was lost.
    ///
    /// See the example of [`RepairReport`].
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.losses_in_all == 0 && self.keys_withheld == 0
    }

    pub(super) fn lose(&mut self, loss: Loss) {
        self.losses_in_all += 1;
        if self.losses.len() < LOSSES_MAX {
            self.losses.push(loss);
        }
    }
}

impl fmt::Display for RepairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RepairReport { entries, tables, values, batches, losses_in_all, .. } = self;
        writeln!(
            f,
            "saved {entries} keys into {tables} tables, {values} large values, {batches} batches from the log"
        )?;
        if let Some((file, offset, bytes)) = &self.log_cut_at {
            let file = file.display();
            writeln!(
                f,
                "the log ends in a torn tail: {bytes} bytes cut off, at {offset} of {file}"
            )?;
        }
        writeln!(
            f,
            "lost {losses_in_all} parts; {} keys withheld that may be older than what is lost, {} \
             large values lost",
            self.keys_withheld, self.values_lost
        )?;
        for loss in &self.losses {
            writeln!(f, "{loss}")?;
        }
        Ok(())
    }
}
