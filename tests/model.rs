//! Random operations, flushes and reopens, against a `BTreeMap`: many in
//! memory, some on the disk.

use esker::sim::SimFs;
use esker::{Compression, Db, DiskFs, Fs, Options, SyncPolicy, WriteBatch, WriteOptions};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;
type Entry = (Vec<u8>, Vec<u8>);

#[derive(Debug, Clone)]
enum Step {
    Set(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Batch(Vec<(Vec<u8>, Option<Vec<u8>>)>, Option<bool>),
    Get(Vec<u8>),
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>, Vec<bool>),
    Prefix(Vec<u8>, bool),
    Snapshot,
    Flush,
    Persist,
    Reopen,
    /// Drop the handle without closing it.
    Abandon,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let letter = prop_oneof![Just(b'a'), Just(b'b'), Just(0), Just(0xff)];
    prop_oneof![
        6 => proptest::collection::vec(letter, 0..4),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => (any::<u8>(), 0..9000_usize).prop_map(|(b, n)| vec![b; n]),
        1 => (any::<u8>(), 60_000..200_000_usize).prop_map(|(b, n)| vec![b; n]),
    ]
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        Just(Bound::Unbounded),
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let op = (key(), proptest::option::weighted(0.7, value()));
    prop_oneof![
        12 => (key(), value()).prop_map(|(k, v)| Step::Set(k, v)),
        4 => key().prop_map(Step::Delete),
        4 => (proptest::collection::vec(op, 0..8), any::<Option<bool>>())
            .prop_map(|(ops, sync)| Step::Batch(ops, sync)),
        8 => key().prop_map(Step::Get),
        6 => (bound(), bound(), proptest::collection::vec(any::<bool>(), 1..12))
            .prop_map(|(low, high, turns)| Step::Range(low, high, turns)),
        3 => (key(), any::<bool>()).prop_map(|(p, back)| Step::Prefix(p, back)),
        2 => Just(Step::Snapshot),
        2 => Just(Step::Flush),
        1 => Just(Step::Persist),
        2 => Just(Step::Reopen),
        1 => Just(Step::Abandon),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    (any::<bool>(), any::<bool>(), 0..3_usize, any::<bool>()).prop_map(
        |(snappy, cached, policy, small_log)| Options {
            compression: if snappy { Compression::Snappy } else { Compression::None },
            block_cache_bytes: if cached { 1 << 20 } else { 0 },
            sync_policy: [
                SyncPolicy::Never,
                SyncPolicy::Always,
                SyncPolicy::Interval(Duration::from_millis(2)),
            ][policy],
            memtable_bytes: 64 << 10,
            log_file_bytes: if small_log { 64 << 10 } else { 1 << 20 },
            block_bytes: 256,
            ..Options::default()
        },
    )
}

/// The model's range, also where `BTreeMap::range` would panic.
fn expected(model: &Model, low: &Bound<Vec<u8>>, high: &Bound<Vec<u8>>) -> Vec<Entry> {
    let after_low = |k: &Vec<u8>| match low {
        Bound::Included(l) => k >= l,
        Bound::Excluded(l) => k > l,
        Bound::Unbounded => true,
    };
    let before_high = |k: &Vec<u8>| match high {
        Bound::Included(h) => k <= h,
        Bound::Excluded(h) => k < h,
        Bound::Unbounded => true,
    };
    let within = |(k, _): &(&Vec<u8>, &Vec<u8>)| after_low(k) && before_high(k);
    model.iter().filter(within).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn owned(item: esker::Result<(esker::Key, esker::Value)>) -> Entry {
    let (k, v) = item.expect("an entry");
    (k.into(), v.into())
}

struct Run {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    options: Options,
    db: Db,
    model: Model,
    snapshots: Vec<(esker::Snapshot, Model)>,
}

impl Run {
    fn new(fs: Arc<dyn Fs>, dir: PathBuf, options: Options) -> Self {
        let db = Db::open_with_fs(Arc::clone(&fs), &dir, options.clone()).expect("opens");
        Run { fs, dir, options, db, model: Model::new(), snapshots: Vec::new() }
    }

    fn apply(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Set(k, v) => {
                self.db.set(&k, &v).expect("set");
                self.model.insert(k, v);
            }
            Step::Delete(k) => {
                self.db.delete(&k).expect("delete");
                self.model.remove(&k);
            }
            Step::Batch(ops, sync) => self.batch(ops, sync),
            Step::Get(k) => {
                let got = self.db.get(&k).expect("get").map(Vec::from);
                prop_assert_eq!(got.as_ref(), self.model.get(&k));
            }
            Step::Range(low, high, turns) => self.range(&low, &high, &turns)?,
            Step::Prefix(prefix, backwards) => self.prefix(&prefix, backwards)?,
            Step::Snapshot => self.snapshots.push((self.db.snapshot(), self.model.clone())),
            Step::Flush => self.db.flush().expect("flush"),
            Step::Persist => self.db.persist().expect("persist"),
            Step::Reopen => self.reopen(true)?,
            Step::Abandon => self.reopen(false)?,
        }
        Ok(())
    }

    fn reopen(&mut self, close: bool) -> Result<(), TestCaseError> {
        self.check_snapshots()?;
        self.snapshots.clear();
        if close {
            self.db.close().expect("close");
        } else {
            // The old handle must be gone before the directory opens again.
            let elsewhere = Arc::new(SimFs::new());
            self.db = Db::open_with_fs(elsewhere, "/", Options::default()).expect("opens");
        }
        let fs = Arc::clone(&self.fs);
        self.db = Db::open_with_fs(fs, &self.dir, self.options.clone()).expect("opens again");
        prop_assert_eq!(self.db.metrics().recovery.log_cut_at, None);
        Ok(())
    }

    fn batch(&mut self, ops: Vec<(Vec<u8>, Option<Vec<u8>>)>, sync: Option<bool>) {
        let mut batch = WriteBatch::new();
        for (k, v) in &ops {
            match v {
                Some(v) => batch.set(k, v),
                None => batch.delete(k),
            }
        }
        assert_eq!(batch.len(), ops.len());
        self.db.write_with(batch, WriteOptions { sync }).expect("write");
        for (k, v) in ops {
            match v {
                Some(v) => self.model.insert(k, v),
                None => self.model.remove(&k),
            };
        }
    }

    /// Takes from the front and the back by turns, until they meet.
    fn range(
        &self,
        low: &Bound<Vec<u8>>,
        high: &Bound<Vec<u8>>,
        turns: &[bool],
    ) -> Result<(), TestCaseError> {
        let all = expected(&self.model, low, high);
        let mut left: VecDeque<_> = all.iter().cloned().collect();
        let mut range = self.db.range((low.clone(), high.clone()));
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
        let keys = self.db.range((low.clone(), high.clone())).keys();
        let keys: Vec<_> = keys.map(|k| Vec::from(k.expect("a key"))).collect();
        prop_assert_eq!(keys, all.into_iter().map(|(k, _)| k).collect::<Vec<_>>());
        Ok(())
    }

    fn prefix(&self, prefix: &[u8], backwards: bool) -> Result<(), TestCaseError> {
        let has_prefix = |k: &&Vec<u8>| k.starts_with(prefix);
        let mut want: Vec<_> = self.model.keys().filter(has_prefix).cloned().collect();
        let keys = self.db.prefix(prefix).keys();
        let got: Result<Vec<_>, _> = if backwards {
            want.reverse();
            keys.rev().map(|k| k.map(Vec::from)).collect()
        } else {
            keys.map(|k| k.map(Vec::from)).collect()
        };
        prop_assert_eq!(got.expect("keys"), want);
        Ok(())
    }

    fn check_snapshots(&self) -> Result<(), TestCaseError> {
        for (snapshot, model) in &self.snapshots {
            let got: Vec<Entry> = snapshot.range::<&[u8]>(..).map(owned).collect();
            prop_assert_eq!(&got, &expected(model, &Bound::Unbounded, &Bound::Unbounded));
            for (k, v) in model.iter().take(5) {
                let got = snapshot.get(k).expect("get").map(Vec::from);
                prop_assert_eq!(got.as_ref(), Some(v));
            }
        }
        Ok(())
    }
}

fn behaves_like_a_map(mut run: Run, steps: Vec<Step>) -> Result<(), TestCaseError> {
    for step in steps {
        run.apply(step)?;
    }
    run.range(&Bound::Unbounded, &Bound::Unbounded, &[true])?;
    run.range(&Bound::Unbounded, &Bound::Unbounded, &[false])?;
    run.check_snapshots()
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 2000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn behaves_like_a_map_in_memory(
        options in options(),
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        behaves_like_a_map(Run::new(Arc::new(SimFs::new()), "/db".into(), options), steps)?;
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn behaves_like_a_map_on_disk(
        options in options(),
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let dir = tempfile::tempdir()?;
        let run = Run::new(Arc::new(DiskFs::new()), dir.path().to_path_buf(), options);
        behaves_like_a_map(run, steps)?;
    }
}
