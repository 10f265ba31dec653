//! The memtable and the memory of blocks, which have all of esker's `unsafe` code, and the modules that
//! they stand on: the sources of esker itself, in a package that Miri builds in
//! seconds. `cargo +nightly miri test --lib -- memtable:: arena::` in this directory runs it.

#[path = "../../src/arena/mod.rs"]
pub mod arena;
#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/format/mod.rs"]
pub mod format;
#[path = "../../src/iter/mod.rs"]
pub mod iter;
#[path = "../../src/memtable/mod.rs"]
pub mod memtable;
#[path = "../../src/worker.rs"]
pub mod worker;
