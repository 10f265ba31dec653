//! What reads show: ranges with every kind of end, from both sides, and
//! snapshots, over memtables and tables.

use esker::sim::SimFs;
use esker::{Db, Options, Snapshot};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;
type Entry = (Vec<u8>, Vec<u8>);

fn open() -> Db {
    // Tables stay as they were flushed: that there are many is the point.
    let options = Options { auto_compaction: false, ..Options::default() };
    Db::open_with_fs(Arc::new(SimFs::new()), "/db", options).expect("opens")
}

fn owned(item: esker::Result<(esker::Key, esker::Value)>) -> Entry {
    let (key, value) = item.expect("an entry");
    (key.into(), value.into())
}

/// Keys with a letter between each two, in two tables that overlap and the
/// memtable; some replaced, some deleted.
fn spread() -> (Db, Model) {
    let db = open();
    let mut model = Model::new();
    let mut set = |key: &str, value: &str| {
        db.set(key, value).expect("a commit");
        model.insert(key.into(), value.into());
    };
    for key in ["b", "d", "f", "h"] {
        set(key, "first table");
    }
    db.flush().expect("a flush");
    for key in ["d", "j", "l"] {
        set(key, "second table");
    }
    db.delete("f").expect("a commit");
    db.flush().expect("a flush");
    for key in ["h", "n"] {
        set(key, "memtable");
    }
    db.delete("l").expect("a commit");
    for deleted in ["f", "l"] {
        model.remove(deleted.as_bytes());
    }
    assert_eq!(db.metrics().tables, 2);
    (db, model)
}

fn bounds() -> Vec<Bound<String>> {
    let keys = || ('a'..='o').map(String::from);
    let included = keys().map(Bound::Included);
    included.chain(keys().map(Bound::Excluded)).chain([Bound::Unbounded]).collect()
}

fn expected(model: &Model, low: &Bound<String>, high: &Bound<String>) -> VecDeque<Entry> {
    let is_within = |key: &Vec<u8>| {
        (match low {
            Bound::Included(low) => key.as_slice() >= low.as_bytes(),
            Bound::Excluded(low) => key.as_slice() > low.as_bytes(),
            Bound::Unbounded => true,
        }) && match high {
            Bound::Included(high) => key.as_slice() <= high.as_bytes(),
            Bound::Excluded(high) => key.as_slice() < high.as_bytes(),
            Bound::Unbounded => true,
        }
    };
    model.iter().filter(|(k, _)| is_within(k)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

#[test]
fn the_ends_of_a_range_meet() {
    let (db, model) = spread();
    ends_meet(&db.snapshot(), &model);
}

#[test]
fn the_ends_of_a_range_meet_in_a_snapshot_that_was_held_over_flushes() {
    let (db, model) = spread();
    let snapshot = db.snapshot();
    for round in 0..12 {
        for key in ["a", "b", "d", "e", "h", "n", "o"] {
            db.set(key, format!("later {round}")).expect("a commit");
        }
        db.delete("b").expect("a commit");
        if round % 4 == 0 {
            db.flush().expect("a flush");
        }
    }
    ends_meet(&snapshot, &model);
}

/// In ranges with ends of every kind, crossed ones among them.
fn ends_meet(snapshot: &Snapshot, model: &Model) {
    for low in bounds() {
        for high in bounds() {
            // How many are taken from the front before each from the back.
            for fronts in [0, 1, 3, usize::MAX] {
                let mut left = expected(model, &low, &high);
                let mut range = snapshot.range((low.clone(), high.clone()));
                for turn in 0.. {
                    let (got, want) = if fronts > 0 && turn % fronts.saturating_add(1) != fronts {
                        (range.next(), left.pop_front())
                    } else {
                        (range.next_back(), left.pop_back())
                    };
                    assert_eq!(got.map(owned), want, "{low:?}..{high:?}, {fronts}, turn {turn}");
                    if want.is_none() {
                        break;
                    }
                }
            }
        }
    }
}

/// All that a snapshot shows, each way.
fn shown(snapshot: &Snapshot) -> [Vec<Entry>; 3] {
    let forwards = snapshot.iter().map(owned).collect();
    let mut backwards: Vec<Entry> = snapshot.iter().rev().map(owned).collect();
    backwards.reverse();
    let gets = ('a'..='o').map(|key| key.to_string()).filter_map(|key| {
        let value = snapshot.get(&key).expect("a read")?;
        Some((key.into(), value.into()))
    });
    [forwards, backwards, gets.collect()]
}

#[test]
fn a_snapshot_does_not_change() {
    let (db, model) = spread();
    let want: Vec<Entry> = model.into_iter().collect();
    let snapshot = db.snapshot();
    let check = |when: &str| {
        for shown in shown(&snapshot) {
            assert_eq!(shown, want, "{when}");
        }
    };
    check("at once");
    for key in ["a", "d", "h", "n"] {
        db.set(key, "later").expect("a commit");
        db.set(key, "later still").expect("a commit");
    }
    db.delete("b").expect("a commit");
    check("after commits");
    db.flush().expect("a flush");
    check("after a flush");
    assert_ne!(shown(&db.snapshot())[0], want);
}

/// Since a scan stays on the entry that it gave out, in place of a copy of its key, a closure that panicked left no
/// trace of how far the front had come. Who caught the panic and went on from the back met all that the front had
/// given out before, once more.
#[test]
fn the_ends_of_a_range_meet_though_a_closure_panicked() {
    let (db, model) = spread();
    let keys: Vec<Vec<u8>> = model.into_keys().collect();
    for is_front in [true, false] {
        let mut range = db.iter();
        let mut seen = Vec::new();
        for turn in 0..3 {
            let see = |key: &[u8], _: &[u8]| {
                assert!(turn < 2, "planned");
                seen.push(key.to_vec());
            };
            let step = AssertUnwindSafe(|| match is_front {
                true => range.next_with(see),
                false => range.next_back_with(see),
            });
            assert_eq!(catch_unwind(step).is_err(), turn == 2);
        }
        let rest = |item| owned(item).0;
        let rest: Vec<_> =
            if is_front { range.rev().map(rest).collect() } else { range.map(rest).collect() };
        seen.extend(rest);
        seen.sort();
        // The one at which it panicked was given out.
        let lost = if is_front { 2 } else { keys.len() - 3 };
        let want = keys.iter().enumerate().filter(|(n, _)| *n != lost);
        assert_eq!(seen, want.map(|(_, key)| key.clone()).collect::<Vec<_>>());
    }
}
