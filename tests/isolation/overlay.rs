//! What a transaction sees: the database as it was, under its own writes.

use super::{fresh, quiet, small_options};
use esker::{Db, DbTransaction, Error, Options, SyncPolicy, WriteBatch};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;
type Row = (Vec<u8>, Vec<u8>);

fn owned(row: esker::Result<(esker::Key, esker::Value)>) -> Row {
    let (key, value) = row.expect("an entry");
    (key.to_vec(), value.to_vec())
}

fn in_bounds(model: &Model, low: &Bound<Vec<u8>>, high: &Bound<Vec<u8>>) -> VecDeque<Row> {
    let after = |key: &Vec<u8>| match low {
        Bound::Included(low) => key >= low,
        Bound::Excluded(low) => key > low,
        Bound::Unbounded => true,
    };
    let before = |key: &Vec<u8>| match high {
        Bound::Included(high) => key <= high,
        Bound::Excluded(high) => key < high,
        Bound::Unbounded => true,
    };
    let rows = model.iter().filter(|(key, _)| after(key) && before(key));
    rows.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn bound(of: (u8, u8)) -> Bound<Vec<u8>> {
    match of {
        (0, _) => Bound::Unbounded,
        (1, key) => Bound::Included(key_of(key)),
        (_, key) => Bound::Excluded(key_of(key)),
    }
}

fn key_of(number: u8) -> Vec<u8> {
    match number % 12 {
        0 => Vec::new(),
        1 => vec![0xff; 3],
        n => format!("key {n}").into_bytes(),
    }
}

/// Takes from both ends by turns, until they meet; every few rows it asks for keys alone.
fn compare(tx: &DbTransaction, model: &Model, low: (u8, u8), high: (u8, u8), turns: u16) {
    let (low, high) = (bound(low), bound(high));
    let mut left = in_bounds(model, &low, &high);
    let mut rows = tx.range((low.clone(), high.clone()));
    let mut turn = 0;
    loop {
        let is_front = turns >> (turn % 16) & 1 == 0;
        let (found, expected) = if is_front {
            (rows.next().map(owned), left.pop_front())
        } else {
            (rows.next_back().map(owned), left.pop_back())
        };
        assert_eq!(found, expected, "{low:?} to {high:?}, turn {turn}");
        turn += 1;
        if expected.is_none() {
            assert!(rows.next().is_none() && rows.next_back().is_none(), "it stays at its end");
            return;
        }
        if turn == 3 && turns.is_multiple_of(3) {
            let keys: Vec<Vec<u8>> = rows.keys().map(|key| key.expect("a key").to_vec()).collect();
            let expected: Vec<Vec<u8>> = left.into_iter().map(|(key, _)| key).collect();
            assert_eq!(keys, expected, "what is left, keys alone");
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_transaction_sees_a_map(
        before in proptest::collection::vec((any::<u8>(), 0..4_u8), 0..12),
        own in proptest::collection::vec((any::<u8>(), 0..4_u8), 0..12),
        ranges in proptest::collection::vec(
            ((0..3_u8, any::<u8>()), (0..3_u8, any::<u8>()), any::<u16>()), 1..8),
        flushes in any::<bool>(),
    ) {
        let (_fs, db) = quiet(small_options(SyncPolicy::Never));
        let mut model = Model::new();
        let mut batch = WriteBatch::new();
        for (key, kind) in before {
            let (key, value) = (key_of(key), vec![kind; usize::from(kind) * 150]);
            batch.set(&key, &value);
            model.insert(key, value);
        }
        db.write(batch).expect("write");
        if flushes {
            db.flush().expect("flush");
        }
        let mut tx = db.transaction();
        let mut later = WriteBatch::new();
        (0..12).for_each(|key| later.set(key_of(key), "later"));
        db.write(later).expect("write");
        for (key, kind) in own {
            let key = key_of(key);
            if kind == 0 {
                tx.delete(&key).expect("delete");
                model.remove(&key);
            } else {
                let value = vec![b'o', kind];
                tx.set(&key, &value).expect("set");
                model.insert(key, value);
            }
        }
        for key in 0..12 {
            let key = key_of(key);
            let found = tx.get(&key).expect("get").map(|value| value.to_vec());
            prop_assert_eq!(found.as_ref(), model.get(&key));
        }
        for (low, high, turns) in ranges {
            compare(&tx, &model, low, high, turns);
        }
        let found: Vec<Row> = tx.prefix("key").rev().map(owned).collect();
        let expected: Vec<Row> =
            model.iter().rev().filter(|(k, _)| k.starts_with(b"key")).map(|(k, v)| (k.clone(), v.clone())).collect();
        prop_assert_eq!(found, expected);
        let all: VecDeque<Row> = tx.iter().map(owned).collect();
        prop_assert_eq!(all, in_bounds(&model, &Bound::Unbounded, &Bound::Unbounded));
    }
}

#[test]
fn once_it_is_over_everything_but_rollback_says_so() {
    fn is_over(tx: &mut DbTransaction) {
        let closed = |told: Result<(), Error>| matches!(told, Err(Error::TransactionClosed));
        assert!(tx.is_closed());
        assert!(closed(tx.set("k", "v")) && closed(tx.delete("k")) && closed(tx.commit()));
        assert!(closed(tx.set_with_ttl("k", "v", std::time::Duration::from_secs(1))));
        assert!(closed(tx.get("k").map(|_| ())));
        let first = |mut rows: esker::TransactionRange<'_>| {
            let row = rows.next().expect("an error").map(|_| ());
            assert!(rows.next().is_none() && rows.next_back().is_none());
            row
        };
        assert!(closed(first(tx.iter())) && closed(first(tx.range("a"..))));
        assert!(closed(tx.prefix("").keys().next_back().expect("an error").map(|_| ())));
        tx.rollback();
        tx.rollback();
    }
    let (_dir, db) = fresh(Options::default());
    let mut committed = db.transaction();
    committed.set("k", "v").expect("set");
    committed.commit().expect("commit");
    assert_eq!(committed.committed_at(), Some(1));
    is_over(&mut committed);
    let mut rolled_back = db.transaction();
    rolled_back.set("k", "w").expect("set");
    rolled_back.rollback();
    is_over(&mut rolled_back);
    let mut refused = db.transaction();
    assert!(refused.get("k").expect("get").is_some());
    db.set("k", "x").expect("set");
    refused.set("y", "y").expect("set");
    assert!(matches!(refused.commit(), Err(Error::Conflict)));
    assert_eq!(refused.committed_at(), None);
    is_over(&mut refused);
    assert_eq!(db.iter().count(), 1);
}

#[test]
fn what_is_wrong_with_an_operation_is_told_at_once_and_the_rest_goes_on() {
    let (_dir, db) = fresh(Options::default());
    let mut tx = db.transaction();
    tx.set("a", "1").expect("set");
    let long = vec![0; 65_536];
    for told in [tx.set(&long, ""), tx.delete(&long)] {
        assert!(matches!(told, Err(Error::TooLarge { what: "key", .. })), "{told:?}");
    }
    let told = tx.set_with_ttl("b", "", std::time::Duration::ZERO);
    assert!(matches!(told, Err(Error::InvalidArgument { .. })), "{told:?}");
    assert_eq!(tx.get(&long).expect("such a key cannot be there"), None);
    tx.set("c", "3").expect("set");
    tx.commit().expect("commit");
    assert_eq!(db.iter().count(), 2);
}

#[test]
fn a_closed_database_closes_its_transactions() {
    let (_dir, db) = fresh(Options::default());
    db.set("k", "v").expect("set");
    let (mut tx, mut reader) = (db.transaction(), db.transaction());
    assert!(tx.get("k").expect("get").is_some());
    tx.set("k", "w").expect("set");
    let mut rows = reader.iter();
    db.close().expect("close");
    let is_closed =
        |told: Result<(), Error>| assert!(matches!(told, Err(Error::Closed)), "{told:?}");
    is_closed(rows.next().expect("an error").map(|_| ()));
    assert!(rows.next().is_none());
    drop(rows);
    is_closed(tx.get("k").map(|_| ()));
    is_closed(tx.set("k", "x"));
    is_closed(tx.iter().next().expect("an error").map(|_| ()));
    is_closed(tx.commit());
    assert!(matches!(tx.commit(), Err(Error::TransactionClosed)));
    is_closed(reader.commit());
}

/// A transaction keeps the database open, as a clone of it does.
#[test]
fn it_outlives_the_handle() {
    let (dir, db) = fresh(Options::default());
    let mut tx = db.transaction();
    drop(db);
    let locked = Db::open(dir.path(), Options::default());
    assert!(matches!(locked, Err(Error::Locked { .. })), "{locked:?}");
    std::thread::spawn(move || {
        tx.set("k", "v").expect("set");
        tx.commit().expect("commit");
    })
    .join()
    .expect("no panic");
    let db = Db::open(dir.path(), Options::default()).expect("opens");
    assert!(db.get("k").expect("get").is_some());
}

/// A row of the snapshot was looked at to be compared with one of the transaction's own, which came first, and
/// kept for the next step. Its time passed meanwhile, and another reader was told so; the iterator gave it out all
/// the same. After a close it gave out what it had kept, too, and own rows, where it had to say that it is closed.
#[test]
fn a_row_that_was_looked_at_ahead_still_expires_and_ends_with_the_database() {
    for is_front in [true, false] {
        for is_keys in [false, true] {
            let (fs, db) = quiet(small_options(SyncPolicy::Never));
            let ttl = std::time::Duration::from_millis(10);
            db.set_with_ttl("m", "expires", ttl).expect("set");
            let mut tx = db.transaction();
            for own in ["a", "b", "y", "z"] {
                tx.set(own, "own").expect("set");
            }
            let key = |row: esker::Result<(esker::Key, esker::Value)>| row.map(|(key, _)| key);
            let mut rows: Box<dyn DoubleEndedIterator<Item = esker::Result<esker::Key>>> =
                if is_keys { Box::new(tx.iter().keys()) } else { Box::new(tx.iter().map(key)) };
            let mut step = || if is_front { rows.next() } else { rows.next_back() };
            let mut next = || step().map(|key| key.expect("a key").to_vec());
            let [ahead, behind] =
                if is_front { [["a", "b"], ["y", "z"]] } else { [["z", "y"], ["b", "a"]] };
            assert_eq!(next().as_deref(), Some(ahead[0].as_bytes()));
            fs.sim_clock().advance(ttl);
            assert_eq!(db.get("m").expect("get"), None);
            for own in [ahead[1], behind[0]] {
                assert_eq!(
                    next().as_deref(),
                    Some(own.as_bytes()),
                    "front {is_front}, keys {is_keys}"
                );
            }
            db.close().expect("close");
            assert!(matches!(step(), Some(Err(Error::Closed))));
            assert!(step().is_none());
        }
    }
}
