//! Transactions, as the reference has them, and reads in them, which it has not.

use crate::fixture::Fixture;
use esker::{Engine, Error, Transaction};
use std::time::Duration;

fn writes_are_invisible_until_commit(on: &dyn Fixture) {
    let engine = on.engine();
    engine.set("old", b"1").expect("set");
    let mut tx = engine.begin_tx().expect("begin_tx");
    tx.set("key1", b"value1").expect("set");
    tx.set("key2", b"").expect("set");
    tx.delete("old").expect("delete");
    tx.delete("missing").expect("delete");
    assert!(matches!(engine.get("key1"), Err(Error::KeyNotFound)));
    assert_eq!(engine.list("").expect("list"), ["old"]);
    tx.commit().expect("commit");
    assert_eq!(engine.list("").expect("list"), ["key1", "key2"]);
    let engine = on.reopened();
    assert_eq!(engine.list("").expect("list"), ["key1", "key2"]);
    assert_eq!(engine.get("key1").expect("get"), b"value1");
}

fn the_last_operation_on_a_key_wins(on: &dyn Fixture) {
    let engine = on.engine();
    engine.set("set then deleted", b"old").expect("set");
    let mut tx = engine.begin_tx().expect("begin_tx");
    tx.set("twice", b"first").expect("set");
    tx.set("set then deleted", b"x").expect("set");
    tx.delete("deleted then set").expect("delete");
    tx.set("twice", b"last").expect("set");
    tx.delete("set then deleted").expect("delete");
    tx.set("deleted then set", b"there").expect("set");
    tx.commit().expect("commit");
    let engine = on.reopened();
    assert_eq!(engine.get("twice").expect("get"), b"last");
    assert_eq!(engine.get("deleted then set").expect("get"), b"there");
    assert!(matches!(engine.get("set then deleted"), Err(Error::KeyNotFound)));
}

fn of_two_writers_the_later_commit_wins(on: &dyn Fixture) {
    let engine = on.engine();
    let mut first = engine.begin_tx().expect("begin_tx");
    let mut second = engine.begin_tx().expect("begin_tx");
    second.set("k", b"second").expect("set");
    first.set("k", b"first").expect("set");
    second.commit().expect("no conflict");
    assert_eq!(engine.get("k").expect("get"), b"second");
    engine.set("k", b"between").expect("set");
    first.commit().expect("no conflict");
    assert_eq!(engine.get("k").expect("get"), b"first");
    assert_eq!(on.reopened().get("k").expect("get"), b"first");
}

fn after_commit_it_is_closed(on: &dyn Fixture) {
    let engine = on.engine();
    let mut tx = engine.begin_tx().expect("begin_tx");
    tx.set("k", b"v").expect("set");
    tx.commit().expect("commit");
    assert!(matches!(tx.set("k", b"w"), Err(Error::TransactionClosed)));
    assert!(matches!(tx.delete("k"), Err(Error::TransactionClosed)));
    assert!(matches!(tx.get("k"), Err(Error::TransactionClosed)));
    assert!(matches!(tx.list(""), Err(Error::TransactionClosed)));
    assert!(matches!(tx.commit(), Err(Error::TransactionClosed)));
    tx.rollback().expect("always");
    tx.rollback().expect("always");
    assert!(matches!(tx.commit(), Err(Error::TransactionClosed)));
    drop(tx);
    assert_eq!(engine.get("k").expect("a rollback undoes no commit"), b"v");
}

fn after_rollback_it_is_closed_and_nothing_happened(on: &dyn Fixture) {
    let engine = on.engine();
    engine.set("old", b"1").expect("set");
    let mut tx = engine.begin_tx().expect("begin_tx");
    tx.set("k", b"v").expect("set");
    tx.delete("old").expect("delete");
    tx.rollback().expect("rollback");
    tx.rollback().expect("any number of times");
    assert!(matches!(tx.set("k", b"w"), Err(Error::TransactionClosed)));
    assert!(matches!(tx.delete("old"), Err(Error::TransactionClosed)));
    assert!(matches!(tx.get("old"), Err(Error::TransactionClosed)));
    assert!(matches!(tx.list(""), Err(Error::TransactionClosed)));
    assert!(matches!(tx.commit(), Err(Error::TransactionClosed)));
    assert_eq!(on.reopened().list("").expect("list"), ["old"]);
}

fn dropping_one_is_a_rollback(on: &dyn Fixture) {
    let engine = on.engine();
    let mut tx = engine.begin_tx().expect("begin_tx");
    tx.set("k", b"v").expect("set");
    drop(tx);
    assert!(engine.list("").expect("list").is_empty());
    assert!(on.reopened().list("").expect("list").is_empty());
}

fn an_empty_one_commits(on: &dyn Fixture) {
    let mut tx = on.engine().begin_tx().expect("begin_tx");
    tx.commit().expect("nothing to write");
    assert!(matches!(tx.commit(), Err(Error::TransactionClosed)));
}

fn an_operation_too_large_is_refused_and_the_rest_goes_on(on: &dyn Fixture) {
    let engine = on.engine();
    let too_long = "k".repeat(65_533);
    let mut tx = engine.begin_tx().expect("begin_tx");
    tx.set("a", b"1").expect("set");
    assert!(matches!(tx.set(&too_long, b""), Err(Error::TooLarge { what: "key", .. })));
    assert!(matches!(tx.delete(&too_long), Err(Error::TooLarge { what: "key", .. })));
    tx.set("b", b"2").expect("set");
    tx.commit().expect("commit");
    assert_eq!(engine.list("").expect("list"), ["a", "b"]);
}

fn it_touches_keys_only(on: &dyn Fixture) {
    let engine = on.engine();
    engine.set_service("web", b"service", Duration::from_secs(3600)).expect("set_service");
    let mut tx = engine.begin_tx().expect("begin_tx");
    tx.delete("web").expect("delete");
    tx.set("svc:web", b"a key").expect("set");
    tx.commit().expect("commit");
    assert_eq!(engine.get_service("web").expect("get_service"), b"service");
    assert_eq!(engine.list("").expect("list"), ["svc:web"]);
}

fn it_may_be_of_any_size(on: &dyn Fixture) {
    let engine = on.engine();
    let mut tx = engine.begin_tx().expect("begin_tx");
    for index in 0..120_000 {
        tx.set(&format!("{index:06}"), &[b'v'; 100]).expect("set");
    }
    tx.commit().expect("commit");
    assert_eq!(engine.list("").expect("list").len(), 120_000);
    assert_eq!(on.reopened().list("").expect("list").len(), 120_000);
}

fn a_closed_engine_closes_its_transactions(on: &dyn Fixture) {
    let engine = on.engine();
    let mut tx = engine.begin_tx().expect("begin_tx");
    let mut empty = engine.begin_tx().expect("begin_tx");
    tx.set("k", b"v").expect("set");
    engine.close().expect("close");
    assert!(matches!(tx.set("k", b"v"), Err(Error::Closed)));
    assert!(matches!(tx.delete("k"), Err(Error::Closed)));
    assert!(matches!(tx.get("k"), Err(Error::Closed)), "its own write, even");
    assert!(matches!(tx.list(""), Err(Error::Closed)));
    assert!(matches!(tx.commit(), Err(Error::Closed)));
    assert!(matches!(empty.commit(), Err(Error::Closed)));
    assert!(matches!(tx.commit(), Err(Error::TransactionClosed)), "it is over all the same");
    tx.rollback().expect("always");
}

fn it_outlives_the_handle_it_came_from(on: &dyn Fixture) {
    let mut tx = {
        let engine = on.engine();
        engine.begin_tx().expect("begin_tx")
    };
    // And may go to another thread.
    std::thread::spawn(move || {
        tx.set("k", b"v").expect("set");
        tx.commit().expect("commit");
    })
    .join()
    .expect("the thread ends");
    assert_eq!(on.engine().get("k").expect("get"), b"v");
}

fn reads_see_the_beginning_and_its_own_writes(on: &dyn Fixture) {
    let engine = on.engine();
    for key in ["a", "b", "d", "x/1"] {
        engine.set(key, b"old").expect("set");
    }
    let mut tx = engine.begin_tx().expect("begin_tx");
    engine.set("a", b"changed").expect("set");
    engine.set("c", b"new").expect("set");
    engine.delete("d").expect("delete");
    assert_eq!(tx.get("a").expect("get"), b"old");
    assert!(matches!(tx.get("c"), Err(Error::KeyNotFound)));
    assert_eq!(tx.get("d").expect("get"), b"old");
    assert!(matches!(tx.get(&"k".repeat(65_533)), Err(Error::KeyNotFound)));
    tx.set("bb", b"own").expect("set");
    tx.set("a", b"own").expect("set");
    tx.delete("b").expect("delete");
    tx.delete("missing").expect("delete");
    assert_eq!(tx.get("a").expect("get"), b"own");
    assert_eq!(tx.get("bb").expect("get"), b"own");
    assert!(matches!(tx.get("b"), Err(Error::KeyNotFound)));
    assert_eq!(tx.list("").expect("list"), ["a", "bb", "d", "x/1"]);
    assert_eq!(tx.list("b").expect("list"), ["bb"]);
    assert_eq!(tx.list("x/").expect("list"), ["x/1"]);
    assert!(tx.list("y").expect("list").is_empty());
    tx.set("b", b"again").expect("set");
    assert_eq!(tx.list("b").expect("list"), ["b", "bb"]);
    assert_eq!(engine.list("").expect("list"), ["a", "b", "c", "x/1"], "nobody else sees it");
}

/// Begins, reads, has another change something, and commits a write of its own.
fn outcome(
    on: &dyn Fixture,
    read: impl FnOnce(&mut dyn Transaction),
    change: impl FnOnce(&dyn Engine),
) -> Result<(), Error> {
    let engine = on.engine();
    let mut tx = engine.begin_tx().expect("begin_tx");
    read(tx.as_mut());
    change(engine.as_ref());
    tx.set("result", b"of what was read").expect("set");
    let committed = tx.commit();
    assert!(matches!(tx.commit(), Err(Error::TransactionClosed)), "it is over either way");
    let is_there = engine.get("result").is_ok();
    assert_eq!(is_there, committed.is_ok(), "all or nothing");
    engine.delete("result").expect("delete");
    committed
}

fn what_was_read_and_then_written_conflicts(on: &dyn Fixture) {
    on.engine().set("there", b"value").expect("set");
    type Change = fn(&dyn Engine, &str);
    let changes: [(&str, Change); 5] = [
        ("set", |engine, key| engine.set(key, b"other").expect("set")),
        ("the same value", |engine, key| engine.set(key, b"value").expect("set")),
        ("delete", |engine, key| engine.delete(key).expect("delete")),
        ("batch_set", |engine, key| {
            engine.batch_set(&[("x", b"1"), (key, b"2")]).expect("batch_set");
        }),
        ("batch_delete", |engine, key| engine.batch_delete(&["y", key]).expect("batch_delete")),
    ];
    for (what, change) in changes {
        for key in ["there", "missing"] {
            let told = outcome(on, |tx| drop(tx.get(key)), |engine| change(engine, key));
            assert!(matches!(told, Err(Error::Conflict)), "{what} of {key}: {told:?}");
            let told = outcome(on, |tx| drop(tx.get(key)), |engine| change(engine, "another"));
            assert!(told.is_ok(), "{what} of another than {key}: {told:?}");
            let told = outcome(on, |tx| drop(tx.list("t").expect("list")), |e| change(e, key));
            assert_eq!(told.is_err(), key == "there", "{what} of {key} in a list: {told:?}");
            let told = outcome(on, |tx| drop(tx.get(key)), |_| {});
            assert!(told.is_ok(), "without a change: {told:?}");
        }
    }
}

fn a_key_that_comes_into_a_list_conflicts(on: &dyn Fixture) {
    let list = |tx: &mut dyn Transaction| assert_eq!(tx.list("p/").expect("list"), ["p/5"]);
    on.engine().set("p/5", b"").expect("set");
    for key in ["p/", "p/1", "p/9", "p/5"] {
        let told = outcome(on, list, |engine| engine.set(key, b"new").expect("set"));
        assert!(matches!(told, Err(Error::Conflict)), "{key}: {told:?}");
        if key != "p/5" {
            on.engine().delete(key).expect("delete");
        }
    }
    for key in ["p", "p.", "p0", "q", ""] {
        let told = outcome(on, list, |engine| engine.set(key, b"new").expect("set"));
        assert!(told.is_ok(), "{key}: {told:?}");
    }
}

fn what_another_transaction_commits_conflicts(on: &dyn Fixture) {
    let engine = on.engine();
    let mut first = engine.begin_tx().expect("begin_tx");
    let mut second = engine.begin_tx().expect("begin_tx");
    for tx in [&mut first, &mut second] {
        assert!(matches!(tx.get("counter"), Err(Error::KeyNotFound)));
        tx.set("counter", b"1").expect("set");
    }
    second.commit().expect("it is the first to commit");
    assert!(matches!(first.commit(), Err(Error::Conflict)));
    let mut third = engine.begin_tx().expect("begin_tx");
    assert_eq!(third.get("counter").expect("get"), b"1");
    third.set("counter", b"2").expect("set");
    third.commit().expect("nothing came between");
}

fn who_only_reads_or_only_writes_never_conflicts(on: &dyn Fixture) {
    let engine = on.engine();
    let mut reader = engine.begin_tx().expect("begin_tx");
    let mut writer = engine.begin_tx().expect("begin_tx");
    let mut own = engine.begin_tx().expect("begin_tx");
    assert!(matches!(reader.get("k"), Err(Error::KeyNotFound)));
    assert!(reader.list("").expect("list").is_empty());
    writer.set("k", b"late").expect("set");
    own.set("k", b"own").expect("set");
    assert_eq!(own.get("k").expect("get"), b"own", "that is no read of the engine");
    own.delete("gone").expect("delete");
    assert!(matches!(own.get("gone"), Err(Error::KeyNotFound)));
    engine.set("k", b"between").expect("set");
    engine.set("gone", b"between").expect("set");
    reader.commit().expect("it wrote nothing");
    writer.commit().expect("it read nothing");
    own.commit().expect("it read its own writes");
    assert_eq!(engine.get("k").expect("get"), b"own");
    assert!(matches!(engine.get("gone"), Err(Error::KeyNotFound)));
}

fn services_are_not_what_it_reads(on: &dyn Fixture) {
    let change = |engine: &dyn Engine| {
        engine.set_service("web", b"{}", Duration::from_secs(3600)).expect("set_service");
    };
    let told = outcome(on, |tx| drop(tx.list("").expect("list")), change);
    assert!(told.is_ok(), "{told:?}");
}

on_every_engine!(
    writes_are_invisible_until_commit,
    the_last_operation_on_a_key_wins,
    of_two_writers_the_later_commit_wins,
    after_commit_it_is_closed,
    after_rollback_it_is_closed_and_nothing_happened,
    dropping_one_is_a_rollback,
    an_empty_one_commits,
    an_operation_too_large_is_refused_and_the_rest_goes_on,
    it_touches_keys_only,
    it_may_be_of_any_size,
    a_closed_engine_closes_its_transactions,
    it_outlives_the_handle_it_came_from,
    reads_see_the_beginning_and_its_own_writes,
    what_was_read_and_then_written_conflicts,
    a_key_that_comes_into_a_list_conflicts,
    what_another_transaction_commits_conflicts,
    who_only_reads_or_only_writes_never_conflicts,
    services_are_not_what_it_reads,
);
