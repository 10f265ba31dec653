//! esker: a log-structured key-value storage engine in pure Rust.

mod clock;
mod error;
mod format;
mod fs;
mod iter;
mod options;
mod table;

pub use error::{Error, Result};
pub use options::{Compression, Options, SyncPolicy, WriteOptions};
