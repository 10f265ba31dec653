//! Services with the time to live that they were registered with.
//!
//! A heartbeat renews a service for the time for which it was registered. The engine keeps when a service expires, not for how
//! long it was meant to live, and its data is the caller's, to be given back and exported as it came. So that time is stored under a key of
//! its own, `ttl:NAME`, in the same batch and with the same life: both survive a restart, and neither outlives the other.
//!
//! INV-1: a service and its lifetime are written by one batch.
//! INV-2: a heartbeat never shortens a life, and one of a service without end leaves it so.
//! INV-3: a heartbeat never brings back data that was replaced meanwhile: it is a transaction.
//!
//! A service that did not come over HTTP (by an import, by a program) has no such key: it is renewed for [`TTL_DEFAULT`].
//! What falls short: one that is set anew by a program keeps the lifetime that HTTP gave it before.

use crate::db::{Db, WriteBatch};
use crate::engine::{Engine, LIFETIME_PREFIX, SERVICE_PREFIX, check_key, check_ttl, check_value};
use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// For how long a service is registered where nothing is said.
pub const TTL_DEFAULT: Duration = Duration::from_secs(30);

/// The services of an engine.
pub struct Registry {
    engine: Arc<dyn Engine>,
    kept: Kept,
}

/// Where lifetimes are.
enum Kept {
    /// In the store, beside the services.
    Stored(Db),
    /// In memory, as the services are. Held over every change of a service.
    Here(Mutex<HashMap<String, Duration>>),
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Registry {
    /// Of `engine`, which is over `db` unless it is in memory.
    pub fn new(engine: Arc<dyn Engine>, db: Option<Db>) -> Self {
        let kept = db.map_or_else(|| Kept::Here(Mutex::default()), Kept::Stored);
        Registry { engine, kept }
    }

    /// Registers the service `name` for `ttl` from now.
    ///
    /// # Errors
    /// As [`Engine::set_service`].
    pub fn register(&self, name: &str, data: &[u8], ttl: Duration) -> Result<()> {
        match &self.kept {
            Kept::Stored(db) => {
                // The engine's own checks.
                check_key(SERVICE_PREFIX, name)?;
                check_ttl(ttl)?;
                check_value(data)?;
                let mut batch = WriteBatch::new();
                batch.set_with_ttl([SERVICE_PREFIX, name].concat(), data, ttl);
                batch.set_with_ttl([LIFETIME_PREFIX, name].concat(), encoded(ttl), ttl);
                db.write(batch)
            }
            Kept::Here(lifetimes) => {
                let mut lifetimes = lifetimes.lock();
                self.engine.set_service(name, data, ttl)?;
                lifetimes.insert(name.to_owned(), ttl);
                Ok(())
            }
        }
    }

    /// Removes the service `name`; one that is not there is fine.
    ///
    /// # Errors
    /// As [`Engine::delete_service`].
    pub fn deregister(&self, name: &str) -> Result<()> {
        match &self.kept {
            Kept::Stored(db) => {
                check_key(SERVICE_PREFIX, name)?;
                let mut batch = WriteBatch::new();
                batch.delete([SERVICE_PREFIX, name].concat());
                batch.delete([LIFETIME_PREFIX, name].concat());
                db.write(batch)
            }
            Kept::Here(lifetimes) => {
                let mut lifetimes = lifetimes.lock();
                self.engine.delete_service(name)?;
                lifetimes.remove(name);
                Ok(())
            }
        }
    }

    /// Renews the service `name` for the time for which it was registered.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`], [`Error::ServiceExpired`]; as [`Engine::set_service`].
    pub fn heartbeat(&self, name: &str) -> Result<()> {
        match &self.kept {
            Kept::Stored(db) => self.renew_stored(db, name),
            Kept::Here(lifetimes) => {
                let lifetimes = lifetimes.lock();
                let data = self.engine.get_service(name)?;
                let ttl = lifetimes.get(name).copied();
                if ttl.is_none() && !self.engine.export_data()?.expires_at_ms.contains_key(name) {
                    return Ok(()); // INV-2: it was imported without an end.
                }
                self.engine.set_service(name, &data, ttl.unwrap_or(TTL_DEFAULT))
            }
        }
    }

    fn renew_stored(&self, db: &Db, name: &str) -> Result<()> {
        let service = [SERVICE_PREFIX, name].concat();
        let lifetime = [LIFETIME_PREFIX, name].concat();
        db.transact(|tx| {
            let Some(data) = tx.get(&service)? else {
                return Err(self.engine.get_service(name).err().unwrap_or(Error::ServiceNotFound));
            };
            let ttl = tx.get(&lifetime)?.and_then(|bytes| decoded(&bytes)).unwrap_or(TTL_DEFAULT);
            // Should it change after this look, the transaction conflicts.
            let ends_ms = expiry_of(db, &service)?;
            let would_end_ms = db.now_ms().saturating_add(millis(ttl));
            if ends_ms.is_some_and(|ends_ms| ends_ms <= would_end_ms) {
                tx.set_with_ttl(&service, &data, ttl)?;
                tx.set_with_ttl(&lifetime, encoded(ttl), ttl)?;
            }
            Ok(())
        })
    }
}

/// When `key` expires; `None`: never, or it is not there.
fn expiry_of(db: &Db, key: &str) -> Result<Option<u64>> {
    let mut entries = db.snapshot().entries(key, db.now_ms());
    let first = entries.next_key_with(|found, ends_ms| (found == key.as_bytes(), ends_ms));
    let Some(first) = first else { return Ok(None) };
    let (is_it, ends_ms) = first?;
    Ok(ends_ms.filter(|ends_ms| is_it && *ends_ms != u64::MAX))
}

fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn encoded(ttl: Duration) -> [u8; 8] {
    millis(ttl).to_le_bytes()
}

fn decoded(bytes: &[u8]) -> Option<Duration> {
    let ms = u64::from_le_bytes(bytes.try_into().ok()?);
    (ms > 0).then(|| Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::MemoryEngine;
    use crate::json::ExportData;
    use crate::lsm_engine::LsmEngine;
    use crate::options::Options;
    use std::path::Path;

    fn stored(dir: &Path) -> (Arc<dyn Engine>, Registry) {
        let engine = LsmEngine::open(dir, Options::default()).expect("opens");
        let db = engine.db().clone();
        let engine: Arc<dyn Engine> = Arc::new(engine);
        (Arc::clone(&engine), Registry::new(engine, Some(db)))
    }

    fn expiry(engine: &Arc<dyn Engine>, name: &str) -> Option<u64> {
        engine.export_data().expect("exported").expires_at_ms.get(name).copied()
    }

    #[test]
    fn a_lifetime_survives_a_restart_and_is_not_exported() {
        let dir = tempfile::tempdir().expect("a directory");
        let (engine, registry) = stored(dir.path());
        registry
            .register("web", b"{\"name\":\"web\"}", Duration::from_secs(5000))
            .expect("registered");
        let first = expiry(&engine, "web").expect("it ends");
        let data = engine.export_data().expect("exported");
        assert_eq!((data.kv.len(), data.services.len()), (0, 1));
        engine.close().expect("closed");

        let (engine, registry) = stored(dir.path());
        std::thread::sleep(Duration::from_millis(5));
        registry.heartbeat("web").expect("renewed");
        let second = expiry(&engine, "web").expect("it ends");
        assert!(
            second > first && second < first + 60_000,
            "by the same 5,000 seconds: {first} {second}"
        );
        registry.deregister("web").expect("removed");
        assert!(matches!(registry.heartbeat("web"), Err(Error::ServiceNotFound)));
        assert_eq!(engine.export_data().expect("exported"), ExportData::default());
    }

    #[test]
    fn a_heartbeat_shortens_no_life() {
        let dir = tempfile::tempdir().expect("a directory");
        let memory: Arc<dyn Engine> = Arc::new(MemoryEngine::new());
        let in_memory = (Arc::clone(&memory), Registry::new(memory, None));
        for (engine, registry) in [stored(dir.path()), in_memory] {
            let json =
                br#"{"services":{"forever":{},"web2":{}},"expires_at_ms":{"web2":99999999999999}}"#;
            engine.import(&mut &json[..]).expect("imported");
            registry.heartbeat("forever").expect("renewed");
            assert_eq!(expiry(&engine, "forever"), None);
            registry.register("web", b"{}", Duration::from_millis(1)).expect("registered");
            std::thread::sleep(Duration::from_millis(5));
            assert!(matches!(registry.heartbeat("web"), Err(Error::ServiceExpired)));
            assert!(matches!(registry.heartbeat("none"), Err(Error::ServiceNotFound)));
        }
        let (engine, registry) = stored(&dir.path().join("other"));
        let json = br#"{"services":{"web2":{}},"expires_at_ms":{"web2":99999999999999}}"#;
        engine.import(&mut &json[..]).expect("imported");
        registry.heartbeat("web2").expect("renewed");
        assert_eq!(expiry(&engine, "web2"), Some(99_999_999_999_999));
    }
}
