//! The compaction worker: picks a job, does it, puts its result in force.

use super::garbage::Conditions;
use super::job::Merger;
use super::pick::{Job, Kind, Situation, pick, pick_requested};
use super::report::Report;
use super::tree::Tree;
use crate::error::{Error, Result};
use crate::format::{FileKind, Level, SeqNo, TableId, TableMeta};
use crate::fs::IoContext;
use crate::store::{Catalog, Change, Store, Version, may_be_retried};
use crate::table::Table;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the worker waits after a failure: it doubles from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A table that could not be read so often is taken for damaged.
const READ_FAILURES_MAX: u32 = 5;

/// How often the worker looks whether something is due that no change announces.
const TICK: Duration = Duration::from_millis(500);

/// A range of keys, of tables that have one of them.
#[derive(Debug, Clone, Copy)]
pub struct KeyRange<'a> {
    /// Where it begins.
    pub low: Bound<&'a [u8]>,
    /// Where it ends.
    pub high: Bound<&'a [u8]>,
}

impl KeyRange<'_> {
    fn overlaps(&self, table: &TableMeta) -> bool {
        let begins = match self.high {
            Bound::Included(high) => table.smallest_key() <= high,
            Bound::Excluded(high) => table.smallest_key() < high,
            Bound::Unbounded => true,
        };
        let ends = match self.low {
            Bound::Included(low) => table.largest_key() >= low,
            Bound::Excluded(low) => table.largest_key() > low,
            Bound::Unbounded => true,
        };
        begins && ends
    }
}

/// Compacts one job after the other.
#[derive(Debug)]
pub struct Compactor {
    store: Arc<Store>,
    catalog: Arc<Catalog>,
    /// Held during a job: there is one at a time.
    work: Mutex<Work>,
}

#[derive(Debug, Default)]
struct Work {
    /// Tables that turned out to be damaged (INV-5).
    damaged: HashSet<TableId>,
    /// How often a table could not be read.
    read_failures: HashMap<TableId, u32>,
    /// A change that the manifest would not take yet. Its edit may stand in the
    /// manifest all the same, should the process die now: so what it adds stays.
    pending: Option<Change>,
}

impl Compactor {
    /// Works for `store`, whose tables are those of `catalog`.
    #[must_use]
    pub fn new(store: Arc<Store>, catalog: Arc<Catalog>) -> Self {
        Compactor { store, catalog, work: Mutex::default() }
    }

    /// Works until told to end (`Views::stop`) or until the database is poisoned. Calls
    /// `tick` twice a second, or after a job that took longer.
    pub fn run(&self, tick: impl Fn()) {
        let mut pause = PAUSE_MIN;
        loop {
            tick();
            let version = Arc::downgrade(&self.store.views.load().version);
            let done = self.step(None, |tree, situation| self.due(tree, situation));
            self.store.remove_discarded();
            let is_over = match done {
                Ok(true) => {
                    pause = PAUSE_MIN;
                    self.store.views.is_stopped()
                }
                // Nothing to do: until there are other tables, or time has passed.
                Ok(false) => self.store.views.wait_for_change(&version, TICK),
                Err(Error::Poisoned { .. } | Error::Closed) => true,
                // A damaged table is left alone from now on: there may be other work.
                Err(Error::Corruption { .. }) => self.store.views.is_stopped(),
                Err(_) => {
                    let is_over = self.store.views.pause(pause);
                    pause = PAUSE_MAX.min(pause * 2);
                    is_over
                }
            };
            if is_over {
                return;
            }
        }
    }

    /// Does what is to be done now, in the caller's thread: how it works where
    /// there are no threads. After a failure the next call goes on.
    pub fn run_inline(&self) {
        let due = |tree: &Tree<'_>, situation: &Situation<'_>| self.due(tree, situation);
        while let Ok(true) | Err(Error::Corruption { .. }) = self.step(None, due) {}
        self.store.remove_discarded();
    }

    /// Merges all tables with keys in `range`, and entries up to `seq`, down as far as they go.
    ///
    /// # Errors
    /// [`Error::Corruption`], where other tables were compacted as far as they could be;
    /// [`Error::Io`], [`Error::Poisoned`], [`Error::Closed`].
    pub fn compact(&self, range: KeyRange<'_>, seq: SeqNo) -> Result<()> {
        let is_meant =
            |table: &TableMeta| table.properties.smallest_seq <= seq && range.overlaps(table);
        // What expires meanwhile is left to the next: else there might be no end.
        let now_ms = Some(self.now_ms());
        let mut damage = None;
        loop {
            let next = |tree: &Tree<'_>, situation: &Situation<'_>| {
                pick_requested(tree, situation, is_meant)
            };
            match self.step(now_ms, next) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e @ Error::Corruption { .. }) => damage = damage.or(Some(e)),
                Err(e) => return Err(e),
            }
        }
        self.store.remove_discarded();
        damage.map_or(Ok(()), Err)
    }

    /// The job that is to be done without being asked for.
    fn due(&self, tree: &Tree<'_>, situation: &Situation<'_>) -> Option<Job> {
        if self.store.options.auto_compaction { pick(tree, situation) } else { None }
    }

    /// Whether nothing will be due, however much time passes and whoever reads, until something is written.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let version = Arc::clone(&self.store.views.load().version);
        let tree = Tree::new(version.metas());
        // When all has expired that ever will, and waited for long.
        let now = self.conditions(&tree, u64::MAX);
        let conditions = Conditions { is_hurried: true, oldest_snapshot: None, ..now };
        self.due(&tree, &self.situation(conditions, &HashSet::new())).is_none()
    }

    /// Waits for the end of the job at hand, if there is one. Once the database is
    /// closed, no other begins.
    pub fn wait_for_job(&self) {
        drop(self.work.lock());
    }

    /// Keeps jobs from being begun for as long as what it returns lives. `None`: one is
    /// under way, or waits for its change to be put in force.
    pub fn try_pause(&self) -> Option<impl Sized + '_> {
        self.work.try_lock().filter(|work| work.pending.is_none())
    }

    /// Does one job, if `choose` names one; whether it did. `now_ms`: what is taken for the time.
    fn step(
        &self,
        now_ms: Option<u64>,
        choose: impl FnOnce(&Tree<'_>, &Situation<'_>) -> Option<Job>,
    ) -> Result<bool> {
        let work = &mut *self.work.lock();
        // What the job before has merged away is not to take room beside this one.
        self.store.remove_discarded();
        self.store.health.check_sound()?;
        self.store.health.check_open()?;
        if let Some(change) = work.pending.take() {
            self.apply(change, work)?;
        }
        let version = Arc::clone(&self.store.views.load().version);
        if !work.damaged.is_empty() {
            // A restore may have replaced them.
            let tables: HashSet<TableId> = version.metas().map(|(_, meta)| meta.id).collect();
            work.damaged.retain(|id| tables.contains(id));
        }
        let tree = Tree::new(version.metas());
        let conditions = self.conditions(&tree, now_ms.unwrap_or_else(|| self.now_ms()));
        let situation = self.situation(conditions, &work.damaged);
        self.store.pressure.measure_excess(tree.excess_bytes(situation.base_bytes));
        let Some(job) = choose(&tree, &situation) else { return Ok(false) };
        let inputs = inputs(&version, &job);
        let report = Report::begin(&self.store, &job, &inputs);
        let perform = || self.perform(&version, &job, &conditions, &inputs);
        let done = perform()
            .or_else(|e| if self.store.give_up_reserve(&e) { perform() } else { Err(e) })
            .map_err(|e| {
                self.leave_alone(&job, &e, work);
                self.failed(e)
            })
            .and_then(|change| {
                let tables_added = change.added.len();
                self.apply(change, work).map(|()| tables_added)
            });
        report.end(&done);
        done.map(|_| true)
    }

    /// Takes the table that turned out to be damaged out of what is compacted.
    fn leave_alone(&self, job: &Job, e: &Error, work: &mut Work) {
        let path = |id: &TableId| self.store.home.path(FileKind::Table(*id));
        let ids = || job.upper.iter().chain(&job.lower);
        let input = |file: &Path| ids().find(|id| path(id) == *file).copied();
        match e {
            Error::Corruption { file, .. } | Error::UnsupportedFormat { file, .. } => {
                match input(file) {
                    Some(id) => drop(work.damaged.insert(id)),
                    // Should it be none of them, none of them is tried again.
                    None => work.damaged.extend(ids()),
                }
            }
            // It may be a mood of the disk; or a sector that is bad for good, and then the
            // same job would begin again and again.
            Error::Io { path, .. } => {
                if let Some(id) = input(path) {
                    let failures = work.read_failures.entry(id).or_insert(0);
                    *failures += 1;
                    if *failures >= READ_FAILURES_MAX {
                        work.damaged.insert(id);
                    }
                }
            }
            _ => {}
        }
    }

    fn apply(&self, change: Change, work: &mut Work) -> Result<()> {
        self.catalog.apply(change.clone()).map_err(|e| {
            if may_be_retried(&e) {
                work.pending = Some(change);
            }
            self.failed(e)
        })?;
        self.store.counters.compactions.add(1);
        self.store.pressure.set_hindered(!work.damaged.is_empty());
        Ok(())
    }

    /// Counts a failure, and says what it means: where it is open whether an edit is in force, or what a
    /// failed sync has left, nothing is written any more.
    fn failed(&self, e: Error) -> Error {
        if !matches!(e, Error::Closed) {
            self.store.counters.compaction_failures.add(1);
            self.store.give_up_reserve(&e);
            // Nobody waits for what may never come.
            self.store.pressure.set_hindered(true);
        }
        match e {
            Error::Closed | Error::Corruption { .. } | Error::UnsupportedFormat { .. } => e,
            e if may_be_retried(&e) => e,
            e => self.store.poison(e),
        }
    }

    /// The time, which does not step back behind what was seen expired.
    fn now_ms(&self) -> u64 {
        self.store.home.clock.now_ms().max(self.store.expiry.get())
    }

    fn situation<'a>(
        &self,
        conditions: Conditions,
        left_alone: &'a HashSet<TableId>,
    ) -> Situation<'a> {
        let options = &self.store.options;
        Situation {
            base_bytes: options.level_base_bytes(),
            overlap_bytes_max: options.overlap_bytes_max(),
            value_slack_bytes: options.log_file_limit() / 2,
            conditions,
            left_alone,
        }
    }

    fn conditions(&self, tree: &Tree<'_>, now_ms: u64) -> Conditions {
        let options = &self.store.options;
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        // In this order: see `Merger`.
        let oldest_snapshot = self.store.snapshots.seqs().first().copied();
        let deletes_kept_after = self.store.followed.deletes_kept_after();
        Conditions {
            now_ms,
            expired_retention_ms: ms(options.expired_retention),
            reclaim_within_ms: ms(options.reclaim_within),
            is_hurried: self.store.hurry.is_on(self.store.home.clock.elapsed()),
            oldest_snapshot,
            deletes_kept_after,
            entry_bytes: tree.entry_bytes(),
        }
    }

    /// Does a job, all but putting it in force.
    fn perform(
        &self,
        version: &Version,
        job: &Job,
        conditions: &Conditions,
        inputs: &[Arc<Table>],
    ) -> Result<Change> {
        let added = match job.kind {
            Kind::Move => {
                self.store.counters.compaction_moved_tables.add(1);
                inputs.iter().map(|table| (job.to, Arc::clone(table))).collect()
            }
            Kind::Remove => {
                // As a merge does: what is gone must not come alive elsewhere.
                let latest = inputs.iter().map(|t| t.meta().properties.largest_expiry_ms).max();
                self.store.expiry.raise(latest.unwrap_or(0));
                Vec::new()
            }
            Kind::Merge => self.merge(version, job, conditions, inputs)?,
        };
        let removed = inputs.iter().map(|table| table.meta().id).collect();
        let worked_out_on = Some(version.restores());
        Ok(Change { added, removed, worked_out_on, ..Change::default() })
    }

    /// Writes what the tables of the job come to, and opens that.
    fn merge(
        &self,
        version: &Version,
        job: &Job,
        conditions: &Conditions,
        inputs: &[Arc<Table>],
    ) -> Result<Vec<(Level, Arc<Table>)>> {
        let expired_until_ms = conditions.expired_until_ms();
        let merger = Merger::new(&self.store, version, job, expired_until_ms);
        let (written, dropped) = merger.run(inputs)?;
        let home = &self.store.home;
        home.fs.sync_dir(&home.dir).during("sync", &home.dir)?;
        let counters = &self.store.counters;
        counters.compaction_read_bytes.add(inputs.iter().map(|t| t.meta().size_bytes).sum());
        counters.compaction_written_bytes.add(written.iter().map(|meta| meta.size_bytes).sum());
        counters.compaction_dropped_entries.add(dropped);
        Ok(written.iter().map(|meta| (job.to, self.store.open_table(meta))).collect())
    }
}

/// The tables of a job, the newest data first.
fn inputs(version: &Version, job: &Job) -> Vec<Arc<Table>> {
    let of = |level: Level, ids: &[TableId]| {
        let meant = |table: &&Arc<Table>| ids.contains(&table.meta().id);
        version.level(level).iter().filter(meant).cloned().collect::<Vec<_>>()
    };
    let mut inputs = of(job.from, &job.upper);
    inputs.extend(of(job.to, &job.lower));
    inputs
}
