//! canopydb, one tree; every operation is a transaction.

use super::{CACHE_BYTES, Commit, Entry, Peer, key_string};
use crate::Result;
use crate::data::Seen;
use canopydb::{Database, DbOptions, EnvOptions};
use std::path::Path;

const TREE: &[u8] = b"default";

pub struct Canopydb {
    db: Database,
    commit: Commit,
}

impl Canopydb {
    pub fn open(dir: &Path, commit: Commit) -> Result<Self> {
        let mut options = EnvOptions::new(dir);
        options.page_cache_size = CACHE_BYTES;
        Ok(Self { db: Database::with_options(options, DbOptions::default())?, commit })
    }

    fn commit<'a>(&self, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<()> {
        // The exclusive kind: concurrent transactions conflict by page, and
        // have more to do each.
        let transaction = self.db.begin_write()?;
        {
            let mut tree = transaction.get_or_create_tree(TREE)?;
            for (key, value) in pairs {
                tree.insert(key, value)?;
            }
        }
        transaction.commit_with(self.commit == Commit::Synced)?;
        Ok(())
    }
}

impl Peer for Canopydb {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.commit(std::iter::once((key, value)))
    }

    fn write(&self, batch: &[Entry]) -> Result<()> {
        let pairs = batch.iter();
        self.commit(pairs.map(|entry| (entry.key.as_slice(), entry.value.as_slice())))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        let transaction = self.db.begin_read()?;
        let Some(tree) = transaction.get_tree(TREE)? else {
            return Ok(None);
        };
        Ok(tree.get(key)?.map(|value| Seen::of(&value)))
    }

    fn list(&self, prefix: &[u8], keys: &mut Vec<String>) -> Result<()> {
        let transaction = self.db.begin_read()?;
        let Some(tree) = transaction.get_tree(TREE)? else {
            return Ok(());
        };
        for key in tree.prefix_keys(&prefix)? {
            keys.push(key_string(&key?)?);
        }
        Ok(())
    }

    fn scan(&self, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let transaction = self.db.begin_read()?;
        let Some(tree) = transaction.get_tree(TREE)? else {
            return Ok(());
        };
        for entry in tree.iter()? {
            let (key, value) = entry?;
            see(&key, &value);
        }
        Ok(())
    }

    fn persist(&self) -> Result<()> {
        self.db.sync()?;
        Ok(())
    }

    fn collect_garbage(&mut self) -> Result<()> {
        self.db.compact()?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        // Moves the log's content to the file: what canopydb advises before
        // a shutdown, so that the next open replays nothing.
        self.db.checkpoint()?;
        Ok(())
    }
}
