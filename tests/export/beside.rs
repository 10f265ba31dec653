//! What goes on while an export or an import is under way.

use crate::disk::{disk, exported, import, open};
use esker::{Clock, Engine, LsmEngine, MemoryEngine, Options};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const TTL: Duration = Duration::from_secs(1);

/// Does something whenever a part of the export arrives.
struct Meanwhile<F>(Vec<u8>, F);

impl<F: FnMut()> Write for Meanwhile<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        (self.1)();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn fill(engine: &dyn Engine) {
    for n in 0..200 {
        engine.set(&format!("k{n:03}"), &[b'x'; 1000]).expect("set");
        engine.set_service(&format!("s{n:03}"), &[b'1'; 1000], TTL).expect("set_service");
    }
}

// The services are gone through twice. If those that expire between were passed over the
// second time, they would stand in the export without a time, and live for ever where it is imported.
#[test]
fn services_that_expire_meanwhile_keep_their_time() {
    let disk = disk();
    let clock = disk.sim_clock();
    let engine = open(&disk);
    fill(&engine);
    engine.db().flush().expect("flushed");
    let before = engine.export_data().expect("export");
    assert_eq!(before.expires_at_ms.len(), 200);
    let meanwhile = || {
        // Past the retention: a merge drops them.
        clock.advance(Duration::from_secs(3600));
        engine.list_services().expect("list_services");
        engine.set("later", b"").expect("set");
        engine.db().compact().expect("compacted");
    };
    let mut to = Meanwhile(Vec::new(), meanwhile);
    let report = engine.export(&mut to).expect("export");
    assert_eq!((report.kv, report.services), (200, 200));
    let data: esker::ExportData = serde_json::from_slice(&to.0).expect("an export");
    assert!(data == before, "as of one moment");
    assert!(engine.export_data().expect("export").services.is_empty());
}

// The writer may be anything, also one that asks the engine itself.
#[test]
fn an_export_holds_no_lock_while_it_writes() {
    let memory = MemoryEngine::new();
    let lsm = open(&disk());
    for engine in [&memory as &dyn Engine, &lsm] {
        fill(engine);
        let mut count = 0;
        let mut to = Meanwhile(Vec::new(), || {
            count += 1;
            engine.set(&format!("new{count}"), b"").expect("set");
            engine.delete("k199").expect("delete");
        });
        engine.export(&mut to).expect("export");
        let document = String::from_utf8(to.0).expect("UTF-8");
        assert!(count > 2, "it came in parts");
        assert!(!document.contains("new1") && document.contains("k199"), "as of one moment");
    }
}

#[test]
fn what_was_seen_expired_stays_so() {
    let disk = disk();
    let clock = disk.sim_clock();
    let engine = open(&disk);
    fill(&engine);
    clock.advance(TTL);
    assert!(engine.export_data().expect("export").services.is_empty());
    let now_ms = clock.now_ms();
    clock.set_ms(now_ms - 500);
    assert!(engine.list_services().expect("list_services").is_empty());
    // Nor does an import bring back what had expired.
    let document =
        format!("{{\"services\":{{\"s\":1}},\"expires_at_ms\":{{\"s\":{}}}}}", now_ms - 100);
    assert_eq!(import(&engine, &document).expect("import").expired, 1);
}

/// Imports beside writers, readers and compaction, on real files: a reader sees one whole.
#[test]
fn readers_see_all_of_an_import_or_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { auto_compaction: true, ..crate::disk::options() };
    let engine = LsmEngine::open(dir.path(), options).expect("it opens");
    let document = |n: usize| {
        let key = |k: usize| format!("\"k{:03}\":\"{n:06}{}\"", k * 7919 % 100, "x".repeat(300));
        format!("{{\"kv\":{{{}}}}}", (0..100).map(key).collect::<Vec<_>>().join(","))
    };
    let until = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..40 {
                import(&engine, &document(n)).expect("import");
            }
            until.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            while !until.load(Ordering::Acquire) {
                engine.set("other", b"").expect("set");
                engine.db().compact().expect("compacted");
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !until.load(Ordering::Acquire) {
                    let mut data = engine.export_data().expect("export");
                    data.kv.remove("other");
                    let mut of: Vec<_> =
                        data.kv.values().map(|value| value[..6].to_vec()).collect();
                    assert!(of.is_empty() || of.len() == 100, "{} keys", of.len());
                    of.dedup();
                    assert!(of.len() <= 1, "of several imports: {of:?}");
                }
            });
        }
    });
    assert!(exported(&engine).contains("\"k000\":\"000039x"));
    engine.db().verify().expect("sound");
    engine.close().expect("closed");
}
