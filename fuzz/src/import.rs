//! Imports: an input is a document as it is, or, where its first byte is odd, a list of its parts.

use crate::allocation::assert_bounded;
use esker::crashtest::tiny_options;
use esker::sim::SimFs;
use esker::{Db, Engine, Error, ExportData, LsmEngine, MemoryEngine, SyncPolicy};
use std::sync::Arc;

/// What a document is put together from.
const PARTS: &[&str] = &[
    "{\"kv\":{",
    "\"services\":{",
    "\"expires_at_ms\":{",
    "{",
    "}",
    "}",
    "}}",
    ",",
    ",",
    ":",
    "[",
    "]",
    " ",
    "\n",
    "\"a\":",
    "\"b\":",
    "\"\":",
    "\"\\u0061\":",
    "\"$base64\":",
    "{\"$base64\":\"YQ==\"}",
    "{\"$base64\":\"_\"}",
    "{\"$base64\":1}",
    "{\"$base64\":\"\",\"a\":1}",
    "\"text\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\u{7f}\"",
    "1",
    "-1",
    "0",
    "1e999",
    "1.50",
    "18446744073709551615",
    "18446744073709551616",
    "1704067200001",
    "null",
    "true",
    "{\"name\": \"web\"}",
    "\"services\"",
    "\"kv\"",
    "\"",
    "\\",
    "\u{feff}",
    "[[[[[[[[",
    "\"a\":1,\"a\":2",
    "\"service\":{}",
];

/// Asserts that a document is refused, with its place, and nothing is changed; or that it is taken, and
/// what is exported then is taken again as the same, by every engine and every way.
///
/// # Panics
/// When it is not.
pub fn check(data: &[u8]) {
    let document = file_of(data);
    let engine = new_engine();
    engine.set("there", b"before").expect("in memory");
    engine.set_service("there", b"{}", std::time::Duration::from_secs(1)).expect("in memory");
    let before = exported(&engine);
    let imported =
        assert_bounded(document.len(), 60, 1 << 20, || engine.import(&mut document.as_slice()));
    let values: Result<ExportData, _> = serde_json::from_slice(&document);
    match imported {
        Err(e) => {
            let place = match &e {
                Error::InvalidImport { path, line, column, .. } => {
                    let lines = 1 + document.iter().filter(|byte| **byte == b'\n').count();
                    assert!(*line <= lines && *column <= document.len(), "{e}");
                    path
                }
                Error::TooLarge { path: Some(path), .. } => path,
                e => panic!("{e}"),
            };
            assert!(place.starts_with('$'), "{e}");
            assert_eq!(exported(&engine), before, "{e}");
            if let Ok(values) = values {
                new_engine().import_data(&values).expect_err("the same in values");
            }
        }
        Ok(report) => {
            let values = values.expect("what is taken can be read as values");
            assert_eq!(report.kv, values.kv.len() as u64);
            assert_eq!(report.services + report.expired, values.services.len() as u64);
            let lsm = LsmEngine::new(
                Db::open_with_fs(Arc::new(quiet_disk()), "/db", tiny_options(SyncPolicy::Never))
                    .expect("it opens"),
            );
            assert_eq!(lsm.import(&mut document.as_slice()).expect("as the other"), report);
            let by_values = new_engine();
            assert_eq!(by_values.import_data(&values).expect("as the document"), report);
            let out = exported(&lsm);
            assert_eq!(exported(&by_values), out);
            let again = new_engine();
            again.import(&mut out.as_slice()).expect("an export");
            assert_eq!(exported(&again), out);
            engine.import(&mut out.as_slice()).expect("an export");
            for (key, value) in &values.kv {
                assert_eq!(engine.get(key).expect("it was imported"), *value);
            }
        }
    }
}

/// The document that an input stands for.
#[must_use]
pub fn file_of(data: &[u8]) -> Vec<u8> {
    match data.split_first() {
        Some((first, rest)) if first & 1 == 1 => {
            let part = |byte: &u8| PARTS[usize::from(*byte) % PARTS.len()].as_bytes();
            rest.iter().flat_map(part).copied().collect()
        }
        Some((_, rest)) => rest.to_vec(),
        None => Vec::new(),
    }
}

/// The golden documents of esker's tests, and lists of parts.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let documents = [
        &include_bytes!("../../tests/golden/reference.json")[..],
        include_bytes!("../../tests/golden/unordered.json"),
        include_bytes!("../../tests/golden/own.json"),
        b"{}",
    ];
    let mut seeds: Vec<_> = documents.iter().map(|text| [b"\0", *text].concat()).collect();
    // A key, a service that has expired and one that has not; and a key alone, twice.
    let part = |text: &str| {
        let index = PARTS.iter().position(|part| *part == text).expect("a part");
        u8::try_from(index).expect("there are few of them")
    };
    for parts in [
        &[
            "{\"kv\":{",
            "\"a\":",
            "\"text\"",
            "}",
            ",",
            "\"services\":{",
            "\"a\":",
            "{\"$base64\":\"YQ==\"}",
            ",",
            "\"b\":",
            "{\"name\": \"web\"}",
            "}",
            ",",
            "\"expires_at_ms\":{",
            "\"a\":",
            "1",
            ",",
            "\"b\":",
            "1704067200001",
            "}}",
        ][..],
        &["{\"kv\":{", "\"a\":", "\"text\"", ",", "\"\\u0061\":", "{\"$base64\":\"YQ==\"}", "}}"],
    ] {
        seeds.push([1].into_iter().chain(parts.iter().map(|text| part(text))).collect());
    }
    seeds
}

fn quiet_disk() -> SimFs {
    let disk = SimFs::new();
    disk.set_threads(false);
    disk
}

/// Under a clock that stands where that of [`quiet_disk`] does.
fn new_engine() -> MemoryEngine {
    MemoryEngine::with_clock(SimFs::new().sim_clock())
}

fn exported(engine: &dyn Engine) -> Vec<u8> {
    let mut document = Vec::new();
    engine.export(&mut document).expect("in memory");
    document
}
