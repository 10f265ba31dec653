//! What a child and a loader do: one workload each, in a folder of its own.

mod opens;
mod reads;
mod writes;

use crate::Result;
use crate::arguments::{Job, LoadJob, Size};
use crate::data::{self, KEYS_PER_PREFIX, Key, LARGE_VALUE_SIZE, Seen, Values, key, listed_key};
use crate::engines::{self, Commit, Engine, Entry, Peer};
use crate::machine;
use crate::measurement::Measurement;
use crate::timed::{self, Kind, Plan, Timed};
use crate::workload::{
    BACKUP_ENTRIES, CRASH_SETS, ENTRIES, LARGE_ENTRIES, LISTED_GROUPS, Load, Workload, scaled,
};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Operations between two readings of the clock where one is quick.
const SAMPLE_QUICK_EVERY: u64 = 16;
/// The same where the slowest one of a thousand counts.
const SAMPLE_TAIL_EVERY: u64 = 4;
/// And for reads of 16 KiB, of which there are fewer.
const SAMPLE_LARGE_EVERY: u64 = 4;
/// Entries of a batch while loading.
const LOAD_BATCH: usize = 1_000;
/// The same for values above `LARGE_FROM`: 1,000 of 16 KiB would be a transaction of 16 MiB.
const LOAD_BATCH_LARGE: usize = 64;
/// Bytes of a value.
const LARGE_FROM: usize = 1024;
/// What a measurement, or a load, may take before it counts as hung.
const LIMIT_SECONDS: u32 = 900;

/// Where a workload runs, and over what.
struct Scene {
    engine: Engine,
    values: engines::Values,
    dir: PathBuf,
    size: Size,
}

impl Scene {
    fn new(engine: Engine, has_large_values: bool, dir: &Path, size: Size) -> Self {
        let values = if has_large_values { engines::Values::Large } else { engines::Values::Small };
        Scene { engine, values, dir: dir.to_path_buf(), size }
    }

    /// The database that is measured.
    fn database(&self) -> PathBuf {
        self.dir.join("db")
    }

    fn backup(&self) -> PathBuf {
        self.dir.join("backup")
    }

    fn restored(&self) -> PathBuf {
        self.dir.join("restored")
    }

    fn open(&self, commit: Commit) -> Result<Box<dyn Peer>> {
        self.engine.open(&self.database(), commit, self.values)
    }

    fn scaled(&self, count: u64) -> u64 {
        scaled(count, self.size.scale)
    }

    /// Fills the database in another process, so that what the filling left
    /// behind, in memory and in caches of the engine's own, is gone.
    fn load(&self, load: Load) -> Result<()> {
        let name = clap::ValueEnum::to_possible_value(&load).ok_or("a load has no name")?;
        let status = Command::new(std::env::current_exe()?)
            .args(["load", &self.engine.name(), name.get_name()])
            .arg(&self.dir)
            .args(self.size.arguments())
            .stdout(Stdio::null())
            .status()?;
        let as_planned = match load {
            Load::Crash => status.signal() == Some(libc::SIGKILL),
            _ => status.success(),
        };
        if !as_planned {
            return Err(format!("the loader ended with {status}").into());
        }
        machine::sync_everything();
        Ok(())
    }
}

/// Does one measurement, in this process.
pub fn measure(job: &Job) -> Result<Measurement> {
    machine::limit_time(LIMIT_SECONDS);
    let is_large = job.workload.has_large_values();
    let scene = Scene::new(job.engine, is_large, &job.dir, job.size);
    let timed = match job.workload {
        Workload::SetSync => writes::set_synced(&scene, 1, 3_000)?,
        Workload::SetSyncT8 => writes::set_synced(&scene, 8, 1_000)?,
        Workload::SetAsync => writes::set_unsynced(&scene, 1, 500_000)?,
        Workload::SetAsyncT2 => writes::set_unsynced(&scene, 2, 250_000)?,
        Workload::Batch100Sync => writes::batch100(&scene, Commit::Synced, 500)?,
        Workload::Batch100Async => writes::batch100(&scene, Commit::Unsynced, 5_000)?,
        Workload::Get => reads::get(&scene, 1, 500_000)?,
        Workload::GetT2 => reads::get(&scene, 2, 250_000)?,
        Workload::GetMiss => reads::get_miss(&scene, 500_000)?,
        Workload::List100 => reads::list100(&scene, 50_000)?,
        Workload::Scan => reads::scan(&scene, 5)?,
        Workload::MixedAsync => writes::mixed(&scene, Commit::Unsynced, 250_000)?,
        Workload::MixedSync => writes::mixed(&scene, Commit::Synced, 5_000)?,
        Workload::Sustained => writes::sustained(&scene, 1_000_000)?,
        Workload::LargeSet => writes::large_set(&scene)?,
        Workload::LargeSetSync => writes::large_set_synced(&scene, 2_000)?,
        Workload::LargeGet => reads::large_get(&scene, 50_000)?,
        Workload::Overwrite => writes::overwrite(&scene, 4_096, 16)?,
        Workload::OpenClean => opens::open(&scene, Load::Entries)?,
        Workload::OpenCrash => opens::open(&scene, Load::Crash)?,
        Workload::Backup => opens::backup(&scene)?,
        Workload::Checkpoint => opens::checkpoint(&scene)?,
        Workload::Restore => opens::restore(&scene)?,
    };
    let mut measurement = Measurement::new(job.engine, job.workload, job.size, &timed);
    measurement.memory_peak_bytes = machine::memory_peak_bytes()?;
    measurement.disk_bytes = machine::disk_bytes(&match job.workload {
        Workload::Backup => scene.backup(),
        Workload::Checkpoint | Workload::Restore => scene.restored(),
        _ => scene.database(),
    })?;
    Ok(measurement)
}

/// Fills a folder, in this process, and for `Load::Crash` does not return.
pub fn load(job: &LoadJob) -> Result<()> {
    machine::limit_time(LIMIT_SECONDS);
    let scene = Scene::new(job.engine, job.load == Load::Large, &job.dir, job.size);
    let peer = scene.open(Commit::Unsynced)?;
    match job.load {
        Load::Entries => fill(&*peer, keys(scene.scaled(ENTRIES)), scene.size.value_bytes)?,
        Load::Lists => {
            // Group by group within each member, so that the keys of one
            // prefix are not written side by side.
            let groups = scene.scaled(LISTED_GROUPS);
            let keys = (0..KEYS_PER_PREFIX)
                .flat_map(|member| (0..groups).map(move |group| listed_key(group, member)));
            fill(&*peer, keys, scene.size.value_bytes)?;
        }
        Load::Large => fill(&*peer, keys(scene.scaled(LARGE_ENTRIES)), LARGE_VALUE_SIZE)?,
        Load::BackupSource => fill(&*peer, keys(scene.scaled(BACKUP_ENTRIES)), LARGE_VALUE_SIZE)?,
        Load::BackupMade => {
            fill(&*peer, keys(scene.scaled(BACKUP_ENTRIES)), LARGE_VALUE_SIZE)?;
            peer.backup(&scene.backup())?;
        }
        Load::Crash => {
            let values = Values::new(scene.size.value_bytes);
            let mut value = Vec::new();
            for index in 0..scene.scaled(CRASH_SETS) {
                values.fill(index, 0, &mut value);
                peer.set(&key(index), &value)?;
            }
            machine::die();
        }
    }
    peer.close()
}

fn keys(count: u64) -> impl Iterator<Item = Key> {
    (0..count).map(key)
}

/// Writes the keys, each with the value of its position, in batches.
fn fill(peer: &dyn Peer, keys: impl Iterator<Item = Key>, value_size: usize) -> Result<()> {
    let values = Values::new(value_size);
    let mut batch: Vec<Entry> = Vec::new();
    let batch_max = if value_size > LARGE_FROM { LOAD_BATCH_LARGE } else { LOAD_BATCH };
    for (index, key) in keys.enumerate() {
        let mut value = Vec::new();
        values.fill(index as u64, 0, &mut value);
        batch.push(Entry { key, value });
        if batch.len() == batch_max {
            peer.write(&batch)?;
            batch.clear();
        }
    }
    if !batch.is_empty() {
        peer.write(&batch)?;
    }
    peer.persist()
}

/// Opens the database, runs a plan over it and closes it.
fn run_over<F>(
    scene: &Scene,
    commit: Commit,
    plan: Plan,
    make: impl Fn(u64) -> F + Sync,
) -> Result<Timed>
where
    F: FnMut(&dyn Peer, u64) -> Result<Kind>,
{
    run_over_then(scene, commit, plan, make, |_| Ok(()))
}

/// The same with a last step, on the clock too, before the close.
fn run_over_then<F>(
    scene: &Scene,
    commit: Commit,
    plan: Plan,
    make: impl Fn(u64) -> F + Sync,
    last: impl FnOnce(&mut dyn Peer) -> Result<()>,
) -> Result<Timed>
where
    F: FnMut(&dyn Peer, u64) -> Result<Kind>,
{
    let mut peer = scene.open(commit)?;
    let shared = &*peer;
    let mut timed = timed::run(plan, |thread| {
        let mut operation = make(thread);
        move |number| operation(shared, number)
    })?;
    let before = Instant::now();
    last(&mut *peer)?;
    timed.elapsed += before.elapsed();
    peer.close()?;
    Ok(timed)
}

/// Fails unless a read found the value that was written at an index.
fn expect_found(seen: Option<Seen>, index: u64, size: usize) -> Result<()> {
    let expected = Seen { size, stamp: data::stamp(index, 0) };
    if seen == Some(expected) {
        return Ok(());
    }
    Err(format!("a wrong answer for index {index}: {seen:?}, not {expected:?}").into())
}

/// The path must not be taken up by an earlier run: leftovers would be read.
pub fn fresh_folder(dir: &Path) -> Result<()> {
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    std::fs::create_dir_all(dir)?;
    Ok(())
}
