//! redb, one table; every operation is a transaction.

use super::{CACHE_BYTES, Commit, Entry, Peer, key_string};
use crate::Result;
use crate::data::Seen;
use redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition,
    TableError,
};
use std::path::Path;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("default");

pub struct Redb {
    db: Database,
    durability: Durability,
}

impl Redb {
    pub fn open(dir: &Path, commit: Commit) -> Result<Self> {
        let durability = match commit {
            Commit::Synced => Durability::Immediate,
            Commit::Unsynced => Durability::None,
        };
        let db = Database::builder().set_cache_size(CACHE_BYTES).create(dir.join("data.redb"))?;
        Ok(Self { db, durability })
    }

    fn commit<'a>(&self, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<()> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(self.durability)?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for (key, value) in pairs {
                table.insert(key, value)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// The table as it is now; `None` before the first write made it.
    fn table(&self) -> Result<Option<ReadOnlyTable<&'static [u8], &'static [u8]>>> {
        match self.db.begin_read()?.open_table(TABLE) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Peer for Redb {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.commit(std::iter::once((key, value)))
    }

    fn write(&self, batch: &[Entry]) -> Result<()> {
        let pairs = batch.iter();
        self.commit(pairs.map(|entry| (entry.key.as_slice(), entry.value.as_slice())))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        let Some(table) = self.table()? else {
            return Ok(None);
        };
        // The value must outlive the transaction, so it is copied.
        let value = table.get(key)?.map(|guard| guard.value().to_vec());
        Ok(value.map(|value| Seen::of(&value)))
    }

    fn list(&self, prefix: &[u8], keys: &mut Vec<String>) -> Result<()> {
        let Some(table) = self.table()? else {
            return Ok(());
        };
        for entry in table.range(prefix..)? {
            let (key, _) = entry?;
            if !key.value().starts_with(prefix) {
                break;
            }
            keys.push(key_string(key.value())?);
        }
        Ok(())
    }

    fn scan(&self, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let Some(table) = self.table()? else {
            return Ok(());
        };
        for entry in table.iter()? {
            let (key, value) = entry?;
            see(key.value(), value.value());
        }
        Ok(())
    }

    fn persist(&self) -> Result<()> {
        // A commit of nothing that waits makes those before it durable.
        self.db.begin_write()?.commit()?;
        Ok(())
    }

    fn collect_garbage(&mut self) -> Result<()> {
        self.db.compact()?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.persist()?;
        self.db.close()?;
        Ok(())
    }
}
