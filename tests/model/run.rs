//! A database and its model, side by side: each step is done to both, and
//! their answers compared.

use crate::steps::{Op, Step};
use esker::sim::SimFs;
use esker::{Db, Fs, Options, Snapshot, WriteBatch, WriteOptions};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, RangeBounds};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub type Entry = (Vec<u8>, Vec<u8>);

type Checked = Result<(), TestCaseError>;

/// What is there: values, and when they expire.
#[derive(Debug, Clone, Default)]
pub struct Model {
    entries: BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>,
}

impl Model {
    /// Takes `op` at the time `now_ms`.
    pub fn apply(&mut self, (key, set): Op, now_ms: u64) {
        match set {
            Some((value, ttl_ms)) => {
                let expiry = (ttl_ms > 0).then(|| now_ms + u64::from(ttl_ms));
                self.entries.insert(key, (value, expiry));
            }
            None => drop(self.entries.remove(&key)),
        }
    }

    /// The entries within `bounds` that are alive.
    pub fn within(&self, bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>), now_ms: u64) -> Vec<Entry> {
        // Not `BTreeMap::range`, which panics where the bounds are crossed.
        let entries = self.entries.iter().filter(|(k, _)| bounds.contains(*k));
        let alive = entries.filter(|(_, (_, expiry))| expiry.is_none_or(|at| now_ms < at));
        alive.map(|(k, (v, _))| (k.clone(), v.clone())).collect()
    }

    pub fn all(&self, now_ms: u64) -> Vec<Entry> {
        self.within(&(Bound::Unbounded, Bound::Unbounded), now_ms)
    }

    fn get(&self, key: &[u8], now_ms: u64) -> Option<&Vec<u8>> {
        let (value, expiry) = self.entries.get(key)?;
        expiry.is_none_or(|at| now_ms < at).then_some(value)
    }
}

pub fn owned(item: esker::Result<(esker::Key, esker::Value)>) -> Entry {
    let (k, v) = item.expect("an entry");
    (k.into(), v.into())
}

pub fn add(batch: &mut WriteBatch, (key, set): &Op) {
    match set {
        Some((value, 0)) => batch.set(key, value),
        Some((value, ms)) => batch.set_with_ttl(key, value, Duration::from_millis((*ms).into())),
        None => batch.delete(key),
    }
}

pub struct Run {
    fs: Arc<dyn Fs>,
    /// The clock, where it can be moved.
    sim: Option<SimFs>,
    dir: PathBuf,
    options: Options,
    db: Option<Db>,
    model: Model,
    snapshots: Vec<(Snapshot, Model)>,
    /// Time as expiry counts it: it never goes back.
    now_ms: u64,
}

impl Run {
    pub fn in_memory(options: Options) -> Self {
        let sim = SimFs::new();
        Run::new(Arc::new(sim.clone()), Some(sim), "/db".into(), options)
    }

    pub fn on_disk(dir: PathBuf, options: Options) -> Self {
        Run::new(Arc::new(esker::DiskFs::new()), None, dir, options)
    }

    fn new(fs: Arc<dyn Fs>, sim: Option<SimFs>, dir: PathBuf, options: Options) -> Self {
        let db = Db::open_with_fs(Arc::clone(&fs), &dir, options.clone()).expect("opens");
        let now_ms = sim.as_ref().map_or(0, |sim| sim.clock().now_ms());
        let model = Model::default();
        Run { fs, sim, dir, options, db: Some(db), model, snapshots: Vec::new(), now_ms }
    }

    pub fn db(&self) -> &Db {
        self.db.as_ref().expect("open")
    }

    pub fn apply(&mut self, step: &Step) -> Checked {
        match step {
            Step::Set(k, v) => {
                self.db().set(k, v).expect("set");
                self.model.apply((k.clone(), Some((v.clone(), 0))), self.now_ms);
            }
            Step::SetWithTtl(k, v, ttl_ms) => self.set_with_ttl(k, v, *ttl_ms),
            Step::Delete(k) => {
                self.db().delete(k).expect("delete");
                self.model.apply((k.clone(), None), self.now_ms);
            }
            Step::Batch(ops, sync) => self.batch(ops, *sync),
            Step::Ingest(entries) => self.ingest(entries),
            Step::Get(k) => self.get(k)?,
            Step::Range(low, high, turns) => {
                let bounds = (low.clone(), high.clone());
                self.range(&bounds, turns)?;
                for (snapshot, model) in &self.snapshots {
                    self.range_of(snapshot, model, &bounds, turns)?;
                }
            }
            Step::Prefix(prefix, backwards) => self.prefix(prefix, *backwards)?,
            Step::Snapshot => self.snapshots.push((self.db().snapshot(), self.model.clone())),
            Step::Release(n) => self.release(*n)?,
            Step::Advance(ms) => self.advance(*ms),
            Step::ClockBack(ms) => self.step_back(*ms)?,
            Step::Flush => self.db().flush().expect("flush"),
            Step::Compact => self.db().compact().expect("compact"),
            Step::Collect => {
                self.db().collect_garbage().expect("collect garbage");
            }
            Step::Persist => self.db().persist().expect("persist"),
            Step::Reopen => self.reopen(true)?,
            // Without a log only `close` keeps what was committed.
            Step::Abandon => self.reopen(!self.options.wal_enabled)?,
        }
        Ok(())
    }

    /// Everything, in every way, and again after the database was reopened.
    pub fn finish(mut self) -> Checked {
        self.check_all()?;
        self.check_snapshots()?;
        self.reopen(true)?;
        self.check_all()?;
        self.db().verify().expect("sound");
        Ok(())
    }

    fn check_all(&self) -> Checked {
        for turn in [true, false] {
            self.range(&(Bound::Unbounded, Bound::Unbounded), &[turn])?;
        }
        for key in self.model.entries.keys() {
            self.get(key)?;
        }
        Ok(())
    }

    fn set_with_ttl(&mut self, key: &[u8], value: &[u8], ttl_ms: u16) {
        // On the disk time passes as it likes.
        let ttl_ms = if self.sim.is_some() { ttl_ms } else { 0 };
        let op = (key.to_vec(), Some((value.to_vec(), ttl_ms)));
        match ttl_ms {
            0 => self.db().set(key, value).expect("set"),
            ms => {
                let ttl = Duration::from_millis(ms.into());
                self.db().set_with_ttl(key, value, ttl).expect("set");
            }
        }
        self.model.apply(op, self.now_ms);
    }

    fn batch(&mut self, ops: &[Op], sync: Option<bool>) {
        let mut batch = WriteBatch::new();
        let mut ops = ops.to_vec();
        if self.sim.is_none() {
            ops.iter_mut().filter_map(|(_, set)| set.as_mut()).for_each(|set| set.1 = 0);
        }
        ops.iter().for_each(|op| add(&mut batch, op));
        assert_eq!(batch.len(), ops.len());
        self.db().write_with(batch, WriteOptions { sync }).expect("write");
        for op in ops {
            self.model.apply(op, self.now_ms);
        }
    }

    fn ingest(&mut self, entries: &BTreeMap<Vec<u8>, (Vec<u8>, u16)>) {
        let mut ingest = self.db().start_ingest().expect("begins");
        let mut ops: Vec<Op> = Vec::new();
        for (key, (value, ttl_ms)) in entries {
            let ttl_ms = if self.sim.is_some() { *ttl_ms } else { 0 };
            match ttl_ms {
                0 => ingest.put(key, value).expect("a put"),
                ms => {
                    let ttl = Duration::from_millis(ms.into());
                    ingest.put_with_ttl(key, value, ttl).expect("a put");
                }
            }
            ops.push((key.clone(), Some((value.clone(), ttl_ms))));
        }
        let report = ingest.finish().expect("finished");
        assert_eq!(report.entries, ops.len() as u64);
        for op in ops {
            self.model.apply(op, self.now_ms);
        }
    }

    fn advance(&mut self, ms: u16) {
        if let Some(sim) = &self.sim {
            sim.sim_clock().advance(Duration::from_millis(ms.into()));
            self.now_ms = self.now_ms.max(sim.clock().now_ms());
        }
    }

    /// What was seen expired before stays so, and new lifetimes count from
    /// there. An entry of which nobody had seen that it was expired would come
    /// alive again; so that the model need not know who saw what, one that
    /// expires at this very moment is seen to.
    fn step_back(&mut self, ms: u16) -> Checked {
        let Some(sim) = self.sim.clone() else { return Ok(()) };
        let key = b"clock";
        self.set_with_ttl(key, b"", 1);
        let behind_ms = self.now_ms - sim.clock().now_ms().min(self.now_ms);
        self.advance(u16::try_from(behind_ms + 1).expect("steps are small"));
        self.get(key)?;
        // The next commit carries it into the log.
        self.apply(&Step::Delete(key.to_vec()))?;
        sim.sim_clock().step_back(Duration::from_millis(ms.into()));
        Ok(())
    }

    fn reopen(&mut self, close: bool) -> Checked {
        self.check_snapshots()?;
        self.snapshots.clear();
        if close {
            self.db().close().expect("close");
        }
        self.db = None; // Gone before the directory opens again.
        let fs = Arc::clone(&self.fs);
        let db = Db::open_with_fs(fs, &self.dir, self.options.clone()).expect("opens again");
        prop_assert_eq!(&db.metrics().recovery.log_cut_at, &None);
        self.db = Some(db);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Checked {
        let got = self.db().get(key).expect("get").map(Vec::from);
        prop_assert_eq!(got.as_ref(), self.model.get(key, self.now_ms), "get of {:?}", key);
        Ok(())
    }

    fn range(&self, bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>), turns: &[bool]) -> Checked {
        self.range_of(&self.db().snapshot(), &self.model, bounds, turns)
    }

    /// Takes from the front and the back by turns, until they meet.
    fn range_of(
        &self,
        snapshot: &Snapshot,
        model: &Model,
        bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>),
        turns: &[bool],
    ) -> Checked {
        let all = model.within(bounds, self.now_ms);
        let mut left: VecDeque<_> = all.iter().cloned().collect();
        let mut range = snapshot.range(bounds.clone());
        for turn in turns.iter().cycle() {
            let (got, want) = if *turn {
                (range.next(), left.pop_front())
            } else {
                (range.next_back(), left.pop_back())
            };
            prop_assert_eq!(&got.map(owned), &want);
            if want.is_none() {
                break;
            }
        }
        let mut lent = snapshot.range(bounds.clone());
        let lent = || lent.next_with(|key, value| (key.to_vec(), value.to_vec()));
        let lent: esker::Result<Vec<Entry>> = std::iter::from_fn(lent).collect();
        prop_assert_eq!(&lent.expect("entries"), &all);
        let keys = snapshot.range(bounds.clone()).keys();
        let keys: Vec<_> = keys.map(|k| Vec::from(k.expect("a key"))).collect();
        prop_assert_eq!(keys, all.into_iter().map(|(k, _)| k).collect::<Vec<_>>());
        Ok(())
    }

    fn prefix(&self, prefix: &[u8], backwards: bool) -> Checked {
        let mut want = self.model.all(self.now_ms);
        want.retain(|(k, _)| k.starts_with(prefix));
        let mut got: Vec<Entry> = if backwards {
            self.db().prefix(prefix).rev().map(owned).collect()
        } else {
            self.db().prefix(prefix).map(owned).collect()
        };
        let keys = self.db().prefix(prefix).keys();
        let keys: esker::Result<Vec<_>> =
            if backwards { keys.rev().collect() } else { keys.collect() };
        let keys: Vec<Vec<u8>> = keys.expect("keys").into_iter().map(Vec::from).collect();
        let keys_of_entries: Vec<Vec<u8>> = got.iter().map(|(k, _)| k.clone()).collect();
        prop_assert_eq!(keys, keys_of_entries);
        if backwards {
            got.reverse();
        }
        prop_assert_eq!(got, want);
        Ok(())
    }

    fn release(&mut self, n: usize) -> Checked {
        if !self.snapshots.is_empty() {
            let n = n % self.snapshots.len();
            self.check_snapshot(n)?;
            self.snapshots.remove(n);
        }
        Ok(())
    }

    fn check_snapshots(&self) -> Checked {
        (0..self.snapshots.len()).try_for_each(|n| self.check_snapshot(n))
    }

    fn check_snapshot(&self, n: usize) -> Checked {
        let (snapshot, model) = &self.snapshots[n];
        let mut want = model.all(self.now_ms);
        let got: Vec<Entry> = snapshot.iter().map(owned).collect();
        prop_assert_eq!(&got, &want);
        for (k, v) in want.iter().take(5) {
            let got = snapshot.get(k).expect("get").map(Vec::from);
            prop_assert_eq!(got.as_ref(), Some(v));
        }
        want.reverse();
        let got: Vec<Entry> = snapshot.iter().rev().map(owned).collect();
        prop_assert_eq!(got, want);
        Ok(())
    }
}
