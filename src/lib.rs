//! esker: a log-structured key-value storage engine in pure Rust.

mod clock;
mod engine;
mod error;
mod format;
mod fs;
mod iter;
mod options;

pub use clock::Clock;
pub use engine::{Config, EXPIRED_RETENTION, Engine, MemoryEngine, Transaction};
pub use error::{Error, Result};
pub use options::{Compression, Options, SyncPolicy, WriteOptions};
