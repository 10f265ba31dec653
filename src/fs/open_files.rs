//! The open files that are only read, tables and segments, a bounded number of them.

use super::{File, Fs, OpenMode};
use crate::format::FileKind;
use crate::format::codec::to_u64;
use parking_lot::Mutex;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, UnitWeighter};
use std::collections::hash_map::RandomState;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Files kept open. A process may hold 1,024 unless told otherwise, and the
/// database is not alone in it; opening one again costs a few microseconds.
pub const OPEN_FILES_MAX: usize = 256;

/// Into so many parts, with a lock each, they are divided.
const SHARDS: usize = 8;

/// Opens files of one database when they are read, and keeps those open that are
/// read most. Such a file must not be removed while it may still be read.
pub struct OpenFiles {
    fs: Arc<dyn Fs>,
    open: Cache<FileKind, Arc<dyn File>, UnitWeighter, RandomState>,
    /// Files whose last reader is gone and that are to be removed.
    discarded: Mutex<Vec<FileKind>>,
}

impl OpenFiles {
    /// For files on `fs`.
    #[must_use]
    pub fn new(fs: Arc<dyn Fs>) -> Self {
        // The count of shards is given: the library would ask the system how many threads may run, which is slow.
        let options = OptionsBuilder::new()
            .weight_capacity(to_u64(OPEN_FILES_MAX))
            .estimated_items_capacity(OPEN_FILES_MAX)
            .shards(SHARDS)
            .build()
            .expect("all that it asks for is given");
        let (hasher, lifecycle) = (RandomState::new(), DefaultLifecycle::default());
        let open = Cache::with_options(options, UnitWeighter, hasher, lifecycle);
        OpenFiles { fs, open, discarded: Mutex::default() }
    }

    /// Whether what reads the files may have threads.
    #[must_use]
    pub fn allows_threads(&self) -> bool {
        self.fs.allows_threads()
    }

    /// Keeps `file` open no longer: it is removed, and would take its space for as long as it is open.
    pub fn forget(&self, file: FileKind) {
        self.open.remove(&file);
    }

    /// Notes that nobody reads `file` any more, and that it may go.
    pub fn discard(&self, file: FileKind) {
        self.forget(file);
        self.discarded.lock().push(file);
    }

    /// The files that are to be removed: each is named once.
    pub fn take_discarded(&self) -> Vec<FileKind> {
        std::mem::take(&mut *self.discarded.lock())
    }

    /// The file `kind`, at `path`.
    ///
    /// # Errors
    /// As [`Fs::open`].
    pub fn get(&self, kind: FileKind, path: &Path) -> io::Result<Arc<dyn File>> {
        if let Some(file) = self.open.get(&kind) {
            return Ok(file);
        }
        let file = self.fs.open(path, OpenMode::Read)?;
        self.open.insert(kind, Arc::clone(&file));
        Ok(file)
    }
}

impl fmt::Debug for OpenFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFiles").field("open", &self.open.len()).finish_non_exhaustive()
    }
}
