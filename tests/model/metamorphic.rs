//! Sequences that differ and must come to the same.

use crate::options::tiny;
use crate::run::{Entry, add, owned};
use crate::steps::{Op, key, op, value};
use esker::sim::SimFs;
use esker::{Db, Options, WriteBatch};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a database came to.
#[derive(Debug, PartialEq)]
struct End {
    entries: Vec<Entry>,
    keys: Vec<Vec<u8>>,
    last_seq: u64,
}

struct Store {
    fs: SimFs,
    options: Options,
    db: Option<Db>,
}

impl Store {
    fn new(options: Options) -> Self {
        let mut store = Store { fs: SimFs::new(), options, db: None };
        store.reopen();
        store
    }

    fn db(&self) -> &Db {
        self.db.as_ref().expect("open")
    }

    fn reopen(&mut self) {
        self.db = None;
        let fs = Arc::new(self.fs.clone());
        self.db = Some(Db::open_with_fs(fs, "/db", self.options.clone()).expect("opens"));
    }

    fn write(&self, ops: &[Op]) {
        let mut batch = WriteBatch::new();
        ops.iter().for_each(|op| add(&mut batch, op));
        self.db().write(batch).expect("a commit");
    }

    fn read(&self) -> End {
        let db = self.db();
        let entries: Vec<Entry> = db.iter().map(owned).collect();
        let mut backwards: Vec<Entry> = db.iter().rev().map(owned).collect();
        backwards.reverse();
        assert_eq!(entries, backwards, "the same from both ends");
        for (key, value) in &entries {
            let found = db.get(key).expect("a read").map(Vec::from);
            assert_eq!(found.as_ref(), Some(value));
        }
        let keys = db.iter().keys().map(|k| Vec::from(k.expect("a key"))).collect();
        End { entries, keys, last_seq: db.metrics().last_seq }
    }

    /// What is there, also after the database was reopened.
    fn end(mut self) -> End {
        let end = self.read();
        self.reopen();
        assert_eq!(self.read(), end, "the same after an open");
        self.db().verify().expect("sound");
        end
    }
}

fn ops(count: usize) -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(), 1..count)
}

/// Something that is done between two operations and changes nothing.
#[derive(Debug, Clone, Copy)]
enum Interlude {
    Flush,
    Compact,
    Persist,
    Reopen,
    Close,
}

fn interlude() -> impl Strategy<Value = Interlude> {
    use Interlude::{Close, Compact, Flush, Persist, Reopen};
    prop_oneof![Just(Flush), Just(Compact), Just(Persist), Just(Reopen), Just(Close)]
}

impl Store {
    fn pause(&mut self, interlude: Interlude) {
        match interlude {
            Interlude::Flush => self.db().flush().expect("a flush"),
            Interlude::Compact => self.db().compact().expect("a compaction"),
            Interlude::Persist => self.db().persist().expect("a sync"),
            Interlude::Reopen => self.reopen(),
            Interlude::Close => {
                self.db().close().expect("closed");
                self.reopen();
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::config(160))]

    /// However a sequence is cut into batches.
    #[test]
    fn batches_cut_differently(
        ops in ops(60),
        sizes in proptest::collection::vec(1..9_usize, 1..8),
    ) {
        let singles = Store::new(tiny());
        ops.iter().for_each(|op| singles.write(std::slice::from_ref(op)));
        let whole = Store::new(tiny());
        whole.write(&ops);
        let chunks = Store::new(tiny());
        let (mut rest, mut sizes) = (&ops[..], sizes.iter().cycle());
        while !rest.is_empty() {
            let size = *sizes.next().expect("a cycle");
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            chunks.write(chunk);
            rest = after;
        }
        let end = singles.end();
        prop_assert_eq!(&whole.end(), &end);
        prop_assert_eq!(&chunks.end(), &end);
        prop_assert_eq!(end.last_seq, ops.len() as u64);
    }

    /// Wherever it is flushed, synced, closed or abandoned and opened again.
    #[test]
    fn interludes_anywhere(
        ops in ops(60),
        interludes in proptest::collection::btree_map(0..60_usize, interlude(), 1..8),
    ) {
        let plain = Store::new(Options::default());
        ops.iter().for_each(|op| plain.write(std::slice::from_ref(op)));
        let mut paused = Store::new(tiny());
        for (n, op) in ops.iter().enumerate() {
            paused.write(std::slice::from_ref(op));
            if let Some(&interlude) = interludes.get(&n) {
                let before = paused.read();
                paused.pause(interlude);
                prop_assert_eq!(&paused.read(), &before, "{:?} after {}", interlude, n);
            }
        }
        prop_assert_eq!(paused.end(), plain.end());
    }

    /// In whatever order, where each key is written once.
    #[test]
    fn operations_on_distinct_keys_shuffled(
        (ops, shuffled) in proptest::collection::btree_map(key(), proptest::option::weighted(
            0.8,
            (value(), Just(0_u16)),
        ), 1..40)
            .prop_map(|ops: BTreeMap<_, _>| ops.into_iter().collect::<Vec<Op>>())
            .prop_flat_map(|ops| (Just(ops.clone()), Just(ops).prop_shuffle())),
        flush_at in 0..40_usize,
    ) {
        let (ordered, other) = (Store::new(tiny()), Store::new(tiny()));
        // What is overwritten or deleted.
        for store in [&ordered, &other] {
            let old = |(key, _): &Op| (key.clone(), Some((b"old".to_vec(), 0)));
            store.write(&ops.iter().step_by(2).map(old).collect::<Vec<_>>());
        }
        ops.iter().for_each(|op| ordered.write(std::slice::from_ref(op)));
        for (n, op) in shuffled.iter().enumerate() {
            other.write(std::slice::from_ref(op));
            if n == flush_at {
                other.db().flush().expect("a flush");
            }
        }
        prop_assert_eq!(other.end(), ordered.end());
    }
}
