//! The records that the engine gives to the `log` facade. One test alone in its
//! process, since the logger is the process's.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod hooked_fs;

use esker::sim::{CallKind, SimFs};
use esker::{Db, Options, SyncPolicy};
use hooked_fs::HookedFs;
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Log, Metadata, Record};
use std::io;
use std::sync::{Arc, Mutex};

/// Records as text: level, target, message, fields.
struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

struct Fields(String);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.push_str(&format!(" {key}={value}"));
        Ok(())
    }
}

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.level() == Level::Debug {
            panic!("a logger that panics");
        }
        let mut fields = Fields(String::new());
        record.key_values().visit(&mut fields).expect("it takes all");
        let line = format!("{} {} {}{}", record.level(), record.target(), record.args(), fields.0);
        self.0.lock().expect("sound").push(line);
    }

    fn flush(&self) {}
}

fn taken() -> Vec<String> {
    std::mem::take(&mut *LINES.0.lock().expect("sound"))
}

/// The lines that begin like this.
fn count(lines: &[String], beginning: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(beginning)).count()
}

#[test]
fn open_flush_close_poison_and_files_that_stay_are_logged_without_keys_or_values() {
    log::set_logger(&LINES).expect("the only logger");
    log::set_max_level(log::LevelFilter::Info);
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let open = || {
        let options = Options { sync_policy: SyncPolicy::Never, ..Options::default() };
        Db::open_with_fs(Arc::new(fs.clone()), "/db", options).expect("opens")
    };
    let db = open();
    let opened = "INFO esker::open opened /db: 0 tables, 0 batches replayed from 0 log files";
    let lines = taken();
    assert!(lines.len() == 1 && lines[0].starts_with(opened), "{lines:?}");
    assert!(lines[0].contains(" tables=0 batches_replayed=0"), "{lines:?}");

    db.set("secret-key", "secret-value").expect("set");
    drop(db);
    let db = open();
    let opened = "INFO esker::open opened /db: 1 tables, 1 batches replayed from 1 log files";
    assert_eq!(count(&taken(), opened), 1);

    fs.set_hook(|call| match call.kind {
        CallKind::Remove => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Ok(()),
    });
    db.set("secret-key", "secret-value").expect("set");
    db.flush().expect("flush");
    db.close().expect("close");
    let mut lines = taken();
    assert_eq!(count(&lines, "INFO esker::flush wrote out a memtable"), 1, "{lines:?}");
    assert_eq!(count(&lines, "WARN esker::files could not remove /db/"), 1, "{lines:?}");
    assert_eq!(count(&lines, "INFO esker::close closed /db"), 1, "{lines:?}");
    fs.clear_hook();

    // The record of a flush that begins is for debugging; a logger may fail at it.
    log::set_max_level(log::LevelFilter::Debug);
    let db = open();
    db.set("secret-key", "secret-value").expect("set");
    db.flush().expect("a panic of the logger is not the flush's");
    assert_eq!(db.metrics().listener_panics, 1);
    fs.set_hook(|call| match call.kind {
        CallKind::SyncData => Err(io::ErrorKind::Other.into()),
        _ => Ok(()),
    });
    db.set("secret-key", "secret-value").expect("set");
    db.persist().expect_err("no sync succeeds");
    db.close().expect_err("not all is written");
    let poisoned = taken();
    assert_eq!(count(&poisoned, "ERROR esker::health poisoned"), 1, "{poisoned:?}");
    assert_eq!(count(&poisoned, "WARN esker::close closed /db, but not all"), 1, "{poisoned:?}");
    lines.extend(poisoned);
    assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:?}");
}
