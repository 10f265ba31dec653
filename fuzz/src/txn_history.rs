//! Several transactions at a time, their operations interleaved, beside plain
//! writes, bulk loads, flushes and merges; each answer, and whether each commit
//! conflicts, held against maps.
//!
//! The model remembers of each key when it was last written, and of each
//! transaction a copy of the map as it was at its beginning, the keys that it
//! asked for, and how far it walked each range. Time stands still.

use crate::input::of_noise;
use crate::ops::{Key, NOTHING, Setup, Write, all_that_follow, listed, read};
use arbitrary::{Arbitrary, Unstructured};
use esker::crashtest::Op;
use esker::sim::SimFs;
use esker::{Db, DbTransaction, Error, Options, WriteBatch, WriteOptions};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// At most so many acts of an input are run.
const ACTS_MAX: usize = 120;

/// So many transactions are open at a time.
const SLOTS: usize = 4;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
type Entry = (Vec<u8>, Vec<u8>);
type Limits = (Bound<Vec<u8>>, Bound<Vec<u8>>);

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
    /// Begins one, in place of what is in the slot.
    Begin(u8),
    Get(u8, Key),
    Write(u8, Write),
    /// Walks a range: from which end, step by step; so many steps; keys alone.
    Walk(u8, Limit, Limit, u16, u8, bool),
    Commit(u8, Option<bool>),
    Rollback(u8),
    Plain(Write),
    Batch(Vec<Write>),
    Ingest(Vec<Key>),
    /// So many keys that nobody reads, more than is noted of commits.
    Filler(u8),
    Flush,
    Compact,
    Reopen,
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

/// The committed state.
#[derive(Debug, Default)]
struct Model {
    map: Map,
    /// When each key was last written, by the number of the commit.
    written: BTreeMap<Vec<u8>, u64>,
    commits: u64,
}

impl Model {
    fn commit(&mut self, ops: &[Op]) {
        self.commits += 1;
        for op in ops {
            self.written.insert(op.key().to_vec(), self.commits);
            apply(&mut self.map, op);
        }
    }
}

fn apply(map: &mut Map, op: &Op) {
    match op {
        Op::Put { key, value, .. } => drop(map.insert(key.clone(), value.clone())),
        Op::Delete { key } => drop(map.remove(key)),
    }
}

/// One transaction, and what the model knows of it.
struct Open {
    tx: DbTransaction,
    /// The map as it sees it.
    map: Map,
    began: u64,
    ops: Vec<Op>,
    read: BTreeSet<Vec<u8>>,
    walked: Vec<Limits>,
}

impl Open {
    fn depends_on(&self, key: &[u8]) -> bool {
        self.read.contains(key) || self.walked.iter().any(|limits| is_within(limits, key))
    }

    fn has_conflict(&self, model: &Model) -> bool {
        let mut since = model.written.iter().filter(|(_, commit)| **commit > self.began);
        !self.ops.is_empty() && since.any(|(key, _)| self.depends_on(key))
    }

    fn get(&mut self, key: Vec<u8>) {
        let found = self.tx.get(&key).expect("get").map(|value| value.to_vec());
        assert_eq!(found.as_ref(), self.map.get(&key), "get {}", key.escape_ascii());
        if !self.ops.iter().any(|op| op.key() == key) {
            self.read.insert(key);
        }
    }

    fn write(&mut self, op: Op) {
        match &op {
            Op::Put { key, value, ttl: None } => self.tx.set(key, value).expect("set"),
            Op::Put { key, value, ttl: Some(ttl) } => {
                self.tx.set_with_ttl(key, value, *ttl).expect("set_with_ttl");
            }
            Op::Delete { key } => self.tx.delete(key).expect("delete"),
        }
        apply(&mut self.map, &op);
        self.ops.push(op);
    }

    fn walk(&mut self, limits: Limits, turns: u16, steps: u8, keys_alone: bool) {
        let inside = self.map.iter().filter(|(key, _)| is_within(&limits, key));
        let mut left: VecDeque<Entry> =
            inside.map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut range = self.tx.range(limits.clone());
        let mut keys = keys_alone.then(|| self.tx.range(limits.clone()).keys());
        let (mut front, mut back) = (None, None);
        for step in 0..steps % 40 {
            let is_front = turns >> (step % 16) & 1 == 0;
            let expected = if is_front { left.pop_front() } else { left.pop_back() };
            let found = match &mut keys {
                None if is_front => range.next().map(owned),
                None => range.next_back().map(owned),
                Some(keys) => {
                    let key = if is_front { keys.next() } else { keys.next_back() };
                    let value = expected.as_ref().map(|(_, value)| value.clone());
                    key.map(|key| (key.expect("a key").to_vec(), value.unwrap_or_default()))
                }
            };
            assert_eq!(found, expected, "{limits:?}, step {step}");
            match expected {
                None => {
                    self.walked.push(limits);
                    return;
                }
                Some((key, _)) if is_front => front = Some(key),
                Some((key, _)) => back = Some(key),
            }
        }
        let (low, high) = limits;
        self.walked.extend(front.map(|key| (low, Bound::Included(key))));
        self.walked.extend(back.map(|key| (Bound::Included(key), high)));
    }
}

fn is_within((low, high): &Limits, key: &[u8]) -> bool {
    let is_after = match low {
        Bound::Included(low) => key >= low.as_slice(),
        Bound::Excluded(low) => key > low.as_slice(),
        Bound::Unbounded => true,
    };
    is_after
        && match high {
            Bound::Included(high) => key <= high.as_slice(),
            Bound::Excluded(high) => key < high.as_slice(),
            Bound::Unbounded => true,
        }
}

struct Machine {
    fs: SimFs,
    options: Options,
    db: Db,
    model: Model,
    open: [Option<Open>; SLOTS],
    number: u64,
    fillers_left: u8,
}

impl Machine {
    fn new(options: Options) -> Self {
        let fs = SimFs::new();
        fs.set_threads(false);
        let db = open(&fs, &options);
        let (model, open) = (Model::default(), Default::default());
        Machine { fs, options, db, model, open, number: 0, fillers_left: 4 }
    }

    /// The transaction in a slot; begins one where there is none.
    fn slot(&mut self, slot: u8) -> &mut Open {
        let Model { map, commits, .. } = &self.model;
        self.open[usize::from(slot) % SLOTS].get_or_insert_with(|| Open {
            tx: self.db.transaction(),
            map: map.clone(),
            began: *commits,
            ops: Vec::new(),
            read: BTreeSet::new(),
            walked: Vec::new(),
        })
    }

    fn act(&mut self, act: &Act) {
        self.number += 1;
        match act {
            Act::Begin(slot) => {
                self.open[usize::from(*slot) % SLOTS] = None;
                self.slot(*slot);
            }
            Act::Get(slot, key) => self.slot(*slot).get(key.bytes()),
            Act::Write(slot, write) => {
                let op = write.op(self.number, 0);
                self.slot(*slot).write(op);
            }
            Act::Walk(slot, low, high, turns, steps, keys_alone) => {
                let limits = (low.bound(), high.bound());
                self.slot(*slot).walk(limits, *turns, *steps, *keys_alone);
            }
            Act::Commit(slot, sync) => self.commit(*slot, *sync),
            Act::Rollback(slot) => {
                let open = self.slot(*slot);
                open.tx.rollback();
                assert!(matches!(open.tx.commit(), Err(Error::TransactionClosed)));
                self.open[usize::from(*slot) % SLOTS] = None;
            }
            Act::Plain(write) => self.write(&[write.op(self.number, 0)]),
            Act::Batch(writes) => {
                let writes = writes.iter().take(12).zip(0..);
                let ops: Vec<Op> = writes.map(|(w, index)| w.op(self.number, index)).collect();
                self.write(&ops);
            }
            Act::Ingest(keys) => self.ingest(keys),
            Act::Filler(count) if self.fillers_left > 0 => {
                self.fillers_left -= 1;
                let put = |n| Op::put([vec![b'f'; 1200], vec![n]].concat(), "");
                let ops: Vec<Op> = (0..200 + count % 50).map(put).collect();
                self.write(&ops);
            }
            Act::Filler(_) => {}
            Act::Flush => self.db.flush().expect("flush"),
            Act::Compact => self.db.compact().expect("compact"),
            Act::Reopen => {
                self.open = Default::default();
                self.db.close().expect("close");
                self.db = open(&self.fs, &self.options);
            }
        }
    }

    fn commit(&mut self, slot: u8, sync: Option<bool>) {
        self.slot(slot);
        let Some(mut open) = self.open[usize::from(slot) % SLOTS].take() else { return };
        let expected = open.has_conflict(&self.model);
        match open.tx.commit_with(WriteOptions { sync }) {
            Ok(()) => {
                assert!(!expected, "a conflict missed: {:?} and {:?} read", open.read, open.walked);
                assert_eq!(open.tx.committed_at().is_none(), open.ops.is_empty());
                if !open.ops.is_empty() {
                    self.model.commit(&open.ops);
                }
            }
            Err(Error::Conflict) => {
                assert!(expected, "no conflict: {:?} and {:?} read", open.read, open.walked);
            }
            Err(e) => panic!("commit: {e}"),
        }
        self.compare();
    }

    fn write(&mut self, ops: &[Op]) {
        let mut batch = WriteBatch::new();
        for op in ops {
            match op {
                Op::Put { key, value, ttl: None } => batch.set(key, value),
                Op::Put { key, value, ttl: Some(ttl) } => batch.set_with_ttl(key, value, *ttl),
                Op::Delete { key } => batch.delete(key),
            }
        }
        self.db.write(batch).expect("write");
        self.model.commit(ops);
    }

    fn ingest(&mut self, keys: &[Key]) {
        let keys: BTreeSet<Vec<u8>> = keys.iter().take(12).map(|key| key.bytes()).collect();
        let value = self.number.to_string();
        self.db.ingest(keys.iter().map(|key| (key, &value))).expect("ingest");
        let ops: Vec<Op> = keys.into_iter().map(|key| Op::put(key, value.as_str())).collect();
        self.model.commit(&ops);
    }

    fn compare(&self) {
        let found: Map = self.db.iter().map(owned).collect();
        assert_eq!(found, self.model.map, "everything");
        let snapshots = self.db.metrics().snapshots.count;
        assert_eq!(snapshots, self.open.iter().flatten().count(), "open transactions");
    }
}

fn owned(entry: esker::Result<(esker::Key, esker::Value)>) -> Entry {
    let (key, value) = entry.expect("an entry");
    (key.to_vec(), value.to_vec())
}

fn open(fs: &SimFs, options: &Options) -> Db {
    Db::open_with_fs(Arc::new(fs.clone()), "/db", options.clone()).expect("opens")
}

/// Asserts that every answer is the model's, and every conflict.
///
/// # Panics
/// When one is not.
pub fn check(data: &[u8]) {
    let Some(Plan { setup, acts }) = read(data) else { return };
    let mut machine = Machine::new(setup.options());
    acts.iter().take(ACTS_MAX).for_each(|act| machine.act(act));
    (0..4).for_each(|slot| machine.commit(slot, None));
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
    (51..=58).map(|seed| of_noise(seed, 300)).collect()
}
