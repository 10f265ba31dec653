//! What Konsul exported (`GET /export` of its server), taken over into an esker database, and checked.
//!
//! ```text
//! cargo run --release --example migrate_from_konsul [-- EXPORT.json [DIR]]
//! ```
//!
//! Without arguments it takes `tests/golden/reference.json`, the export that Konsul's documentation shows, and a directory that is
//! removed at the end. The shell has the same: `esker import EXPORT.json --data-dir DIR`.
//!
//! An import is one commit: a document that is cut off, or has anything wrong in it, changes nothing. Services in such an export have
//! no time to live, so they stay until they are registered anew, with one, or deleted.

use esker::{Engine, Error, LsmEngine, MemoryEngine, Options};
use std::fs::File;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reference.json");
    let export = arguments.next().unwrap_or(golden);
    let kept = tempfile::tempdir()?;
    let dir = arguments.next().unwrap_or_else(|| kept.path().join("data"));

    // Read as it comes: memory does not grow with the document.
    let engine = LsmEngine::open(&dir, Options::default())?;
    let report = engine.import(&mut File::open(&export)?)?;
    println!("{} keys and {} services into {}", report.kv, report.services, dir.display());

    // A half of it is refused, by its place, and changes nothing.
    let text = std::fs::read(&export)?;
    let half = &text[..text.len() / 2];
    let refused = engine.import(&mut &half[..]).expect_err("it is cut off");
    assert!(matches!(refused, Error::InvalidImport { .. }), "{refused}");
    println!("half of it: {refused}");

    // What is there now is what was there, to the byte: the same content gives the same export, from any engine.
    let mut here = Vec::new();
    engine.export(&mut here)?;
    let other = MemoryEngine::new();
    other.import(&mut text.as_slice())?;
    let mut expected = Vec::new();
    other.export(&mut expected)?;
    assert_eq!(here, expected);
    for name in engine.list_services()? {
        let data: serde_json::Value = serde_json::from_slice(&engine.get_service(&name)?)?;
        println!("service {name}: {data}");
    }
    engine.close()?;

    // And it stays.
    let engine = LsmEngine::open(&dir, Options::default())?;
    assert_eq!(engine.export_data()?.kv.len(), other.export_data()?.kv.len());
    engine.close()?;
    Ok(())
}
