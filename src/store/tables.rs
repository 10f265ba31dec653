//! Making, opening and removing the files of tables.

use super::Store;
use super::observer::log_not_removed;
use crate::error::Result;
use crate::format::{FileKind, TableId, TableMeta};
use crate::iter::{Cursor, Fate, Retention};
use crate::memtable::Memtable;
use crate::table::{Table, TableBuilder, TableOptions};
use crate::vlog::ValueFile;
use std::io::ErrorKind;
use std::sync::Arc;

/// A memtable as a table.
#[derive(Debug, Clone)]
pub struct WrittenTable {
    /// The table.
    pub meta: TableMeta,
    /// The memtable has entries whose values are in its log file, though perhaps none of them is in
    /// the table any more.
    pub has_pointers: bool,
}

impl Store {
    /// Writes the entries of `memtable`, which must not be empty, as a new
    /// table. Its bytes are durable on return, its name is not.
    ///
    /// # Errors
    /// [`crate::Error::Io`]; what was written is removed again, if it can be.
    pub fn write_table(&self, memtable: &Arc<Memtable>) -> Result<WrittenTable> {
        let id = TableId(self.home.draw_file_id().0);
        let written = self.write_entries(memtable, id);
        if written.is_err() {
            self.remove(FileKind::Table(id));
        }
        written
    }

    fn write_entries(&self, memtable: &Arc<Memtable>, id: TableId) -> Result<WrittenTable> {
        let home = &self.home;
        let options = TableOptions::from(&self.options);
        let mut builder =
            TableBuilder::create(home.fs.as_ref(), &home.dir, home.database, id, options)?;
        builder.set_written(home.clock.now_ms());
        builder.expect_keys(memtable.len());
        let mut cursor = memtable.cursor();
        cursor.seek_first()?;
        // What was overwritten while it was in memory, and what no snapshot sees, goes
        // no further. Everything in the memtable is visible by now.
        let mut retention = Retention::new(self.snapshots.seqs());
        let (mut entries, mut has_pointers, mut is_version) = (0_usize, false, false);
        while let Some(entry) = cursor.entry() {
            if retention.fate(entry, is_version, false, || false) == Fate::Keep {
                builder.add(entry)?;
            }
            entries += 1;
            has_pointers |= entry.is_pointer();
            is_version = cursor.next()?.is_version;
        }
        // Before its log file may go: nothing may have been passed over.
        assert_eq!(entries, memtable.len(), "every entry of the memtable is looked at");
        Ok(WrittenTable { meta: builder.finish()?, has_pointers })
    }

    /// The table that `meta` describes. Its file is opened by its first use.
    pub fn open_table(&self, meta: &TableMeta) -> Arc<Table> {
        let home = &self.home;
        let (files, cache) = (Arc::clone(&self.files), Arc::clone(&self.cache));
        let heads = Arc::clone(&self.heads);
        Arc::new(Table::open(files, &home.dir, home.database, meta, cache, heads))
    }

    /// The file `kind`, a log or a value file, as readers have it. It is opened by its first use.
    pub fn open_values(&self, kind: FileKind) -> Arc<ValueFile> {
        let home = &self.home;
        let (files, maps) = (Arc::clone(&self.files), Arc::clone(&self.maps));
        Arc::new(ValueFile::open(kind, &home.dir, home.database, files, maps))
    }

    /// Removes the files of tables and segments that are no longer part of the database
    /// and that nobody reads any more.
    pub fn remove_discarded(&self) {
        for file in self.files.take_discarded() {
            self.remove(file);
        }
    }

    /// Removes a file that nothing names any more. If that fails, space is
    /// lost until the next open, and nothing else: it is counted.
    pub fn remove(&self, file: FileKind) {
        self.files.forget(file);
        match self.home.fs.remove(&self.home.path(file)) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                self.counters.files_not_removed.add(1);
                log_not_removed(&self.home.path(file), &e);
            }
            _ => {}
        }
    }
}
