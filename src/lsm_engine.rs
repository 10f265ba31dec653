//! [`LsmEngine`]: the [`Engine`] interface over [`Db`], and [`new_engine`].
//!
//! Place on the data's path: its upper end. A key `k` of the key-value space
//! stands in the store as `kv:k`, a service `s` as `svc:s`, with its expiry.
//!
//! INV-1: whatever is stored here is a string behind its prefix. Through
//! [`LsmEngine::db`] a program may have put other keys there. A key that is not
//! UTF-8 cannot be named through [`Engine`], so it is not part of what an
//! engine holds: lists leave it out, and no call touches it.
//! INV-2: keys, values and times to live are checked here, before the store is
//! asked, by the same functions as in `MemoryEngine`.
//!
//! Concurrency: as [`Db`]. Not here: anything that `Db` can do itself.

mod export;
mod import;

use crate::archive::{BackupReport, RestoreReport};
use crate::db::{Db, DbTransaction, WriteBatch};
use crate::engine::{
    Backend, Config, Engine, KV_PREFIX, MemoryEngine, SERVICE_PREFIX, Transaction, check_key,
    check_ttl, check_value,
};
use crate::error::{Error, Result};
use crate::json::{ExportData, ExportReport, ImportReport};
use crate::options::Options;
use crate::read::Lookup;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Opens the engine that `config` names: `lsm` or `badger` an [`LsmEngine`] in
/// `config.data_dir`, `memory` a [`MemoryEngine`]; with `config.enabled` false
/// always a [`MemoryEngine`].
///
/// # Errors
/// [`Error::UnsupportedType`]; [`Error::InvalidArgument`] when `data_dir` is
/// empty; else as [`LsmEngine::open`].
///
/// ```
/// use esker::{Config, new_engine};
/// let config = Config { r#type: "memory".to_string(), ..Config::default() };
/// let engine = new_engine(&config)?;
/// engine.set("config/host", b"10.0.0.1")?;
/// engine.close()?;
/// # Ok::<(), esker::Error>(())
/// ```
pub fn new_engine(config: &Config) -> Result<Arc<dyn Engine>> {
    Ok(match config.backend()? {
        Backend::Memory => Arc::new(MemoryEngine::new()),
        Backend::Lsm => Arc::new(LsmEngine::open(&config.data_dir, config.options())?),
    })
}

/// The engine on disk: [`Engine`] over a [`Db`].
///
/// What `Ok` from a write promises is the `sync_policy` that the database was
/// opened with. Cheap to clone; all clones are one engine, and closing one
/// closes all, and the database under them.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// use esker::{Engine, LsmEngine, Options};
/// let engine = LsmEngine::open(dir.path(), Options::default())?;
/// engine.set("a", b"1")?;
/// assert!(engine.db().get("kv:a")?.is_some()); // As it stands in the database.
/// engine.db().flush()?;
/// engine.close()?;
///
/// let reader = LsmEngine::open_read_only(dir.path(), Options::default())?;
/// assert_eq!(reader.get("a")?, b"1");
/// assert!(matches!(reader.delete("a"), Err(esker::Error::ReadOnly)));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct LsmEngine {
    db: Db,
}

impl LsmEngine {
    /// Opens the database in `dir`.
    ///
    /// See the example of [`LsmEngine`].
    ///
    /// # Errors
    /// As [`Db::open`]: [`Error::Locked`] when another handle has it open,
    /// [`Error::InvalidArgument`], [`Error::Corruption`],
    /// [`Error::UnsupportedFormat`], [`Error::Io`].
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<LsmEngine> {
        Ok(LsmEngine::new(Db::open(dir, options)?))
    }

    /// Opens the database in `dir` for reading only, as [`Db::open_read_only`] does.
    ///
    /// See the example of [`LsmEngine`].
    ///
    /// # Errors
    /// As there.
    pub fn open_read_only(dir: impl AsRef<Path>, options: Options) -> Result<LsmEngine> {
        Ok(LsmEngine::new(Db::open_read_only(dir, options)?))
    }

    /// An engine over a database that is open already.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// use esker::{Engine, LsmEngine};
    /// let engine = LsmEngine::new(db.clone());
    /// engine.set("a", b"1")?;
    /// db.set("beside", "no key of the engine")?;
    /// assert_eq!(engine.list("")?, ["a"]);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn new(db: Db) -> LsmEngine {
        LsmEngine { db }
    }

    /// The database under this engine, for what [`Engine`] does not offer:
    /// ranges, snapshots, `persist`, `flush`, `metrics`.
    ///
    /// See the example of [`LsmEngine`].
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The names under `space` that begin with `prefix`, in order.
    fn names(&self, space: &str, prefix: &str) -> Result<Vec<String>> {
        self.db.check_open()?;
        let mut names = Vec::new();
        let mut keys = self.db.prefix(format!("{space}{prefix}")).keys();
        while let Some(name) = keys.next_with(|key| name(space, key)) {
            // INV-1: what is no string is not ours.
            names.extend(name?);
        }
        Ok(names)
    }
}

/// The name under `space` that `key` stands for, if it is one.
fn name(space: &str, key: &[u8]) -> Option<String> {
    let name = key.get(space.len()..).map(str::from_utf8);
    name.and_then(|name| name.ok().map(str::to_owned))
}

/// `key` as it stands in the store.
fn stored(space: &str, key: &str) -> Result<String> {
    check_key(space, key)?;
    Ok([space, key].concat())
}

impl Engine for LsmEngine {
    fn get(&self, key: &str) -> Result<Vec<u8>> {
        self.db.check_open()?;
        let stored = stored(KV_PREFIX, key).map_err(|_| Error::KeyNotFound)?;
        self.db.get(stored)?.map(Into::into).ok_or(Error::KeyNotFound)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.db.check_open()?;
        let stored = stored(KV_PREFIX, key)?;
        check_value(value)?;
        self.db.set(stored, value)
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.db.check_open()?;
        self.db.delete(stored(KV_PREFIX, key)?)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.names(KV_PREFIX, prefix)
    }

    fn get_service(&self, name: &str) -> Result<Vec<u8>> {
        self.db.check_open()?;
        let stored = stored(SERVICE_PREFIX, name).map_err(|_| Error::ServiceNotFound)?;
        match self.db.lookup(stored.as_bytes())? {
            Lookup::Found(data) => Ok(data.into()),
            Lookup::Expired => Err(Error::ServiceExpired),
            Lookup::Missing => Err(Error::ServiceNotFound),
        }
    }

    fn set_service(&self, name: &str, data: &[u8], ttl: Duration) -> Result<()> {
        self.db.check_open()?;
        check_ttl(ttl)?;
        let stored = stored(SERVICE_PREFIX, name)?;
        check_value(data)?;
        self.db.set_with_ttl(stored, data, ttl)
    }

    fn delete_service(&self, name: &str) -> Result<()> {
        self.db.check_open()?;
        self.db.delete(stored(SERVICE_PREFIX, name)?)
    }

    fn list_services(&self) -> Result<Vec<String>> {
        self.names(SERVICE_PREFIX, "")
    }

    fn batch_set(&self, items: &[(&str, &[u8])]) -> Result<()> {
        self.db.check_open()?;
        let mut batch = WriteBatch::new();
        for (key, value) in items {
            check_value(value)?;
            batch.set(stored(KV_PREFIX, key)?, value);
        }
        self.db.write(batch)
    }

    fn batch_delete(&self, keys: &[&str]) -> Result<()> {
        self.db.check_open()?;
        let mut batch = WriteBatch::new();
        for key in keys {
            batch.delete(stored(KV_PREFIX, key)?);
        }
        self.db.write(batch)
    }

    fn begin_tx(&self) -> Result<Box<dyn Transaction>> {
        self.db.check_open()?;
        Ok(Box::new(LsmTransaction { tx: self.db.transaction() }))
    }

    fn export(&self, to: &mut dyn Write) -> Result<ExportReport> {
        export::export(&self.db, to)
    }

    fn import(&self, from: &mut dyn Read) -> Result<ImportReport> {
        import::import(&self.db, from)
    }

    fn export_data(&self) -> Result<ExportData> {
        export::export_data(&self.db)
    }

    fn import_data(&self, data: &ExportData) -> Result<ImportReport> {
        import::import_data(&self.db, data)
    }

    fn backup(&self, path: &Path) -> Result<BackupReport> {
        self.db.backup(path)
    }

    fn restore(&self, path: &Path) -> Result<RestoreReport> {
        self.db.restore(path)
    }

    fn close(&self) -> Result<()> {
        self.db.close()
    }
}

/// One of the database's, under the prefix of the key-value space.
struct LsmTransaction {
    tx: DbTransaction,
}

impl Transaction for LsmTransaction {
    fn get(&mut self, key: &str) -> Result<Vec<u8>> {
        self.tx.check_open()?;
        let stored = stored(KV_PREFIX, key).map_err(|_| Error::KeyNotFound)?;
        self.tx.get(stored)?.map(Into::into).ok_or(Error::KeyNotFound)
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for key in self.tx.prefix(format!("{KV_PREFIX}{prefix}")).keys() {
            // INV-1: what is no string is not ours.
            names.extend(name(KV_PREFIX, &key?));
        }
        Ok(names)
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.tx.check_open()?;
        let stored = stored(KV_PREFIX, key)?;
        check_value(value)?;
        self.tx.set(stored, value)
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        self.tx.check_open()?;
        self.tx.delete(stored(KV_PREFIX, key)?)
    }

    fn commit(&mut self) -> Result<()> {
        self.tx.commit()
    }

    fn rollback(&mut self) -> Result<()> {
        self.tx.rollback();
        Ok(())
    }
}
