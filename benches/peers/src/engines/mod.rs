//! The engines, behind one small trait, and the terms that are the same for
//! all of them.
//!
//! A read hands over a value that outlives the call, as the store behind a
//! service must: engines that own or count their values return those, and
//! the ones whose values live only as long as a transaction copy them.

mod canopydb;
#[cfg(feature = "esker")]
mod esker;
mod fjall;
#[cfg(feature = "c-peers")]
mod lmdb;
mod redb;
#[cfg(feature = "c-peers")]
mod rocksdb;

use crate::Result;
use crate::data::{KEY_SIZE, Key, Seen};
use crate::workload::Workload;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Bytes of cache for each engine that has one of its own.
pub const CACHE_BYTES: usize = 256 * 1024 * 1024;

/// Whether a commit waits until it is on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    Synced,
    Unsynced,
}

/// What a store is for, as far as its engine has an option for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// The engine's defaults.
    Small,
    /// 16 KiB each: engines that can keep such values apart from their keys do. (esker does by default.)
    Large,
}

/// One pair of a batch.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Key,
    pub value: Vec<u8>,
}

impl Entry {
    /// A place for a pair, to be filled.
    pub const fn empty() -> Self {
        Self { key: [0; KEY_SIZE], value: Vec::new() }
    }
}

/// An engine that is open on a directory.
pub trait Peer: Send + Sync {
    /// Commits one pair, as the `Commit` it was opened with says.
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()>;

    /// Commits all pairs or none.
    fn write(&self, batch: &[Entry]) -> Result<()>;

    fn get(&self, key: &[u8]) -> Result<Option<Seen>>;

    /// Appends the keys below a prefix, in order; values need not be read.
    fn list(&self, prefix: &[u8], keys: &mut Vec<String>) -> Result<()>;

    /// Shows every pair, in order.
    fn scan(&self, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()>;

    /// Returns once everything committed so far is on stable storage.
    fn persist(&self) -> Result<()>;

    /// Gives back the disk space of overwritten values, as far as the engine
    /// has a call for it.
    fn collect_garbage(&mut self) -> Result<()>;

    /// Writes a consistent copy into a new folder and syncs it.
    fn backup(&self, _to: &Path) -> Result<()> {
        Err("this engine has no backup".into())
    }

    /// Makes a second database in a new folder that shares the files of this one.
    fn checkpoint(&self, _to: &Path) -> Result<()> {
        Err("this engine has no checkpoints".into())
    }

    /// Shuts down cleanly, in the way that makes the next open short where
    /// the engine documents one.
    fn close(self: Box<Self>) -> Result<()>;
}

/// The engines that were compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    #[cfg(feature = "esker")]
    Esker,
    Fjall,
    Redb,
    Canopydb,
    #[cfg(feature = "c-peers")]
    Rocksdb,
    #[cfg(feature = "c-peers")]
    Lmdb,
}

impl Engine {
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Opens the engine on a folder, and makes its files if there are none.
    pub fn open(self, dir: &Path, commit: Commit, values: Values) -> Result<Box<dyn Peer>> {
        std::fs::create_dir_all(dir)?;
        Ok(match self {
            #[cfg(feature = "esker")]
            Self::Esker => Box::new(esker::Esker::open(dir, commit)?),
            Self::Fjall => Box::new(fjall::Fjall::open(dir, commit, values)?),
            Self::Redb => Box::new(redb::Redb::open(dir, commit)?),
            Self::Canopydb => Box::new(canopydb::Canopydb::open(dir, commit)?),
            #[cfg(feature = "c-peers")]
            Self::Rocksdb => Box::new(rocksdb::Rocksdb::open(dir, commit, values)?),
            #[cfg(feature = "c-peers")]
            Self::Lmdb => Box::new(lmdb::Lmdb::open(dir, commit)?),
        })
    }

    /// Makes a database in a new folder out of a backup, synced.
    pub fn restore(self, backup: &Path, dir: &Path) -> Result<()> {
        match self {
            #[cfg(feature = "esker")]
            Self::Esker => esker::restore(backup, dir),
            #[cfg(feature = "c-peers")]
            Self::Rocksdb => rocksdb::restore(backup, dir),
            #[cfg(feature = "c-peers")]
            Self::Lmdb => lmdb::restore(backup, dir),
            _ => Err(format!(
                "{} cannot restore {} to {}",
                self.name(),
                backup.display(),
                dir.display()
            )
            .into()),
        }
    }

    /// Whether the engine has what a workload asks for at all.
    pub const fn runs(self, workload: Workload) -> bool {
        match workload {
            Workload::Backup | Workload::Restore => self.backs_up(),
            Workload::Checkpoint => self.makes_checkpoints(),
            // Nothing of what it is about is left to open.
            Workload::OpenCrash => self.keeps_unsynced_commits(),
            _ => true,
        }
    }

    /// Whether the engine's figure may be held against others' in a row.
    pub const fn counts(self, workload: Workload) -> bool {
        self.keeps_unsynced_commits() || !workload.relies_on_unsynced_writes()
    }

    /// Whether a commit that did not wait for a sync survives the death of
    /// the process, and a power cut costs no more than the last commits.
    const fn keeps_unsynced_commits(self) -> bool {
        match self {
            Self::Redb => false,
            #[cfg(feature = "c-peers")]
            Self::Lmdb => false,
            _ => true,
        }
    }

    const fn makes_checkpoints(self) -> bool {
        match self {
            #[cfg(feature = "esker")]
            Self::Esker => true,
            #[cfg(feature = "c-peers")]
            Self::Rocksdb => true,
            _ => false,
        }
    }

    const fn backs_up(self) -> bool {
        match self {
            #[cfg(feature = "esker")]
            Self::Esker => true,
            #[cfg(feature = "c-peers")]
            Self::Rocksdb | Self::Lmdb => true,
            _ => false,
        }
    }
}

/// A key as the string that a listing is made of.
fn key_string(key: &[u8]) -> Result<String> {
    Ok(String::from_utf8(key.to_vec())?)
}
