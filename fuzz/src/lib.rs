//! What the fuzz targets of esker share: inputs, mutations, and for each
//! decoder the properties that must hold of it.
//!
//! A decoder's target in `fuzz_targets/` is a few lines round a module of this
//! library, which has
//!
//! - `check(data)`: turns an input into a file and asserts what must hold;
//! - `file_of(data)`: that file, to replay a crash as a test of esker;
//! - `fix(file)`: puts the checksums of a file right, for the mutator;
//! - `seeds()`: small inputs to start from.
//!
//! Those that run a database have `describe(data)` instead of the two in the
//! middle ([`Stateful`]).
//!
//! The first byte of a decoder's input says what the rest is ([`input::Input`]): the
//! bytes of a file as they are, or a recipe: what the engine's own writer is
//! to write, and what is then done to the file.
//!
//! Every target of a decoder asserts that its errors name the file and an offset in
//! it, and that its memory is bounded by a constant times the file
//! ([`allocation`]). That its time is, libFuzzer's `-timeout` sees to.

pub mod allocation;
pub mod backup_restore;
pub mod block;
pub mod corrupt_then_open;
pub mod current;
pub mod disk;
pub mod import;
pub mod input;
pub mod inspect;
pub mod log_replay;
pub mod machine;
pub mod manifest;
pub mod mutation;
pub mod ops;
pub mod ops_vs_model;
pub mod ops_with_crash;
pub mod ops_with_faults;
pub mod ops_with_gc;
pub mod segment_open;
pub mod table_open;
pub mod txn_history;

use esker::fuzzing::{DatabaseId, FileId, Identity};
use esker::{Error, Result};

/// The file that is decoded, in all targets.
pub const IDENTITY: Identity = Identity { database: DatabaseId(0x5eed), file: FileId(7) };

/// A decoder target, for what goes through all of them.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Asserts what must hold of an input.
    pub check: fn(&[u8]),
    /// The file that an input stands for; of several, the last.
    pub file_of: fn(&[u8]) -> Vec<u8>,
    /// Small inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($module:ident),*) => {
        &[$(Target {
            name: stringify!($module),
            check: $module::check,
            file_of: $module::file_of,
            seeds: $module::seeds,
        }),*]
    };
}

/// The targets that decode one file.
pub const DECODERS: &[Target] = targets![
    log_replay,
    table_open,
    block,
    segment_open,
    manifest,
    current,
    import,
    backup_restore,
    inspect
];

/// A target that runs a database, for what goes through all of them.
#[derive(Debug, Clone, Copy)]
pub struct Stateful {
    /// Its name.
    pub name: &'static str,
    /// Asserts what must hold of an input.
    pub check: fn(&[u8]),
    /// What an input stands for, to be read.
    pub describe: fn(&[u8]) -> String,
    /// Small inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! stateful {
    ($($module:ident),*) => {
        &[$(Stateful {
            name: stringify!($module),
            check: $module::check,
            describe: $module::describe,
            seeds: $module::seeds,
        }),*]
    };
}

/// The targets that run a database.
pub const STATEFUL: &[Stateful] = stateful![
    ops_vs_model,
    ops_with_gc,
    txn_history,
    ops_with_crash,
    ops_with_faults,
    corrupt_then_open
];

/// Asserts that an error of a decoder says where the damage is: a file whose
/// name ends so, and an offset within its `len` bytes.
///
/// # Panics
/// When it does not.
pub fn assert_located<T>(result: &Result<T>, name: &str, len: usize) {
    match result {
        Ok(_) => {}
        Err(Error::Corruption { file, offset, detail }) => {
            assert!(
                file.to_string_lossy().ends_with(name),
                "the error names {}, not {name}",
                file.display()
            );
            assert!(*offset <= len as u64, "offset {offset} of {len} bytes: {detail}");
            assert!(!detail.is_empty(), "no detail");
        }
        Err(Error::UnsupportedFormat { file, found, supported }) => {
            assert!(
                file.to_string_lossy().ends_with(name),
                "the error names {}, not {name}",
                file.display()
            );
            assert!(found > supported, "version {found} is refused, {supported} is supported");
        }
        Err(other) => panic!("bytes in memory gave {other}"),
    }
}
