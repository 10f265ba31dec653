//! What the harness asks of a store, so that it can be tried on toys with
//! planted mistakes as well as on the engine.

use crate::workload::Op;
use esker::SyncPolicy;
use esker::sim::SimFs;
use std::fmt;

/// What a reader sees: all keys and values, in order.
pub type Seen = Vec<(Vec<u8>, Vec<u8>)>;

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub policy: SyncPolicy,
    pub wal_enabled: bool,
}

/// Why a call of a store failed.
#[derive(Debug)]
pub enum Failure {
    /// This call failed; later ones may succeed.
    Refused(String),
    /// The handle is of no more use for writing.
    Poisoned(String),
    /// Something that no failing disk excuses: a panic, alleged corruption.
    Wrong(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(text) => write!(f, "refused: {text}"),
            Failure::Poisoned(text) => write!(f, "poisoned: {text}"),
            Failure::Wrong(text) => write!(f, "wrong: {text}"),
        }
    }
}

/// A store under test. Dropping it is not closing it.
pub trait Store: Sized {
    fn open(fs: &SimFs, setup: Setup) -> Result<Self, Failure>;
    /// One commit. `sync` as in `WriteOptions`.
    fn commit(&self, ops: &[Op], sync: Option<bool>) -> Result<(), Failure>;
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure>;
    /// All entries, read in both directions if the store can.
    fn scan(&self) -> Result<Seen, Failure>;
    fn persist(&self) -> Result<(), Failure>;
    fn flush(&self) -> Result<(), Failure>;
    fn close(self) -> Result<(), Failure>;
}
