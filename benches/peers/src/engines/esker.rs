//! esker.

use super::{CACHE_BYTES, Commit, Entry, Peer, key_string};
use crate::Result;
use crate::data::Seen;
use esker::{Db, Options, SyncPolicy, WriteBatch};
use std::path::Path;

/// The backup within its folder.
const BACKUP_FILE: &str = "backup";

pub struct Esker {
    db: Db,
}

impl Esker {
    pub fn open(dir: &Path, commit: Commit) -> Result<Self> {
        let sync_policy = match commit {
            Commit::Synced => SyncPolicy::Always,
            Commit::Unsynced => SyncPolicy::Never,
        };
        let options = Options { sync_policy, block_cache_bytes: CACHE_BYTES, ..Options::default() };
        Ok(Self { db: Db::open(dir, options)? })
    }
}

impl Peer for Esker {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.db.set(key, value)?;
        Ok(())
    }

    fn write(&self, batch: &[Entry]) -> Result<()> {
        let mut writes = WriteBatch::new();
        for entry in batch {
            writes.set(entry.key, &entry.value);
        }
        self.db.write(writes)?;
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        Ok(self.db.get(key)?.map(|value| Seen::of(&value)))
    }

    fn list(&self, prefix: &[u8], keys: &mut Vec<String>) -> Result<()> {
        let mut range = self.db.prefix(prefix).keys();
        while let Some(key) = range.next_with(key_string) {
            keys.push(key??);
        }
        Ok(())
    }

    fn scan(&self, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let mut range = self.db.iter();
        while let Some(seen) = range.next_with(|key, value| see(key, value)) {
            seen?;
        }
        Ok(())
    }

    fn persist(&self) -> Result<()> {
        self.db.persist()?;
        Ok(())
    }

    fn collect_garbage(&mut self) -> Result<()> {
        self.db.compact()?;
        self.db.collect_garbage()?;
        Ok(())
    }

    fn backup(&self, to: &Path) -> Result<()> {
        self.db.backup(to.join(BACKUP_FILE))?;
        Ok(())
    }

    fn checkpoint(&self, to: &Path) -> Result<()> {
        self.db.checkpoint(to)?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.db.close()?;
        Ok(())
    }
}

/// Makes a database out of a backup, synced.
pub fn restore(backup: &Path, dir: &Path) -> Result<()> {
    let options = Options { block_cache_bytes: CACHE_BYTES, ..Options::default() };
    Db::create_from_backup(backup.join(BACKUP_FILE), dir, options)?.close()?;
    Ok(())
}
