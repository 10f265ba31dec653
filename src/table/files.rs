//! The open files of tables, a bounded number of them.

use crate::format::TableId;
use crate::fs::{File, Fs, OpenMode};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Files kept open. A process may hold 1,024 unless told otherwise, and the
/// database is not alone in it; opening one again costs a few microseconds.
pub const OPEN_FILES_MAX: usize = 256;

/// Opens the files of the tables of one database when they are read, and
/// keeps those open that are read most. A table's file must not be removed
/// while the table may still be read.
pub struct OpenFiles {
    fs: Arc<dyn Fs>,
    open: Cache<TableId, Arc<dyn File>>,
    /// Tables whose last reader is gone and whose files are to be removed.
    discarded: Mutex<Vec<TableId>>,
}

impl OpenFiles {
    /// For tables on `fs`.
    #[must_use]
    pub fn new(fs: Arc<dyn Fs>) -> Self {
        OpenFiles { fs, open: Cache::new(OPEN_FILES_MAX), discarded: Mutex::default() }
    }

    /// Notes that the table `id` is gone, and that its file may go.
    pub(super) fn discard(&self, id: TableId) {
        self.open.remove(&id);
        self.discarded.lock().push(id);
    }

    /// The tables whose files are to be removed: each is named once.
    pub fn take_discarded(&self) -> Vec<TableId> {
        std::mem::take(&mut *self.discarded.lock())
    }

    /// The file of the table `id`, at `path`.
    pub(super) fn get(&self, id: TableId, path: &Path) -> io::Result<Arc<dyn File>> {
        if let Some(file) = self.open.get(&id) {
            return Ok(file);
        }
        let file = self.fs.open(path, OpenMode::Read)?;
        self.open.insert(id, Arc::clone(&file));
        Ok(file)
    }
}

impl fmt::Debug for OpenFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFiles").field("open", &self.open.len()).finish_non_exhaustive()
    }
}
