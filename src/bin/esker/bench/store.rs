//! The store that is measured, through either of its interfaces.

use super::data::{Key, Seen};
use crate::failure::Result;
use esker::{Db, Engine, Error, LsmEngine, Options, WriteBatch};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Through which interface a row works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    /// `Db`, the general store.
    Db,
    /// `Engine`, that of the documented table.
    Engine,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Key,
    pub value: Vec<u8>,
}

/// A database that is open.
#[derive(Debug)]
pub struct Store {
    db: Db,
    engine: Option<LsmEngine>,
}

impl Store {
    /// Opens the database in `dir`, or makes it.
    ///
    /// # Errors
    /// It does not open.
    pub fn open(dir: &Path, options: Options, interface: Interface) -> Result<Store> {
        let db = Db::open(dir, options)?;
        let engine = (interface == Interface::Engine).then(|| LsmEngine::new(db.clone()));
        Ok(Store { db, engine })
    }

    /// The database, for what both interfaces have in common.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Sets one key.
    ///
    /// # Errors
    /// What the store fails with; so all others.
    pub fn set(&self, key: &Key, value: &[u8]) -> Result<()> {
        match &self.engine {
            Some(engine) => engine.set(text(key), value)?,
            None => self.db.set(key, value)?,
        }
        Ok(())
    }

    /// What is to be seen of the value of a key.
    pub fn get(&self, key: &Key) -> Result<Option<Seen>> {
        match &self.engine {
            Some(engine) => match engine.get(text(key)) {
                Ok(value) => Ok(Some(Seen::of(&value))),
                Err(Error::KeyNotFound) => Ok(None),
                Err(error) => Err(error.into()),
            },
            None => Ok(self.db.get(key)?.map(|value| Seen::of(&value))),
        }
    }

    /// Sets many keys at once.
    pub fn write(&self, entries: &[Entry]) -> Result<()> {
        match &self.engine {
            Some(engine) => {
                let items: Vec<(&str, &[u8])> = entries
                    .iter()
                    .map(|entry| (text(&entry.key), entry.value.as_slice()))
                    .collect();
                engine.batch_set(&items)?;
            }
            None => {
                let mut batch = WriteBatch::new();
                entries.iter().for_each(|entry| batch.set(entry.key, &entry.value));
                self.db.write(batch)?;
            }
        }
        Ok(())
    }

    /// The keys with a prefix, as strings.
    pub fn list(&self, prefix: &[u8]) -> Result<Vec<String>> {
        if let Some(engine) = &self.engine {
            return Ok(engine.list(text(prefix))?);
        }
        let (mut keys, mut range) = (Vec::new(), self.db.prefix(prefix).keys());
        while let Some(key) = range.next_with(|key| text(key).to_string()) {
            keys.push(key?);
        }
        Ok(keys)
    }

    /// Closes it.
    pub fn close(self) -> Result<()> {
        Ok(self.db.close()?)
    }
}

/// Our own keys are ASCII.
fn text(key: &[u8]) -> &str {
    str::from_utf8(key).expect("our own keys are text")
}
