//! Opening for reading only: the log's tail in memory, and not one byte written.
//!
//! What a normal open writes into tables and value files stays where it is: entries go into memtables,
//! large values are read from the log in which they lie. What a normal open refuses is refused here,
//! and what it cuts off the end of the log is cut off here, in memory.

use super::assemble::{build_store, with_segments};
use super::batch::check_batch;
use super::chain::Chain;
use super::create::check_leftovers;
use super::files::{list_files, logs_to_read};
use super::gathering::GatheringMemtable;
use super::open::{Opened, check_tables, read_recorded};
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::frame::FRAME_HEADER_SIZE;
use crate::format::{Content, EntryRef, FileKind, Frame, LogId, SegmentId, SeqNo, ValuePointer};
use crate::fs::{DirLock, Fs, IoContext, ReadOnlyFs};
use crate::manifest::{Manifest, Recorded, State, read_current};
use crate::memtable::Memtable;
use crate::options::Options;
use crate::store::{RecoveryReport, SealedMemtable, Store, View, Views, VisibleSeq, log_identity};
use crate::vlog::ValueFile;
use crate::wal::{LogFile, LogStream, LogWriter, Op, read_log_header};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io::ErrorKind::{NotFound, ReadOnlyFilesystem, Unsupported};
use std::path::Path;
use std::sync::Arc;

/// Held where no lock can be taken: see [`lock_shared`].
#[derive(Debug)]
struct NoLock;

impl DirLock for NoLock {}

/// Opens the database in `dir` for reading.
///
/// # Errors
/// As [`super::open`]; [`Error::InvalidArgument`] where there is no database.
pub fn open_read_only(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Result<Opened> {
    options.validate()?;
    let fs: Arc<dyn Fs> = Arc::new(ReadOnlyFs::new(fs));
    let lock = lock_shared(fs.as_ref(), dir)?;
    let nothing = || Error::invalid(format!("there is no database in {}", dir.display()));
    let files = match list_files(fs.as_ref(), dir) {
        Err(e) if e.kind() == NotFound => return Err(nothing()),
        listed => listed.during("list", dir)?,
    };
    let Some(current) = read_current(fs.as_ref(), dir)? else {
        check_leftovers(fs.as_ref(), dir, &files)?;
        return Err(nothing());
    };
    let (Recorded { state, .. }, manifest) = read_recorded(fs.as_ref(), dir, current, &files)?;
    let store = build_store(Arc::clone(&fs), dir, options, current.database, &state, &files);
    check_tables(&store.home, &state, &files)?;
    let mut replay = Replay::new(store, state.last_seq);
    let log = replay.run(&state, &files)?;
    let Replay { mut store, sealed, last_seq, report, values, .. } = replay;
    let version = Arc::clone(&store.views.load().version);
    let version = with_segments(&store, version.with([], &[]), &state);
    // Nobody writes.
    let active = Arc::new(Memtable::new(0));
    let view = View {
        active,
        active_values: values,
        sealed,
        version: Arc::new(version),
        generation: Arc::default(),
    };
    store.views = Views::of(view);
    store.visible = VisibleSeq::new(last_seq);
    let followed = state.followed.iter().copied().filter(|backup| backup.seq <= last_seq);
    store.followed.set(followed.collect());
    store.health.set_read_only();
    let manifest = Manifest::sealed(fs, dir, current.database, manifest, state);
    let store = Arc::from(store);
    Ok(Opened { store, log, manifest, switch: None, last_seq, report, lock })
}

/// The lock on `dir`, shared with other readers.
///
/// Without the file, or on a medium that has no locks, there is none to take: a writer makes
/// the file before anything else, so none is at work as long as it is not there.
///
/// # Errors
/// [`Error::Locked`], [`Error::Io`].
pub fn lock_shared(fs: &dyn Fs, dir: &Path) -> Result<Box<dyn DirLock>> {
    let path = dir.join(FileKind::Lock.name());
    match fs.lock_shared(&path) {
        Err(e) if matches!(e.kind(), NotFound | Unsupported | ReadOnlyFilesystem) => {
            Ok(Box::new(NoLock))
        }
        locked => {
            locked.during("lock", &path)?.ok_or_else(|| Error::Locked { dir: dir.to_path_buf() })
        }
    }
}

/// The log file in which a record stands.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Its number.
    id: LogId,
    /// Its path, for errors.
    path: &'a Path,
    /// The position at which it begins.
    base: u64,
}

impl<'a> From<&'a LogStream> for Origin<'a> {
    fn from(log: &'a LogStream) -> Self {
        Origin { id: log.id, path: &log.path, base: log.header.map_or(0, |header| header.base) }
    }
}

impl<'a> From<&'a LogFile> for Origin<'a> {
    fn from(log: &'a LogFile) -> Self {
        Origin { id: log.id, path: &log.path, base: log.header.map_or(0, |header| header.base) }
    }
}

/// The log on its way into memory.
#[derive(Debug)]
pub struct Replay {
    /// What it is replayed for.
    pub store: Box<Store>,
    /// What it came to, newest first.
    pub sealed: Vec<Arc<SealedMemtable>>,
    /// Takes the entries of the log file at hand.
    memtable: GatheringMemtable,
    /// That file, where its large values stay.
    values: Arc<ValueFile>,
    /// The number of the last operation.
    pub last_seq: SeqNo,
    report: RecoveryReport,
    payload: Vec<u8>,
}

impl Replay {
    /// For `store`, of records behind the number `last_seq`.
    #[must_use]
    pub fn new(store: Box<Store>, last_seq: SeqNo) -> Self {
        let (memtable, values) = {
            let view = store.views.load();
            let memtable = GatheringMemtable::new(Arc::clone(&view.active));
            (memtable, Arc::clone(&view.active_values))
        };
        let (sealed, report) = (Vec::new(), RecoveryReport::default());
        Replay { store, sealed, memtable, values, last_seq, report, payload: Vec::new() }
    }

    /// Puts every record of the log that counts into memtables; gives the log's end.
    fn run(&mut self, state: &State, files: &BTreeSet<FileKind>) -> Result<LogWriter> {
        let logs = logs_to_read(files, state.log_min, self.store.home.next_file());
        let (fs, dir) = (Arc::clone(&self.store.home.fs), self.store.home.dir.clone());
        let identity = log_identity(self.store.home.database, state.opens);
        let later = logs.iter().skip(1);
        let headers = later.map(|&id| read_log_header(fs.as_ref(), &dir, identity, id));
        let headers: Vec<_> = headers.collect::<Result<_>>()?;
        let mut chain = Chain::new(state.log_base);
        let mut last = None;
        for (i, &id) in logs.iter().enumerate() {
            let file = LogStream::open(fs.as_ref(), &dir, identity, id)?;
            self.report.log_files += 1;
            self.report.log_bytes += file.record_bytes();
            self.begin(id);
            let begins = chain.expected();
            let later = headers.get(i..).unwrap_or_default();
            chain.follow(&file, later, |frame| self.replay_frame((&file).into(), &frame))?;
            if last.is_none() || chain.expected() > begins {
                last = Some((file, begins));
            }
            self.seal(id, (begins, chain.expected()));
        }
        if let Some(broken) = chain.broken() {
            self.report.log_cut_bytes = broken.dropped_bytes;
            let name = broken.path.file_name().unwrap_or_default().to_string_lossy();
            self.report.log_cut_at = Some((name.into_owned(), broken.offset));
        }
        let (log, base) = last.expect("the first log was found to be there");
        Ok(LogWriter::sealed(log, base, chain.expected() - base))
    }

    /// How many batches were replayed.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.report.batches_replayed
    }

    /// Goes on with the log file `id`.
    pub fn begin(&mut self, id: LogId) {
        self.values = self.store.open_values(FileKind::Log(id));
    }

    /// Puts a record of that file into the memtable.
    ///
    /// # Errors
    /// As [`check_batch`].
    pub fn replay_frame(&mut self, file: Origin<'_>, frame: &Frame<'_>) -> Result<()> {
        let threshold = self.store.options.value_threshold;
        let batch = check_batch(frame, file.path, self.last_seq, threshold)?;
        if let Some(floor_ms) = batch.expiry_floor_ms {
            self.store.expiry.raise(floor_ms);
        }
        let bytes = batch.memtable_bytes;
        if bytes == 0 {
            return Ok(());
        }
        if !self.memtable.reserve(bytes) {
            self.seal_into(file.id, (file.base, file.base + frame.offset), bytes);
            assert!(self.memtable.reserve(bytes), "a new memtable is made large enough");
        }
        let body_at = frame.offset + to_u64(FRAME_HEADER_SIZE);
        for (op, end) in batch.placed_operations() {
            let end = body_at + to_u64(end);
            let entry = match op {
                Op::Compressed(entry) => to_pointer(&mut self.payload, file.id, entry, end, true),
                Op::Entry(entry) if entry.is_large(threshold) => {
                    to_pointer(&mut self.payload, file.id, entry, end, false)
                }
                Op::Entry(entry) => entry,
                Op::ExpiryFloor(_) => continue,
            };
            self.memtable.insert(entry);
        }
        self.last_seq = batch.last_seq;
        self.report.batches_replayed += 1;
        Ok(())
    }

    /// Puts the memtable at hand, of the log file `log` at these positions, behind a new one.
    pub fn seal(&mut self, log: LogId, positions: (u64, u64)) {
        if !self.memtable.memtable().is_empty() {
            self.seal_into(log, positions, 0);
        }
    }

    /// The same, with room for `bytes` in the new one. An empty one, as the first is, goes.
    fn seal_into(&mut self, log: LogId, (base, next_base): (u64, u64), bytes: usize) {
        let size = self.store.options.memtable_bytes.max(bytes);
        let memtable = self.memtable.replace(Arc::new(Memtable::new(size)));
        if memtable.is_empty() {
            return;
        }
        let sealed = SealedMemtable {
            memtable,
            last_seq: self.last_seq,
            log,
            base,
            next_log: log,
            next_base,
            values: Arc::clone(&self.values),
            log_file: Mutex::new(None),
            next_file: Mutex::new(None),
        };
        self.sealed.insert(0, Arc::new(sealed));
    }
}

/// `entry`, whose value ends at the offset `end` of the log file `log`, with a pointer to there.
fn to_pointer<'a>(
    payload: &'a mut Vec<u8>,
    log: LogId,
    entry: EntryRef<'a>,
    end: u64,
    is_compressed: bool,
) -> EntryRef<'a> {
    let Some((expires_at_ms, Content::Inline(stored))) = entry.value() else { return entry };
    let offset = end - to_u64(stored.len());
    let pointer = ValuePointer::to(SegmentId(log.0), offset, stored, is_compressed);
    EntryRef::to_pointer(entry.key, entry.seq, expires_at_ms, pointer, payload)
}
