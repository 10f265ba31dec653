//! The workloads of the crash harness that have to do with backups, once without a crash: `tests/exhaustive.rs`
//! cuts the power and fails each call in them.

use esker::crashtest::{Mode, Step, run, tiny_options, workload};
use esker::sim::SimFs;
use esker::{Db, Options, SyncPolicy};

#[test]
fn backups_restores_and_checkpoints_without_a_fault() {
    let workloads = workload::small();
    let with_backups = workloads.iter().filter(|(_, steps)| {
        let is_one = |step: &Step| match step {
            Step::Maintain(task) => task == "checkpoint",
            Step::Backup | Step::BeginChain => true,
            _ => false,
        };
        steps.iter().any(is_one)
    });
    let mut count = 0;
    for (name, steps) in with_backups {
        count += 1;
        for wal_enabled in [true, false] {
            for threads in [false, true] {
                println!("{name}, log: {wal_enabled}, threads: {threads}");
                let fs = SimFs::new();
                fs.set_threads(threads);
                let options = Options { wal_enabled, ..tiny_options(SyncPolicy::Always) };
                run::<Db>(&fs, &options, steps, Mode::Flawless);
            }
        }
    }
    assert_eq!(count, 6);
}
