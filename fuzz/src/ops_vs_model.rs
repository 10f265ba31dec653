//! Operations of every kind, each answer held against a map's.
//!
//! Time may step back. What the database has once shown as expired stays so;
//! the model follows that by reading everything before it lets time go, so
//! that both have seen the same.

use crate::input::of_noise;
use crate::ops::{Key, NOTHING, Setup, Write, all_that_follow, listed, read};
use arbitrary::{Arbitrary, Unstructured};
use esker::crashtest::Op;
use esker::sim::SimFs;
use esker::{Db, Fs, Options, Snapshot, WriteBatch, WriteOptions};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// At most so many acts of an input are run.
const ACTS_MAX: usize = 96;

type Entry = (Vec<u8>, Vec<u8>);

#[derive(Debug, Arbitrary)]
enum Limit {
    Unbounded,
    Included(Key),
    Excluded(Key),
}

impl Limit {
    fn bound(&self) -> Bound<Vec<u8>> {
        match self {
            Limit::Unbounded => Bound::Unbounded,
            Limit::Included(key) => Bound::Included(key.bytes()),
            Limit::Excluded(key) => Bound::Excluded(key.bytes()),
        }
    }
}

#[derive(Debug, Arbitrary)]
enum Act {
    Write(Write),
    Batch(Vec<Write>, Option<bool>),
    Get(Key),
    Range(Limit, Limit, u16),
    Prefix(u8),
    Snapshot,
    Forget,
    Persist,
    Flush,
    Verify,
    Reopen,
    Abandon,
    Advance(u16),
    StepBack(u16),
    Compact,
}

#[derive(Debug)]
struct Plan {
    setup: Setup,
    acts: Vec<Act>,
}

impl<'a> Arbitrary<'a> for Plan {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Plan { setup: u.arbitrary()?, acts: all_that_follow(u, ACTS_MAX)? })
    }
}

/// A value and when it expires.
type Said = (Vec<u8>, Option<u64>);

/// The map, and what is known to be expired.
#[derive(Debug, Clone, Default)]
struct Model {
    entries: BTreeMap<Vec<u8>, Said>,
}

/// Everything that expires at or before it is expired, whatever the clock says.
type Floor = u64;

impl Model {
    fn apply(&mut self, op: &Op, now_ms: u64, floor: Floor) {
        match op {
            Op::Put { key, value, ttl } => {
                let ms = |ttl: &Duration| u64::try_from(ttl.as_millis()).expect("short");
                let expires = ttl.as_ref().map(|ttl| now_ms.max(floor) + ms(ttl));
                self.entries.insert(key.clone(), (value.clone(), expires));
            }
            Op::Delete { key } => drop(self.entries.remove(key)),
        }
    }

    /// What is alive, and the floor once a reader has seen what is not.
    fn seen(&self, now_ms: u64, floor: &mut Floor) -> Vec<Entry> {
        for (_, expires) in self.entries.values() {
            if let Some(at) = *expires
                && at <= now_ms
            {
                *floor = at.max(*floor);
            }
        }
        let is_alive = |expires: Option<u64>| expires.is_none_or(|at| at > *floor);
        let alive = self.entries.iter().filter(|(_, (_, expires))| is_alive(*expires));
        alive.map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }
}

struct Machine {
    fs: SimFs,
    options: Options,
    db: Db,
    model: Model,
    floor: Floor,
    snapshots: VecDeque<(Snapshot, Model)>,
    number: u64,
}

impl Machine {
    fn new(options: Options) -> Self {
        let fs = SimFs::new();
        fs.set_threads(false);
        let db = open(&fs, &options);
        let (model, snapshots) = (Model::default(), VecDeque::new());
        Machine { fs, options, db, model, floor: 0, snapshots, number: 0 }
    }

    fn now_ms(&self) -> u64 {
        self.fs.clock().now_ms()
    }

    fn act(&mut self, act: &Act) {
        self.number += 1;
        match act {
            Act::Write(write) => self.write(&[*write], None),
            Act::Batch(writes, sync) => {
                self.write(&writes[..writes.len().min(24)], *sync);
            }
            Act::Get(key) => self.get(&key.bytes()),
            Act::Range(low, high, turns) => self.range((low.bound(), high.bound()), *turns),
            Act::Prefix(len) => self.prefix(&b"key0"[..usize::from(len % 5)]),
            Act::Snapshot => self.snapshots.push_back((self.db.snapshot(), self.model.clone())),
            Act::Forget => drop(self.snapshots.pop_front()),
            Act::Persist => self.db.persist().expect("persist"),
            Act::Flush => self.db.flush().expect("flush"),
            Act::Compact => self.db.compact().expect("compact"),
            Act::Verify => drop(self.db.verify().expect("verify")),
            Act::Reopen => {
                self.read_all();
                self.snapshots.clear();
                self.db.close().expect("close");
                self.db = open(&self.fs, &self.options);
            }
            Act::Abandon => self.abandon(),
            Act::Advance(ms) => {
                self.fs.sim_clock().advance(Duration::from_millis(u64::from(ms % 3000)));
            }
            Act::StepBack(ms) => {
                self.read_all();
                self.fs.sim_clock().step_back(Duration::from_millis(u64::from(*ms)));
            }
        }
    }

    fn write(&mut self, writes: &[Write], sync: Option<bool>) {
        let numbered = writes.iter().zip(0..);
        let ops: Vec<Op> = numbered.map(|(write, index)| write.op(self.number, index)).collect();
        // Whoever reads raises the floor; so the model reads as well.
        self.read_all();
        let mut batch = WriteBatch::new();
        for op in &ops {
            match op {
                Op::Put { key, value, ttl: None } => batch.set(key, value),
                Op::Put { key, value, ttl: Some(ttl) } => batch.set_with_ttl(key, value, *ttl),
                Op::Delete { key } => batch.delete(key),
            };
        }
        self.db.write_with(batch, WriteOptions { sync }).expect("write");
        let now_ms = self.now_ms();
        ops.iter().for_each(|op| self.model.apply(op, now_ms, self.floor));
    }

    /// Drops the handle, as a dying process does.
    fn abandon(&mut self) {
        self.read_all();
        self.snapshots.clear();
        if self.options.wal_enabled {
            // What was seen as expired is durable with the next commit, not before.
            let op = Op::put("~abandoned", self.number.to_string());
            self.db.set("~abandoned", self.number.to_string()).expect("set");
            self.model.apply(&op, self.now_ms(), self.floor);
        } else {
            self.db.close().expect("close");
        }
        // The old handle must be gone before the directory opens again.
        let elsewhere = SimFs::new();
        elsewhere.set_threads(false);
        self.db = open(&elsewhere, &self.options);
        self.db = open(&self.fs, &self.options);
    }

    fn get(&mut self, key: &[u8]) {
        let expected = self.seen().into_iter().find(|(k, _)| k == key).map(|(_, value)| value);
        let found = self.db.get(key).expect("get").map(|value| value.to_vec());
        assert_eq!(found, expected, "get {}", key.escape_ascii());
        // The model saw all, so must the database have.
        self.read_all();
    }

    fn seen(&mut self) -> Vec<Entry> {
        let now_ms = self.now_ms();
        self.model.seen(now_ms, &mut self.floor)
    }

    fn read_all(&mut self) {
        let expected = self.seen();
        let found: Vec<Entry> = self.db.iter().map(owned).collect();
        assert_eq!(found, expected, "everything");
        let now_ms = self.now_ms();
        for (snapshot, model) in &self.snapshots {
            let found: Vec<Entry> = snapshot.iter().map(owned).collect();
            assert_eq!(found, model.seen(now_ms, &mut self.floor), "a snapshot");
        }
        // A snapshot may have shown as expired what a newer entry hides.
        let found: Vec<Entry> = self.db.iter().map(owned).collect();
        assert_eq!(found, self.seen(), "everything, again");
    }

    /// Takes from both ends by turns, until they meet.
    fn range(&mut self, (low, high): (Bound<Vec<u8>>, Bound<Vec<u8>>), turns: u16) {
        self.read_all();
        let after_low = |key: &Vec<u8>| match &low {
            Bound::Included(low) => key >= low,
            Bound::Excluded(low) => key > low,
            Bound::Unbounded => true,
        };
        let before_high = |key: &Vec<u8>| match &high {
            Bound::Included(high) => key <= high,
            Bound::Excluded(high) => key < high,
            Bound::Unbounded => true,
        };
        let all = self.seen();
        let mut left: VecDeque<Entry> =
            all.into_iter().filter(|(key, _)| after_low(key) && before_high(key)).collect();
        let keys: Vec<Vec<u8>> = left.iter().map(|(key, _)| key.clone()).collect();
        let mut range = self.db.range((low.clone(), high.clone()));
        for turn in 0.. {
            let (found, expected) = if turns >> (turn % 16) & 1 == 0 {
                (range.next(), left.pop_front())
            } else {
                (range.next_back(), left.pop_back())
            };
            assert_eq!(found.map(owned), expected, "{low:?} to {high:?}, turn {turn}");
            if expected.is_none() {
                break;
            }
        }
        let found = self.db.range((low, high)).keys();
        let found: Vec<Vec<u8>> = found.map(|key| key.expect("a key").to_vec()).collect();
        assert_eq!(found, keys);
    }

    fn prefix(&mut self, prefix: &[u8]) {
        self.read_all();
        let mut expected = self.seen();
        expected.retain(|(key, _)| key.starts_with(prefix));
        let found: Vec<Entry> = self.db.prefix(prefix).map(owned).collect();
        assert_eq!(found, expected, "prefix {}", prefix.escape_ascii());
        expected.reverse();
        let found: Vec<Entry> = self.db.prefix(prefix).rev().map(owned).collect();
        assert_eq!(found, expected, "prefix {}, backwards", prefix.escape_ascii());
    }
}

fn owned(entry: esker::Result<(esker::Key, esker::Value)>) -> Entry {
    let (key, value) = entry.expect("an entry");
    (key.to_vec(), value.to_vec())
}

fn open(fs: &SimFs, options: &Options) -> Db {
    Db::open_with_fs(Arc::new(fs.clone()), "/db", options.clone()).expect("opens")
}

/// Asserts that every answer is the map's.
///
/// # Panics
/// When one is not.
pub fn check(data: &[u8]) {
    let Some(Plan { setup, acts }) = read(data) else { return };
    let mut machine = Machine::new(setup.options());
    acts.iter().take(ACTS_MAX).for_each(|act| machine.act(act));
    machine.read_all();
}

/// The run that an input stands for. Keys are [`Key::bytes`] of their numbers,
/// values `esker::crashtest::workload::value` of the act's number.
#[must_use]
pub fn describe(data: &[u8]) -> String {
    let Some(Plan { setup, acts }) = read(data) else { return NOTHING.into() };
    let acts: Vec<&Act> = acts.iter().take(ACTS_MAX).collect();
    format!("options: {:#?}\nacts:\n{}", setup.options(), listed(&acts))
}

/// Some runs.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    (31..=38).map(|seed| of_noise(seed, 240)).collect()
}
