//! What a run does: a list of steps, written out or made from a seed.

mod backups;
mod content;
mod imports;
mod transactions;
mod values;

use content::origin;
pub use content::{compressible_value, value};
use imports::{import_in_any_order, imports};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// One operation of a commit.
///
/// ```
/// use esker::crashtest::Op;
/// let op = Op::put("a", "1");
/// assert!(matches!(&op, Op::Put { value, ttl: None, .. } if value == b"1"));
/// assert_eq!(op.key(), Op::delete("a").key());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets a key.
    Put {
        /// The key.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
        /// How long it lives, in whole milliseconds; `None`: for ever.
        ttl: Option<Duration>,
    },
    /// Deletes a key.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
}

impl Op {
    /// Sets `key` to `value`, for ever.
    ///
    /// See the example of [`Op`].
    pub fn put(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Op::Put { key: key.into(), value: value.into(), ttl: None }
    }

    /// The key that it writes.
    ///
    /// See the example of [`Op`].
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match self {
            Op::Put { key, .. } | Op::Delete { key } => key,
        }
    }

    /// Deletes `key`.
    ///
    /// See the example of [`Op`].
    pub fn delete(key: impl Into<Vec<u8>>) -> Self {
        Op::Delete { key: key.into() }
    }
}

// As it is written in Rust, and a value by the call that makes it: whole, one
// batch of a printed run fills the screen many times.
impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Delete { key } => write!(f, "delete({:?})", Bytes(key)),
            Op::Put { key, value, ttl } => {
                write!(f, "put({:?}, {:?}", Bytes(key), Bytes(value))?;
                ttl.map_or(Ok(()), |ttl| write!(f, ", ttl: {ttl:?}"))?;
                f.write_str(")")
            }
        }
    }
}

struct Bytes<'a>(&'a [u8]);

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bytes(bytes) = self;
        match origin(bytes) {
            Some(call) => f.write_str(&call),
            None => write!(f, "\"{}\"", bytes.escape_ascii()),
        }
    }
}

/// One step of a workload.
///
/// ```
/// use esker::crashtest::{Mode, Op, Step, run, tiny_options};
/// use esker::{Db, SyncPolicy, sim::SimFs};
/// let steps = [
///     Step::commit(vec![Op::put("a", "1"), Op::put("b", "2")]),
///     Step::Flush,
///     Step::commit(vec![Op::delete("a")]),
///     Step::Abandon, // As a process does that dies.
///     Step::Check,
/// ];
/// let fs = SimFs::new();
/// let history = run::<Db>(&fs, &tiny_options(SyncPolicy::Always), &steps, Mode::Flawless);
/// assert_eq!(history.live(0), [(b"b".to_vec(), b"2".to_vec())]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A commit, all or nothing.
    Commit {
        /// What is in it.
        ops: Vec<Op>,
        /// As in [`crate::WriteOptions`].
        sync: Option<bool>,
    },
    /// A transaction by the policy. It reads `keys` (of none: everything), then somebody else
    /// commits `between`, then it commits `ops`: unless `between` wrote what it read.
    Transact {
        /// What it reads.
        keys: Vec<Vec<u8>>,
        /// What is committed beside it; nothing, where there is none.
        between: Vec<Op>,
        /// What is in it.
        ops: Vec<Op>,
    },
    /// A bulk load, all or nothing: puts in ascending order of their keys, each once.
    Ingest(Vec<Op>),
    /// An import, all or nothing: puts in any order, whose keys are text and begin with `kv:` or, if
    /// they may expire, with `svc:`.
    Import(Vec<Op>),
    /// Make everything durable.
    Persist,
    /// Move what is in memory into its final files.
    Flush,
    /// Write a backup, in place of the one before.
    Backup,
    /// Restore the last backup, if there is one that was made without an error.
    Restore,
    /// Begin a chain with a full backup upon which increments can follow, in place of the one before.
    BeginChain,
    /// Write what has changed since the chain's last backup as its next, unless a restore came between.
    Increment,
    /// Restore the chain, if there is one.
    RestoreChain,
    /// Something that no reader sees: see [`Store::maintain`](super::Store::maintain).
    Maintain(String),
    /// Close the store and open it again.
    Reopen,
    /// Drop the store, as a dying process does, and open it again.
    Abandon,
    /// Read everything, and compare.
    Check,
    /// Let time pass.
    Advance(Duration),
}

impl Step {
    /// A commit of `ops`, by the policy.
    ///
    /// See the example of [`Step`].
    #[must_use]
    pub fn commit(ops: Vec<Op>) -> Self {
        Step::Commit { ops, sync: None }
    }
}

/// SplitMix64: the harness's own chance, apart from that of the file system.
#[derive(Debug, Clone)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// A place in a list of `len`.
    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }
}

const KEYS: u64 = 24;

/// `count` steps of every kind that `seed` decides, and a [`Step::Check`].
/// Every value is unlike every other, so that a state tells which commits made it.
///
/// ```
/// use esker::crashtest::workload;
/// // What a seed decides, it decides again.
/// assert_eq!(workload::random(7, 20), workload::random(7, 20));
/// assert_ne!(workload::random(7, 20), workload::random(8, 20));
/// ```
#[must_use]
pub fn random(seed: u64, count: u64) -> Vec<Step> {
    let mut dice = Dice(seed);
    let mut steps: Vec<Step> = (0..count).map(|number| step(&mut dice, number)).collect();
    steps.push(Step::Check);
    steps
}

/// Small workloads, by name, each short enough that its crashes can be gone
/// through one and all: single sets, deletes, batches, a batch larger than a
/// memtable, flushes, many reopens, time to live, log files that end, backups.
///
/// ```
/// use esker::crashtest::workload;
/// let small = workload::small();
/// let steps: usize = small.iter().map(|(_, steps)| steps.len()).sum();
/// assert!(small.iter().all(|(name, steps)| !name.is_empty() && !steps.is_empty()));
/// assert!(workload::complete().len() >= steps); // All of them, one after the other.
/// ```
#[must_use]
pub fn small() -> Vec<(&'static str, Vec<Step>)> {
    let mut small = vec![
        ("sets", vec![set("a", 1), set("b", 2), set("a", 3), Step::Check]),
        ("deletes", vec![set("a", 1), delete("a"), set("b", 2), delete("c"), Step::Persist]),
        ("batches", vec![batch(1, 3, 200), batch(2, 5, 900), Step::Check, batch(3, 2, 20)]),
        ("a large batch", vec![set("a", 1), batch(2, 30, 9000), set("a", 3), Step::Check]),
        ("flushes", vec![set("a", 1), Step::Flush, set("a", 2), delete("b"), Step::Flush]),
        ("tables on tables", tables_on_tables()),
        ("reopens", reopens()),
        ("time to live", time_to_live()),
        ("log files end", log_files_end()),
        ("synced now and then", synced_now_and_then()),
        ("compactions", compactions()),
        ("deletes reach the last level", deletes_reach_the_last_level()),
        ("an ingest into an empty store", ingest_into_an_empty_store()),
        ("ingests over what is there", ingests_over_what_is_there()),
        ("an ingest between commits", ingest_between_commits()),
        ("imports", imports()),
        ("an import in any order", import_in_any_order()),
        ("large values and their garbage", values::large_values()),
        ("garbage of garbage", values::garbage_of_garbage()),
        ("large values expire", values::large_values_expire()),
        ("transactions", transactions::transactions()),
    ];
    small.extend(backups::small());
    small
}

fn set(key: &str, number: u64) -> Step {
    Step::commit(vec![Op::put(key, value(number, 0, 30))])
}

fn delete(key: &str) -> Step {
    Step::commit(vec![Op::delete(key)])
}

fn batch(number: u64, count: u64, size: u64) -> Step {
    let put = |index: u64| Op::put(format!("k{:03}", index % 40), value(number, index, size));
    Step::commit((0..count).map(put).collect())
}

/// Like [`batch`], but every `apart`th key of 40: of several tables where it is large.
fn ingest(number: u64, count: u64, size: u64, apart: usize) -> Step {
    let put = |index: u64| Op::put(format!("k{index:03}"), value(number, index, size));
    Step::Ingest((0..count).step_by(apart).map(put).collect())
}

fn later(ms: u64) -> Step {
    Step::Advance(Duration::from_millis(ms))
}

fn tables_on_tables() -> Vec<Step> {
    vec![
        batch(1, 20, 100),
        Step::Flush,
        delete("k003"),
        batch(2, 4, 700),
        Step::Flush,
        set("k001", 3),
        Step::Maintain("verify".into()),
    ]
}

/// Five tables of level 0 are merged down, and others onto what came of them.
fn compactions() -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 1..=6 {
        steps.extend([batch(round, 6, 900), delete("k001"), set("a", round), Step::Flush]);
    }
    steps.extend([Step::Check, set("b", 9), Step::Maintain("compact".into()), set("c", 10)]);
    steps.push(Step::Maintain("verify".into()));
    steps
}

fn deletes_reach_the_last_level() -> Vec<Step> {
    let ttl = Some(Duration::from_secs(1));
    vec![
        batch(1, 30, 900),
        Step::Maintain("compact".into()),
        delete("k003"),
        Step::commit(vec![Op::Put { key: "k004".into(), value: value(2, 0, 20), ttl }]),
        Step::Flush,
        later(700_000),
        Step::Check,
        Step::Maintain("compact".into()),
        Step::Abandon,
        Step::commit((5..30).map(|n| Op::delete(format!("k{n:03}"))).collect()),
        Step::Flush,
        Step::Maintain("verify".into()),
    ]
}

fn ingest_into_an_empty_store() -> Vec<Step> {
    vec![ingest(1, 30, 1500, 1), Step::Check, set("k003", 2), Step::Check, Step::Reopen]
}

/// In memtables, in tables of level 0, and far below.
fn ingests_over_what_is_there() -> Vec<Step> {
    vec![
        batch(1, 20, 300),
        Step::Maintain("compact".into()),
        batch(2, 10, 300),
        Step::Flush,
        delete("k003"),
        set("k004", 3),
        ingest(4, 24, 900, 3),
        Step::Check,
        delete("k006"),
        ingest(5, 9, 100, 2),
        Step::Check,
        Step::Maintain("compact".into()),
        Step::Maintain("verify".into()),
        Step::Abandon,
        ingest(6, 40, 20, 1),
    ]
}

/// What is committed without a sync comes before it and after it.
fn ingest_between_commits() -> Vec<Step> {
    let unsynced = |key: &str, number| {
        let ops = vec![Op::put(key, value(number, 0, 30))];
        Step::Commit { ops, sync: Some(false) }
    };
    let ttl = Some(Duration::from_secs(1));
    let expiring = Op::Put { key: "k001".into(), value: value(4, 1, 30), ttl };
    vec![
        unsynced("k000", 1),
        unsynced("k001", 2),
        Step::Ingest(vec![Op::put("k000", value(3, 0, 30)), expiring]),
        unsynced("k000", 5),
        Step::Check,
        later(1000),
        Step::Check,
        unsynced("k002", 6),
        Step::Persist,
        ingest(7, 3, 30, 1),
        unsynced("k001", 8),
    ]
}

fn maintain(task: &str) -> Step {
    Step::Maintain(task.into())
}

fn reopens() -> Vec<Step> {
    vec![
        set("a", 1),
        Step::Reopen,
        set("b", 2),
        Step::Abandon,
        Step::Abandon,
        delete("a"),
        Step::Reopen,
        Step::Reopen,
        set("c", 3),
    ]
}

fn time_to_live() -> Vec<Step> {
    let for_a_second = |key: &str, number| {
        let ttl = Some(Duration::from_secs(1));
        Step::commit(vec![Op::Put { key: key.into(), value: value(number, 0, 20), ttl }])
    };
    vec![
        for_a_second("a", 1),
        set("b", 2),
        later(999),
        Step::Check,
        later(1),
        Step::Check,
        for_a_second("b", 3),
        Step::Flush,
        later(1000),
        Step::Check,
        Step::Abandon,
        Step::Reopen,
    ]
}

fn log_files_end() -> Vec<Step> {
    let batches = (1..=3).map(|number| batch(number, 9, 3000));
    batches.chain([Step::Persist, set("a", 4)]).collect()
}

fn synced_now_and_then() -> Vec<Step> {
    let commit = |key: &str, sync| {
        let ops = vec![Op::put(key, format!("{key}, synced: {sync}"))];
        Step::Commit { ops, sync: Some(sync) }
    };
    vec![
        commit("a", false),
        commit("b", false),
        commit("a", true),
        commit("c", false),
        later(500),
        set("d", 5),
        Step::Persist,
        set("e", 6),
    ]
}

/// All of [`small`] one after the other, on one store: every kind of thing that
/// a store does, once or more. What to fail the calls of.
///
/// See the example of [`small`].
#[must_use]
pub fn complete() -> Vec<Step> {
    let mut steps = Vec::new();
    for (_, part) in small() {
        steps.extend(part);
        steps.push(Step::Check);
    }
    steps
}

fn step(dice: &mut Dice, number: u64) -> Step {
    match dice.below(100) {
        0..45 => commit(dice, number, 1),
        45..60 => {
            let count = 2 + dice.below(8);
            commit(dice, number, count)
        }
        60..64 => large_batch(dice, number),
        64..68 => {
            let ttl = Duration::from_millis(500 + dice.below(4_000));
            let op = Op::Put { key: key(dice), value: value(number, 0, 40), ttl: Some(ttl) };
            Step::Commit { ops: vec![op], sync: None }
        }
        68..75 => Step::Persist,
        75..82 => Step::Flush,
        82..86 => Step::Reopen,
        86..90 => Step::Abandon,
        90..93 => Step::Check,
        93..95 => transactions::random(dice, number),
        95 => maintain("compact"),
        96 => maintain("collect garbage"),
        97 => random_ingest(dice, number),
        _ => Step::Advance(Duration::from_millis(dice.below(2_000))),
    }
}

fn commit(dice: &mut Dice, number: u64, count: u64) -> Step {
    let ops = (0..count).map(|index| op(dice, number, index)).collect();
    let sync = match dice.below(10) {
        0 => Some(true),
        1 => Some(false),
        _ => None,
    };
    Step::Commit { ops, sync }
}

fn op(dice: &mut Dice, number: u64, index: u64) -> Op {
    let key = key(dice);
    if dice.below(5) == 0 {
        return Op::Delete { key };
    }
    let size = match dice.below(10) {
        0 => 0,
        1 => 4096,
        2 => 20_000,
        _ => 10 + dice.below(600),
    };
    Op::put(key, value(number, index, size))
}

fn random_ingest(dice: &mut Dice, number: u64) -> Step {
    let keys: BTreeSet<Vec<u8>> = (0..1 + dice.below(12)).map(|_| key(dice)).collect();
    let size = 10 + dice.below(3000);
    let put = |(index, key)| Op::put(key, value(number, index, size));
    Step::Ingest((0..).zip(keys).map(put).collect())
}

/// More than the smallest memtable and the smallest log file hold.
fn large_batch(dice: &mut Dice, number: u64) -> Step {
    let put = |index| Op::put(format!("large{:02}", index % 40), value(number, index, 3000));
    Step::commit((0..40 + dice.below(10)).map(put).collect())
}

fn key(dice: &mut Dice) -> Vec<u8> {
    match dice.below(KEYS) {
        0 => vec![0],
        1 => vec![0, 0],
        2 => vec![0xff; 40],
        number => format!("key{number:03}").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_printed_short() {
        let long = Op::put(*b"k\xff", value(12, 3, 9000));
        assert_eq!(format!("{long:?}"), "put(\"k\\xff\", value(12, 3, 9005))");
        let soft = Op::put("k", compressible_value(12, 3, 9000));
        assert_eq!(format!("{soft:?}"), "put(\"k\", compressible_value(12, 3, 9000))");
        for other in ["v:", "v;", "1/2;1/3;"] {
            let text = format!("put(\"k\", \"{other}\")");
            assert_eq!(format!("{:?}", Op::put("k", other)), text);
        }
    }
}
