//! The interface of the reference: key-value pairs, services with a time to
//! live, batches and transactions, behind two object-safe traits.
//!
//! Place on the data's path: beside it. The traits and [`MemoryEngine`] stand
//! low, so that whatever serves an engine needs nothing of the store's inside;
//! `lsm_engine`, at the top, implements them over `Db`.
//!
//! INV-1: a key-value pair and a service never meet: the one stands under
//! `kv:`, the other under `svc:`, whatever the caller's key begins with.
//! INV-2: keys, values and times to live are checked before anything is
//! written: a call that fails with [`Error::TooLarge`] or
//! [`Error::InvalidArgument`] changed nothing.
//! INV-3: every implementation answers alike; `tests/behaviour` holds them to it.
//!
//! Concurrency: every method takes `&self` and may be called from any thread.
//! A transaction belongs to one thread at a time (`Send`, not `Sync`).
//!
//! Not here: HTTP; the bytes of exports (`json`) and of backups (`archive`).

mod config;
mod memory;
mod memory_backup;
mod sizes;

pub(crate) use config::Backend;
pub use config::Config;
pub use memory::MemoryEngine;
pub(crate) use sizes::Checked;

use crate::archive::{BackupReport, RestoreReport};
use crate::error::{Error, Result};
use crate::format::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::json::{ExportData, ExportReport, ImportReport};
use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

/// What stands before a key of the key-value space in the store.
pub(crate) const KV_PREFIX: &str = "kv:";

/// What stands before the name of a service in the store.
pub(crate) const SERVICE_PREFIX: &str = "svc:";

/// What stands before the name of a service where the time to live is kept that it was registered with over
/// HTTP, beside the service itself: no engine shows it, exports leave it out, backups have it. A heartbeat has to know it, and
/// neither the data of the service, which is the caller's, nor its expiry, says it.
pub(crate) const LIFETIME_PREFIX: &str = "ttl:";

/// How long an expired service is still told apart from one that never was:
/// 10 minutes. It is purged no earlier than this after its expiry.
///
/// ```
/// use esker::sim::SimFs;
/// use esker::{EXPIRED_RETENTION, Engine, Error, MemoryEngine};
/// use std::time::Duration;
/// let clock = SimFs::new().sim_clock();
/// let engine = MemoryEngine::with_clock(clock.clone());
/// engine.set_service("web", b"{}", Duration::from_secs(30))?;
/// clock.advance(Duration::from_secs(30));
/// assert!(matches!(engine.get_service("web"), Err(Error::ServiceExpired)));
/// clock.advance(EXPIRED_RETENTION);
/// assert!(matches!(engine.get_service("web"), Err(Error::ServiceNotFound)));
/// # Ok::<(), Error>(())
/// ```
pub const EXPIRED_RETENTION: Duration = Duration::from_secs(10 * 60);

/// A persistence engine: what every backend can do.
///
/// Keys and names are strings, up to 65,535 bytes of UTF-8 with the prefix
/// that the engine puts before them (`kv:` or `svc:`); the empty one is legal.
/// Values are bytes, up to 1 GiB; the empty one is legal. What is returned is
/// always the caller's own.
///
/// What `Ok` from a write promises is the policy of the engine: see
/// `SyncPolicy` for a store on disk; a [`MemoryEngine`] promises nothing beyond
/// its own life. After [`Engine::close`] every call fails with [`Error::Closed`].
///
/// # Errors
/// Beyond those listed with each method, every method of an engine on disk may
/// fail with [`Error::Io`] and [`Error::Corruption`], and every write with
/// [`Error::Indeterminate`] and [`Error::Poisoned`].
///
/// ```
/// use esker::{Engine, Error, MemoryEngine};
/// let engine: Box<dyn Engine> = Box::new(MemoryEngine::new());
/// engine.set("config/host", b"10.0.0.1")?;
/// assert_eq!(engine.get("config/host")?, b"10.0.0.1");
/// assert!(matches!(engine.get("config/port"), Err(Error::KeyNotFound)));
/// # Ok::<(), Error>(())
/// ```
pub trait Engine: Send + Sync {
    /// The value of `key`.
    ///
    /// ```
    /// use esker::{Engine, Error, MemoryEngine};
    /// let engine = MemoryEngine::new();
    /// engine.set("key", b"value")?;
    /// let mut value = engine.get("key")?;
    /// value.clear(); // It is the caller's own.
    /// assert_eq!(engine.get("key")?, b"value");
    /// assert_eq!(engine.get("other").unwrap_err().to_string(), "key not found");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::KeyNotFound`] (also for a key too long to exist), [`Error::Closed`].
    fn get(&self, key: &str) -> Result<Vec<u8>>;

    /// Stores `value` under `key`, in place of what was there.
    ///
    /// ```
    /// use esker::{Engine, Error, MemoryEngine};
    /// let engine = MemoryEngine::new();
    /// engine.set("key", b"old")?;
    /// engine.set("key", b"new")?;
    /// engine.set("", b"")?; // Both may be empty.
    /// assert_eq!(engine.get("key")?, b"new");
    /// assert!(matches!(engine.set(&"k".repeat(70_000), b""), Err(Error::TooLarge { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Closed`].
    fn set(&self, key: &str, value: &[u8]) -> Result<()>;

    /// Removes `key`; one that is not there is fine.
    ///
    /// ```
    /// use esker::{Engine, Error, MemoryEngine};
    /// let engine = MemoryEngine::new();
    /// engine.set("key", b"value")?;
    /// engine.delete("key")?;
    /// engine.delete("key")?; // What is not there is fine.
    /// assert!(matches!(engine.get("key"), Err(Error::KeyNotFound)));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Closed`].
    fn delete(&self, key: &str) -> Result<()>;

    /// The keys that begin with `prefix`, in the order of their bytes, as of
    /// one moment. The empty prefix lists all; no match is an empty list.
    ///
    /// ```
    /// use esker::{Engine, MemoryEngine};
    /// let engine = MemoryEngine::new();
    /// for key in ["b", "a/2", "a/10"] {
    ///     engine.set(key, b"")?;
    /// }
    /// assert_eq!(engine.list("a/")?, ["a/10", "a/2"]);
    /// assert_eq!(engine.list("")?.len(), 3);
    /// assert!(engine.list("none")?.is_empty());
    /// # Ok::<(), esker::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`].
    fn list(&self, prefix: &str) -> Result<Vec<String>>;

    /// The data of the service `name`.
    ///
    /// See the example of [`Engine::set_service`].
    ///
    /// # Errors
    /// [`Error::ServiceExpired`] from its expiry on until it is deleted, set
    /// again or purged (no earlier than [`EXPIRED_RETENTION`] after the
    /// expiry); [`Error::ServiceNotFound`]; [`Error::Closed`].
    fn get_service(&self, name: &str) -> Result<Vec<u8>>;

    /// Registers the service `name` for `ttl` from now, in place of what was
    /// there. It is alive while `now < set time + ttl`, in milliseconds (a
    /// fraction of one counts as a whole); a time to live beyond what the clock
    /// can count never ends.
    ///
    /// ```
    /// use esker::{Engine, Error, MemoryEngine};
    /// use std::time::Duration;
    /// let engine = MemoryEngine::new();
    /// engine.set_service("web", br#"{"port":80}"#, Duration::from_secs(30))?;
    /// assert_eq!(engine.get_service("web")?, br#"{"port":80}"#);
    /// assert_eq!(engine.list_services()?, ["web"]);
    /// assert!(engine.list("")?.is_empty()); // No key has anything to do with it.
    /// assert!(engine.set_service("web", b"", Duration::ZERO).is_err());
    ///
    /// engine.delete_service("web")?;
    /// assert!(matches!(engine.get_service("web"), Err(Error::ServiceNotFound)));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `ttl` is zero, [`Error::TooLarge`],
    /// [`Error::Closed`].
    fn set_service(&self, name: &str, data: &[u8], ttl: Duration) -> Result<()>;

    /// Removes the service `name`, expired or not; one that is not there is fine.
    ///
    /// See the example of [`Engine::set_service`].
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Closed`].
    fn delete_service(&self, name: &str) -> Result<()>;

    /// The names of the services that are alive, in the order of their bytes,
    /// as of one moment.
    ///
    /// See the example of [`Engine::set_service`].
    ///
    /// # Errors
    /// [`Error::Closed`].
    fn list_services(&self) -> Result<Vec<String>>;

    /// Stores all `items`, or none of them, however many there are. Of two
    /// items with one key the later holds. No items: nothing is written.
    ///
    /// ```
    /// use esker::{Engine, MemoryEngine};
    /// use std::collections::HashMap;
    /// let engine = MemoryEngine::new();
    /// engine.batch_set(&[("config/host", b"10.0.0.1"), ("config/port", b"8080")])?;
    ///
    /// let map = HashMap::from([("config/db".to_string(), b"postgres".to_vec())]);
    /// let items: Vec<_> = map.iter().map(|(k, v)| (k.as_str(), v.as_slice())).collect();
    /// engine.batch_set(&items)?;
    /// assert_eq!(engine.list("config/")?, ["config/db", "config/host", "config/port"]);
    /// # Ok::<(), esker::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TooLarge`] when any key or value is, [`Error::Closed`].
    fn batch_set(&self, items: &[(&str, &[u8])]) -> Result<()>;

    /// Removes all `keys`, or none of them, however many there are; those that
    /// are not there are fine. No keys: nothing is written.
    ///
    /// ```
    /// use esker::{Engine, MemoryEngine};
    /// let engine = MemoryEngine::new();
    /// engine.batch_set(&[("a", b"1"), ("b", b"2"), ("c", b"3")])?;
    /// engine.batch_delete(&["a", "c", "never there"])?;
    /// assert_eq!(engine.list("")?, ["b"]);
    /// # Ok::<(), esker::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TooLarge`] when any key is, [`Error::Closed`].
    fn batch_delete(&self, keys: &[&str]) -> Result<()>;

    /// Begins a transaction on the key-value space.
    ///
    /// See the example of [`Transaction`].
    ///
    /// # Errors
    /// [`Error::Closed`].
    fn begin_tx(&self) -> Result<Box<dyn Transaction>>;

    /// Writes all that the engine holds, as of one moment, as one JSON document.
    ///
    /// `{"kv": {key: string}, "services": {name: object}, "expires_at_ms": {name: number}}`, in the order of
    /// the keys' bytes: the same content gives the same bytes, from every engine. What expires has its time in the last member, which is
    /// left out where nothing does; what has expired is left out. Nothing is lost: a value that is not UTF-8, and data of
    /// a service that is not JSON, is `{"$base64": "…"}`, and JSON is embedded byte for byte. (Also in base64: JSON with whitespace around it, nested
    /// more than 100 deep, with half of a surrogate pair, or that looks like `{"$base64": …}` itself.) A lifetime that
    /// a program gave a key through `Db` does not go along.
    ///
    /// Memory does not grow with the store, but a [`MemoryEngine`] copies what it holds. Reads and writes go on.
    ///
    /// ```
    /// use esker::{Engine, MemoryEngine};
    /// let engine = MemoryEngine::new();
    /// engine.set("config/host", b"10.0.0.1")?;
    /// let mut json = Vec::new();
    /// engine.export(&mut json)?;
    /// assert_eq!(json, b"{\"kv\":{\n\"config/host\":\"10.0.0.1\"\n},\n\"services\":{}}\n");
    ///
    /// let other = MemoryEngine::new();
    /// assert_eq!(other.import(&mut json.as_slice())?.kv, 1);
    /// assert_eq!(other.get("config/host")?, b"10.0.0.1");
    /// # Ok::<(), esker::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] also for what `to` fails with; [`Error::Closed`]. What was written then is a document
    /// cut short, which no import takes.
    fn export(&self, to: &mut dyn Write) -> Result<ExportReport>;

    /// Stores what an export holds, over what is there: all of it or nothing, as one commit, however much it is.
    ///
    /// Each of the three members may be missing, and they may come in any order. Of two entries of one name in one member the later
    /// holds. A service that expires has the time that the document says; one whose time has passed is left out and counted, and
    /// what the engine has under that name stays. One without a time never expires.
    ///
    /// Memory does not grow with the document (in a [`MemoryEngine`] it does): what is more than some
    /// MiB is sorted in files beside the tables, which takes up to three times its space for a while. On `Ok` it is as
    /// durable as any other write of the engine; such a large one is durable whatever the policy, and so is all before it.
    ///
    /// ```
    /// use esker::{Engine, Error, MemoryEngine};
    /// let engine = MemoryEngine::new();
    /// engine.set("a", b"old")?;
    /// let document = br#"{"kv": {"a": "new", "b": "2"}, "services": {"web": {"port": 80}}}"#;
    /// let report: esker::ImportReport = engine.import(&mut document.as_slice())?;
    /// assert_eq!((report.kv, report.services, report.expired), (2, 1, 0));
    /// assert_eq!(engine.get("a")?, b"new");
    ///
    /// let wrong = br#"{"kv": {"c": "3", "d": 4}}"#;
    /// let refused = engine.import(&mut wrong.as_slice()).unwrap_err();
    /// assert!(matches!(refused, Error::InvalidImport { ref path, .. } if path == r#"$.kv."d""#));
    /// assert!(engine.get("c").is_err()); // All or nothing.
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidImport`], naming the place, for what is not JSON, or not of these types, for a member
    /// beside these three or one that is there twice, for a time of a service that is not in the document;
    /// [`Error::TooLarge`] with the place; [`Error::Io`] also for what `from` fails with; [`Error::Closed`]. Nothing is then
    /// changed, but after [`Error::Indeterminate`] all of it may be there, or nothing.
    fn import(&self, from: &mut dyn Read) -> Result<ImportReport>;

    /// What [`Engine::export`] writes, as values.
    ///
    /// See the example of [`ExportData`].
    ///
    /// # Errors
    /// [`Error::Closed`].
    fn export_data(&self) -> Result<ExportData>;

    /// As [`Engine::import`], from values.
    ///
    /// See the example of [`ExportData`].
    ///
    /// # Errors
    /// As [`Engine::import`].
    fn import_data(&self, data: &ExportData) -> Result<ImportReport>;

    /// Writes all that the engine holds now into a file at `path`, in place of what is there, which stands until the
    /// new one is whole, checked and synced. Missing directories are made. The file is the same
    /// for every engine: each restores that of any other. Reads and writes go on.
    ///
    /// ```
    /// use esker::{Engine, MemoryEngine};
    /// let dir = tempfile::tempdir().expect("a directory");
    /// let path = dir.path().join("backups/monday.db");
    /// let engine = MemoryEngine::new();
    /// engine.set("config/host", b"10.0.0.1")?;
    /// engine.backup(&path)?;
    /// engine.set("config/host", b"10.0.0.2")?;
    /// engine.restore(&path)?;
    /// assert_eq!(engine.get("config/host")?, b"10.0.0.1");
    /// # Ok::<(), esker::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::InvalidArgument`] for a name that the files of a database have; [`Error::Closed`].
    fn backup(&self, path: &Path) -> Result<BackupReport>;

    /// Makes what the backup at `path` holds all that the engine holds; on any failure it
    /// holds what it held. Services expire when they would have expired.
    ///
    /// See the example of [`Engine::backup`].
    ///
    /// # Errors
    /// [`Error::Corruption`] naming what is wrong with the file, [`Error::UnsupportedFormat`], [`Error::Io`],
    /// [`Error::Closed`]; [`Error::InvalidArgument`] for an increment and, of an engine in memory, for
    /// a backup of a database that holds what no engine has put there.
    fn restore(&self, path: &Path) -> Result<RestoreReport>;

    /// Writes out what is pending, closes all files and ends every thread.
    /// On `Ok` all that was written before is durable (on a store that has
    /// anywhere to keep it). Closing again is fine and does nothing.
    ///
    /// ```
    /// use esker::{Engine, Error, MemoryEngine};
    /// let engine = MemoryEngine::new();
    /// engine.close()?;
    /// engine.close()?;
    /// assert!(matches!(engine.set("key", b"value"), Err(Error::Closed)));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// What writing out gives; the engine is closed all the same.
    fn close(&self) -> Result<()>;
}

impl fmt::Debug for dyn Engine + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dyn Engine")
    }
}

/// Writes that become visible together, at [`Transaction::commit`], or never.
///
/// The last operation on a key holds. Reads see the engine as it was when the
/// transaction began, and the transaction's own writes over that. Transactions
/// are serializable: one that has read a key, or listed a prefix, that another
/// commit has written since fails with [`Error::Conflict`] when it commits, and
/// must be run again. A key that it had written itself when it asked for it is
/// not read from the engine. One that only writes never conflicts: of two on one
/// key the later commit holds; nor does one that only reads.
///
/// Once committed (whether that succeeded or failed) or rolled back it is over:
/// every call but [`Transaction::rollback`] then fails with
/// [`Error::TransactionClosed`]. Dropping it is a rollback.
///
/// ```
/// use esker::{Engine, MemoryEngine};
/// let engine = MemoryEngine::new();
/// let mut tx = engine.begin_tx()?;
/// tx.set("key1", b"value1")?;
/// tx.delete("old_key")?;
/// tx.commit()?;
/// assert_eq!(engine.get("key1")?, b"value1");
/// # Ok::<(), esker::Error>(())
/// ```
pub trait Transaction: Send {
    /// The value of `key`: what this transaction has made of it, or what it was when the
    /// transaction began.
    ///
    /// ```
    /// use esker::{Engine, Error, MemoryEngine};
    /// let engine = MemoryEngine::new();
    /// engine.set("a", b"1")?;
    /// let mut tx = engine.begin_tx()?;
    /// tx.set("b", b"2")?;
    /// tx.delete("a")?;
    /// assert_eq!(tx.get("b")?, b"2");
    /// assert!(matches!(tx.get("a"), Err(Error::KeyNotFound)));
    /// assert_eq!(tx.list("")?, ["b"]);
    /// assert_eq!(engine.list("")?, ["a"]); // Not before the commit.
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::KeyNotFound`] (also for a key too long to exist), [`Error::TransactionClosed`],
    /// [`Error::Closed`].
    fn get(&mut self, key: &str) -> Result<Vec<u8>>;

    /// The keys that begin with `prefix`, in the order of their bytes, as they were when the transaction
    /// began, with its own writes. All keys with the prefix count as read, those included that are not there.
    ///
    /// See the example of [`Transaction::get`].
    ///
    /// # Errors
    /// [`Error::TransactionClosed`], [`Error::Closed`].
    fn list(&mut self, prefix: &str) -> Result<Vec<String>>;

    /// Notes that `key` is to hold `value`.
    ///
    /// See the example of [`Transaction`].
    ///
    /// # Errors
    /// [`Error::TooLarge`] (the transaction goes on without this operation),
    /// [`Error::TransactionClosed`], [`Error::Closed`].
    fn set(&mut self, key: &str, value: &[u8]) -> Result<()>;

    /// Notes that `key` is to be gone.
    ///
    /// See the example of [`Transaction`].
    ///
    /// # Errors
    /// [`Error::TooLarge`] (the transaction goes on without this operation),
    /// [`Error::TransactionClosed`], [`Error::Closed`].
    fn delete(&mut self, key: &str) -> Result<()>;

    /// Applies all operations, or none of them. On `Ok` they are as durable as
    /// any other write of the engine; without operations nothing is written.
    /// After an error the transaction is over too: nothing of it was applied,
    /// unless the error is [`Error::Indeterminate`].
    ///
    /// ```
    /// use esker::{Engine, Error, MemoryEngine};
    /// let engine = MemoryEngine::new();
    /// engine.set("count", b"1")?;
    /// let mut tx = engine.begin_tx()?;
    /// assert_eq!(tx.get("count")?, b"1");
    /// engine.set("count", b"5")?; // By somebody else.
    /// tx.set("count", b"2")?;
    /// assert!(matches!(tx.commit(), Err(Error::Conflict)));
    /// assert_eq!(engine.get("count")?, b"5");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Conflict`]: something that was read has been written since. Begin another transaction and
    /// do it all again, the reads as well.
    /// [`Error::TransactionClosed`], [`Error::Closed`], or what writing gives.
    fn commit(&mut self) -> Result<()>;

    /// Forgets all operations. May be called at any time, any number of times,
    /// after a commit too (which it does not undo).
    ///
    /// ```
    /// use esker::{Engine, Error, MemoryEngine};
    /// let engine = MemoryEngine::new();
    /// let mut tx = engine.begin_tx()?;
    /// tx.set("key", b"value")?;
    /// tx.rollback()?;
    /// tx.rollback()?;
    /// assert!(matches!(tx.commit(), Err(Error::TransactionClosed)));
    /// assert!(engine.list("")?.is_empty());
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// None.
    fn rollback(&mut self) -> Result<()>;
}

impl fmt::Debug for dyn Transaction + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dyn Transaction")
    }
}

/// Whether `prefix` and `key` together make a key that can be stored.
///
/// # Errors
/// [`Error::TooLarge`] with the size of both.
pub(crate) fn check_key(prefix: &str, key: &str) -> Result<()> {
    let size = prefix.len() + key.len();
    if size > KEY_BYTES_MAX {
        return Err(too_large("key", size, KEY_BYTES_MAX));
    }
    Ok(())
}

/// Whether `value` can be stored.
///
/// # Errors
/// [`Error::TooLarge`].
pub(crate) fn check_value(value: &[u8]) -> Result<()> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(too_large("value", value.len(), VALUE_BYTES_MAX));
    }
    Ok(())
}

/// Whether a service can be registered for `ttl`.
///
/// # Errors
/// [`Error::InvalidArgument`] when it is zero.
pub(crate) fn check_ttl(ttl: Duration) -> Result<()> {
    if ttl.is_zero() {
        return Err(Error::invalid(
            "a time to live of zero; pass one above zero, or delete the service",
        ));
    }
    Ok(())
}

fn too_large(what: &'static str, size: usize, limit: usize) -> Error {
    Error::TooLarge { what, size_bytes: size as u64, limit_bytes: limit as u64, path: None }
}
