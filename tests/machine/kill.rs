//! kill -9 at random moments: a child with sixteen writers (single writes,
//! deletes, entries with a time to live, batches), readers, and threads that
//! flush, persist and reopen is killed with SIGKILL, at work or while it
//! recovers from the last time. Then all that was acknowledged must be there,
//! as a prefix of the commit order, batches whole, and deleted keys gone.
//!
//! The number of kills a policy is `ESKER_KILLS`, the seed of the moments
//! `ESKER_SEED`; it is printed.

mod child;
mod judge;
mod line;
mod process;
mod workload;

use child::{Job, POLICIES};
use esker::Db;
use judge::{Counts, Ledger, Survives};
use line::{Line, Micros};
use process::{Moment, Stage, run_until};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use workload::{Dice, filter, number};

const KILLS: u64 = 60;
/// After so many kills the next child starts with a fresh directory.
const KILLS_A_DIRECTORY: u64 = 12;

fn main() {
    if let Some(job) = Job::from_environment() {
        child::run(&job);
        return;
    }
    let kills = number("ESKER_KILLS").unwrap_or(KILLS);
    let seed = number("ESKER_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("kill -9: {kills} kills a policy, ESKER_SEED={seed}");
    let mut dice = Dice(seed);
    let filter = filter();
    let policies = POLICIES.into_iter().filter(|policy| policy.contains(&filter));
    let mut passed = 0;
    for policy in policies {
        let mut done = 0;
        let mut in_recovery = 0;
        let mut counts = Counts::default();
        while done < kills {
            let dir = directory(done / KILLS_A_DIRECTORY);
            let mut ledger = Ledger::new();
            let last = kills.min(done + KILLS_A_DIRECTORY);
            while done < last {
                done += 1;
                kill_at_work(dir.path(), policy, &mut dice, &mut ledger);
                while dice.once_in(3) && done < last {
                    done += 1;
                    in_recovery += kill_in_recovery(dir.path(), policy, &mut dice, &mut ledger);
                }
                counts.add(&check(dir.path(), policy, &mut dice, &mut ledger));
            }
        }
        println!(
            "test {policy}: {done} kills, {in_recovery} of them in recovery; {} acknowledged \
             operations, none lost ... ok",
            counts.acknowledged
        );
        passed += 1;
    }
    println!("{passed} passed, 0 failed");
}

/// A directory on the disk, or, every second time, in memory if there is plenty:
/// where syncs cost nothing the child comes much further before it dies.
fn directory(number: u64) -> TempDir {
    const MEMORY: &str = "/dev/shm";
    let df = Command::new("df").args(["-k", "--output=avail", MEMORY]).output();
    let free_kib = df.ok().and_then(|df| {
        String::from_utf8_lossy(&df.stdout).lines().last()?.trim().parse::<u64>().ok()
    });
    let has_room = free_kib.is_some_and(|free| free > 512 << 10);
    // It may be closed to us.
    let in_memory = (number % 2 == 1 && has_room).then(|| tempfile::tempdir_in(MEMORY).ok());
    in_memory.flatten().unwrap_or_else(|| tempfile::tempdir().expect("a directory"))
}

fn job(dir: &Path, policy: &'static str, dice: &mut Dice, ledger: &Ledger) -> Job {
    let seed = dice.below(u64::MAX);
    Job { dir: dir.into(), only_recover: false, policy, next: ledger.next(), seed }
}

fn kill_at_work(dir: &Path, policy: &'static str, dice: &mut Dice, ledger: &mut Ledger) {
    let job = job(dir, policy, dice, ledger);
    let moment = Moment {
        stage: if dice.once_in(5) { Stage::Ready } else { Stage::Open },
        acks: dice.below(1_500),
        within: Duration::from_millis(150),
        pause: Duration::from_micros(dice.below(2_000)),
    };
    ledger.take(said(run_until(&job, &moment, |_| ())));
}

/// Kills a child while it opens the database, or, one time in a few, just after;
/// returns how many were killed in time.
fn kill_in_recovery(dir: &Path, policy: &'static str, dice: &mut Dice, ledger: &mut Ledger) -> u64 {
    let job = Job { only_recover: true, ..job(dir, policy, dice, ledger) };
    let pause = Duration::from_micros(dice.below(8_000));
    let moment = Moment { stage: Stage::Ready, acks: 0, within: Duration::ZERO, pause };
    let lines = said(run_until(&job, &moment, |_| ()));
    let in_time = !lines.iter().any(|line| matches!(line, Line::Shown(_)));
    ledger.take(lines);
    u64::from(in_time)
}

/// All that a child said: what was written before it was killed is with the system, whenever it was said.
fn said(lines: Vec<(Micros, Line)>) -> Vec<Line> {
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Opens what is left, twice, and checks it.
fn check(dir: &Path, policy: &'static str, dice: &mut Dice, ledger: &mut Ledger) -> Counts {
    let options = job(dir, policy, dice, ledger).options();
    let db = Db::open(dir, options.clone()).expect("opens after a kill");
    let counts = ledger.judge(&db, Survives::Acknowledged);
    assert_eq!(counts.lost, 0);
    if dice.once_in(2) {
        db.close().expect("closes");
    }
    drop(db);
    let db = Db::open(dir, options).expect("opens once more");
    let again = ledger.judge(&db, Survives::Acknowledged);
    assert_eq!(again.acknowledged, 0, "it was all settled before");
    counts
}
