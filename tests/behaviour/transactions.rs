//! Transactions, as the reference has them: writes only.

use crate::fixture::Fixture;
use esker::Error;
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
);
