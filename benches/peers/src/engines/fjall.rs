//! fjall, one keyspace of default options; with its separation of values where they are large.

use super::{CACHE_BYTES, Commit, Entry, Peer, Values, key_string};
use crate::Result;
use crate::data::Seen;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use std::path::Path;

pub struct Fjall {
    db: Database,
    keyspace: Keyspace,
    commit: Commit,
}

impl Fjall {
    pub fn open(dir: &Path, commit: Commit, values: Values) -> Result<Self> {
        let db = Database::builder(dir).cache_size(CACHE_BYTES as u64).open()?;
        let separation = (values == Values::Large).then(KvSeparationOptions::default);
        let options = || KeyspaceCreateOptions::default().with_kv_separation(separation);
        let keyspace = db.keyspace("default", options)?;
        Ok(Self { db, keyspace, commit })
    }

    /// What a batch asks of the log: `None` is fjall's own default, which
    /// writes to the system and does not sync.
    const fn durability(&self) -> Option<PersistMode> {
        match self.commit {
            Commit::Synced => Some(PersistMode::SyncData),
            Commit::Unsynced => None,
        }
    }
}

impl Peer for Fjall {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        if self.commit == Commit::Unsynced {
            self.keyspace.insert(key, value)?;
            return Ok(());
        }
        // A batch of one syncs while it holds the log; an insert and a
        // persist would take the log's lock twice.
        let mut writes = self.db.batch().durability(self.durability());
        writes.insert(&self.keyspace, key, value);
        writes.commit()?;
        Ok(())
    }

    fn write(&self, batch: &[Entry]) -> Result<()> {
        let mut writes = self.db.batch().durability(self.durability());
        for entry in batch {
            writes.insert(&self.keyspace, entry.key, entry.value.as_slice());
        }
        writes.commit()?;
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        Ok(self.keyspace.get(key)?.map(|value| Seen::of(&value)))
    }

    fn list(&self, prefix: &[u8], keys: &mut Vec<String>) -> Result<()> {
        for guard in self.keyspace.prefix(prefix) {
            keys.push(key_string(&guard.key()?)?);
        }
        Ok(())
    }

    fn scan(&self, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for guard in self.keyspace.iter() {
            let (key, value) = guard.into_inner()?;
            see(&key, &value);
        }
        Ok(())
    }

    fn persist(&self) -> Result<()> {
        self.db.persist(PersistMode::SyncData)?;
        Ok(())
    }

    fn collect_garbage(&mut self) -> Result<()> {
        self.keyspace.major_compact()?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.db.persist(PersistMode::SyncAll)?;
        Ok(())
    }
}
