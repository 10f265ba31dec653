//! Large values that are overwritten, deleted and expire, and the collection of what they
//! leave; then, in every fourth input, the same with the power cut in one of its calls.
//!
//! After every collection, and in the end: each value is read right, by gets and by
//! scans, in every snapshot that is held too; so are iterators that were begun before;
//! what lives is, to the byte, what is accounted for; no file is left over; the disk
//! holds no more than `space_amp_max` allows.

mod acts;

use crate::disk::files;
use crate::input::of_noise;
use crate::machine::Machine;
use crate::ops::{NOTHING, all_that_follow, case, listed, read};
use acts::{Act, Setup, key, keys, time};
use arbitrary::{Arbitrary, Unstructured};
use esker::crashtest::{Explorer, Failure, Op, Seen, Step, Store};
use esker::sim::SimFs;
use esker::{Compression, Db, Options, Snapshot, VerifyOptions};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::ControlFlow;

/// At most so many acts of an input are run.
const ACTS_MAX: usize = 48;

/// Files are collected on demand from so many percent of garbage on, unless an option says less.
const WORTH_PERCENT_MIN: u64 = 5;

/// What stands beside a value in a file of values, at most: key, record, a place in the map.
const BESIDE_A_VALUE: u64 = 96;

/// Zeros ahead of the log's records; header, footer and map of each file.
const AHEAD: u64 = 256 << 10;
const BESIDE_THE_VALUES: u64 = 4096;

/// The `number`th act.
fn perform(machine: &mut Machine, number: u64, act: &Act) {
    let db = machine.db();
    match act {
        Act::Write(..) | Act::Fill(..) | Act::Clear(..) => {
            let sync = if let Act::Write(_, sync) = act { *sync } else { None };
            let threshold = machine.options().value_threshold;
            machine.commit(&act.ops(number, threshold), sync);
        }
        Act::Persist => db.persist().expect("persist"),
        Act::Flush => {
            db.flush().expect("flush");
            assert_bounded(machine);
        }
        Act::Compact => {
            db.compact().expect("compact");
            assert_lives(machine);
        }
        Act::CompactRange(from, to) => {
            db.compact_range(key(*from)..=key(*to)).expect("compact");
        }
        Act::Collect => collect(machine),
        Act::Snapshot => machine.take_snapshot(),
        Act::Forget => machine.drop_snapshot(),
        Act::Hold => machine.hold_iterator(),
        Act::Finish => machine.finish_iterator(),
        Act::Advance(ms) => machine.advance(time(*ms)),
        Act::StepBack(ms) => machine.step_back(time(*ms)),
        Act::Reopen => machine.reopen(),
        Act::Abandon => machine.abandon(number),
    }
}

/// Collects, and looks at everything that must then be so.
fn collect(machine: &mut Machine) {
    let before = machine.db().metrics().values;
    let collected = machine.db().collect_garbage().expect("collect");
    let after = machine.db().metrics().values;
    let freed = before.stored_bytes - after.stored_bytes;
    assert_eq!(collected.freed_bytes, freed, "{collected:?}, and {before:?} became {after:?}");
    let garbage = after.stored_bytes - after.live_bytes;
    let percent = u64::from(machine.options().value_garbage_percent).min(WORTH_PERCENT_MIN);
    assert!(garbage * 100 <= after.stored_bytes * percent, "garbage was left: {after:?}");
    assert_sound(machine);
    machine.get_all(&keys());
}

/// Everything verifies, what lives is recounted, and no file is left over but for who reads it.
fn assert_sound(machine: &Machine) {
    let go_on = |_| ControlFlow::Continue(());
    let report = machine.db().verify_with(VerifyOptions::default(), go_on).expect("verify");
    assert!(report.is_sound() && report.is_complete, "{report}");
    let (_, iterators) = machine.readers();
    assert!(iterators > 0 || report.findings.is_empty(), "{report}");
}

/// After all is merged, what lives is what the model has, and no more.
fn assert_lives(machine: &mut Machine) {
    // An iterator holds a snapshot, too.
    if machine.readers() != (0, 0) {
        return;
    }
    let alive = machine.seen();
    let threshold = machine.options().value_threshold;
    let bytes = |value: &[u8]| if value.len() < threshold { 0 } else { value.len() as u64 };
    let least: u64 = alive.iter().map(|(_, value)| bytes(value)).sum();
    // What has expired may be kept for a while.
    let most: u64 = machine.model().entries().map(|(_, value)| bytes(value)).sum();
    let live = machine.db().metrics().values.live_bytes;
    assert!(live <= most, "{live} bytes live, of {most} at most");
    if machine.options().compression == Compression::None {
        assert!(live >= least, "{live} bytes live, of {least} at least");
    }
}

/// After a flush, where nobody reads old files, the disk holds what `space_amp_max` allows.
fn assert_bounded(machine: &Machine) {
    let options = machine.options();
    let (_, iterators) = machine.readers();
    if !options.auto_compaction || iterators > 0 {
        return;
    }
    let values = machine.db().metrics().values;
    let allowed = (values.live_bytes as f64 * options.space_amp_max).ceil();
    let log_file_bytes = options.log_file_bytes.min(options.log_replay_bytes_max / 2);
    let stored = values.stored_bytes.saturating_sub(log_file_bytes);
    assert!(stored as f64 <= allowed, "beyond the bound: {values:?}");
    let files = files(machine.fs()).expect("no call fails here");
    let is_of_values = |name: &str| name.ends_with(".log") || name.ends_with(".val");
    let of_values = files.iter().filter(|(name, _)| is_of_values(name));
    let disk: u64 = of_values.map(|(_, bytes)| bytes.len() as u64).sum();
    // A value is no smaller than the threshold, compressed ones aside.
    let beside =
        values.stored_bytes / 32 * BESIDE_A_VALUE + values.files as u64 * BESIDE_THE_VALUES;
    let slack = (2 * options.log_file_bytes + AHEAD + beside) as f64;
    assert!(disk as f64 <= allowed + slack, "{disk} bytes on the disk: {values:?}");
}

/// The engine, verified whenever it is opened, with the tasks of this target.
struct Verified {
    db: Db,
    snapshots: RefCell<VecDeque<Snapshot>>,
}

impl Store for Verified {
    fn open(fs: &SimFs, options: &Options) -> Result<Self, Failure> {
        let db = <Db as Store>::open(fs, options)?;
        db.verify()?;
        Ok(Verified { db, snapshots: RefCell::default() })
    }

    fn commit(&self, ops: &[Op], sync: Option<bool>) -> Result<(), Failure> {
        self.db.commit(ops, sync)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        Store::get(&self.db, key)
    }

    fn scan(&self) -> Result<Seen, Failure> {
        self.db.scan()
    }

    fn persist(&self) -> Result<(), Failure> {
        Store::persist(&self.db)
    }

    fn flush(&self) -> Result<(), Failure> {
        Store::flush(&self.db)
    }

    fn maintain(&self, task: &str) -> Result<(), Failure> {
        let mut snapshots = self.snapshots.borrow_mut();
        let range = task.strip_prefix("compact ").and_then(|range| range.split_once(".."));
        match (task, range) {
            ("snapshot", _) => snapshots.push_back(self.db.snapshot()),
            ("forget", _) => drop(snapshots.pop_front()),
            (_, Some((from, to))) => self.db.compact_range(from..=to)?,
            _ => self.db.maintain(task)?,
        }
        Ok(())
    }

    fn close(self) -> Result<(), Failure> {
        let Verified { db, snapshots } = self;
        drop(snapshots);
        Store::close(db)
    }
}

/// Where the power is cut.
#[derive(Debug, Clone, Copy, Arbitrary)]
struct Cut {
    seed: u16,
    nth: u16,
}

#[derive(Debug)]
struct Plan {
    cut: Option<Cut>,
    setup: Setup,
    acts: Vec<Act>,
}

impl<'a> Arbitrary<'a> for Plan {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        // It takes ten times as long.
        let is_cut = u8::arbitrary(u)? % 4 == 1;
        let cut = is_cut.then(|| u.arbitrary()).transpose()?;
        Ok(Plan { cut, setup: u.arbitrary()?, acts: all_that_follow(u, ACTS_MAX)? })
    }
}

impl Plan {
    fn steps(&self) -> Vec<Step> {
        let threshold = self.setup.options().value_threshold;
        let acts = (1..).zip(&self.acts);
        acts.flat_map(|(number, act)| act.steps(number, threshold)).collect()
    }
}

/// Asserts all of it.
///
/// # Panics
/// When something of it does not hold.
pub fn check(data: &[u8]) {
    let Some(plan) = read::<Plan>(data) else { return };
    let mut machine = Machine::new(plan.setup.options());
    (1..).zip(&plan.acts).for_each(|(number, act)| perform(&mut machine, number, act));
    machine.db().flush().expect("flush");
    assert_bounded(&machine);
    collect(&mut machine);
    if let Some(Cut { seed, nth }) = plan.cut {
        let case = case(plan.setup.options(), plan.steps(), u64::from(seed));
        let counts = Explorer::<Verified>::new(case).power_cut(u64::from(nth));
        assert!(counts.images > 0, "nothing was looked at");
    }
}

/// The run that an input stands for, and, where the power is cut in it, the steps of that.
#[must_use]
pub fn describe(data: &[u8]) -> String {
    let Some(plan) = read::<Plan>(data) else { return NOTHING.into() };
    let run = format!("options: {:#?}\nacts:\n{}", plan.setup.options(), listed(&plan.acts));
    let Some(Cut { seed, nth }) = plan.cut else { return run };
    format!("{run}seed: {seed}\npower_cut({nth})\nsteps:\n{}", listed(&plan.steps()))
}

/// Some runs.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    // The first byte of noise is 1: a power cut. Of the half of them it is taken away.
    let seed = |seed: u64| of_noise(seed, 240)[usize::from(seed.is_multiple_of(2))..].to_vec();
    (61..=68).map(seed).collect()
}
