//! The memtable's skiplist under loom, a model checker: the sources of esker
//! itself, compiled against atomics that try every interleaving and every value
//! that a load may see. `cargo test --release` in this directory runs it.
//!
//! What differs from esker is [`memtable::sync`], and that [`arena`] has regions alone.

pub mod arena;
pub mod format;
pub mod memtable;
