//! Where a database's files are, and what the next one is called.

use crate::clock::Clock;
use crate::format::{DatabaseId, FileId, FileKind};
use crate::fs::Fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The directory of one database.
#[derive(Debug)]
pub struct Home {
    /// The file system.
    pub fs: Arc<dyn Fs>,
    /// The directory.
    pub dir: PathBuf,
    /// Its identity, part of every checksum.
    pub database: DatabaseId,
    /// The identity of the log files of this run, see [`log_identity`].
    pub log_identity: DatabaseId,
    /// The clock of the file system.
    pub clock: Arc<dyn Clock>,
    /// The number of the first file that this run may make.
    first_file: u64,
    next_file: AtomicU64,
}

impl Home {
    /// `opens`: how often the database has been opened, this time included.
    /// `next_file`: no file in `dir` has this number or a larger one.
    #[must_use]
    pub fn new(
        fs: Arc<dyn Fs>,
        dir: PathBuf,
        database: DatabaseId,
        opens: u64,
        next_file: u64,
    ) -> Self {
        let clock = fs.clock();
        let log_identity = log_identity(database, opens);
        let (first_file, next_file) = (next_file, AtomicU64::new(next_file));
        Home { fs, dir, database, log_identity, clock, first_file, next_file }
    }

    /// Draws the number of a new file.
    pub fn draw_file_id(&self) -> FileId {
        FileId(self.next_file.fetch_add(1, Ordering::Relaxed))
    }

    /// No file that was there before this run has this number or a larger one, unless it is a
    /// stray one.
    #[must_use]
    pub fn first_file(&self) -> u64 {
        self.first_file
    }

    /// No file has been given this number or a larger one.
    pub fn next_file(&self) -> u64 {
        self.next_file.load(Ordering::Relaxed)
    }

    /// The path of a file.
    #[must_use]
    pub fn path(&self, file: FileKind) -> PathBuf {
        self.dir.join(file.name())
    }
}

/// What the checksums of log files are bound to: the database, and the run
/// that wrote them. Log files of an earlier run that a power cut undid may
/// have had the same numbers; their bytes, should they turn up, do not pass.
#[must_use]
pub fn log_identity(database: DatabaseId, opens: u64) -> DatabaseId {
    // An odd factor spreads the small number over all bits, without collisions.
    DatabaseId(database.0 ^ opens.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The number of the run that wrote a log file with the identity `log`, see [`log_identity`].
#[must_use]
pub fn run_of(database: DatabaseId, log: DatabaseId) -> u64 {
    (log.0 ^ database.0).wrapping_mul(ODD_INVERSE)
}

/// 0x9e3779b97f4a7c15 times this is 1, modulo 2^64.
const ODD_INVERSE: u64 = 0xf1de_83e1_9937_733d;
const _: () = assert!(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(ODD_INVERSE) == 1);
