//! Crash tests by contract: the power is cut in every call of a workload, and
//! every call fails; what is left must open, and must be the state after a
//! prefix of the commits with all that was promised in it.
//!
//! Environment, all optional:
//! - `ESKER_CRASH_SEED`: where the seeds begin (default 1); one that failed is
//!   printed and replays from here;
//! - `ESKER_CRASH_SEEDS`: how many workloads a test runs (default 1);
//! - `ESKER_CRASH_STEPS`: how long they are (default 30);
//! - `ESKER_CRASH_STRIDE`: every so-manieth call is struck (default 1, more in
//!   the longer tests);
//! - `ESKER_CRASH_NESTED`: every so-manieth distinct image has its recovery
//!   crashed too, two deep (default 200).
//!
//! The engine's threads make the order of its calls vary from run to run: the
//! checks are by the contract alone, and a seed narrows a failure down without
//! pinning it.

mod driver;
mod engine;
mod explore;
mod history;
mod store;
mod toy;
mod watch;
mod workload;

use driver::Mode;
use esker::SyncPolicy;
use esker::sim::{CrashModel, Fault, SimFs};
use explore::{Case, Explorer};
use std::time::Duration;
use store::{Setup, Store};
use toy::Toy;
use workload::Step;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

const ALWAYS: Setup = Setup { policy: SyncPolicy::Always, wal_enabled: true };
const NEVER: Setup = Setup { policy: SyncPolicy::Never, wal_enabled: true };
const INTERVAL: Setup =
    Setup { policy: SyncPolicy::Interval(Duration::from_millis(200)), wal_enabled: true };
const UNLOGGED: Setup = Setup { policy: SyncPolicy::Never, wal_enabled: false };

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(format!("ESKER_CRASH_{name}")) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    }
}

fn stride(default: u64) -> usize {
    usize::try_from(setting("STRIDE", default).max(1)).expect("fits")
}

/// A disk on which the store was created and closed: every run on a copy of it
/// works with one database, so that equal images are found to be equal.
fn created<S: Store>(setup: Setup) -> SimFs {
    let fs = SimFs::new();
    driver::run::<S>(&fs, setup, &[Step::Reopen], Mode::Flawless);
    fs.crash_image(&CrashModel::Everything)
}

fn cases<S: Store>(setup: Setup, stride: usize) -> impl Iterator<Item = Case> {
    let first = setting("SEED", 1);
    let start = created::<S>(setup);
    (first..first + setting("SEEDS", 1)).map(move |seed| Case {
        seed,
        setup,
        start: start.clone(),
        steps: workload::generate(seed, setting("STEPS", 30)),
        stride,
        nested_every: setting("NESTED", 200).max(1),
    })
}

fn power_cuts<S: Store>(setup: Setup, stride_default: u64) {
    for case in cases::<S>(setup, stride(stride_default)) {
        let seed = case.seed;
        println!("{setup:?}, seed {seed}: {:?}", Explorer::<S>::new(case).power_cuts());
    }
}

fn faults<S: Store>(setup: Setup, fault: Fault, lasting: bool, stride_default: u64) {
    for case in cases::<S>(setup, stride(stride_default)) {
        let seed = case.seed;
        let counts = Explorer::<S>::new(case).faults(fault, lasting);
        println!("{setup:?}, {fault:?}, seed {seed}: {counts:?}");
    }
}

fn creation<S: Store>() {
    let case = Case {
        seed: setting("SEED", 1),
        setup: ALWAYS,
        start: SimFs::new(),
        steps: workload::generate(setting("SEED", 1), 3),
        stride: 1,
        nested_every: 10,
    };
    println!("creation: {:?}", Explorer::<S>::new(case.clone()).power_cuts());
    println!("creation: {:?}", Explorer::<S>::new(case).faults(Fault::Errno(EIO), false));
}

mod self_test {
    //! The harness finds what it is there to find, and nothing in a sound store.

    use super::*;
    use std::panic::catch_unwind;

    fn finds<const MISTAKE: u8>() -> bool {
        type Check = fn();
        let checks: [Check; 5] = [
            || power_cuts::<Toy<MISTAKE>>(ALWAYS, 1),
            || power_cuts::<Toy<MISTAKE>>(NEVER, 1),
            || faults::<Toy<MISTAKE>>(ALWAYS, Fault::Errno(EIO), false, 1),
            || faults::<Toy<MISTAKE>>(NEVER, Fault::Errno(ENOSPC), false, 1),
            || faults::<Toy<MISTAKE>>(ALWAYS, Fault::Short, false, 1),
        ];
        checks.iter().any(|check| catch_unwind(check).is_err())
    }

    #[test]
    fn a_sound_store_passes() {
        assert!(!finds::<{ toy::SOUND }>());
        creation::<Toy<{ toy::SOUND }>>();
        power_cuts::<Toy<{ toy::SOUND }>>(INTERVAL, 1);
        power_cuts::<Toy<{ toy::SOUND }>>(UNLOGGED, 1);
        faults::<Toy<{ toy::SOUND }>>(ALWAYS, Fault::Errno(ENOSPC), true, 1);
        faults::<Toy<{ toy::SOUND }>>(ALWAYS, Fault::Interrupted, false, 1);
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
