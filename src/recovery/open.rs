//! Opening: from the files of the last run to those of this one.

use super::assemble::{build_store, with_segments};
use super::batch::check_batch;
use super::chain::Chain;
use super::create;
use super::files::{list_files, logs_to_read};
use super::gathering::GatheringMemtable;
use super::lock;
use super::switch::{Switch, clean_up};
use crate::error::{Error, Result};
use crate::format::codec::{to_u64, to_usize};
use crate::format::{DatabaseId, FileKind, Frame, Level, ManifestId, SeqNo, TableMeta};
use crate::fs::{DirLock, Fs, IoContext, create_dir_durably};
use crate::manifest::{
    Current, Manifest, ManifestFile, Recorded, State, before_the_switch, read_current,
    read_manifest,
};
use crate::memtable::Memtable;
use crate::options::Options;
use crate::store::{
    Drained, Home, NewValues, RecoveryReport, Store, StoredAs, Version, Views, VisibleSeq,
    is_no_space, log_identity, named_files,
};
use crate::wal::format::HEADER_SIZE;
use crate::wal::{LogStream, LogWriter, Op, read_log_header};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// A database, open and recovered, before its threads run.
#[derive(Debug)]
pub struct Opened {
    /// Its state.
    pub store: Arc<Store>,
    /// The log of this run, empty and durable; where there is a switch to come, that of the last one, sealed.
    pub log: LogWriter,
    /// The manifest of this run, in force; or, likewise, that of the last one.
    pub manifest: Manifest,
    /// What must come before the first write, where it has not been done.
    pub switch: Option<Switch>,
    /// The last sequence number in use.
    pub last_seq: SeqNo,
    /// What was found and done.
    pub report: RecoveryReport,
    /// The lock on the directory.
    pub lock: Box<dyn DirLock>,
}

/// Opens the database in `dir`, or makes one.
///
/// # Errors
/// [`Error::Locked`], with nothing changed; [`Error::InvalidArgument`];
/// [`Error::Corruption`], [`Error::UnsupportedFormat`], [`Error::Io`], with no
/// file of the database changed (on a full disk, but for the reserve).
pub fn open(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Result<Opened> {
    options.validate()?;
    open_as_it_is(Arc::clone(&fs), dir, options.clone()).or_else(|e| {
        // What an open writes before it can remove anything is one of the things for
        // which the reserve is there.
        if !is_no_space(&e) || fs.remove(&dir.join(FileKind::Reserve.name())).is_err() {
            return Err(e);
        }
        open_as_it_is(fs, dir, options)
    })
}

fn open_as_it_is(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Result<Opened> {
    let (lock, was_there) = lock::alone(fs.as_ref(), dir, &options)?;
    let mut files = list_files(fs.as_ref(), dir).during("list", dir)?;
    let mut report = RecoveryReport::default();
    let Some(current) = read_current(fs.as_ref(), dir)? else {
        create::check_may_create(fs.as_ref(), dir, &options)?;
        if was_there {
            // Which says nothing of how durable the directory is.
            create_dir_durably(fs.as_ref(), dir)?;
        }
        report.files_removed = create::clear_leftovers(fs.as_ref(), dir, &files)?;
        files = list_files(fs.as_ref(), dir).during("list", dir)?;
        let (database, state) = (DatabaseId(fs.random()), State::empty());
        let recovery = Recovery::new(fs, dir, options, database, state, &files, report)?;
        return recovery.run(lock, &files, None);
    };
    let (recorded, manifest) = read_recorded(fs.as_ref(), dir, current, &files)?;
    let Recorded { state, is_closed, .. } = recorded;
    let recovery = Recovery::new(fs, dir, options, current.database, state, &files, report)?;
    recovery.run(lock, &files, is_closed.then_some(manifest))
}

/// What the manifest that `current` names says, and its file, where the directory, with the files `files`, does not
/// contradict it.
///
/// # Errors
/// As [`open`].
pub(super) fn read_recorded(
    fs: &dyn Fs,
    dir: &Path,
    current: Current,
    files: &BTreeSet<FileKind>,
) -> Result<(Recorded, ManifestFile)> {
    let (recorded, manifest) = read_manifest(fs, dir, current)?;
    check_log_min(&recorded, dir, files)?;
    check_kept_tables(&recorded, files)?;
    Ok((recorded, manifest))
}

/// What a new database begins with.
#[derive(Debug)]
pub struct Filled {
    /// Its tables, which do not overlap. Durable, but for their names.
    pub tables: Vec<TableMeta>,
    /// The large values to which they point, which are finished.
    pub values: NewValues,
    /// No entry has a greater number.
    pub last_seq: SeqNo,
    /// Everything that expires by then has been seen expired.
    pub expiry_floor_ms: u64,
}

/// Makes a database in `dir`, which is not there or is empty, of what `fill` writes into it. Until that is all
/// there, the directory holds no database and does not open as one.
///
/// # Errors
/// [`Error::InvalidArgument`] where the directory holds anything; [`Error::Locked`]; what
/// `fill` fails with, who removes its files; [`Error::Io`].
pub fn create_filled(
    fs: Arc<dyn Fs>,
    dir: &Path,
    options: Options,
    fill: impl FnOnce(&Store) -> Result<Filled>,
) -> Result<Opened> {
    options.validate()?;
    create_dir_durably(fs.as_ref(), dir)?;
    let lock_path = dir.join(FileKind::Lock.name());
    let is_empty = |names: &[String]| names.iter().all(|name| *name == FileKind::Lock.name());
    if !is_empty(&fs.list(dir).during("list", dir)?) {
        return Err(not_empty(dir));
    }
    let lock = fs
        .lock(&lock_path)
        .during("lock", &lock_path)?
        .ok_or_else(|| Error::Locked { dir: dir.to_path_buf() })?;
    let names = fs.list(dir).during("list", dir)?;
    if !is_empty(&names) {
        return Err(not_empty(dir));
    }
    let (database, report) = (DatabaseId(fs.random()), RecoveryReport::default());
    let (state, none) = (State::empty(), BTreeSet::new());
    let mut recovery = Recovery::new(fs, dir, options, database, state, &none, report)?;
    let filled = fill(&recovery.store)?;
    recovery.store.expiry.raise(filled.expiry_floor_ms);
    recovery.new_tables = filled.tables.into_iter().map(|meta| (Level::LAST, meta)).collect();
    (recovery.values, recovery.last_seq) = (filled.values, filled.last_seq);
    let switch = recovery.switch();
    recovery.put_in_force(&switch, lock)
}

fn not_empty(dir: &Path) -> Error {
    let dir = dir.display();
    Error::invalid(format!("{dir} is not empty; name a directory that is, or that is not there"))
}

/// The first log of which the manifest knows must be there.
fn check_log_min(recorded: &Recorded, dir: &Path, files: &BTreeSet<FileKind>) -> Result<()> {
    let file = FileKind::Log(recorded.state.log_min);
    match recorded.cut_at {
        _ if files.contains(&file) => Ok(()),
        // It was removed because of the edit that can no longer be read.
        Some(offset) => {
            let detail = format!("an edit is damaged that was in force: {} is gone", file.name());
            Err(Error::corruption(&recorded.path, offset, detail))
        }
        None => {
            let detail = "the manifest names this log, but it is missing";
            Err(Error::corruption(&dir.join(file.name()), 0, detail))
        }
    }
}

/// Where an edit cannot be read, no table or segment of which the manifest knows may be gone: it
/// would have gone because of that edit. Else that is told by itself.
fn check_kept_tables(recorded: &Recorded, files: &BTreeSet<FileKind>) -> Result<()> {
    let Some(offset) = recorded.cut_at else { return Ok(()) };
    let mut known = named_files(&recorded.state).into_iter();
    match known.find(|file| !files.contains(file)) {
        None => Ok(()),
        Some(file) => {
            let detail = format!("an edit is damaged that was in force: {} is gone", file.name());
            Err(Error::corruption(&recorded.path, offset, detail))
        }
    }
}

/// The tables and segments that the manifest names must be there. Whether they are whole is
/// told by the first read of each: to look at them all would take as long as there are many.
pub(super) fn check_tables(home: &Home, state: &State, files: &BTreeSet<FileKind>) -> Result<()> {
    for file in named_files(state) {
        if !files.contains(&file) {
            let detail = "the manifest names this file, but it is missing";
            return Err(Error::corruption(&home.path(file), 0, detail));
        }
    }
    Ok(())
}

/// Forgets segments to which no table points: values that were overwritten in the log.
fn drop_unused(state: &mut State) {
    let tables = state.tables.values().map(|(_, meta)| &meta.properties.references);
    let used: BTreeSet<_> = tables.flatten().map(|(id, _)| *id).collect();
    state.segments.retain(|id, _| used.contains(id));
}

/// Memtables of what is replayed have so many bytes: nobody waits for another while one is written out, so larger ones serve
/// nothing, and an open should not take more memory than the database does afterwards.
const REPLAY_MEMTABLE_BYTES: u64 = 32 << 20;
/// They are larger where the longest log would else come to more tables, about: all of them are in level 0.
const REPLAY_TABLES_MAX: u64 = 8;

fn replay_memtable_bytes(store: &Store) -> usize {
    let part = store.options.log_replay_bytes_max / REPLAY_TABLES_MAX;
    let bytes = to_usize(part.max(REPLAY_MEMTABLE_BYTES)).unwrap_or(usize::MAX);
    store.options.memtable_bytes.min(bytes)
}

struct Recovery {
    store: Box<Store>,
    state: State,
    /// Tables written by this run.
    new_tables: Vec<(Level, TableMeta)>,
    /// What is replayed and in no table yet; made for the first entry.
    memtable: Option<GatheringMemtable>,
    /// Large values written by this run.
    values: NewValues,
    last_seq: SeqNo,
    /// The log, where it is one file without a record.
    empty_log: Option<LogStream>,
    report: RecoveryReport,
}

impl Recovery {
    fn new(
        fs: Arc<dyn Fs>,
        dir: &Path,
        options: Options,
        database: DatabaseId,
        state: State,
        files: &BTreeSet<FileKind>,
        report: RecoveryReport,
    ) -> Result<Self> {
        let store = build_store(fs, dir, options, database, &state, files);
        check_tables(&store.home, &state, files)?;
        let last_seq = state.last_seq;
        let values = NewValues::default();
        Ok(Recovery {
            store,
            state,
            new_tables: Vec::new(),
            memtable: None,
            values,
            last_seq,
            empty_log: None,
            report,
        })
    }

    /// `closed`: the manifest in force, with which the last run ended in order.
    fn run(
        mut self,
        lock: Box<dyn DirLock>,
        files: &BTreeSet<FileKind>,
        closed: Option<ManifestFile>,
    ) -> Result<Opened> {
        self.replay(files)
            .and_then(|()| self.write_memtable())
            .and_then(|()| self.values.finish())
            .inspect_err(|_| self.remove_new_files())?;
        let switch = self.switch();
        if let Some((log, manifest)) = self.empty_log.take().zip(closed)
            && self.is_as_left(&switch, manifest.id, files)
        {
            return Ok(self.rest(switch, lock, log, manifest));
        }
        self.put_in_force(&switch, lock)
    }

    /// Whether nothing is to be done about the files that the last run, which ended in order, left with `manifest` in force
    /// and no record in the log.
    fn is_as_left(
        &self,
        switch: &Switch,
        manifest: ManifestId,
        files: &BTreeSet<FileKind>,
    ) -> bool {
        let state = &self.state;
        let named = named_files(state);
        let is_needed = |kind: FileKind| match kind {
            FileKind::Current | FileKind::Lock | FileKind::Reserve => true,
            FileKind::Manifest(id) => id == manifest,
            FileKind::Log(id) if id == state.log_min => true,
            _ => named.contains(&kind),
        };
        let are_needed = files.iter().copied().all(is_needed);
        are_needed && switch.state() == state
    }

    /// Opens upon the files of the last run, its `log`, and its `manifest`, which is in force: nothing was recovered, and all that
    /// is there is durable.
    fn rest(
        self,
        switch: Switch,
        lock: Box<dyn DirLock>,
        log: LogStream,
        manifest: ManifestFile,
    ) -> Opened {
        let Recovery { mut store, last_seq, report, .. } = self;
        let state = switch.state().clone();
        let home = &store.home;
        let log = LogWriter::sealed(log, state.log_base, to_u64(HEADER_SIZE));
        let fs = Arc::clone(&home.fs);
        let manifest = Manifest::sealed(fs, &home.dir, home.database, manifest, state);
        let (memtable, version) = {
            let view = store.views.load();
            (Arc::clone(&view.active), view.version.with([], &[]))
        };
        let log_file = FileKind::Log(log.id());
        Recovery::settle(&mut store, memtable, log_file, version, manifest.state());
        let (store, switch) = (Arc::from(store), Some(switch));
        Opened { store, log, manifest, switch, last_seq, report, lock }
    }

    /// Puts what was found in force, all of which is in files by now.
    fn put_in_force(mut self, switch: &Switch, lock: Box<dyn DirLock>) -> Result<Opened> {
        let (log, manifest) = switch.run(&self.store).inspect_err(|e| {
            if before_the_switch(e) {
                self.remove_new_files();
            }
        })?;
        clean_up(&self.store, &manifest, &mut self.report)?;
        let Recovery { mut store, new_tables, last_seq, report, .. } = self;
        let added = new_tables.iter().map(|(level, meta)| (*level, store.open_table(meta)));
        let version = store.views.load().version.with(added, &[]);
        let memtable = store.new_memtable(store.options.memtable_bytes);
        let log_file = FileKind::Log(log.id());
        Recovery::settle(&mut store, memtable, log_file, version, manifest.state());
        let store = Arc::from(store);
        Ok(Opened { store, log, manifest, switch: None, last_seq, report, lock })
    }

    /// Has `store` show what `state` says, with the tables of `version`, and write into `memtable` and `log`.
    fn settle(
        store: &mut Store,
        memtable: Arc<Memtable>,
        log: FileKind,
        version: Version,
        state: &State,
    ) {
        let version = with_segments(store, version, state);
        store.views = Views::new(memtable, store.open_values(log), version);
        store.visible = VisibleSeq::new(state.last_seq);
        store.measure_pressure(Drained::default());
        store.followed.set(state.followed.clone());
    }

    /// Puts every record of the log that counts into memtables, and those
    /// that fill up into tables.
    fn replay(&mut self, files: &BTreeSet<FileKind>) -> Result<()> {
        let logs = logs_to_read(files, self.state.log_min, self.store.home.next_file());
        let mut chain = Chain::new(self.state.log_base);
        let home = &self.store.home;
        let (fs, dir) = (Arc::clone(&home.fs), home.dir.clone());
        let identity = log_identity(home.database, self.state.opens);
        let later = logs.iter().skip(1);
        let headers = later.map(|&id| read_log_header(fs.as_ref(), &dir, identity, id));
        let headers: Vec<_> = headers.collect::<Result<_>>()?;
        for (i, &id) in logs.iter().enumerate() {
            let file = LogStream::open(fs.as_ref(), &dir, identity, id)?;
            self.report.log_files += 1;
            self.report.log_bytes += file.record_bytes();
            chain.follow(&file, headers.get(i..).unwrap_or_default(), |frame| {
                self.replay_frame(&file, &frame)
            })?;
            self.empty_log = Some(file).filter(|log| logs.len() == 1 && log.record_bytes() == 0);
        }
        if let Some(broken) = chain.broken() {
            self.report.log_cut_bytes = broken.dropped_bytes;
            let name = broken.path.file_name().unwrap_or_default().to_string_lossy();
            self.report.log_cut_at = Some((name.into_owned(), broken.offset));
        }
        Ok(())
    }

    fn replay_frame(&mut self, file: &LogStream, frame: &Frame<'_>) -> Result<()> {
        let threshold = self.store.options.value_threshold;
        let batch = check_batch(frame, &file.path, self.last_seq, threshold)?;
        if let Some(floor_ms) = batch.expiry_floor_ms {
            self.store.expiry.raise(floor_ms);
        }
        let bytes = batch.memtable_bytes;
        if bytes == 0 {
            return Ok(());
        }
        self.make_room(bytes)?;
        let Recovery { memtable, values, store, .. } = self;
        let memtable = memtable.as_mut().expect("room was made in it");
        for op in batch.operations() {
            let entry = match op {
                Op::Compressed(entry) => {
                    let stored_as = StoredAs { is_compressed: true, checksum: None };
                    values.separate(store, entry, stored_as)?
                }
                Op::Entry(entry) if entry.is_large(threshold) => {
                    values.separate(store, entry, StoredAs::default())?
                }
                Op::Entry(entry) => entry,
                Op::ExpiryFloor(_) => continue,
            };
            memtable.insert(entry);
        }
        self.last_seq = batch.last_seq;
        self.report.batches_replayed += 1;
        Ok(())
    }

    /// Has a memtable at hand with room for so many bytes.
    fn make_room(&mut self, bytes: usize) -> Result<()> {
        if self.memtable.as_mut().is_some_and(|memtable| memtable.reserve(bytes)) {
            return Ok(());
        }
        self.write_memtable()?;
        let size = replay_memtable_bytes(&self.store).max(bytes);
        let memtable = GatheringMemtable::new(self.store.new_memtable(size));
        let has_room = self.memtable.insert(memtable).reserve(bytes);
        assert!(has_room, "a new memtable is made large enough");
        Ok(())
    }

    fn write_memtable(&mut self) -> Result<()> {
        let Some(mut memtable) = self.memtable.take() else { return Ok(()) };
        let memtable = memtable.memtable();
        if !memtable.is_empty() {
            let written = self.store.write_table(memtable)?;
            self.new_tables.push((Level::ZERO, written.meta));
        }
        Ok(())
    }

    /// After a failure: they would take the room that the next attempt needs.
    fn remove_new_files(&self) {
        let tables = self.new_tables.iter().map(|(_, table)| FileKind::Table(table.id));
        for file in tables.chain(self.values.files()) {
            self.store.remove(file);
        }
    }

    /// What is to be put in force.
    fn switch(&self) -> Switch {
        let mut state = self.state.clone();
        state.last_seq = self.last_seq;
        for (level, meta) in &self.new_tables {
            state.tables.insert(meta.id, (*level, meta.clone()));
        }
        state.segments.extend(self.values.segments().map(|meta| (meta.id, meta)));
        drop_unused(&mut state);
        // The end of the log may have been damaged: then this is not what came after such a backup.
        state.followed.retain(|backup| backup.seq <= self.last_seq);
        Switch::new(state)
    }
}
