//! What commit, read, flush and recovery share.
//!
//! Place on the data's path: between the structures (log, memtable, tables,
//! manifest) and what moves data through them.
//!
//! INV-1: a view holds every commit that was visible when it was installed:
//! an entry is always in the memtable, a sealed memtable or a table of the view.
//! INV-2: the visible sequence number rises over whole groups, in commit order.
//! INV-3: once poisoned, a handle stays so, with its first cause.
//! INV-4: what a version says of the order of its tables holds: see [`Version`].
//! INV-5: the file of a table is removed only after the edit that drops it is
//! durable, and after the last view that has it is gone.
//!
//! Concurrency: readers load a [`View`] from an atomic pointer and take no lock.
//! Views are replaced under one mutex, by the commit leader (rotation) and by
//! [`Catalog::apply`], whose own mutex orders all changes of the set of tables.

mod audit;
mod catalog;
mod counters;
mod display;
mod failures;
mod followed;
mod gate;
mod generation;
mod health;
mod home;
mod hurry;
mod layout;
mod metrics;
mod new_files;
mod new_values;
mod observer;
mod pressure;
mod reserve;
mod segments;
mod snapshots;
mod tables;
mod transactions;
mod unsynced;
mod version;
mod view;
mod visible;

pub use audit::{Audit, named_files};
pub use catalog::{Applied, Catalog, Change, Replacement, may_be_retried};
pub use counters::{Counters, Histograms, Reads};
pub use failures::Failed;
pub use followed::Followed;
pub use gate::Gate;
pub use generation::Generation;
pub use health::Health;
pub use home::{Home, log_identity, run_of};
pub use hurry::{DEAD_MANY, Hurry};
pub use layout::{FileLayout, Layout, LevelLayout, TableLayout};
pub use metrics::{
    CacheMetrics, CompactionMetrics, FollowedMetrics, Latencies, LevelMetrics, MemoryMetrics,
    Metrics, PressureMetrics, ReadMetrics, RecoveryReport, ScrubMetrics, SnapshotMetrics,
    ValueMetrics,
};
pub use new_files::{NewEntry, NewFiles};
pub use new_values::{NewValues, StoredAs};
pub use observer::{Observer, log_not_removed};
pub use pressure::{Drained, LEVEL_0_TABLES, Pressure, Space};
pub use reserve::{Reserve, is_no_space};
pub use segments::{FileBytes, Segments};
pub use snapshots::Snapshots;
pub use tables::WrittenTable;
pub use transactions::Transactions;
pub use unsynced::UnsyncedLogs;
pub use version::Version;
pub use view::{SealedMemtable, View, Views};
pub use visible::{Ticket, VisibleSeq};

use crate::archive::Partials;
use crate::clock::ExpiryFloor;
use crate::format::{FileKind, SeqNo};
use crate::fs::OpenFiles;
use crate::memtable::{MemoryAhead, Memtable};
use crate::options::Options;
use crate::table::{BlockCache, HeadMemory};
use crate::vlog::MapCache;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The state of one open database that is not bytes on disk.
#[derive(Debug)]
pub struct Store {
    /// Where its files are.
    pub home: Home,
    /// How it was opened.
    pub options: Options,
    /// Whether it still works.
    pub health: Health,
    /// What readers see.
    pub views: Views,
    /// Up to where commits are visible.
    pub visible: VisibleSeq,
    /// Room for when the disk is full.
    pub reserve: Reserve,
    /// How fast writers may go.
    pub pressure: Pressure,
    /// Who reads at which sequence number, beside those who pin a view.
    pub snapshots: Snapshots,
    /// The transactions that are open.
    pub transactions: Transactions,
    /// Below which everything is expired.
    pub expiry: ExpiryFloor,
    /// The log files before the current one that a sync must cover.
    pub unsynced_logs: UnsyncedLogs,
    /// The cache of blocks.
    pub cache: Arc<BlockCache>,
    /// Makes the memory of memtables ahead of their writers.
    pub memory_ahead: Arc<MemoryAhead>,
    /// The heads of tables in memory.
    pub heads: Arc<HeadMemory>,
    /// Where the values of moved segments are.
    pub maps: Arc<MapCache>,
    /// The open files of tables and segments.
    pub files: Arc<OpenFiles>,
    /// The tables and segments that the manifest named when it was opened.
    pub files_at_open: BTreeSet<FileKind>,
    /// What happened so far.
    pub counters: Counters,
    /// How long it took.
    pub latencies: Histograms,
    /// What gets cost.
    pub reads: Reads,
    /// Who is told.
    pub observer: Arc<Observer>,
    /// Who works on the directory, beside the workers.
    pub gate: Gate,
    /// The backups that are being written.
    pub partials: Partials,
    /// Those upon which increments can follow.
    pub followed: Followed,
    /// Whether scans pay for deletes.
    pub hurry: Hurry,
}

impl Store {
    /// How far the files with large values of `version` are from what `space_amp_max` allows.
    pub fn space(&self, version: &Version) -> Space {
        let FileBytes { stored_bytes, live_bytes } = version.segments().total();
        // What may come before the next look is in the slack.
        let taken_bytes = stored_bytes.saturating_sub(self.options.log_file_limit());
        Space { taken_bytes, live_bytes, amp_max: self.options.space_amp_max }
    }

    /// An empty memtable for `capacity_bytes` of entries. Where there are threads, one has its memory made ahead of its writers.
    #[must_use]
    pub fn new_memtable(&self, capacity_bytes: usize) -> Arc<Memtable> {
        let memtable = Memtable::new(capacity_bytes);
        Arc::new(match self.home.fs.allows_threads() {
            true => memtable.with_memory_ahead(&self.memory_ahead),
            false => memtable,
        })
    }

    /// Enters the number that is visible now among those that are read at, and what it is a number
    /// of; [`Snapshots::release`] takes it back.
    pub fn take_snapshot(&self) -> (Arc<Generation>, SeqNo) {
        loop {
            let generation = Arc::clone(&self.views.load().generation);
            let seq = self.snapshots.take(&self.visible, self.home.clock.elapsed());
            // A restore is visible only after its view is: with the same generation in force as before, the
            // number is of that.
            if Arc::ptr_eq(&self.views.load().generation, &generation) {
                return (generation, seq);
            }
            self.snapshots.release(seq);
        }
    }

    /// True when an entry that expires then is expired now, or was once seen to be.
    #[inline]
    pub fn is_expired(&self, expires_at_ms: u64) -> bool {
        self.expiry.is_expired(self.home.clock.as_ref(), expires_at_ms)
    }
}
