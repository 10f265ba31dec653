//! What a child does: one row, or the load before it, in a directory of its own.
//!
//! Each operation looks at what it was given: a wrong answer fails the measurement as damage.

mod reads;
mod whole;
mod writes;

use super::child::Job;
use super::data::{KEYS_PER_PREFIX, Key, Keys, Seen, Values};
use super::machine;
use super::measurement::Measurement;
use super::plan::{Load, Plan, Unit, Work};
use super::settings::{Settings, Sync};
use super::store::{Entry, Store};
use super::timed::{self, Kind, Pace, Timed, Until};
use crate::failure::{Failure, Kind as FailureKind, Result};
use esker::Metrics;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Entries of a batch while loading, and their bytes at most.
const LOAD_ENTRIES: usize = 1_000;
const LOAD_BYTES: usize = 1 << 20;

/// Where a row works, and how.
struct Scene<'a> {
    plan: &'a Plan,
    settings: &'a Settings,
    dir: &'a Path,
    keys: Keys,
}

/// What a row came to.
struct Outcome {
    timed: Timed,
    /// Before the close.
    metrics: Metrics,
    /// Whose bytes are told.
    dir: PathBuf,
}

impl<'a> Scene<'a> {
    fn new(job: &'a Job) -> Scene<'a> {
        let keys = Keys::new(job.settings.seed);
        Scene { plan: &job.plan, settings: &job.settings, dir: &job.dir, keys }
    }

    fn database(&self) -> PathBuf {
        self.dir.join("database")
    }

    fn backup(&self) -> PathBuf {
        self.dir.join("backup.esker")
    }

    fn copy(&self) -> PathBuf {
        self.dir.join("copy")
    }

    fn open_in(&self, dir: &Path, sync: Sync) -> Result<Store> {
        Store::open(dir, self.settings.options(sync)?, self.plan.interface)
    }

    fn open(&self) -> Result<Store> {
        self.open_in(&self.database(), self.plan.sync)
    }

    /// Opens the store, does what `make` gives each thread, then `last`, and closes it.
    fn run<F>(
        &self,
        make: impl Fn(u64) -> F + std::marker::Sync,
        last: impl FnOnce(&Store) -> Result<()>,
    ) -> Result<Outcome>
    where
        F: FnMut(&Store, u64) -> Result<Kind>,
    {
        let store = self.open()?;
        let until = match self.plan.seconds {
            Some(seconds) => Until::Time(Duration::from_secs_f64(seconds)),
            None => Until::Count(self.plan.operations_each()),
        };
        let pace = Pace { threads: self.plan.threads, until, sample_every: self.plan.sample_every };
        let make = |thread| {
            let (mut operation, store) = (make(thread), &store);
            move |number| operation(store, number)
        };
        let timed = timed::run(pace, self.dir, make, || last(&store))?;
        let metrics = store.db().metrics();
        store.close()?;
        Ok(Outcome { timed, metrics, dir: self.database() })
    }
}

/// Does a row's work, and says what it came to.
///
/// # Errors
/// What the store fails with; a wrong answer.
pub fn measure(job: &Job) -> Result<Measurement> {
    let scene = Scene::new(job);
    let outcome = match job.plan.work {
        Work::Set => writes::set(&scene),
        Work::SetThenPersist => writes::set_then_persist(&scene),
        Work::Batch => writes::batch(&scene),
        Work::Ingest => writes::ingest(&scene),
        Work::Mixed => writes::mixed(&scene),
        Work::Overwrite => writes::overwrite(&scene),
        Work::Sustained => writes::sustained(&scene),
        Work::Get => reads::get(&scene),
        Work::GetMiss => reads::get_miss(&scene),
        Work::List => reads::list(&scene),
        Work::Scan | Work::ScanKeys | Work::ScanBack => reads::scan(&scene),
        Work::OpenClean | Work::OpenCrash => whole::open(&scene),
        Work::Backup => whole::backup(&scene),
        Work::Checkpoint => whole::checkpoint(&scene),
        Work::Restore => whole::restore(&scene),
    }?;
    Ok(sum_up(&job.plan, outcome))
}

fn sum_up(plan: &Plan, outcome: Outcome) -> Measurement {
    let Outcome { timed, metrics, dir } = outcome;
    let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let seconds = timed.elapsed.as_secs_f64();
    let disk_bytes = machine::disk_bytes(&dir);
    Measurement {
        round: 0,
        figure: match plan.work.unit() {
            Unit::PerSecond => float(timed.operations) / seconds.max(1e-9),
            Unit::Milliseconds => seconds * 1e3,
            Unit::Seconds => seconds,
        },
        operations: timed.operations,
        elapsed_ns: ns(timed.elapsed),
        writes: timed.writes,
        reads: timed.reads,
        scans: timed.scans,
        memory_peak_bytes: machine::memory_peak_bytes(),
        disk_bytes,
        disk_peak_bytes: timed.series.disk_peak_bytes().max(disk_bytes),
        write_amplification: metrics.write_amplification(),
        stalls: metrics.stalls,
        stall_ns: ns(metrics.stall_time),
        delay_ns: ns(metrics.pressure.delay_time),
        log_syncs: metrics.log_syncs,
        series: timed.series,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure is read to four digits")]
fn float(count: u64) -> f64 {
    count as f64
}

/// Does the load before a row. The one that is to look like a crash does not return.
///
/// # Errors
/// What the store fails with.
pub fn load(job: &Job) -> Result<()> {
    let scene = Scene::new(job);
    let store = scene.open_in(&scene.database(), Sync::Never)?;
    let (keys, count, size) = (scene.keys, job.plan.keys, job.plan.value_bytes);
    match job.plan.work.load() {
        None => {}
        // Group by group within each member, so that what is listed together was not written together.
        Some(Load::Groups) => {
            let members = 0..KEYS_PER_PREFIX;
            let keys = members
                .flat_map(|member| (0..count).map(move |group| keys.listed_key(group, member)));
            fill(&store, keys, size)?;
        }
        Some(Load::Crash) => {
            let values = Values::new(size);
            let mut value = Vec::new();
            for index in 0..count {
                values.fill(index, 0, &mut value);
                store.set(&keys.key(index), &value)?;
            }
            // Nothing is closed, flushed or unlocked: to the files that is what a kill is.
            std::process::exit(0);
        }
        Some(Load::Entries) => fill(&store, (0..count).map(|n| keys.key(n)), size)?,
        Some(Load::Backup) => {
            fill(&store, (0..count).map(|n| keys.key(n)), size)?;
            store.db().backup(scene.backup())?;
        }
    }
    store.close()
}

/// Sets the keys, each with the value of its position, in batches.
fn fill(store: &Store, keys: impl Iterator<Item = Key>, size: usize) -> Result<()> {
    let values = Values::new(size);
    let entries_max = LOAD_ENTRIES.min(LOAD_BYTES / size).max(1);
    let mut batch: Vec<Entry> = Vec::new();
    for (index, key) in (0..).zip(keys) {
        let mut value = Vec::new();
        values.fill(index, 0, &mut value);
        batch.push(Entry { key, value });
        if batch.len() == entries_max {
            store.write(&batch)?;
            batch.clear();
        }
    }
    if !batch.is_empty() {
        store.write(&batch)?;
    }
    Ok(store.db().persist()?)
}

/// Fails unless a read found the first value of an index.
fn expect(seen: Option<Seen>, index: u64, size: usize) -> Result<()> {
    match seen {
        Some(seen) if seen == Seen::expected(index, size) => Ok(()),
        other => Err(wrong(format!("of the key of index {index}: {other:?}"))),
    }
}

/// A wrong answer.
fn wrong(what: String) -> Failure {
    Failure::new(FailureKind::Damage, format!("the store gave a wrong answer {what}"))
}
