//! A failed import changes nothing and leaves nothing, wherever it fails.

use crate::disk::{disk, exported, files, import, open};
use esker::sim::SimFs;
use esker::{Engine, Error, ExportData, LsmEngine, MemoryEngine};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// More than is sorted in memory: runs are on disk when it fails.
fn large() -> String {
    let key = |n: usize| format!("\"k{:04}\":\"{}\"", n * 7919 % 300, "x".repeat(200));
    let keys: Vec<_> = (0..300).map(key).collect();
    let service = |n: usize| format!("\"s{:04}\":[{}]", n * 7919 % 300, "1,".repeat(60) + "1");
    let services: Vec<_> = (0..300).map(service).collect();
    format!("{{\"kv\":{{{}}},\"services\":{{{}}},", keys.join(","), services.join(","))
}

struct Target {
    disk: SimFs,
    lsm: LsmEngine,
    memory: MemoryEngine,
    before: String,
    files: Vec<String>,
}

impl Target {
    fn new() -> Target {
        let disk = disk();
        let (lsm, memory) = (open(&disk), MemoryEngine::new());
        for engine in [&lsm as &dyn Engine, &memory] {
            import(engine, "{\"kv\":{\"k0001\":\"old\"},\"services\":{\"s0001\":{}}}")
                .expect("import");
        }
        lsm.db().flush().expect("flushed");
        let before = exported(&memory);
        let files = files(&disk);
        Target { disk, lsm, memory, before, files }
    }

    fn is_unchanged(&self) {
        assert_eq!(exported(&self.lsm), self.before);
        assert_eq!(exported(&self.memory), self.before);
        assert_eq!(files(&self.disk), self.files, "files are left");
        assert_eq!(
            exported(&open(&self.disk.crash_image(&esker::sim::CrashModel::Everything))),
            self.before
        );
    }

    /// The one error of both engines.
    fn refuses(&self, document: &str) -> Error {
        let by_memory = import(&self.memory, document).expect_err("refused");
        let by_lsm = import(&self.lsm, document).expect_err("refused");
        assert_eq!(format!("{by_lsm:?}"), format!("{by_memory:?}"));
        self.is_unchanged();
        by_lsm
    }
}

#[test]
fn whatever_is_wrong_at_the_end_of_a_large_one() {
    let target = Target::new();
    let large = large();
    for (end, told) in [
        ("\"expires_at_ms\":{\"s0001\":-1}}", "$.expires_at_ms.\"s0001\" (line 1, column "),
        (
            "\"expires_at_ms\":{\"s0001\":1,\"s9\":2}}",
            "$.expires_at_ms.\"s9\": the document has no service",
        ),
        (
            "\"expires_at_ms\":{\"a\":2,\"s0001\":1}}",
            "$.expires_at_ms.\"a\": the document has no service",
        ),
        ("\"service\":{}}", "$.\"service\" (line 1, column "),
        ("\"kv\":{}}", "$.\"kv\" (line 1, column "),
        ("\"expires_at_ms\":{}} {", "trailing characters"),
        ("\"expires_at_ms\":{}", "EOF"),
        ("", "EOF"),
    ] {
        let e = target.refuses(&format!("{large}{end}"));
        assert!(matches!(e, Error::InvalidImport { .. }), "{e}");
        assert!(e.to_string().contains(told), "{end}: {e}");
    }
    let key = "n".repeat(65_535 - 2);
    let e = target.refuses(&format!("{large}\"expires_at_ms\":{{\"{key}\":1}}}}"));
    assert!(
        matches!(&e, Error::TooLarge { what: "key", path: Some(path), .. } if path.starts_with("$.expires_at_ms.\"nnn")),
        "{e}"
    );
}

#[test]
fn each_beginning_of_one() {
    let target = Target::new();
    let document = format!("{}\"expires_at_ms\":{{\"s0002\":1}}}}", large());
    for end in (0..document.len()).step_by(997).chain([document.len() - 1]) {
        target.refuses(&document[..end]);
    }
    import(&target.lsm, &document).expect("the whole is fine");
}

#[test]
fn a_value_beyond_the_limit_names_its_place() {
    let target = Target::new();
    let mut data = ExportData::default();
    data.kv.insert("fine".to_owned(), Vec::new());
    data.kv.insert("large".to_owned(), vec![0; (1 << 30) + 1]); // Zeroed pages.
    for engine in [&target.lsm as &dyn Engine, &target.memory] {
        match engine.import_data(&data).expect_err("too large") {
            Error::TooLarge {
                what: "value", size_bytes: 1_073_741_825, path: Some(path), ..
            } => {
                assert_eq!(path, "$.kv.\"large\"");
            }
            e => panic!("{e}"),
        }
    }
    target.is_unchanged();
}

/// Gives what it has, and then fails, panics or does something else.
struct Then<'a, F>(&'a [u8], F);

impl<F: FnMut() -> io::Result<usize>> Read for Then<'_, F> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self.0.read(to)? {
            0 => (self.1)(),
            read => Ok(read),
        }
    }
}

#[test]
fn a_source_that_fails_or_panics() {
    let target = Target::new();
    let large = large();
    for engine in [&target.lsm as &dyn Engine, &target.memory] {
        let e = engine.import(&mut Then(large.as_bytes(), || Err(io::Error::other("gone"))));
        let e = e.expect_err("the source failed");
        assert!(
            matches!(&e, Error::Io { op: "read", .. }) && e.to_string().contains("gone"),
            "{e}"
        );
        let panicking = catch_unwind(AssertUnwindSafe(|| {
            engine.import(&mut Then(large.as_bytes(), || panic!("planted")))
        }));
        assert!(panicking.is_err(), "the panic goes on");
    }
    target.is_unchanged();
    import(&target.lsm, &format!("{large}\"expires_at_ms\":{{}}}}")).expect("the handle works");
}

#[test]
fn a_database_that_is_closed_meanwhile() {
    let target = Target::new();
    let whole = format!("{}\"expires_at_ms\":{{}}}}", large());
    for engine in [&target.lsm as &dyn Engine, &target.memory] {
        let close = || engine.close().map(|()| 0).map_err(io::Error::other);
        let e = engine.import(&mut Then(whole.as_bytes(), close)).expect_err("closed");
        assert!(matches!(e, Error::Closed), "{e}");
        assert!(matches!(engine.export(&mut Vec::new()), Err(Error::Closed)));
        assert!(matches!(import(engine, "{"), Err(Error::Closed)), "before anything is read");
    }
    let again = open(&target.disk);
    assert_eq!(exported(&again), target.before);
    assert_eq!(files(&target.disk), target.files, "the open removes what was left");
}

#[test]
fn a_target_that_fails_gets_no_whole_document() {
    struct Short(Vec<u8>, usize);
    impl io::Write for Short {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.1 - self.0.len();
            if room == 0 {
                return Err(io::Error::other("full"));
            }
            let taken = &bytes[..bytes.len().min(room)];
            self.0.extend_from_slice(taken);
            Ok(taken.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let target = Target::new();
    let whole = exported(&target.lsm).len();
    for engine in [&target.lsm as &dyn Engine, &target.memory] {
        for room in 0..whole {
            let mut short = Short(Vec::new(), room);
            let e = engine.export(&mut short).expect_err("no room");
            assert!(matches!(e, Error::Io { op: "write", .. }), "{e}");
            let text = String::from_utf8(short.0).expect("ASCII");
            // The line break at its end is no part of it.
            assert_eq!(import(&MemoryEngine::new(), &text).is_ok(), room == whole - 1);
        }
    }
}
