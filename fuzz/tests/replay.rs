//! A run out of a crashing input, written out: the template for such tests. In
//! esker itself it stands in `tests/regressions.rs`, with the story of its bug.
//!
//! `cargo run --example plan_of -- ops_with_crash INPUT` prints the parts.

use esker::Db;
use esker::crashtest::workload::value;
use esker::crashtest::{Case, Explorer, Op, Step, tiny_options};
use esker::sim::{CallKind, Fault, FaultPlan, SimFs, errno};
use esker::{Compression, Options, SyncPolicy};
use std::time::Duration;

/// The options that are printed, as far as they differ from these.
fn options() -> Options {
    Options {
        block_bytes: 512,
        compression: Compression::None,
        ..tiny_options(SyncPolicy::Interval(Duration::from_millis(200)))
    }
}

/// The steps that are printed, less all that the failure does not need. A
/// `Commit` whose `sync` is `None` is `Step::commit`.
fn steps() -> Vec<Step> {
    vec![
        Step::commit(vec![Op::put("key07", value(0, 0, 40))]),
        Step::Commit { ops: vec![Op::delete("key07"), Op::put("key08", "v")], sync: Some(true) },
        Step::Flush,
        Step::Advance(Duration::from_millis(250)),
        Step::commit(vec![Op::put("key09", value(4, 0, 700))]),
        Step::Reopen,
        Step::Check,
    ]
}

/// As the fuzz targets run it: on an empty disk, with the input's seed.
fn case() -> Case {
    let seed = 7;
    let start = SimFs::with_seed(seed);
    start.set_threads(false);
    Case { seed, start, ..Case::new::<Db>(options(), steps()) }
}

/// `ops_with_crash`: `power_cut` with the number that is printed, or `power_cuts` for all.
#[test]
fn a_run_and_a_power_cut() {
    let counts = Explorer::<Db>::new(case()).power_cut(31);
    assert!(counts.images > 0, "nothing was looked at");
}

/// `ops_with_faults`: the plans that are printed.
#[test]
fn a_run_and_faults() {
    let plans = [
        FaultPlan::once(12, Fault::Errno(errno::ENOSPC)).only(CallKind::Write),
        FaultPlan::from_on(40, Fault::Errno(errno::EIO)),
    ];
    let counts = Explorer::<Db>::new(case()).with_plans(&plans);
    assert!(counts.images > 0, "nothing was looked at");
}
