//! The traits as trait objects, and engines under many threads.

use crate::fixture::Fixture;
use esker::{Clock, Config, Engine, Error, MemoryEngine, Transaction};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const fn is_shared<T: Send + Sync + ?Sized>() {}
const fn is_sent<T: Send + ?Sized>() {}

// Compiling is the test.
const _: () = {
    is_shared::<dyn Engine>();
    is_shared::<Arc<dyn Engine>>();
    is_shared::<MemoryEngine>();
    is_shared::<Config>();
    is_shared::<Error>();
    is_shared::<dyn Clock>();
    is_sent::<dyn Transaction>();
    is_sent::<Box<dyn Transaction>>();
};

fn each_thread_finds_what_it_wrote(on: &dyn Fixture) {
    let engine = on.engine();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let engine = Arc::clone(&engine);
            scope.spawn(move || {
                for index in 0..250 {
                    let key = format!("{thread}/{index:03}");
                    engine.set(&key, key.as_bytes()).expect("set");
                    assert_eq!(engine.get(&key).expect("get"), key.as_bytes());
                    if index % 5 == 0 {
                        engine.delete(&key).expect("delete");
                        assert!(matches!(engine.get(&key), Err(Error::KeyNotFound)));
                    }
                }
            });
        }
    });
    let engine = on.reopened();
    for thread in 0..4 {
        let keys = engine.list(&format!("{thread}/")).expect("list");
        assert_eq!(keys.len(), 200);
        for key in keys {
            assert_eq!(engine.get(&key).expect("get"), key.as_bytes());
        }
    }
}

fn a_reader_sees_batches_whole(on: &dyn Fixture) {
    let engine = on.engine();
    let names: Vec<String> = (0..20).map(|index| format!("k{index:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let items: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, name.as_bytes())).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let seen = engine.list("").expect("list");
                    assert!(seen.is_empty() || seen == names, "part of a batch: {seen:?}");
                }
            });
        }
        for round in 0..100 {
            if round % 2 == 0 {
                engine.batch_set(&items).expect("batch_set");
                engine.batch_delete(&names).expect("batch_delete");
            } else {
                let mut tx = engine.begin_tx().expect("begin_tx");
                names.iter().for_each(|name| tx.set(name, b"").expect("set"));
                tx.commit().expect("commit");
                let mut tx = engine.begin_tx().expect("begin_tx");
                names.iter().for_each(|name| tx.delete(name).expect("delete"));
                tx.commit().expect("commit");
            }
        }
        done.store(true, Ordering::Release);
    });
}

on_every_engine!(each_thread_finds_what_it_wrote, a_reader_sees_batches_whole);
