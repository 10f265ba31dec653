//! The layer tables, of the library and of the binary: imports go down only, never sideways, and never through
//! the crate's root.

use crate::source::{PathUse, Source, package};

/// The modules of the crate by stratum, the lowest first. A module may import
/// those of the strata below its own, and nothing else of the crate.
const STRATA: &[&[&str]] = &[
    &["error"],
    &["event", "counter", "arena", "spin"],
    &["options", "format", "worker", "clock", "histogram"],
    &["fs"],
    &["archive", "json"],
    &["engine", "iter"],
    &["wal", "memtable", "table", "manifest", "vlog"],
    &["store"],
    &["commit", "read", "flush", "recovery", "compaction"],
    &["inspect"],
    &["fuzzing"],
    &["txn", "gc", "ingest", "verify", "backup"],
    &["db"],
    &["lsm_engine", "repair"],
    &["crashtest"],
    &["server"],
    // Above them all: `lib.rs`, which only re-exports, and the binary, which
    // is a crate of its own and sees no more than it shows.
];

/// The modules of the binary, which is a crate of its own, likewise.
const BINARY_STRATA: &[&[&str]] = &[
    &["failure", "duration", "size"],
    &["text", "output", "holder", "interrupt"],
    &["place"],
    &["progress"],
    &["stream"],
    &["bench"],
    &["commands"],
    &["args"],
    // Above them all: `main.rs`.
];

/// Where the binary stands.
const BINARY: &str = "src/bin/esker/";

fn stratum(strata: &[&[&str]], module: &str) -> Option<usize> {
    strata.iter().position(|modules| modules.contains(&module))
}

/// What breaks the tables in `sources`, each with file and line.
fn offences(sources: &[Source]) -> Vec<String> {
    let mut offences = Vec::new();
    for source in sources {
        // In the binary `crate` is the binary, whose root is not that of the library.
        let (strata, depth) = match source.file.starts_with(BINARY) {
            true => (BINARY_STRATA, 2),
            false => (STRATA, 0),
        };
        let module = source.module();
        // `lib.rs` is private modules and one list of re-exports, `main.rs` as much: above all.
        let Some(top) = module.get(depth).filter(|top| *top != "main") else { continue };
        let Some(own) = stratum(strata, top) else {
            offences.push(format!("{}:1: module `{top}` is not in the layer table", source.file));
            continue;
        };
        for path in source.paths() {
            if let Some(what) = offence(strata, top, own, target(&path, depth)) {
                let written = path.segments.join("::");
                offences.push(format!("{}:{}: `{written}` {what}", source.file, path.line));
            }
        }
    }
    offences
}

/// The module of the crate that `path` leads to, whose root is `depth` folders below `src`; `None` for one that
/// leads elsewhere.
fn target(path: &PathUse, depth: usize) -> Option<String> {
    let depth = if path.segments.first().is_some_and(|first| first == "crate") { 0 } else { depth };
    Some(path.absolute()?.get(depth).cloned().unwrap_or_default())
}

/// What is wrong with a path to `target` in the module `top` of stratum `own`.
fn offence(strata: &[&[&str]], top: &str, own: usize, target: Option<String>) -> Option<String> {
    let target = target?;
    let target = target.as_str();
    if target == top {
        return None;
    }
    let Some(other) = stratum(strata, target) else {
        return Some("goes through the crate's root; name the module that owns it".to_string());
    };
    match other.cmp(&own) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal => {
            Some(format!("goes sideways: `{top}` and `{target}` are both of stratum {own}"))
        }
        std::cmp::Ordering::Greater => {
            Some(format!("goes up: `{top}` is of stratum {own}, `{target}` of stratum {other}"))
        }
    }
}

#[test]
fn imports_go_down_only() {
    let offences = offences(&package(&["src"]));
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

#[test]
fn each_module_has_one_stratum() {
    for strata in [STRATA, BINARY_STRATA] {
        let mut all: Vec<&str> = strata.iter().copied().flatten().copied().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}

/// One source for each way to break the table, and what is to be said of it.
#[test]
fn broken_tables_are_reported_with_file_and_line() {
    let planted = [
        ("src/wal/mod.rs", "\nuse crate::db::Db;\n", "src/wal/mod.rs:2: `crate::db::Db` goes up"),
        (
            "src/error.rs",
            "\n\n\nuse crate::options::Options;\n",
            "src/error.rs:4: `crate::options::Options` goes up",
        ),
        (
            "src/options.rs",
            "use crate::format::KEY_BYTES_MAX;",
            "src/options.rs:1: `crate::format::KEY_BYTES_MAX` goes sideways",
        ),
        (
            "src/table/reader.rs",
            "use super::super::wal::Log;",
            "src/table/reader.rs:1: `super::super::wal::Log` goes sideways",
        ),
        (
            "src/table/reader.rs",
            "use super::block;\nfn f() -> u8 {\n    crate::memtable::f()\n}",
            "src/table/reader.rs:3: `crate::memtable::f` goes sideways",
        ),
        ("src/table/mod.rs", "use crate::Db;", "src/table/mod.rs:1: `crate::Db` goes through"),
        (
            "src/engine/mod.rs",
            "use crate::{\n    error::Error,\n    Options,\n};",
            "src/engine/mod.rs:3: `crate::Options` goes through",
        ),
        ("src/fs/mod.rs", "use crate::*;", "src/fs/mod.rs:1: `crate::*` goes through"),
        ("src/fs/mod.rs", "use super::Error;", "src/fs/mod.rs:1: `super::Error` goes through"),
        ("src/fs/mod.rs", "use crate as esker;", "src/fs/mod.rs:1: `crate` goes through"),
        (
            "src/fs/mod.rs",
            "mod tests {\n use super::super::db::Db;\n}",
            "src/fs/mod.rs:2: `super::super::db::Db` goes up",
        ),
        (
            "src/iter/mod.rs",
            "macro_rules! m { () => { $crate::read::f() } }",
            "src/iter/mod.rs:1: `crate::read::f` goes up",
        ),
        (
            "src/db/mod.rs",
            "fn f() { g(vec![crate::lsm_engine::X]) }",
            "src/db/mod.rs:1: `crate::lsm_engine::X` goes up",
        ),
        ("src/cleverness.rs", "", "src/cleverness.rs:1: module `cleverness` is not in"),
        (
            "src/bin/esker/place.rs",
            "use crate::args::Cli;",
            "src/bin/esker/place.rs:1: `crate::args::Cli` goes up",
        ),
        (
            "src/bin/esker/commands/load/csv.rs",
            "use super::super::super::args::Cli;",
            "src/bin/esker/commands/load/csv.rs:1: `super::super::super::args::Cli` goes up",
        ),
        (
            "src/bin/esker/text.rs",
            "\nuse crate::output::Output;",
            "src/bin/esker/text.rs:2: `crate::output::Output` goes sideways",
        ),
        (
            "src/bin/esker/commands/get.rs",
            "use crate::f;",
            "src/bin/esker/commands/get.rs:1: `crate::f` goes through",
        ),
        ("src/bin/esker/cleverness.rs", "", "src/bin/esker/cleverness.rs:1: module `cleverness`"),
    ];
    for (file, text, expected) in planted {
        let found = offences(&[Source::new(file, text)]);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:?}");
    }
}

#[test]
fn what_is_allowed_is_not_reported() {
    let allowed = [
        ("src/lib.rs", "mod db; pub use db::Db; pub mod sim { pub use crate::fs::sim::SimFs; }"),
        ("src/wal/mod.rs", "use crate::fs::{File, Fs}; use super::wal::reader; mod reader;"),
        ("src/wal/reader.rs", "use super::{format, super::error::Error};"),
        ("src/db/mod.rs", "// crate::server\nuse crate::wal; const X: &str = \"crate::server\";"),
        ("src/db/mod.rs", "mod tests { use super::*; use crate::db::Db; }"),
        ("src/error.rs", "use std::io; pub(crate) fn f() { self::g() } mod m { use super::g; }"),
        (
            "src/bin/esker/main.rs",
            "use esker::Db; mod args; use args::Cli; fn main() { crate::run() }",
        ),
        (
            "src/bin/esker/commands/get.rs",
            "use crate::place::Global; use super::value::Given; use esker::Db;",
        ),
        (
            "src/bin/esker/commands/load/csv.rs",
            "use super::super::records::Bad; use super::Record;",
        ),
    ];
    for (file, text) in allowed {
        let found = offences(&[Source::new(file, text)]);
        assert!(found.is_empty(), "{text}: {found:?}");
    }
}
