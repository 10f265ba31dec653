//! What `/metrics` has: the store's counters, sizes and latencies, the server's own, and the process's.

use super::app::App;
use super::prometheus::{Encoder, seconds};
use crate::fs::disk::DiskFs;
use crate::fs::{Fs, OpenMode};
use crate::store::Metrics;
use std::path::Path;
use std::sync::atomic::Ordering;

/// The page.
#[must_use]
pub fn page(app: &App) -> String {
    let mut to = Encoder::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    to.gauge("esker_build_info", "The version, as a label.").sample(&version, 1);
    to.gauge("esker_uptime_seconds", "Since the server was started.")
        .is(seconds(app.started.elapsed()));
    if let Some(db) = &app.db {
        let metrics = db.metrics();
        state(&mut to, &metrics);
        writes(&mut to, &metrics);
        reads(&mut to, &metrics);
        background(&mut to, &metrics);
        latencies(&mut to, &metrics);
    }
    http(&mut to, app);
    process(&mut to);
    to.finish()
}

fn state(to: &mut Encoder, metrics: &Metrics) {
    let poisoned = u8::from(metrics.poisoned_by.is_some());
    to.gauge("esker_poisoned", "1 once nothing can be written any more.").is(poisoned);
    to.gauge("esker_reserve_given_up", "1 while the disk is full and sets are refused.")
        .is(u8::from(metrics.is_reserve_given_up));
    to.counter("esker_sequence_number", "Operations committed since the database was created.")
        .is(metrics.last_seq);
    for (name, help, of) in [
        ("esker_level_tables", "Tables of a level.", 0_usize),
        ("esker_level_bytes", "Bytes of the tables of a level.", 1),
        ("esker_level_entries", "Entries of a level, shadowed ones and tombstones included.", 2),
        ("esker_level_tombstones", "Tombstones of a level.", 3),
    ] {
        let mut family = to.gauge(name, help);
        for level in &metrics.levels {
            let tables = u64::try_from(level.tables).unwrap_or(u64::MAX);
            let value = [tables, level.bytes, level.entries, level.tombstones][of];
            family.sample(&[("level", &level.level.to_string())], value);
        }
    }
    let values = &metrics.values;
    to.gauge("esker_value_files", "Files with large values.").is(values.files);
    to.gauge("esker_value_stored_bytes", "Bytes in files with large values.")
        .is(values.stored_bytes);
    to.gauge("esker_value_live_bytes", "Of these, those to which tables point.")
        .is(values.live_bytes);
    let memory = &metrics.memory;
    let mut family = to.gauge("esker_memory_bytes", "What takes memory.");
    family.sample(&[("of", "memtables")], memory.memtable_bytes);
    family.sample(&[("of", "block_cache")], memory.block_cache_bytes);
    family.sample(&[("of", "indexes_and_filters")], memory.head_bytes);
    to.gauge("esker_memory_budget_bytes", "What all of it may take.").is(memory.budget_bytes);
    to.gauge("esker_memtables", "Memtables in memory.").is(metrics.memtables);
    let snapshots = &metrics.snapshots;
    to.gauge("esker_snapshots", "Snapshots that are held.").is(snapshots.count);
    to.gauge("esker_snapshot_oldest_seconds", "For how long the oldest has been held.")
        .is(seconds(snapshots.oldest_age.unwrap_or_default()));
    to.gauge("esker_snapshot_held_bytes", "What they keep on disk, at most.")
        .is(snapshots.held_bytes_max);
}

fn writes(to: &mut Encoder, metrics: &Metrics) {
    to.counter("esker_commits_total", "Batches committed.").is(metrics.commits);
    to.counter("esker_commit_groups_total", "Groups they were committed in.")
        .is(metrics.commit_groups);
    to.counter("esker_conflicts_total", "Transactions that failed with a conflict.")
        .is(metrics.conflicts);
    to.counter("esker_user_bytes_total", "Bytes of keys and values committed.")
        .is(metrics.user_bytes);
    let mut family =
        to.counter("esker_written_bytes_total", "Bytes written to files, by what for.");
    family.sample(&[("for", "log")], metrics.log_written_bytes);
    family.sample(&[("for", "flush")], metrics.flush_written_bytes);
    family.sample(&[("for", "compaction")], metrics.compaction.written_bytes);
    family.sample(&[("for", "ingest")], metrics.ingest_written_bytes);
    family.sample(&[("for", "collection")], metrics.values.written_bytes);
    to.counter("esker_log_syncs_total", "Syncs of the log.").is(metrics.log_syncs);
    to.counter("esker_stalls_total", "Times that writers had to wait.").is(metrics.stalls);
    to.gauge("esker_pressure_debt_percent", "How far it is from slowed writers to stopped ones.")
        .is(metrics.pressure.debt_percent);
    if let Some(rate) = metrics.pressure.allowed_bytes_per_second {
        to.gauge(
            "esker_pressure_allowed_bytes_per_second",
            "What may be written; left out without a limit.",
        )
        .is(rate);
    }
    if let Some(rate) = metrics.pressure.allowed_value_bytes_per_second {
        to.gauge(
            "esker_pressure_allowed_value_bytes_per_second",
            "What may be written of large values; left out without a limit.",
        )
        .is(rate);
    }
}

fn reads(to: &mut Encoder, metrics: &Metrics) {
    let cache = &metrics.block_cache;
    let mut family =
        to.counter("esker_block_cache_lookups_total", "Blocks looked for in the cache.");
    family.sample(&[("found", "yes")], cache.hits);
    family.sample(&[("found", "no")], cache.misses);
    to.counter("esker_table_gets_total", "Gets that no memtable answered.")
        .is(metrics.reads.table_gets);
    to.counter("esker_tables_searched_total", "Tables that they looked at.")
        .is(metrics.reads.tables_searched);
}

fn background(to: &mut Encoder, metrics: &Metrics) {
    let (compaction, values, scrub) = (&metrics.compaction, &metrics.values, &metrics.scrub);
    let mut family = to.counter("esker_jobs_total", "Jobs of the background that were done.");
    family.sample(&[("job", "flush")], metrics.flushes);
    family.sample(&[("job", "compaction")], compaction.compactions);
    family.sample(&[("job", "collection")], values.collections);
    family.sample(&[("job", "scrub")], scrub.scrubs);
    let mut family = to.counter("esker_job_failures_total", "Jobs of the background that failed.");
    family.sample(&[("job", "flush")], metrics.flush_failures);
    family.sample(&[("job", "compaction")], compaction.failures);
    family.sample(&[("job", "collection")], values.failures);
    family.sample(&[("job", "scrub")], scrub.failures);
    to.counter("esker_compaction_read_bytes_total", "Bytes read by compaction.")
        .is(compaction.read_bytes);
    to.counter("esker_collection_freed_bytes_total", "Bytes of garbage freed.")
        .is(values.freed_bytes);
    to.counter("esker_scrub_damages_total", "Damages found by verifying in the background.")
        .is(scrub.damages);
    to.gauge("esker_files_not_removed", "Files that could not be removed.")
        .is(metrics.files_not_removed);
    let recovery = &metrics.recovery;
    to.gauge("esker_recovery_log_bytes", "Bytes of the log that the open replayed.")
        .is(recovery.log_bytes);
    to.gauge("esker_recovery_log_cut_bytes", "Bytes of a torn tail that the open cut off.")
        .is(recovery.log_cut_bytes);
}

fn latencies(to: &mut Encoder, metrics: &Metrics) {
    let all = &metrics.latencies;
    let mut family = to.histogram("esker_duration_seconds", "How long things took that succeeded.");
    for (of, latency) in [
        ("synced_commit", &all.synced_commit),
        ("unsynced_commit", &all.unsynced_commit),
        ("log_sync", &all.log_sync),
        ("flush", &all.flush),
        ("compaction", &all.compaction),
        ("collection", &all.collection),
        ("stall", &all.stall),
        ("delay", &all.delay),
    ] {
        family.latency(&[("of", of)], latency);
    }
}

fn http(to: &mut Encoder, app: &App) {
    let (traffic, routes) = (&app.traffic, app.traffic.counts());
    let mut family =
        to.counter("esker_http_requests_total", "Requests answered, by class of status.");
    for counts in &routes {
        for (class, count) in &counts.statuses {
            let status = format!("{class}xx");
            let labels = [("method", counts.method), ("route", &counts.route), ("status", &status)];
            family.sample(&labels, count);
        }
    }
    let help = "How long it took until an answer began.";
    let mut family = to.histogram("esker_http_request_duration_seconds", help);
    for counts in &routes {
        let labels = [("method", counts.method), ("route", &*counts.route)];
        family.latency(&labels, &counts.latency);
    }
    let relaxed = Ordering::Relaxed;
    to.gauge("esker_http_requests_in_flight", "Requests whose answer has not begun.")
        .is(traffic.in_flight.load(relaxed));
    to.gauge("esker_http_connections", "Connections that are open.")
        .is(traffic.connections.load(relaxed));
    to.counter("esker_http_connections_total", "Connections that were taken.")
        .is(traffic.accepted.load(relaxed));
    to.counter("esker_http_connections_evicted_total", "Idle connections closed to make room.")
        .is(traffic.evicted.load(relaxed));
}

/// Where the system tells it (Linux).
fn process(to: &mut Encoder) {
    if let Some(bytes) = resident_bytes() {
        to.gauge("process_resident_memory_bytes", "Memory in use.").is(bytes);
    }
    if let Ok(files) = DiskFs::new().list(Path::new("/proc/self/fd")) {
        to.gauge("process_open_fds", "Files, sockets and the like that are open.").is(files.len());
    }
}

/// Memory in use by this process, where the system tells it.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let file = DiskFs::new().open(Path::new("/proc/self/status"), OpenMode::Read).ok()?;
    let mut bytes = [0; 8192];
    let count = file.read_at(&mut bytes, 0).ok()?;
    let text = str::from_utf8(bytes.get(..count)?).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
