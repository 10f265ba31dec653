//! LMDB, the unnamed database; every operation is a transaction.

use super::{Commit, Entry, Peer, key_string};
use crate::Result;
use crate::data::Seen;
use heed::types::Bytes;
use heed::{CommitOrAbort, CompactionOption, Database, Env, EnvFlags, EnvOpenOptions};
use std::fs::File;
use std::path::Path;

/// Address space, not memory or disk: the largest any workload grows to.
const MAP_BYTES: usize = 8 * 1024 * 1024 * 1024;

const DATA_FILE: &str = "data.mdb";

pub struct Lmdb {
    /// Never freed: a database handle borrows its environment, and the
    /// process that opened it ends after one measurement.
    env: &'static Env,
    db: Database<'static, Bytes, Bytes>,
}

impl Lmdb {
    pub fn open(dir: &Path, commit: Commit) -> Result<Self> {
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES);
        if commit == Commit::Unsynced {
            // SAFETY: without syncs a power cut may damage the file; it is
            // thrown away after the measurement, whatever happened.
            unsafe { options.flags(EnvFlags::NO_SYNC) };
        }
        // SAFETY: the folder is this process's own, so that no one else
        // changes the mapped file, and it is opened once in the process.
        let env: &'static Env = Box::leak(Box::new(unsafe { options.open(dir)? }));
        let db = env
            .create_databases_and_commit(env.write_txn()?, |opener, transaction| {
                opener
                    .create_database::<Bytes, Bytes>(transaction, None)
                    .map(CommitOrAbort::<_, ()>::Commit)
            })?
            .commit()
            .ok_or("the unnamed database was not committed")?;
        Ok(Self { env, db })
    }
}

impl Peer for Lmdb {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        self.db.put(&mut transaction, key, value)?;
        transaction.commit()?;
        Ok(())
    }

    fn write(&self, batch: &[Entry]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for entry in batch {
            self.db.put(&mut transaction, &entry.key, &entry.value)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        let transaction = self.env.read_txn()?;
        // The value must outlive the transaction, so it is copied.
        let value = self.db.get(&transaction, key)?.map(<[u8]>::to_vec);
        Ok(value.map(|value| Seen::of(&value)))
    }

    fn list(&self, prefix: &[u8], keys: &mut Vec<String>) -> Result<()> {
        let transaction = self.env.read_txn()?;
        for entry in self.db.prefix_iter(&transaction, prefix)? {
            keys.push(key_string(entry?.0)?);
        }
        Ok(())
    }

    fn scan(&self, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let transaction = self.env.read_txn()?;
        for entry in self.db.iter(&transaction)? {
            let (key, value) = entry?;
            see(key, value);
        }
        Ok(())
    }

    fn persist(&self) -> Result<()> {
        self.env.force_sync()?;
        Ok(())
    }

    fn collect_garbage(&mut self) -> Result<()> {
        // Freed pages are used again by later commits; the file never shrinks.
        Ok(())
    }

    fn backup(&self, to: &Path) -> Result<()> {
        std::fs::create_dir_all(to)?;
        let file = self.env.copy_to_path(to.join(DATA_FILE), CompactionOption::Disabled)?;
        file.sync_all()?;
        File::open(to)?.sync_all()?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.persist()
    }
}

/// Restores a backup, which is a database file itself, by a copy.
pub fn restore(backup: &Path, dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let file = dir.join(DATA_FILE);
    std::fs::copy(backup.join(DATA_FILE), &file)?;
    File::open(&file)?.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(())
}
