//! An open database in memory, as the manifest has it, before its log is looked at.

use crate::archive::Partials;
use crate::clock::ExpiryFloor;
use crate::format::names::FILE_NUMBER_COUNTED_FROM_MAX;
use crate::format::{DatabaseId, FileKind, Level, TableMeta};
use crate::fs::{Fs, OpenFiles};
use crate::manifest::State;
use crate::memtable::Memtable;
use crate::options::Options;
use crate::store::{
    Counters, Followed, Gate, Health, Histograms, Home, Hurry, Observer, Pressure, Reads, Reserve,
    Segments, Snapshots, Store, Transactions, UnsyncedLogs, Version, Views, VisibleSeq,
    named_files,
};
use crate::table::{BlockCache, HeadMemory};
use crate::vlog::{MapCache, ValueFile};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// The database `database` in `dir` with the tables of `state`, none of which has been looked at,
/// and with nothing of its log. `files_there`: those in `dir`.
pub fn build_store(
    fs: Arc<dyn Fs>,
    dir: &Path,
    options: Options,
    database: DatabaseId,
    state: &State,
    files_there: &BTreeSet<FileKind>,
) -> Box<Store> {
    let shares = options.memory_shares();
    let options = Options {
        memtable_bytes: shares.memtable_bytes,
        block_cache_bytes: shares.block_cache_bytes,
        ..options
    };
    let next_file = state.next_file.max(first_free(files_there));
    let home = Home::new(fs, dir.to_path_buf(), database, state.opens + 1, next_file);
    // Without room: who begins to write has another.
    let memtable = Arc::new(Memtable::new(0));
    let cache = Arc::new(BlockCache::new(options.block_cache_bytes));
    let files = Arc::new(OpenFiles::new(Arc::clone(&home.fs)));
    let observer = Arc::new(Observer::new(options.listener.clone()));
    let reserve = Reserve::new(home.clock.elapsed());
    let pressure = Pressure::new(&options, home.fs.allows_threads());
    let maps = Arc::new(MapCache::new(shares.map_bytes));
    let no_values = Arc::new(ValueFile::open(
        FileKind::Log(state.log_min),
        &home.dir,
        home.database,
        Arc::clone(&files),
        Arc::clone(&maps),
    ));
    // In its place from here on: it is some pages of memory, too many to hand on.
    let mut store = Box::new(Store {
        home,
        health: Health::new(Arc::clone(&observer)),
        views: Views::new(Arc::clone(&memtable), no_values, Version::default()),
        maps,
        visible: VisibleSeq::new(state.last_seq),
        pressure,
        reserve,
        snapshots: Snapshots::default(),
        transactions: Transactions::default(),
        expiry: ExpiryFloor::new(state.expiry_floor_ms),
        unsynced_logs: UnsyncedLogs::default(),
        cache,
        memory_ahead: Arc::default(),
        heads: Arc::new(HeadMemory::new(shares.head_bytes)),
        files,
        files_at_open: named_files(state),
        counters: Counters::default(),
        latencies: Histograms::default(),
        reads: Reads::default(),
        observer,
        gate: Gate::default(),
        partials: Partials::new(database),
        followed: Followed::default(),
        hurry: Hurry::default(),
        options,
    });
    let open = |(level, meta): &(Level, TableMeta)| (*level, store.open_table(meta));
    let version = Version::new(state.tables.values().map(open));
    let no_values = Arc::clone(&store.views.load().active_values);
    store.views = Views::new(Arc::clone(&memtable), no_values, version);
    store
}

/// The first number that none of these files has, nor one behind it.
fn first_free(files: &BTreeSet<FileKind>) -> u64 {
    let numbers = files.iter().filter_map(|file| file.number());
    // A stray file that was never counted up to is in nobody's way.
    let counted = numbers.filter(|&n| n < FILE_NUMBER_COUNTED_FROM_MAX);
    counted.map(|n| n + 1).max().unwrap_or(0)
}

/// `version` with the segments of `state`.
pub fn with_segments(store: &Store, version: Version, state: &State) -> Version {
    let mut files = BTreeMap::new();
    let segments = state.segments.values().map(|meta| {
        let kind = meta.file();
        let file = files.entry(kind).or_insert_with(|| store.open_values(kind));
        (meta.clone(), Arc::clone(file))
    });
    let segments: Vec<_> = segments.collect();
    let segments = Segments::of(&segments, version.metas().map(|(_, meta)| meta));
    version.with_segments(segments)
}
