//! Batches: all or nothing, at any size.

use crate::fixture::Fixture;
use esker::{Engine, Error};
use std::time::Duration;

fn an_empty_batch_writes_nothing(on: &dyn Fixture) {
    let engine = on.engine();
    engine.batch_set(&[]).expect("nothing to set");
    engine.batch_delete(&[]).expect("nothing to delete");
    assert!(engine.list("").expect("list").is_empty());
}

fn a_batch_sets_and_deletes_all(on: &dyn Fixture) {
    let engine = on.engine();
    engine.set("kept", b"1").expect("set");
    engine.batch_set(&[("a", b"1"), ("b", b""), ("", b"3"), ("kept", b"22")]).expect("batch_set");
    let engine = on.reopened();
    assert_eq!(engine.list("").expect("list"), ["", "a", "b", "kept"]);
    assert_eq!(engine.get("b").expect("get"), b"");
    assert_eq!(engine.get("kept").expect("get"), b"22");
    engine.batch_delete(&["a", "missing", "", "a"]).expect("missing ones and twice are fine");
    assert_eq!(engine.list("").expect("list"), ["b", "kept"]);
    assert_eq!(on.reopened().list("").expect("list"), ["b", "kept"]);
}

fn of_a_duplicate_key_the_last_wins(on: &dyn Fixture) {
    let engine = on.engine();
    engine.batch_set(&[("k", b"first"), ("other", b"o"), ("k", b"last")]).expect("batch_set");
    assert_eq!(engine.get("k").expect("get"), b"last");
    assert_eq!(engine.list("").expect("list"), ["k", "other"]);
    assert_eq!(on.reopened().get("k").expect("get"), b"last");
}

fn one_bad_item_and_nothing_is_written(on: &dyn Fixture) {
    let engine = on.engine();
    engine.set("a", b"old").expect("set");
    let too_long = "k".repeat(65_533);
    let error = engine.batch_set(&[("a", b"new"), ("b", b"new"), (&too_long, b"")]);
    assert!(matches!(error, Err(Error::TooLarge { what: "key", .. })), "{error:?}");
    let error = engine.batch_delete(&["a", &too_long]);
    assert!(matches!(error, Err(Error::TooLarge { what: "key", .. })), "{error:?}");
    let engine = on.reopened();
    assert_eq!(engine.get("a").expect("get"), b"old");
    assert_eq!(engine.list("").expect("list"), ["a"]);
}

fn batches_touch_keys_only(on: &dyn Fixture) {
    let engine = on.engine();
    engine.set_service("web", b"service", Duration::from_secs(3600)).expect("set_service");
    engine.batch_set(&[("web", b"key")]).expect("batch_set");
    assert_eq!(engine.get_service("web").expect("get_service"), b"service");
    engine.batch_delete(&["web", "svc:web"]).expect("batch_delete");
    assert_eq!(engine.get_service("web").expect("get_service"), b"service");
    assert!(matches!(engine.get("web"), Err(Error::KeyNotFound)));
}

/// 200,000 entries: beyond the 104,855 that the reference's engine took.
fn a_batch_of_200_000_entries_is_taken_whole(on: &dyn Fixture) {
    let engine = on.engine();
    let keys: Vec<String> = (0..200_000).map(|index| format!("key{index:06}")).collect();
    let items: Vec<(&str, &[u8])> = keys.iter().map(|key| (key.as_str(), key.as_bytes())).collect();
    engine.batch_set(&items).expect("batch_set");
    assert!(engine.list("").expect("list") == keys, "each key once, in order");
    let engine = on.reopened();
    assert!(engine.list("key").expect("list") == keys, "each key once, in order, reopened");
    for key in keys.iter().step_by(997) {
        assert_eq!(engine.get(key).expect("get"), key.as_bytes());
    }
    let all: Vec<&str> = keys.iter().map(String::as_str).collect();
    engine.batch_delete(&all).expect("batch_delete");
    assert!(engine.list("").expect("list").is_empty());
    assert!(on.reopened().list("").expect("list").is_empty());
}

/// 80 MiB in one batch: more than the default memtable and log file hold.
fn a_batch_larger_than_a_memtable_is_taken_whole(on: &dyn Fixture) {
    const COUNT: usize = 640;
    const VALUE_BYTES: usize = 128 << 10;
    let engine = on.engine();
    engine.set("000", b"replaced by the batch").expect("set");
    let names: Vec<String> = (0..COUNT).map(|index| format!("{index:03}")).collect();
    let values: Vec<Vec<u8>> =
        names.iter().map(|name| name.bytes().cycle().take(VALUE_BYTES).collect()).collect();
    let items: Vec<(&str, &[u8])> =
        names.iter().zip(&values).map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    engine.batch_set(&items).expect("batch_set");
    engine.set("001", b"after").expect("set");
    let check = |engine: &dyn Engine| {
        assert!(engine.list("").expect("list") == names);
        assert_eq!(engine.get("001").expect("get"), b"after");
        for index in (0..COUNT).filter(|index| *index != 1) {
            assert!(engine.get(&names[index]).expect("get") == values[index], "{index}");
        }
    };
    check(engine.as_ref());
    check(on.reopened().as_ref());
}

on_every_engine!(
    an_empty_batch_writes_nothing,
    a_batch_sets_and_deletes_all,
    of_a_duplicate_key_the_last_wins,
    one_bad_item_and_nothing_is_written,
    batches_touch_keys_only,
    a_batch_of_200_000_entries_is_taken_whole,
    a_batch_larger_than_a_memtable_is_taken_whole,
);
