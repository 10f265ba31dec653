//! Power cuts on real file systems: ext4 in its three modes, and xfs.
//!
//! A child works on a database with many threads; at a random moment its file
//! system is shut down without its journal being flushed, so that what no sync
//! had put on the disk is gone; the child is killed, the file system mounted
//! anew (which replays its journal), and the database opened and judged: all
//! that was acknowledged as durable is there, and the whole is a prefix of the
//! commit order. Often the next power cut comes while the database recovers; and
//! often what is left is first mounted for reading only, where a reader must
//! show what the writer then recovers, and a writer is refused.
//!
//! What this is about is the file system: what it makes of the order of our
//! calls, and what its journal brings back. It is not about the disk: a loop
//! device writes into the page cache of the file below, which no cut here
//! touches, so a file system that forgot to flush the disk's own cache would
//! not be found out.
//!
//! `ESKER_POWER_ROUNDS` is the number of rounds for each file system,
//! `ESKER_SEED` the seed; it is printed. It needs root on Linux with mkfs, loop
//! devices and perl; what cannot run is named with the reason.

mod child;
mod command_line;
mod ground;
mod judge;
mod line;
mod process;
mod workload;
mod writeback;

use child::{Job, POLICIES};
use esker::{Db, Error};
use ground::{Disk, Ground, Kind, Mounted, Skipped};
use judge::{Counts, Ledger, Survives};
use line::{Ack, Line, Micros};
use process::{Moment, Stage, run_until};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;
use workload::{Dice, filter, number};
use writeback::Writeback;

const ROUNDS: u64 = 18;
/// After so many rounds a database has grown old, and a new file system is made.
const ROUNDS_A_DISK: u64 = 6;

// `max_batch_time=0`: a sync does not wait for those of other threads to share
// a commit of the journal with; more happens between two power cuts.
const EXT4: &[&str] = &["-q", "-F", "-E", "lazy_itable_init=1", "-J", "size=8"];
const KINDS: [Kind; 4] = [
    Kind { name: "ext4", mkfs: EXT4, options: "data=ordered,max_batch_time=0" },
    // Without delayed allocation a file's size and blocks are in the journal
    // long before its data is on the disk.
    Kind { name: "ext4", mkfs: EXT4, options: "data=writeback,nodelalloc,max_batch_time=0" },
    Kind { name: "ext4", mkfs: EXT4, options: "data=journal,max_batch_time=0" },
    Kind { name: "xfs", mkfs: &["-q", "-f"], options: "rw" },
];

fn main() -> ExitCode {
    if let Some(job) = Job::from_environment() {
        child::run(&job);
        return ExitCode::SUCCESS;
    }
    let ground = match ground::enter() {
        Ok(ground) => ground,
        Err(Skipped(why)) => {
            println!("power cuts: skipped: {why}");
            return ExitCode::SUCCESS;
        }
    };
    let rounds = number("ESKER_POWER_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("ESKER_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("power cuts: {rounds} rounds a file system, ESKER_SEED={seed}");
    let filter = filter();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (kind, salt) in KINDS.iter().zip(1..) {
        if !kind.to_string().contains(&filter) {
            continue;
        }
        let mut dice = Dice(seed.wrapping_mul(salt));
        // One file system's failure does not hide another's.
        match catch_unwind(AssertUnwindSafe(|| test(&ground, kind, rounds, &mut dice))) {
            Ok(Ok(())) => passed += 1,
            Ok(Err(Skipped(why))) => {
                println!("test {kind}: skipped: {why}");
                skipped += 1;
            }
            Err(_its_message_is_printed) => {
                println!("test {kind} ... FAILED (ESKER_SEED={seed})");
                failed += 1;
            }
        }
    }
    let name = "the command line";
    if name.contains(&filter) {
        match catch_unwind(AssertUnwindSafe(|| command_line::test(&ground, &KINDS[0]))) {
            Ok(Ok(())) => {
                println!("test {name}: a write of unknown outcome is exit code 7 ... ok");
                passed += 1;
            }
            Ok(Err(Skipped(why))) => {
                println!("test {name}: skipped: {why}");
                skipped += 1;
            }
            Err(_its_message_is_printed) => {
                println!("test {name} ... FAILED");
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    ExitCode::from(u8::from(failed > 0))
}

#[derive(Default)]
struct Total {
    cuts: u64,
    in_recovery: u64,
    counts: Counts,
}

fn test(ground: &Ground, kind: &'static Kind, rounds: u64, dice: &mut Dice) -> Result<(), Skipped> {
    let mut total = Total::default();
    let mut done = 0;
    while done < rounds {
        let disk = match ground.make(kind) {
            Err(Skipped(why)) if done > 0 => panic!("it could be made before: {why}"),
            made => made?,
        };
        let mut ledger = Ledger::new();
        for _ in 0..ROUNDS_A_DISK.min(rounds - done) {
            round(&disk, dice, &mut ledger, &mut total);
            done += 1;
        }
    }
    let Total { cuts, in_recovery, counts } = total;
    println!(
        "test {kind}: {cuts} power cuts, {in_recovery} of them in recovery; {} operations \
         acknowledged, {} as durable, none of these lost, {} of the others ... ok",
        counts.acknowledged, counts.durable, counts.lost
    );
    Ok(())
}

/// Power cuts while a child works, and perhaps while the next ones recover; then a check.
fn round(disk: &Disk, dice: &mut Dice, ledger: &mut Ledger, total: &mut Total) {
    let policy = POLICIES[usize::try_from(dice.below(3)).expect("small")];
    let moment = Moment {
        stage: if dice.once_in(6) { Stage::Ready } else { Stage::Open },
        acks: dice.below(2_000),
        within: Duration::from_millis(250),
        pause: Duration::from_micros(dice.below(2_000)),
    };
    total.cuts += 1;
    cut(disk, false, policy, &moment, dice, ledger);
    while dice.once_in(2) {
        let pause = Duration::from_micros(dice.below(8_000));
        let moment = Moment { stage: Stage::Ready, acks: 0, within: Duration::ZERO, pause };
        total.cuts += 1;
        let opened = cut(disk, true, policy, &moment, dice, ledger);
        total.in_recovery += u64::from(!opened);
    }
    if dice.once_in(2) {
        total.counts.add(&read_where_none_can_write(disk, policy, dice, ledger));
    }
    total.counts.add(&check(disk, policy, dice, ledger));
}

/// Mounts what is left for reading only, where a reader shows what the next writer will recover, and a
/// writer is refused.
fn read_where_none_can_write(
    disk: &Disk,
    policy: &'static str,
    dice: &mut Dice,
    ledger: &mut Ledger,
) -> Counts {
    let at = mounted(disk);
    at.become_read_only().unwrap_or_else(|Skipped(why)| panic!("{why}"));
    let options = job(&at, policy, dice, ledger).options();
    match Db::open(at.database(), options.clone()) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::ReadOnlyFilesystem => {}
        other => panic!("opened for writing where nobody can write: {other:?}"),
    }
    match Db::open_read_only(at.database(), options) {
        // The first power cut of a disk may come before there is a database. Had it been promised, the writer
        // that comes next would not find what had to survive.
        Err(Error::InvalidArgument { .. }) if ledger.next().iter().all(|next| *next == 0) => {
            Counts::default()
        }
        opened => {
            let db = opened.expect("opens for reading after a power cut");
            let counts = ledger.judge(&db, Survives::Durable);
            db.verify().expect("its tables are sound");
            counts
        }
    }
}

fn mounted(disk: &Disk) -> Mounted {
    disk.mount().unwrap_or_else(|Skipped(why)| panic!("it could be mounted before: {why}"))
}

fn job(at: &Mounted, policy: &'static str, dice: &mut Dice, ledger: &Ledger) -> Job {
    let (dir, seed) = (at.database(), dice.below(u64::MAX));
    Job { dir, only_recover: false, policy, next: ledger.next(), seed }
}

/// Starts a child, takes the power away at `moment`, and kills it. Returns whether its `open` showed anything.
fn cut(
    disk: &Disk,
    only_recover: bool,
    policy: &'static str,
    moment: &Moment,
    dice: &mut Dice,
    ledger: &mut Ledger,
) -> bool {
    let at = mounted(disk);
    let armed = at.arm().unwrap_or_else(|Skipped(why)| panic!("{why}"));
    let writeback = dice.once_in(2).then(|| Writeback::start(at.database(), dice.below(u64::MAX)));
    let aftermath_us = dice.below(5_000);
    let job = job(&at, policy, dice, ledger);
    let job = Job { only_recover, ..job };
    let mut cut_at = Micros::now();
    let lines = run_until(&job, moment, |may_fail| {
        may_fail.store(true, Ordering::SeqCst);
        cut_at = Micros::now();
        armed.cut().unwrap_or_else(|Skipped(why)| panic!("{why}"));
        // Some children see their calls fail before they die, and some do not.
        sleep(Duration::from_micros(aftermath_us));
    });
    drop(writeback);
    let shown = lines.iter().any(|(_, line)| matches!(line, Line::Shown(_)));
    ledger.take(heard(lines, cut_at));
    shown
}

/// What the child said, without what it promised when the power was going or gone.
///
/// Nobody hears such promises of a machine without power, and they need not be true: ext4 lets a sync that is
/// waiting for a commit of the journal succeed when the shutdown ends that commit instead. Once, on a
/// busy machine, such syncs were taken for losses.
fn heard(lines: Vec<(Micros, Line)>, cut_at: Micros) -> Vec<Line> {
    let heard = |(at, line): (Micros, Line)| match line {
        line if at < cut_at => Some(line),
        Line::Ack(ack) => Some(Line::Ack(Ack { is_durable: false, ..ack })),
        Line::Durable(_) | Line::Shown(_) => None,
        line => Some(line),
    };
    lines.into_iter().filter_map(heard).collect()
}

/// Opens what is left, twice, and checks it.
fn check(disk: &Disk, policy: &'static str, dice: &mut Dice, ledger: &mut Ledger) -> Counts {
    let at = mounted(disk);
    let options = job(&at, policy, dice, ledger).options();
    let db = Db::open(at.database(), options.clone()).expect("opens after a power cut");
    let counts = ledger.judge(&db, Survives::Durable);
    db.verify().expect("its tables are sound");
    if dice.once_in(2) {
        db.close().expect("closes");
    }
    drop(db);
    let db = Db::open(at.database(), options).expect("opens once more");
    ledger.judge(&db, Survives::Durable);
    drop(db);
    if dice.once_in(2) {
        // What an open has shown stays, whatever comes next.
        at.arm().and_then(|armed| armed.cut()).unwrap_or_else(|Skipped(why)| panic!("{why}"));
    }
    counts
}
