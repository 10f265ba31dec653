//! RocksDB.

use super::{CACHE_BYTES, Commit, Entry, Peer, Values, key_string};
use crate::Result;
use crate::data::Seen;
use rocksdb::backup::{BackupEngine, BackupEngineOptions, RestoreOptions};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, Env, Options, WriteBatch, WriteOptions,
};
use std::path::Path;

/// Bits a key of its filter: RocksDB makes none unless told to, while the
/// other engines of its kind do by default.
const FILTER_BITS_PER_KEY: f64 = 10.0;

/// Values of this many bytes go to blob files, where they are on.
const BLOB_BYTES_MIN: u64 = 1024;

pub struct Rocksdb {
    db: DB,
    write_options: WriteOptions,
}

impl Rocksdb {
    pub fn open(dir: &Path, commit: Commit, values: Values) -> Result<Self> {
        let mut tables = BlockBasedOptions::default();
        tables.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
        tables.set_bloom_filter(FILTER_BITS_PER_KEY, false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&tables);
        if values == Values::Large {
            options.set_enable_blob_files(true);
            options.set_min_blob_size(BLOB_BYTES_MIN);
            // What its tables are compressed with.
            options.set_blob_compression_type(DBCompressionType::Snappy);
            options.set_enable_blob_gc(true);
        }
        let mut write_options = WriteOptions::default();
        write_options.set_sync(commit == Commit::Synced);
        Ok(Self { db: DB::open(&options, dir)?, write_options })
    }
}

impl Peer for Rocksdb {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.db.put_opt(key, value, &self.write_options)?;
        Ok(())
    }

    fn write(&self, batch: &[Entry]) -> Result<()> {
        let mut writes = WriteBatch::default();
        for entry in batch {
            writes.put(entry.key, &entry.value);
        }
        self.db.write_opt(writes, &self.write_options)?;
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        // Pinned in the cache, not copied: it lives as long as it is held.
        Ok(self.db.get_pinned(key)?.map(|value| Seen::of(&value)))
    }

    fn list(&self, prefix: &[u8], keys: &mut Vec<String>) -> Result<()> {
        // The raw iterator lends its key; the ordinary one would copy the
        // value too, which a listing has no use for.
        let mut cursor = self.db.raw_iterator();
        cursor.seek(prefix);
        while let Some(key) = cursor.key().filter(|key| key.starts_with(prefix)) {
            keys.push(key_string(key)?);
            cursor.next();
        }
        cursor.status()?;
        Ok(())
    }

    fn scan(&self, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let mut cursor = self.db.raw_iterator();
        cursor.seek_to_first();
        while let Some((key, value)) = cursor.item() {
            see(key, value);
            cursor.next();
        }
        cursor.status()?;
        Ok(())
    }

    fn persist(&self) -> Result<()> {
        self.db.flush_wal(true)?;
        Ok(())
    }

    fn collect_garbage(&mut self) -> Result<()> {
        self.db.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    fn backup(&self, to: &Path) -> Result<()> {
        engine_of_backups(to)?.create_new_backup_flush(&self.db, true)?;
        Ok(())
    }

    fn checkpoint(&self, to: &Path) -> Result<()> {
        Checkpoint::new(&self.db)?.create_checkpoint(to)?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        // A shutdown alone keeps the memtable in the log, to be replayed.
        self.db.flush()?;
        Ok(())
    }
}

/// Restores the latest backup; its engine syncs what it writes.
pub fn restore(backup: &Path, dir: &Path) -> Result<()> {
    engine_of_backups(backup)?.restore_from_latest_backup(dir, dir, &RestoreOptions::default())?;
    Ok(())
}

fn engine_of_backups(dir: &Path) -> Result<BackupEngine> {
    Ok(BackupEngine::open(&BackupEngineOptions::new(dir)?, &Env::new()?)?)
}
