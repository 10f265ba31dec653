//! The key-value calls.

use crate::fixture::Fixture;
use esker::{Engine, Error};
use std::time::Duration;

/// The longest key of a caller: 65,535 bytes less `kv:`.
const KEY_BYTES_MAX: usize = 65_535 - 3;
const VALUE_BYTES_MAX: usize = 1 << 30;

fn a_missing_key_is_not_found(on: &dyn Fixture) {
    let error = on.engine().get("nothing").expect_err("there is nothing");
    assert!(matches!(error, Error::KeyNotFound), "{error:?}");
    assert_eq!(error.to_string(), "key not found");
}

fn what_is_set_is_got_until_it_is_replaced_or_deleted(on: &dyn Fixture) {
    let engine = on.engine();
    engine.set("config/host", b"10.0.0.1").expect("set");
    assert_eq!(engine.get("config/host").expect("get"), b"10.0.0.1");
    engine.set("config/host", b"10.0.0.2").expect("set");
    assert_eq!(engine.get("config/host").expect("get"), b"10.0.0.2");
    let engine = on.reopened();
    assert_eq!(engine.get("config/host").expect("get"), b"10.0.0.2");
    engine.delete("config/host").expect("delete");
    assert!(matches!(engine.get("config/host"), Err(Error::KeyNotFound)));
    let engine = on.reopened();
    assert!(matches!(engine.get("config/host"), Err(Error::KeyNotFound)));
    engine.set("config/host", b"again").expect("set");
    assert_eq!(engine.get("config/host").expect("get"), b"again");
}

fn deleting_a_missing_key_is_fine(on: &dyn Fixture) {
    let engine = on.engine();
    engine.delete("nothing").expect("a missing key");
    engine.delete("nothing").expect("and again");
    assert!(engine.list("").expect("list").is_empty());
}

fn list_strips_the_prefix_and_goes_by_bytes(on: &dyn Fixture) {
    let keys =
        ["b", "a", "B", "é", "a/b", "a/", "a0", "\0", "a\0b", "", "\u{10FFFF}", "config/host"];
    let engine = on.engine();
    for key in keys {
        engine.set(key, key.as_bytes()).expect("set");
    }
    let mut sorted = keys.map(str::to_string);
    sorted.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    let check = |engine: &dyn Engine| {
        assert_eq!(engine.list("").expect("list"), sorted, "\"\" lists all");
        assert_eq!(engine.list("a").expect("list"), ["a", "a\0b", "a/", "a/b", "a0"]);
        assert_eq!(engine.list("a/").expect("list"), ["a/", "a/b"]);
        assert_eq!(engine.list("a/b").expect("list"), ["a/b"]);
        assert_eq!(engine.list("\0").expect("list"), ["\0"]);
        assert_eq!(engine.list("\u{10FFFF}").expect("list"), ["\u{10FFFF}"]);
        assert!(engine.list("zzz").expect("no match is no error").is_empty());
        assert!(engine.list("kv:").expect("our prefix is not theirs").is_empty());
    };
    check(engine.as_ref());
    check(on.reopened().as_ref());
}

fn list_leaves_out_what_was_deleted_and_names_each_key_once(on: &dyn Fixture) {
    let engine = on.engine();
    for round in 0..3u8 {
        for index in 0..100 {
            engine.set(&format!("k{index:03}"), &[round; 2_000]).expect("set");
        }
    }
    for index in (0..100).step_by(2) {
        engine.delete(&format!("k{index:03}")).expect("delete");
    }
    let odd: Vec<_> = (1..100).step_by(2).map(|index| format!("k{index:03}")).collect();
    assert_eq!(engine.list("k").expect("list"), odd);
    assert_eq!(on.reopened().list("").expect("list"), odd);
}

fn keys_that_look_like_ours_do_not_clash(on: &dyn Fixture) {
    let engine = on.engine();
    let keys = ["x", "kv:x", "svc:x", "kv:", "svc:"];
    for key in keys {
        engine.set(key, key.as_bytes()).expect("set");
    }
    engine.set_service("x", b"service", Duration::from_secs(3600)).expect("set_service");
    engine.set_service("kv:x", b"service kv", Duration::from_secs(3600)).expect("set_service");
    let engine = on.reopened();
    for key in keys {
        assert_eq!(engine.get(key).expect("get"), key.as_bytes());
    }
    assert_eq!(engine.get_service("x").expect("get_service"), b"service");
    assert_eq!(engine.get_service("kv:x").expect("get_service"), b"service kv");
    assert!(matches!(engine.get_service("svc:x"), Err(Error::ServiceNotFound)));
    assert_eq!(engine.list("").expect("list"), ["kv:", "kv:x", "svc:", "svc:x", "x"]);
    assert_eq!(engine.list_services().expect("list_services"), ["kv:x", "x"]);
    engine.delete_service("x").expect("delete_service");
    assert_eq!(engine.get("x").expect("the key stands"), b"x");
    engine.delete("kv:x").expect("delete");
    assert_eq!(engine.get_service("kv:x").expect("the service stands"), b"service kv");
}

fn the_empty_key_and_the_empty_value_are_legal(on: &dyn Fixture) {
    let engine = on.engine();
    assert!(matches!(engine.get(""), Err(Error::KeyNotFound)));
    engine.set("", b"of the empty key").expect("the empty key");
    engine.set("empty", b"").expect("the empty value");
    let engine = on.reopened();
    assert_eq!(engine.get("").expect("get"), b"of the empty key");
    assert_eq!(engine.get("empty").expect("get"), b"");
    assert_eq!(engine.list("").expect("list"), ["", "empty"]);
    engine.set("", b"").expect("both");
    assert_eq!(engine.get("").expect("get"), b"");
    engine.delete("").expect("delete");
    assert!(matches!(engine.get(""), Err(Error::KeyNotFound)));
}

fn every_byte_and_any_length_of_value_comes_back(on: &dyn Fixture) {
    let engine = on.engine();
    let all: Vec<u8> = (0..=255).collect();
    // Around where lengths take one more byte, and blocks and frames end.
    let lengths =
        [0, 1, 127, 128, 255, 256, 1_023, 1_024, 4_095, 4_096, 16_383, 16_384, 65_536, 300_000];
    let value = |length: usize| -> Vec<u8> { all.iter().copied().cycle().take(length).collect() };
    for length in lengths {
        engine.set(&length.to_string(), &value(length)).expect("set");
    }
    let engine = on.reopened();
    for length in lengths {
        assert!(engine.get(&length.to_string()).expect("get") == value(length), "{length} bytes");
    }
}

fn the_longest_key_is_taken_and_one_byte_more_is_not(on: &dyn Fixture) {
    let engine = on.engine();
    let longest = "k".repeat(KEY_BYTES_MAX);
    // Two bytes each: what counts is bytes, not characters.
    let wide = "é".repeat(KEY_BYTES_MAX / 2);
    engine.set(&longest, b"longest").expect("the longest key");
    engine.set(&wide, b"wide").expect("as long in bytes");
    let engine = on.reopened();
    assert_eq!(engine.get(&longest).expect("get"), b"longest");
    assert_eq!(engine.get(&wide).expect("get"), b"wide");
    assert_eq!(engine.list(&longest).expect("list"), std::slice::from_ref(&longest));

    let longer = "k".repeat(KEY_BYTES_MAX + 1);
    let wider = "é".repeat(KEY_BYTES_MAX / 2 + 1);
    for key in [&longer, &wider] {
        for error in [
            engine.set(key, b"").expect_err("too long"),
            engine.delete(key).expect_err("too long"),
            engine.batch_set(&[("fine", b""), (key, b"")]).expect_err("too long"),
            engine.batch_delete(&[&longest, key]).expect_err("too long"),
        ] {
            let size = key.len() as u64 + 3;
            assert!(
                matches!(error, Error::TooLarge { what: "key", size_bytes, limit_bytes: 65_535, .. }
                    if size_bytes == size),
                "{error:?}"
            );
            let text = error.to_string();
            assert!(text.contains(&size.to_string()) && text.contains("65535"), "{text}");
        }
        assert!(matches!(engine.get(key), Err(Error::KeyNotFound)));
        assert!(engine.list(key).expect("no such key").is_empty());
    }
    assert_eq!(engine.list("").expect("list"), [longest, wide], "nothing else was written");
}

fn a_value_beyond_the_limit_is_refused_before_anything_is_written(on: &dyn Fixture) {
    let engine = on.engine();
    engine.set("k", b"old").expect("set");
    let large = vec![0; VALUE_BYTES_MAX + 1]; // Zeroed pages: it costs next to nothing.
    let mut tx = engine.begin_tx().expect("begin_tx");
    for error in [
        engine.set("k", &large).expect_err("too large"),
        engine.batch_set(&[("fine", b""), ("k", &large)]).expect_err("too large"),
        engine.set_service("s", &large, Duration::from_secs(60)).expect_err("too large"),
        tx.set("k", &large).expect_err("too large"),
    ] {
        assert!(
            matches!(
                error,
                Error::TooLarge {
                    what: "value",
                    size_bytes: 1_073_741_825,
                    limit_bytes: 1_073_741_824,
                    path: None,
                }
            ),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(text.contains("1073741825") && text.contains("1073741824"), "{text}");
    }
    assert_eq!(engine.get("k").expect("get"), b"old");
    assert_eq!(engine.list("").expect("list"), ["k"]);
    assert!(engine.list_services().expect("list_services").is_empty());
}

fn returned_bytes_are_the_callers_own(on: &dyn Fixture) {
    let engine = on.engine();
    engine.set("k", b"value").expect("set");
    let mut first = engine.get("k").expect("get");
    first.fill(b'x');
    assert_eq!(engine.get("k").expect("get"), b"value");
    let kept = engine.get("k").expect("get");
    engine.set("k", b"other").expect("set");
    engine.close().expect("close");
    assert_eq!(kept, b"value", "it outlives the store");
}

on_every_engine!(
    a_missing_key_is_not_found,
    what_is_set_is_got_until_it_is_replaced_or_deleted,
    deleting_a_missing_key_is_fine,
    list_strips_the_prefix_and_goes_by_bytes,
    list_leaves_out_what_was_deleted_and_names_each_key_once,
    keys_that_look_like_ours_do_not_clash,
    the_empty_key_and_the_empty_value_are_legal,
    every_byte_and_any_length_of_value_comes_back,
    the_longest_key_is_taken_and_one_byte_more_is_not,
    a_value_beyond_the_limit_is_refused_before_anything_is_written,
    returned_bytes_are_the_callers_own,
);
