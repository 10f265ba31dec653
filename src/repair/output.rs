//! Writes the new database: tables that do not overlap, in the last level, and value files.

use crate::error::Result;
use crate::format::codec::to_u64;
use crate::format::names::FileKind;
use crate::format::{
    DatabaseId, EntryRef, Level, LogId, ManifestId, SegmentId, SegmentMeta, SeqNo, TableId,
    TableMeta, ValueFileId, ValuePointer,
};
use crate::fs::{DirLock, Fs, IoContext, OpenMode, write_all_at};
use crate::manifest::{Manifest, State};
use crate::options::Options;
use crate::store::log_identity;
use crate::table::{TableBuilder, TableOptions};
use crate::vlog::ValueWriter;
use crate::wal::LogWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The number of a file that is there from first to last, so that an open which finds no
/// `CURRENT` takes the directory for what it is: a database that is not whole.
const MARK: FileKind = FileKind::Table(TableId(1));
const MARK_TEXT: &[u8] = b"A repair into this directory has begun and has not ended. Delete it.\n";

/// The new database, until it is in force.
pub struct Output<'a> {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    options: &'a Options,
    database: DatabaseId,
    /// Dropped when it is done.
    _lock: Box<dyn DirLock>,
    next_file: u64,
    builder: Option<TableBuilder>,
    tables: Vec<TableMeta>,
    values: Option<ValueWriter>,
    segments: Vec<SegmentMeta>,
    payload: Vec<u8>,
    now_ms: u64,
}

impl<'a> Output<'a> {
    /// Begins a database in `dir`, which is empty.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::Locked`].
    pub fn create(fs: Arc<dyn Fs>, dir: &Path, options: &'a Options) -> Result<Self> {
        let path = dir.join(MARK.name());
        let mark = fs.open(&path, OpenMode::CreateNew).during("create", &path)?;
        write_all_at(mark.as_ref(), MARK_TEXT, 0).during("write", &path)?;
        mark.sync_data().during("sync", &path)?;
        fs.sync_dir(dir).during("sync", dir)?;
        let path = dir.join(FileKind::Lock.name());
        let locked = fs.lock(&path).during("lock", &path)?;
        let lock = locked.ok_or_else(|| crate::error::Error::Locked { dir: dir.to_path_buf() })?;
        let now_ms = fs.clock().now_ms();
        Ok(Output {
            database: DatabaseId(fs.random()),
            fs,
            dir: dir.to_path_buf(),
            options,
            _lock: lock,
            next_file: 2,
            builder: None,
            tables: Vec::new(),
            values: None,
            segments: Vec::new(),
            payload: Vec::new(),
            now_ms,
        })
    }

    fn draw(&mut self) -> u64 {
        self.next_file += 1;
        self.next_file - 1
    }

    /// Adds an entry that has its value itself. Keys come in ascending order.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub fn add(&mut self, entry: EntryRef<'_>) -> Result<()> {
        let is_full = |b: &TableBuilder| b.size_bytes() >= self.options.table_bytes;
        if self.builder.as_ref().is_some_and(is_full) {
            self.finish_table()?;
        }
        if self.builder.is_none() {
            let id = TableId(self.draw());
            let options = TableOptions::from(self.options);
            let mut builder =
                TableBuilder::create(self.fs.as_ref(), &self.dir, self.database, id, options)?;
            builder.set_written(self.now_ms);
            self.builder = Some(builder);
        }
        let builder = self.builder.as_mut().expect("it was just made");
        builder.add(entry)
    }

    /// Adds an entry whose value is `stored`, as it stood where `pointer` leads.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub fn add_large(
        &mut self,
        entry: EntryRef<'_>,
        pointer: &ValuePointer,
        stored: &[u8],
    ) -> Result<()> {
        let limit = self.options.log_file_bytes;
        if self.values.as_ref().is_some_and(|values| values.size_bytes() >= limit) {
            self.finish_values()?;
        }
        if self.values.is_none() {
            let id = ValueFileId(self.draw());
            let values = ValueWriter::create(self.fs.as_ref(), &self.dir, self.database, id)?;
            self.values = Some(values);
            self.segments.push(SegmentMeta {
                id: SegmentId(id.0),
                moved_to: Some(id),
                file_bytes: 0,
                largest_expiry_ms: 1, // Nothing in it yet that does not expire.
            });
        }
        let values = self.values.as_mut().expect("it was just made");
        let placed =
            values.add(entry.key, entry.seq, stored, pointer.is_compressed, pointer.checksum)?;
        let segment = self.segments.last_mut().expect("one for each file");
        segment.file_bytes += to_u64(stored.len());
        segment.largest_expiry_ms = match (entry.expiry_ms(), segment.largest_expiry_ms) {
            (Some(ms), largest) if largest > 0 => largest.max(ms),
            _ => 0,
        };
        let mut payload = std::mem::take(&mut self.payload);
        let moved =
            EntryRef::to_pointer(entry.key, entry.seq, entry.expiry_ms(), placed, &mut payload);
        let added = self.add(moved);
        self.payload = payload;
        added
    }

    fn finish_table(&mut self) -> Result<()> {
        if let Some(builder) = self.builder.take() {
            self.tables.push(builder.finish()?);
        }
        Ok(())
    }

    fn finish_values(&mut self) -> Result<()> {
        self.values.take().map_or(Ok(()), |values| values.finish().map(drop))
    }

    /// Puts it in force: from then on it opens, with all of it. Gives how many tables it has.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub fn finish(mut self, last_seq: SeqNo, expiry_floor_ms: u64) -> Result<usize> {
        self.finish_table()?;
        self.finish_values()?;
        let (log_id, manifest_id) = (LogId(self.draw()), ManifestId(self.draw()));
        let (fs, dir, database) = (Arc::clone(&self.fs), self.dir.clone(), self.database);
        let log = LogWriter::create(fs.as_ref(), &dir, log_identity(database, 1), log_id, 0, 0)?;
        let tables = std::mem::take(&mut self.tables);
        let count = tables.len();
        let state = State {
            log_min: log_id,
            opens: 1,
            next_file: self.next_file,
            last_seq,
            expiry_floor_ms,
            tables: tables.into_iter().map(|meta| (meta.id, (Level::LAST, meta))).collect(),
            segments: self.segments.drain(..).map(|meta| (meta.id, meta)).collect(),
            ..State::empty()
        };
        // Syncs the log and the directory beside it, and only then switches `CURRENT`.
        let sync_log = || log.sync_target().sync();
        Manifest::create(Arc::clone(&fs), &dir, database, manifest_id, state, &[&sync_log])?;
        // Were it left, the first open would remove it.
        let path = dir.join(MARK.name());
        fs.remove(&path).during("remove", &path)?;
        Ok(count)
    }
}
