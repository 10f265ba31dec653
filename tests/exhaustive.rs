//! Small workloads gone through one and all: the power is cut in every call,
//! every outcome of the cut is looked at where they are few, recovery is
//! crashed three deep, and every call is failed with every error, once and for
//! good. Prints what it looked at.
//!
//! `ESKER_CRASH_SCALE=full` is what CI runs: it must come to 200,000 distinct
//! images, 20,000 of them left by crashes in recovery. The default strikes
//! fewer calls and takes seconds. `ESKER_CRASH_ONLY=TEXT` runs the lines that
//! have TEXT in their name.

use esker::crashtest::{Case, Counts, Effort, Explorer, Mode, Step, Tally};
use esker::crashtest::{run, tiny_options, workload};
use esker::sim::{Fault, SimFs, errno};
use esker::{Db, Options, SyncPolicy};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const DISTINCT_MIN: u64 = 200_000;
const IN_RECOVERY_MIN: u64 = 20_000;

// Of the full run all is left out that showed nothing new, by the distinct images that were counted:
// `never` makes the very calls of `interval` where no time passes, and the errors that the engine does
// not tell apart lead to the same states.

/// Every error that a file system gives, and the ones that must show nowhere.
const FAULTS: [(&str, Fault); 8] = [
    ("EIO", Fault::Errno(errno::EIO)),
    ("ENOSPC", Fault::Errno(errno::ENOSPC)),
    ("EDQUOT", Fault::Errno(errno::EDQUOT)),
    ("EMFILE", Fault::Errno(errno::EMFILE)),
    ("EACCES", Fault::Errno(errno::EACCES)),
    ("EROFS", Fault::Errno(errno::EROFS)),
    ("EINTR", Fault::Errno(errno::EINTR)),
    ("short", Fault::Short),
];

struct Job {
    name: String,
    work: Box<dyn FnOnce(&Tally) -> Counts + Send>,
}

fn main() -> ExitCode {
    let is_full = std::env::var("ESKER_CRASH_SCALE").is_ok_and(|scale| scale == "full");
    let only = std::env::var("ESKER_CRASH_ONLY").unwrap_or_default();
    let mut jobs = jobs(is_full);
    jobs.retain(|job| job.name.contains(&only));
    let started = Instant::now();
    let count = jobs.len();
    let outcome = work_off(jobs);
    let sites = sites();
    println!("\n{} kinds of call and file struck by faults: {}", sites.len(), sites.join(", "));
    println!("\n{count} explorations in {:.0?}: {}", started.elapsed(), outcome.counts);
    for failed in &outcome.failed {
        println!("FAILED: {failed}");
    }
    let too_few =
        outcome.counts.distinct < DISTINCT_MIN || outcome.counts.in_recovery < IN_RECOVERY_MIN;
    if is_full && only.is_empty() && too_few {
        println!("FAILED: fewer than {DISTINCT_MIN} images, {IN_RECOVERY_MIN} in recovery");
        return ExitCode::FAILURE;
    }
    if outcome.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Outcome {
    counts: Counts,
    failed: Vec<String>,
}

/// Does the jobs, as many at a time as there are cores.
fn work_off(jobs: Vec<Job>) -> Outcome {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (jobs, outcome) = (Mutex::new(jobs.into_iter()), Mutex::new(Outcome::default()));
    let tally = Tally::default();
    let next = || jobs.lock().expect("nothing panics under the lock").next();
    let work = || {
        while let Some(Job { name, work }) = next() {
            let started = Instant::now();
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&tally)));
            let mut outcome = outcome.lock().expect("nothing panics under the lock");
            match done {
                Ok(counts) => {
                    println!("{name}: {counts}, {:.1?}", started.elapsed());
                    outcome.counts += counts;
                }
                Err(_) => outcome.failed.push(name),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    outcome.into_inner().expect("nothing panics under the lock")
}

fn setups() -> [(&'static str, Options); 4] {
    let interval = SyncPolicy::Interval(Duration::from_millis(200));
    let never = tiny_options(SyncPolicy::Never);
    [
        ("always", tiny_options(SyncPolicy::Always)),
        ("interval", tiny_options(interval)),
        ("unlogged", Options { wal_enabled: false, ..never.clone() }),
        ("never", never),
    ]
}

fn jobs(is_full: bool) -> Vec<Job> {
    let mut jobs = Vec::new();
    for ((setup, options), first) in setups().into_iter().zip((1..).step_by(10)) {
        for (workload, steps) in workload::small() {
            if setup == "never" && is_full && workload != "time to live" {
                continue;
            }
            let case = Case::new::<Db>(options.clone(), steps);
            let effort = small_effort(is_full);
            jobs.push(power_cuts(format!("{workload}, {setup}"), Case { effort, ..case }));
        }
        // Another set of seeds for each policy: where no time passes and no step
        // asks for a sync, two policies may make the very same calls. Most where
        // much is unsynced at a cut: there a run shows most that no other did.
        let count = if is_full && setup == "interval" { 8 } else { 1 };
        for seed in first..first + count {
            let case = Case::new::<Db>(options.clone(), workload::random(seed, 30));
            let effort = random_effort(is_full);
            jobs.push(power_cuts(format!("random {seed}, {setup}"), Case { seed, effort, ..case }));
        }
    }
    let empty = Case { start: empty_disk(), ..Case::new::<Db>(setups()[0].1.clone(), Vec::new()) };
    let steps = workload::small().remove(0).1;
    let effort = small_effort(is_full);
    jobs.push(power_cuts("creation, always".into(), Case { steps, effort, ..empty }));
    for (setup, options) in setups() {
        for (error, fault) in FAULTS {
            for lasting in [false, true] {
                if lasting && error == "EINTR" {
                    continue; // A call that is interrupted for ever is made again for ever.
                }
                let how = format!("{error} {}, {setup}", if lasting { "for good" } else { "once" });
                if is_full && setup == "never" {
                    continue;
                }
                // All calls where every commit is synced, with the two errors that code tells apart; every
                // ninth with the others. Fewer under the other policies, which make the same calls but for
                // those syncs.
                let stride = match (is_full, setup, error) {
                    (true, "always", "EIO" | "ENOSPC") => 1,
                    (true, "always", _) | (true, _, "EIO" | "ENOSPC") => 9,
                    (true, ..) => 29,
                    (false, ..) => 37,
                };
                for (workload, steps) in workload::small() {
                    let name = format!("faults in {workload}: {how}");
                    jobs.push(faults(name, options.clone(), steps, (fault, lasting), stride));
                }
                let is_whole = error == "EIO" || error == "ENOSPC";
                if is_whole && (setup == "always" || !is_full && setup == "never") {
                    let name = format!("faults in the complete workload: {how}");
                    let steps = workload::complete();
                    // Each run begins at the first step, so the time grows with the square of its
                    // calls; each of these is failed in the workload that it comes from as well.
                    let stride = stride * 73;
                    jobs.push(faults(name, options.clone(), steps, (fault, lasting), stride));
                }
            }
        }
    }
    jobs
}

fn small_effort(is_full: bool) -> Effort {
    if is_full {
        Effort {
            stride: 1,
            exhaustive_max: 1024,
            corners_max: 120,
            samples: 6,
            survive_every: 6,
            nested_every: [200, 300, 150],
        }
    } else {
        Effort {
            stride: 5,
            exhaustive_max: 16,
            corners_max: 8,
            samples: 1,
            survive_every: 8,
            nested_every: [400, 600, 300],
        }
    }
}

fn random_effort(is_full: bool) -> Effort {
    if is_full {
        Effort {
            stride: 1,
            exhaustive_max: 64,
            corners_max: 24,
            samples: 2,
            survive_every: 4,
            nested_every: [250, 300, 150],
        }
    } else {
        Effort { stride: 31, ..small_effort(false) }
    }
}

fn power_cuts(name: String, case: Case) -> Job {
    let case = Case { name: name.clone(), ..case };
    let work = move |tally: &Tally| Explorer::<Db>::with_tally(case, tally.clone()).power_cuts();
    Job { name, work: Box::new(work) }
}

/// Each of the workload's calls fails.
fn faults(
    name: String,
    options: Options,
    steps: Vec<Step>,
    (fault, lasting): (Fault, bool),
    stride: usize,
) -> Job {
    let case = Case {
        name: name.clone(),
        effort: Effort { stride, nested_every: [0; 3], ..Effort::default() },
        start: empty_disk(),
        ..Case::new::<Db>(options, steps)
    };
    let work =
        move |tally: &Tally| Explorer::<Db>::with_tally(case, tally.clone()).faults(fault, lasting);
    Job { name, work: Box::new(work) }
}

/// The kinds of calls that the complete workload makes, each with the kind of
/// its file: what the faults strike.
fn sites() -> Vec<String> {
    let fs = empty_disk();
    fs.set_trace(true);
    run::<Db>(&fs, &setups()[0].1, &workload::complete(), Mode::Flawless);
    let site = |line: &String| {
        let mut words = line.split(' ').skip(1);
        let (kind, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let name = path.rsplit('/').next().unwrap_or_default();
        // A backup that is being written has numbers in its name.
        let name = name.split("-").next().filter(|name| name.ends_with("partial")).unwrap_or(name);
        let file = name.rsplit('.').next().unwrap_or_default().trim_end_matches(':');
        format!("{kind} {}", if file.starts_with("MANIFEST") { "MANIFEST" } else { file })
    };
    fs.trace().iter().map(site).collect::<BTreeSet<_>>().into_iter().collect()
}

fn empty_disk() -> SimFs {
    let fs = SimFs::new();
    fs.set_threads(false);
    fs
}
