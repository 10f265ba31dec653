//! What is held while everything changes under it: iterators that go on a few steps at a time, from
//! either end, over flushes, merges, collections, bulk loads, restores and time that passes; and transactions,
//! whose conflicts are told exactly.

use crate::options::tiny;
use crate::run::{Entry, add, owned};
use crate::steps::Op;
use esker::sim::SimFs;
use esker::{Db, DbTransaction, Error, Keys, Options, Range, WriteBatch};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::time::Duration;

type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);
/// A key with its value, and when that expires.
type Dated = (Vec<u8>, (Vec<u8>, Option<u64>));
/// A key, with its value unless keys alone were asked for.
type Item = (Vec<u8>, Option<Vec<u8>>);
type Checked = Result<(), TestCaseError>;
/// Each key's value and when that expires.
type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

#[derive(Debug, Clone)]
enum Act {
    Write(Vec<Op>),
    Load(BTreeMap<Vec<u8>, (Vec<u8>, u16)>),
    Hold(Bounds, bool),
    /// Steps of one that is held, each from the front (true) or the back.
    Go(Index, Vec<bool>),
    LetGo(Index),
    Begin,
    TxGet(Index, Vec<u8>),
    TxOp(Index, Op),
    TxWalk(Index, Bounds, Vec<bool>),
    Commit(Index),
    Pass(u16),
    Flush,
    Compact(Bounds),
    Collect,
    Backup,
    Restore,
    Reopen,
}

/// Few keys, most of which begin others.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0), Just(b'k'), Just(0xff)];
    prop_oneof![
        9 => proptest::collection::vec(byte, 0..4),
        // Whole and in pieces longer than what is copied at once.
        2 => (0..3_u8, 14..40_usize).prop_map(|(last, size)| [vec![b'k'; size], vec![last]].concat()),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => proptest::collection::vec(any::<u8>(), 0..9),
        2 => (any::<u8>(), 90..130_usize).prop_map(|(b, n)| vec![b; n]),
        1 => (any::<u8>(), 20_000..70_000_usize).prop_map(|(b, n)| vec![b; n]),
    ]
}

fn lifetime_ms() -> impl Strategy<Value = u16> {
    prop_oneof![2 => Just(0), 1 => 1..30_u16]
}

fn op() -> impl Strategy<Value = Op> {
    (key(), proptest::option::weighted(0.65, (value(), lifetime_ms())))
}

fn bounds() -> impl Strategy<Value = Bounds> {
    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        prop_oneof![
            2 => Just(Bound::Unbounded),
            1 => key().prop_map(Bound::Included),
            1 => key().prop_map(Bound::Excluded),
        ]
    }
    (bound(), bound())
}

fn turns() -> impl Strategy<Value = Vec<bool>> {
    proptest::collection::vec(any::<bool>(), 1..6)
}

fn act() -> impl Strategy<Value = Act> {
    let at = any::<Index>;
    prop_oneof![
        14 => proptest::collection::vec(op(), 0..7).prop_map(Act::Write),
        2 => proptest::collection::btree_map(key(), (value(), lifetime_ms()), 0..9)
            .prop_map(Act::Load),
        6 => (bounds(), any::<bool>()).prop_map(|(bounds, keys)| Act::Hold(bounds, keys)),
        16 => (at(), turns()).prop_map(|(held, turns)| Act::Go(held, turns)),
        1 => at().prop_map(Act::LetGo),
        4 => Just(Act::Begin),
        5 => (at(), key()).prop_map(|(tx, key)| Act::TxGet(tx, key)),
        5 => (at(), op()).prop_map(|(tx, op)| Act::TxOp(tx, op)),
        5 => (at(), bounds(), turns()).prop_map(|(tx, bounds, turns)| Act::TxWalk(tx, bounds, turns)),
        4 => at().prop_map(Act::Commit),
        4 => (1..20_u16).prop_map(Act::Pass),
        4 => Just(Act::Flush),
        3 => bounds().prop_map(Act::Compact),
        2 => Just(Act::Collect),
        1 => Just(Act::Backup),
        1 => Just(Act::Restore),
        1 => Just(Act::Reopen),
    ]
}

enum Items {
    Entries(Range),
    Keys(Keys),
}

/// An iterator, and what is left of it.
struct Held {
    items: Items,
    left: VecDeque<Dated>,
    has_ended: bool,
}

struct Tx {
    tx: DbTransaction,
    began_with: Model,
    own: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    read_keys: Vec<Vec<u8>>,
    read_ranges: Vec<Bounds>,
    /// What was written since it began, by whomever.
    written: Vec<Vec<u8>>,
    is_outlived: bool,
}

struct World {
    fs: SimFs,
    options: Options,
    db: Option<Db>,
    now_ms: u64,
    model: Model,
    held: Vec<Held>,
    open: Vec<Tx>,
    backup: Option<Model>,
    backups: usize,
}

fn is_alive(expiry: Option<u64>, now_ms: u64) -> bool {
    expiry.is_none_or(|at| now_ms < at)
}

/// Not `BTreeMap::range`, which panics where bounds are crossed.
fn within(model: &Model, bounds: &Bounds) -> VecDeque<Dated> {
    let entries = model.iter().filter(|(key, _)| bounds.contains(*key));
    entries.map(|(key, value)| (key.clone(), value.clone())).collect()
}

impl World {
    fn new(options: Options, has_threads: bool) -> Self {
        let fs = SimFs::new();
        fs.set_threads(has_threads);
        let now_ms = esker::Fs::clock(&fs).now_ms();
        let (model, backup, backups) = Default::default();
        let (held, open) = Default::default();
        let mut world = World { fs, options, db: None, now_ms, model, held, open, backup, backups };
        world.open_db();
        world
    }

    fn open_db(&mut self) {
        let fs = Arc::new(self.fs.clone());
        self.db = Some(Db::open_with_fs(fs, "/db", self.options.clone()).expect("opens"));
    }

    fn db(&self) -> &Db {
        self.db.as_ref().expect("open")
    }

    fn note(&mut self, (key, set): Op) {
        for tx in &mut self.open {
            tx.written.push(key.clone());
        }
        match set {
            Some((value, ms)) => {
                let expiry = (ms > 0).then(|| self.now_ms + u64::from(ms));
                self.model.insert(key, (value, expiry));
            }
            None => drop(self.model.remove(&key)),
        }
    }

    fn apply(&mut self, act: &Act) -> Checked {
        match act {
            Act::Write(ops) => {
                let mut batch = WriteBatch::new();
                ops.iter().for_each(|op| add(&mut batch, op));
                self.db().write(batch).expect("a commit");
                ops.iter().for_each(|op| self.note(op.clone()));
            }
            Act::Load(entries) => self.load(entries),
            Act::Hold(bounds, keys) => self.hold(bounds, *keys),
            Act::Go(at, turns) if !self.held.is_empty() => {
                let at = at.index(self.held.len());
                self.held[at].go(turns, self.now_ms)?;
            }
            Act::LetGo(at) if !self.held.is_empty() => {
                let at = at.index(self.held.len());
                self.held.swap_remove(at);
            }
            Act::Begin => {
                let tx = self.db().transaction();
                let began_with = self.model.clone();
                let (own, read_keys, read_ranges, written) = Default::default();
                let is_outlived = false;
                self.open.push(Tx {
                    tx,
                    began_with,
                    own,
                    read_keys,
                    read_ranges,
                    written,
                    is_outlived,
                });
            }
            Act::TxGet(at, _) | Act::TxOp(at, _) | Act::TxWalk(at, ..) if !self.open.is_empty() => {
                let at = at.index(self.open.len());
                self.open[at].apply(act, self.now_ms)?;
            }
            Act::Commit(at) if !self.open.is_empty() => {
                let at = at.index(self.open.len());
                self.commit(at)?;
            }
            Act::Pass(ms) => {
                self.fs.sim_clock().advance(Duration::from_millis((*ms).into()));
                self.now_ms += u64::from(*ms);
            }
            Act::Flush => self.db().flush().expect("a flush"),
            Act::Compact(bounds) => {
                self.db().compact_range(bounds.clone()).expect("a compaction");
            }
            Act::Collect => drop(self.db().collect_garbage().expect("a collection")),
            Act::Backup => {
                self.backups += 1;
                self.db().backup(format!("/backup-{}", self.backups)).expect("a backup");
                self.backup = Some(self.model.clone());
            }
            Act::Restore => {
                if let Some(backup) = self.backup.clone() {
                    self.db().restore(format!("/backup-{}", self.backups)).expect("a restore");
                    self.model = backup;
                    self.open.iter_mut().for_each(|tx| tx.is_outlived = true);
                }
            }
            Act::Reopen => self.reopen()?,
            _ => {}
        }
        Ok(())
    }

    fn load(&mut self, entries: &BTreeMap<Vec<u8>, (Vec<u8>, u16)>) {
        let mut ingest = self.db().start_ingest().expect("begins");
        for (key, (value, ms)) in entries {
            match ms {
                0 => ingest.put(key, value).expect("a put"),
                ms => {
                    let ttl = Duration::from_millis((*ms).into());
                    ingest.put_with_ttl(key, value, ttl).expect("a put");
                }
            }
        }
        ingest.finish().expect("loaded");
        entries.iter().for_each(|(key, set)| self.note((key.clone(), Some(set.clone()))));
    }

    fn hold(&mut self, bounds: &Bounds, keys: bool) {
        let range = self.db().range(bounds.clone());
        let items = if keys { Items::Keys(range.keys()) } else { Items::Entries(range) };
        let left = within(&self.model, bounds);
        self.held.push(Held { items, left, has_ended: false });
    }

    fn commit(&mut self, at: usize) -> Checked {
        let mut tx = self.open.swap_remove(at);
        let conflicts = tx.conflicts();
        let committed = tx.tx.commit();
        match &committed {
            Ok(()) => prop_assert!(!conflicts, "it wrote over what it had read"),
            Err(Error::Conflict) => prop_assert!(conflicts, "nothing that it read was written"),
            Err(e) => prop_assert!(false, "{e}"),
        }
        if committed.is_ok() {
            for (key, value) in tx.own {
                self.note((key, value.map(|value| (value, 0))));
            }
        }
        Ok(())
    }

    /// What is held of a closed database says so, whatever it was at.
    fn reopen(&mut self) -> Checked {
        self.db().close().expect("closed");
        for (n, held) in self.held.iter_mut().enumerate() {
            // Each end is asked first of some: after the first error there is none.
            for turn in [n % 2 == 0, n % 2 != 0] {
                let told = held.items.step(turn);
                if held.has_ended {
                    prop_assert!(told.is_none());
                } else {
                    prop_assert!(matches!(told, Some(Err(Error::Closed))), "{told:?}");
                    held.has_ended = true;
                }
            }
        }
        for tx in &mut self.open {
            prop_assert!(matches!(tx.tx.get("k"), Err(Error::Closed)));
            prop_assert!(matches!(tx.tx.iter().next(), Some(Err(Error::Closed))));
            prop_assert!(matches!(tx.tx.commit(), Err(Error::Closed)));
        }
        self.held.clear();
        self.open.clear();
        self.db = None;
        self.open_db();
        Ok(())
    }

    fn finish(&mut self) -> Checked {
        for held in &mut self.held {
            held.go(&[true, false, false], self.now_ms)?;
            while !held.has_ended {
                held.go(&[true], self.now_ms)?;
            }
        }
        self.reopen()?;
        let all = (Bound::Unbounded, Bound::Unbounded);
        for direction in [true, false] {
            self.hold(&all, false);
            let now_ms = self.now_ms;
            let held = self.held.last_mut().expect("just made");
            while !held.has_ended {
                held.go(&[direction], now_ms)?;
            }
        }
        self.db().verify().expect("sound");
        Ok(())
    }
}

impl Items {
    fn step(&mut self, is_front: bool) -> Option<esker::Result<Item>> {
        let with_value = |item: esker::Result<(esker::Key, esker::Value)>| {
            item.map(|(key, value)| (key.to_vec(), Some(value.to_vec())))
        };
        let alone = |key: esker::Result<esker::Key>| key.map(|key| (key.to_vec(), None));
        match (self, is_front) {
            (Items::Entries(range), true) => range.next().map(with_value),
            (Items::Entries(range), false) => range.next_back().map(with_value),
            (Items::Keys(keys), true) => keys.next().map(alone),
            (Items::Keys(keys), false) => keys.next_back().map(alone),
        }
    }
}

impl Held {
    fn go(&mut self, turns: &[bool], now_ms: u64) -> Checked {
        for &is_front in turns {
            let got = self.items.step(is_front).map(|item| item.expect("an item"));
            // What expires on the way is passed over.
            let want = loop {
                let next = if self.has_ended {
                    None
                } else if is_front {
                    self.left.pop_front()
                } else {
                    self.left.pop_back()
                };
                match next {
                    Some((_, (_, expiry))) if !is_alive(expiry, now_ms) => {}
                    next => break next.map(|(key, (value, _))| (key, value)),
                }
            };
            self.has_ended |= want.is_none();
            let is_keys = matches!(self.items, Items::Keys(_));
            let want = want.map(|(key, value)| (key, (!is_keys).then_some(value)));
            prop_assert_eq!(got, want);
        }
        Ok(())
    }
}

impl Tx {
    fn conflicts(&self) -> bool {
        let is_read = |key: &Vec<u8>| {
            self.read_keys.contains(key) || self.read_ranges.iter().any(|range| range.contains(key))
        };
        // That it only writes does not help against a restore.
        !self.own.is_empty() && (self.is_outlived || self.written.iter().any(is_read))
    }

    fn apply(&mut self, act: &Act, now_ms: u64) -> Checked {
        match act {
            Act::TxGet(_, key) => {
                let got = self.tx.get(key).expect("a read").map(Vec::from);
                let want = match self.own.get(key) {
                    Some(own) => own.clone(),
                    None => {
                        self.read_keys.push(key.clone());
                        let found = self.began_with.get(key);
                        let found = found.filter(|(_, expiry)| is_alive(*expiry, now_ms));
                        found.map(|(value, _)| value.clone())
                    }
                };
                prop_assert_eq!(got, want, "{:?}", key);
            }
            Act::TxOp(_, (key, set)) => {
                match set {
                    Some((value, _)) => self.tx.set(key, value).expect("set"),
                    None => self.tx.delete(key).expect("deleted"),
                }
                self.own.insert(key.clone(), set.as_ref().map(|(value, _)| value.clone()));
            }
            Act::TxWalk(_, bounds, turns) => self.walk(bounds, turns, now_ms)?,
            _ => {}
        }
        Ok(())
    }

    fn walk(&mut self, bounds: &Bounds, turns: &[bool], now_ms: u64) -> Checked {
        let mut seen = self.began_with.clone();
        seen.retain(|_, (_, expiry)| is_alive(*expiry, now_ms));
        for (key, own) in &self.own {
            match own {
                Some(value) => drop(seen.insert(key.clone(), (value.clone(), None))),
                None => drop(seen.remove(key)),
            }
        }
        let mut left = within(&seen, bounds);
        let mut rows = self.tx.range(bounds.clone());
        for &is_front in turns {
            let (got, want) = if is_front {
                (rows.next().map(owned), left.pop_front())
            } else {
                (rows.next_back().map(owned), left.pop_back())
            };
            let want: Option<Entry> = want.map(|(key, (value, _))| (key, value));
            prop_assert_eq!(&got, &want);
            let Some((key, _)) = want else {
                self.read_ranges.push(bounds.clone());
                break;
            };
            self.read_ranges.push(if is_front {
                (bounds.0.clone(), Bound::Included(key))
            } else {
                (Bound::Included(key), bounds.1.clone())
            });
        }
        Ok(())
    }
}

/// Several shapes of memory and files in which the same must come out.
fn shapes() -> Vec<Options> {
    vec![
        tiny(),
        Options { auto_compaction: false, ..tiny() },
        Options { block_bytes: 1 << 10, block_cache_bytes: 600, table_bytes: 16 << 10, ..tiny() },
        Options { expired_retention: Duration::from_millis(10), value_threshold: 64, ..tiny() },
        Options { wal_enabled: false, ..tiny() },
    ]
}

proptest! {
    #![proptest_config(crate::config(160))]

    #[test]
    fn what_is_held_goes_on_as_of_its_beginning(
        acts in proptest::collection::vec(act(), 1..90),
        shape in proptest::sample::select(shapes()),
        has_threads in proptest::bool::weighted(0.2),
    ) {
        let mut world = World::new(shape, has_threads);
        for act in &acts {
            world.apply(act)?;
        }
        world.finish()?;
    }
}
