//! An engine on a simulated disk, as small as can be: 8 KiB of an import are sorted in memory, and more in files.

use esker::crashtest::tiny_options;
use esker::sim::SimFs;
use esker::{Db, Engine, Fs, LsmEngine, Options, SyncPolicy};
use std::path::Path;
use std::sync::Arc;

pub const DIR: &str = "/db";

pub fn options() -> Options {
    // Whatever is not an import leaves the tables alone.
    Options { auto_compaction: false, ..tiny_options(SyncPolicy::Never) }
}

/// Without threads: what is done is done by the call that made it due.
pub fn disk() -> SimFs {
    let disk = SimFs::new();
    disk.set_threads(false);
    disk
}

pub fn open(fs: &(impl Fs + Clone + 'static)) -> LsmEngine {
    LsmEngine::new(Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("it opens"))
}

/// The names of the files that hold data.
pub fn files(disk: &SimFs) -> Vec<String> {
    let mut names = disk.list(Path::new(DIR)).expect("a list");
    names.retain(|name| name.ends_with(".tbl") || name.ends_with(".val"));
    names.sort();
    names
}

pub fn exported(engine: &dyn Engine) -> String {
    let mut document = Vec::new();
    engine.export(&mut document).expect("export");
    String::from_utf8(document).expect("UTF-8")
}

pub fn import(engine: &dyn Engine, document: &str) -> esker::Result<esker::ImportReport> {
    engine.import(&mut document.as_bytes())
}
