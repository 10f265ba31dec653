//! What the status page shows, as JSON: once (`/status`), or every second as server-sent events (`/events`).
//!
//! Counters are as they are since the start; rates are the page's affair, from one to the next.

use super::answer::{Answer, json, ok};
use super::app::{App, Phase, reached};
use super::failure::Failure;
use super::metrics::resident_bytes;
use super::routes::health::unready;
use crate::histogram::Latency;
use crate::store::{Layout, Metrics};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderValue;
use serde_json::{Value, json as object};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// How often those who look are shown the state.
const EVERY: Duration = Duration::from_secs(1);

/// How many may look at a time: each is a connection that does not end.
const WATCHERS_MAX: usize = 64;

/// Tables of one level, and value files, that are shown one by one; of the rest there is the sum.
const SHOWN_MAX: usize = 256;

/// Characters of a key that are shown.
const KEY_CHARS_MAX: usize = 60;

/// Events that are shown.
const EVENTS_SHOWN: usize = 60;

/// `GET /status`.
pub async fn show(State(app): State<Arc<App>>) -> Answer {
    json(&app.call(|app| Ok::<_, Failure>(state(app))).await?)
}

/// `GET /events`.
pub async fn events(State(app): State<Arc<App>>) -> Answer {
    let watching = Watching::begin(&app)?;
    let (sender, receiver) = mpsc::channel::<Result<Bytes, Infallible>>(1);
    tokio::spawn(async move {
        let app = Arc::clone(&watching.0);
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = reached(app.phase.clone(), Phase::Draining) => return,
                () = sender.closed() => return,
                _ = ticks.tick() => {}
            }
            let Ok(state) = app.call(|app| Ok::<_, Failure>(state(app))).await else { continue };
            let event = format!("event: status\ndata: {state}\n\n");
            if sender.send(Ok(event.into())).await.is_err() {
                return;
            }
        }
    });
    let kind = HeaderValue::from_static("text/event-stream");
    Ok(ok(kind, Body::from_stream(ReceiverStream::new(receiver))))
}

/// One who looks.
struct Watching(Arc<App>);

impl Watching {
    fn begin(app: &Arc<App>) -> Result<Self, Failure> {
        let before = app.traffic.watchers.fetch_add(1, Ordering::Relaxed);
        let watching = Watching(Arc::clone(app));
        if before < WATCHERS_MAX {
            return Ok(watching);
        }
        Err(Failure::busy("too many look at the status at once; GET /status shows it once"))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.traffic.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The state as it is now.
pub fn state(app: &App) -> Value {
    let config = &app.config;
    let unready = unready(app);
    let mut state = object!({
        "version": env!("CARGO_PKG_VERSION"),
        "engine": if app.db.is_some() { "lsm" } else { "memory" },
        "data_dir": config.engine.data_dir.display().to_string(),
        "backup_dir": config.engine.backup_dir.display().to_string(),
        "sync_writes": config.engine.sync_writes,
        "now_ms": now_ms(),
        "uptime_ms": millis(app.started.elapsed()),
        "ready": unready.is_none(),
        "reason": unready,
        "resident_bytes": resident_bytes(),
        "http": http(app),
        "events": app.events.newest(EVENTS_SHOWN),
        // What is wrong with the directory is told by who asks for the list.
        "backups": app.backups.list().unwrap_or_default(),
        "backup_every_ms": config.backup_every.map(millis),
        "backup_keep": config.backup_keep,
    });
    if let Some(db) = &app.db {
        state["store"] = store(&db.metrics());
        state["layout"] = layout(&db.layout());
    }
    state
}

fn store(metrics: &Metrics) -> Value {
    let latencies = &metrics.latencies;
    object!({
        "last_seq": metrics.last_seq,
        "commits": metrics.commits,
        "commit_groups": metrics.commit_groups,
        "user_bytes": metrics.user_bytes,
        "log_written_bytes": metrics.log_written_bytes,
        "log_syncs": metrics.log_syncs,
        "flushes": metrics.flushes,
        "flush_written_bytes": metrics.flush_written_bytes,
        "compactions": metrics.compaction.compactions,
        "compaction_read_bytes": metrics.compaction.read_bytes,
        "compaction_written_bytes": metrics.compaction.written_bytes,
        "collections": metrics.values.collections,
        "collection_freed_bytes": metrics.values.freed_bytes,
        "write_amplification": metrics.write_amplification(),
        "table_gets": metrics.reads.table_gets,
        "tables_per_get": metrics.reads.tables_per_get(),
        "cache_hits": metrics.block_cache.hits,
        "cache_misses": metrics.block_cache.misses,
        "stalls": metrics.stalls,
        "stall_ms": millis(metrics.stall_time),
        "delay_ms": millis(metrics.pressure.delay_time),
        "debt_percent": metrics.pressure.debt_percent,
        "allowed_bytes_per_second": metrics.pressure.allowed_bytes_per_second,
        "allowed_value_bytes_per_second": metrics.pressure.allowed_value_bytes_per_second,
        "snapshots": metrics.snapshots.count,
        "memtables": metrics.memtables,
        "memory": {
            "memtable_bytes": metrics.memory.memtable_bytes,
            "block_cache_bytes": metrics.memory.block_cache_bytes,
            "head_bytes": metrics.memory.head_bytes,
            "budget_bytes": metrics.memory.budget_bytes,
        },
        "values": {
            "files": metrics.values.files,
            "segments": metrics.values.segments,
            "stored_bytes": metrics.values.stored_bytes,
            "live_bytes": metrics.values.live_bytes,
        },
        "latencies": {
            "synced_commit": latency(&latencies.synced_commit),
            "unsynced_commit": latency(&latencies.unsynced_commit),
            "log_sync": latency(&latencies.log_sync),
            "flush": latency(&latencies.flush),
            "compaction": latency(&latencies.compaction),
            "collection": latency(&latencies.collection),
            "stall": latency(&latencies.stall),
        },
    })
}

/// Microseconds, and how many were below each power of two of nanoseconds from 2^10 on.
fn latency(latency: &Latency) -> Value {
    let us = |time: Duration| time.as_nanos() as f64 / 1000.0;
    let counts: Vec<u64> = latency.cumulative().into_iter().map(|(_, count)| count).collect();
    object!({
        "count": latency.count,
        "mean_us": us(latency.mean()),
        "p50_us": us(latency.quantile(0.5)),
        "p99_us": us(latency.quantile(0.99)),
        "p999_us": us(latency.quantile(0.999)),
        "max_us": us(latency.max),
        "cumulative": counts,
    })
}

fn http(app: &App) -> Value {
    let relaxed = Ordering::Relaxed;
    let routes: Vec<Value> = app
        .traffic
        .counts()
        .iter()
        .map(|counts| {
            let errors = counts.statuses.iter().filter(|(class, _)| *class >= 4);
            object!({
                "method": counts.method,
                "route": counts.route,
                "errors": errors.map(|(_, count)| count).sum::<u64>(),
                "latency": latency(&counts.latency),
            })
        })
        .collect();
    object!({
        "routes": routes,
        "connections": app.traffic.connections.load(relaxed),
        "in_flight": app.traffic.in_flight.load(relaxed),
    })
}

fn layout(layout: &Layout) -> Value {
    let levels: Vec<Value> = layout
        .levels
        .iter()
        .map(|level| {
            let tables = level.tables.iter().take(SHOWN_MAX).map(|table| {
                object!({
                    "file": table.file,
                    "bytes": table.bytes,
                    "entries": table.entries,
                    "tombstones": table.tombstones,
                    "smallest": shown_key(&table.smallest_key),
                    "largest": shown_key(&table.largest_key),
                })
            });
            object!({
                "level": level.level,
                "count": level.tables.len(),
                "bytes": level.tables.iter().map(|table| table.bytes).sum::<u64>(),
                "entries": level.tables.iter().map(|table| table.entries).sum::<u64>(),
                "tables": tables.collect::<Vec<_>>(),
            })
        })
        .collect();
    let files = layout.value_files.iter().take(SHOWN_MAX).map(|file| {
        object!({
            "file": file.file,
            "segments": file.segments,
            "stored_bytes": file.stored_bytes,
            "live_bytes": file.live_bytes,
        })
    });
    object!({ "levels": levels, "value_files": files.collect::<Vec<_>>() })
}

/// A key for a person, cut.
fn shown_key(key: &[u8]) -> String {
    let shown = key.get(..KEY_CHARS_MAX).unwrap_or(key);
    let dots = if shown.len() < key.len() { "…" } else { "" };
    match str::from_utf8(shown) {
        Ok(text) if !text.contains(char::is_control) => format!("{text}{dots}"),
        _ => format!("{}{dots}", shown.escape_ascii()),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn now_ms() -> u64 {
    use crate::clock::{Clock, SystemClock};
    SystemClock::default().now_ms()
}
