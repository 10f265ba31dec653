//! Crash tests by contract, with workloads made from seeds: the power is cut in
//! every call, and every call fails; what is left must open, and must be the
//! state after a prefix of the commits with all that was promised in it. The
//! harness is `esker::crashtest`; `tests/exhaustive.rs` goes through small
//! workloads one and all.
//!
//! Environment, all optional:
//! - `ESKER_CRASH_SEED`: where the seeds begin (default 1); one that failed is
//!   printed and replays from here, byte for byte;
//! - `ESKER_CRASH_SEEDS`: how many workloads a test runs (default 1);
//! - `ESKER_CRASH_STEPS`: how long they are (default 30);
//! - `ESKER_CRASH_STRIDE`: every so-manieth call is struck (default 1, more in
//!   the longer tests).

mod toy;

use esker::crashtest::{
    Case, Counts, Effort, Explorer, Mode, Op, Step, Store, run, tiny_options, workload,
};
use esker::sim::{CrashModel, Fault, SimFs, errno};
use esker::{Db, Options, SyncPolicy};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use toy::Toy;

fn always() -> Options {
    tiny_options(SyncPolicy::Always)
}

fn never() -> Options {
    tiny_options(SyncPolicy::Never)
}

fn interval() -> Options {
    tiny_options(SyncPolicy::Interval(Duration::from_millis(200)))
}

fn unlogged() -> Options {
    Options { wal_enabled: false, ..never() }
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(format!("ESKER_CRASH_{name}")) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    }
}

fn cases<S: Store>(options: &Options, stride: u64) -> impl Iterator<Item = Case> {
    let first = setting("SEED", 1);
    let steps = setting("STEPS", 30);
    let start = Case::new::<S>(options.clone(), Vec::new());
    let stride = usize::try_from(setting("STRIDE", stride).max(1)).expect("fits");
    (first..first + setting("SEEDS", 1)).map(move |seed| Case {
        name: format!("random workload of {steps} steps"),
        seed,
        steps: workload::random(seed, steps),
        effort: Effort {
            stride,
            exhaustive_max: 16,
            corners_max: 8,
            samples: 1,
            ..Effort::default()
        },
        ..start.clone()
    })
}

fn power_cuts<S: Store>(options: &Options, stride: u64) {
    for case in cases::<S>(options, stride) {
        let seed = case.seed;
        println!("power cuts, seed {seed}: {}", Explorer::<S>::new(case).power_cuts());
    }
}

fn faults<S: Store>(options: &Options, fault: Fault, lasting: bool, stride: u64) {
    for case in cases::<S>(options, stride) {
        let seed = case.seed;
        let counts = Explorer::<S>::new(case).faults(fault, lasting);
        println!("{fault:?}, seed {seed}: {counts}");
    }
}

/// A store that is being made, from an empty disk.
fn creation<S: Store>() -> Counts {
    let case = Case {
        start: SimFs::new(),
        steps: workload::random(setting("SEED", 1), 3),
        ..Case::new::<S>(always(), Vec::new())
    };
    let mut counts = Explorer::<S>::new(case.clone()).power_cuts();
    counts += Explorer::<S>::new(case).faults(Fault::Errno(errno::EIO), false);
    println!("creation: {counts}");
    counts
}

#[test]
fn power_cuts_when_every_commit_is_synced() {
    power_cuts::<Db>(&always(), 1);
}

#[test]
fn power_cuts_when_commits_are_synced_now_and_then() {
    power_cuts::<Db>(&interval(), 1);
}

#[test]
fn power_cuts_when_commits_are_not_synced() {
    power_cuts::<Db>(&never(), 1);
}

#[test]
fn power_cuts_without_a_log() {
    power_cuts::<Db>(&unlogged(), 1);
}

/// As the others, with the engine's own threads at work: another order of
/// calls in each run.
#[test]
fn power_cuts_with_threads() {
    for options in [always(), interval(), never()] {
        for case in cases::<Db>(&options, 8) {
            let case = Case { threads: true, ..case };
            println!("with threads: {}", Explorer::<Db>::new(case).power_cuts());
        }
    }
}

#[test]
fn crashes_while_a_database_is_made() {
    creation::<Db>();
}

#[test]
fn every_call_fails_once() {
    faults::<Db>(&always(), Fault::Errno(errno::EIO), false, 1);
    faults::<Db>(&never(), Fault::Errno(errno::ENOSPC), false, 1);
}

#[test]
fn every_call_is_the_last_to_succeed() {
    faults::<Db>(&always(), Fault::Errno(errno::ENOSPC), true, 2);
    faults::<Db>(&never(), Fault::Errno(errno::EIO), true, 2);
}

#[test]
fn short_and_interrupted_calls_show_nowhere() {
    faults::<Db>(&always(), Fault::Interrupted, false, 3);
    faults::<Db>(&always(), Fault::Short, false, 3);
    faults::<Db>(&always(), Fault::Short, true, 50);
}

/// One seed is one run, byte for byte: the calls, their order, what is on the
/// disk at the end, and what every model would leave of it.
#[test]
fn one_seed_is_one_run() {
    let run = |seed: u64| {
        let fs = SimFs::with_seed(seed);
        fs.set_threads(false);
        fs.set_trace(true);
        run::<Db>(&fs, &interval(), &workload::random(seed, 60), Mode::Flawless);
        let image = fs.crash_image(&CrashModel::Scattered { seed });
        (fs.trace(), fs.content_hash(), image.content_hash())
    };
    for seed in 0..20 {
        let (first, second) = (run(seed), run(seed));
        let apart = first.0.iter().zip(&second.0).find(|(a, b)| a != b);
        assert_eq!(apart, None, "seed {seed}: the calls differ");
        assert_eq!(first, second, "seed {seed}");
    }
    assert_ne!(run(0).1, run(1).1);
}

mod self_test {
    //! The harness finds what it is there to find, and nothing in a sound store.

    use super::*;

    fn finds<const MISTAKE: u8>() -> bool {
        type Check = fn();
        let checks: [Check; 5] = [
            || power_cuts::<Toy<MISTAKE>>(&always(), 1),
            || power_cuts::<Toy<MISTAKE>>(&never(), 1),
            || faults::<Toy<MISTAKE>>(&always(), Fault::Errno(errno::EIO), false, 1),
            || faults::<Toy<MISTAKE>>(&never(), Fault::Errno(errno::ENOSPC), false, 1),
            || faults::<Toy<MISTAKE>>(&always(), Fault::Short, false, 1),
        ];
        checks.iter().any(|check| catch_unwind(check).is_err())
    }

    #[test]
    fn a_sound_store_passes() {
        assert!(!finds::<{ toy::SOUND }>());
        creation::<Toy<{ toy::SOUND }>>();
        power_cuts::<Toy<{ toy::SOUND }>>(&interval(), 1);
        power_cuts::<Toy<{ toy::SOUND }>>(&unlogged(), 1);
        faults::<Toy<{ toy::SOUND }>>(&always(), Fault::Errno(errno::ENOSPC), true, 1);
        faults::<Toy<{ toy::SOUND }>>(&always(), Fault::Interrupted, false, 1);
    }

    /// However few images there are: the deeper levels were sampled by the number
    /// of all images, and in a short exploration none was ever due.
    #[test]
    fn recovery_is_crashed_three_deep() {
        let effort = Effort { stride: 5, samples: 1, ..Effort::default() };
        let case = Case { effort, ..Case::new::<Db>(always(), workload::random(1, 6)) };
        let counts = Explorer::<Db>::new(case).power_cuts();
        assert!(counts.recoveries.iter().all(|n| *n > 0), "{counts}");
    }

    /// A sync that failed was tried again and believed. Before the harness looked,
    /// it had let the store write everything anew, which made up for it.
    #[test]
    fn a_loss_is_found_before_the_store_has_made_up_for_it() {
        type Forgetful = Toy<{ toy::RETRIES_FAILED_SYNCS }>;
        let set = vec![Step::commit(vec![Op::put("a", "1")])];
        let case = Case::new::<Forgetful>(always(), set);
        let explore = || Explorer::<Forgetful>::new(case).faults(Fault::Errno(errno::EIO), false);
        assert!(catch_unwind(AssertUnwindSafe(explore)).is_err());
    }

    #[test]
    fn each_planted_mistake_is_found() {
        assert!(finds::<{ toy::ACKNOWLEDGES_BEFORE_SYNC }>());
        assert!(finds::<{ toy::FORGETS_DIRECTORY_SYNC }>());
        assert!(finds::<{ toy::FORGETS_CHECKSUMS }>());
        assert!(finds::<{ toy::SPLITS_BATCHES }>());
        assert!(finds::<{ toy::RETRIES_FAILED_SYNCS }>());
        assert!(finds::<{ toy::TRUSTS_THE_PAGE_CACHE }>());
        assert!(finds::<{ toy::REMOVES_BEFORE_SYNC }>());
        assert!(finds::<{ toy::WRITES_AFTER_A_PARTIAL_RECORD }>());
        assert!(finds::<{ toy::READS_SHORT }>());
        assert!(finds::<{ toy::TAKES_ZEROS_FOR_A_RECORD }>());
    }
}
