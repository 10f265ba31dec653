//! Close: once, twice, and what every call answers after it.

use crate::fixture::Fixture;
use esker::Error;
use std::time::Duration;

fn closing_twice_is_fine(on: &dyn Fixture) {
    let engine = on.engine();
    engine.set("k", b"v").expect("set");
    engine.close().expect("close");
    engine.close().expect("and again");
    on.engine().close().expect("through any handle");
}

fn after_close_every_call_is_closed(on: &dyn Fixture) {
    let engine = on.engine();
    engine.set("k", b"v").expect("set");
    engine.close().expect("close");
    let too_long = "k".repeat(70_000);
    let hour = Duration::from_secs(3600);
    let answers: [(&str, Result<(), Error>); 18] = [
        ("get", engine.get("k").map(drop)),
        ("get of a missing key", engine.get("missing").map(drop)),
        ("get of a key too long", engine.get(&too_long).map(drop)),
        ("set", engine.set("k", b"v")),
        ("set of a key too long", engine.set(&too_long, b"v")),
        ("delete", engine.delete("k")),
        ("list", engine.list("").map(drop)),
        ("get_service", engine.get_service("s").map(drop)),
        ("set_service", engine.set_service("s", b"", hour)),
        ("set_service for no time", engine.set_service("s", b"", Duration::ZERO)),
        ("delete_service", engine.delete_service("s")),
        ("list_services", engine.list_services().map(drop)),
        ("batch_set", engine.batch_set(&[("k", b"v")])),
        ("batch_set of nothing", engine.batch_set(&[])),
        ("batch_delete", engine.batch_delete(&["k"])),
        ("batch_delete of nothing", engine.batch_delete(&[])),
        ("begin_tx", engine.begin_tx().map(drop)),
        ("get through another handle", on.engine().get("k").map(drop)),
    ];
    for (call, answer) in answers {
        assert!(matches!(answer, Err(Error::Closed)), "{call}: {answer:?}");
    }
}

fn one_handle_closes_all(on: &dyn Fixture) {
    let (one, other) = (on.engine(), on.engine());
    let reader = std::thread::spawn(move || {
        // Ends as soon as the close is seen; a hang would end the test run.
        loop {
            match other.get("missing") {
                Err(Error::KeyNotFound) => std::thread::yield_now(),
                other => return other.expect_err("closed"),
            }
        }
    });
    std::thread::sleep(Duration::from_millis(5));
    one.close().expect("close");
    assert!(matches!(reader.join().expect("the thread ends"), Error::Closed));
}

on_every_engine!(closing_twice_is_fine, after_close_every_call_is_closed, one_handle_closes_all);
