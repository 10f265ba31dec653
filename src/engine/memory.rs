//! The executable specification: a mutex round two ordered maps.

mod transfer;

use super::{
    EXPIRED_RETENTION, Engine, KV_PREFIX, SERVICE_PREFIX, Transaction, check_key, check_ttl,
    check_value, memory_backup,
};
use crate::archive::{BackupReport, Partials, RestoreReport};
use crate::clock::{Clock, ExpiryFloor, SystemClock};
use crate::error::{Error, Result};
use crate::format::DatabaseId;
use crate::fs::Fs;
use crate::fs::disk::DiskFs;
use crate::json::{ExportData, ExportReport, ImportReport};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// An engine that keeps everything in memory and nothing beyond it.
///
/// It answers every call as the engine on disk does, and every behaviour test
/// runs against both. Use it in tests, and where persistence is switched off.
///
/// An expired service is purged when a read comes across it [`EXPIRED_RETENTION`]
/// after its expiry; a batch or a commit holds the one lock for its whole length. A write while a
/// transaction is open copies all keys and values once, for what that may yet read.
///
/// ```
/// use esker::{Engine, MemoryEngine};
/// let engine = MemoryEngine::new();
/// engine.set("key", b"value")?;
/// assert_eq!(engine.get("key")?, b"value");
/// assert!(MemoryEngine::new().list("")?.is_empty()); // Each is a store of its own.
/// # Ok::<(), esker::Error>(())
/// ```
#[derive(Debug)]
pub struct MemoryEngine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) floor: ExpiryFloor,
    /// What its backups name it.
    pub(super) identity: DatabaseId,
    pub(super) partials: Partials,
    /// `None` once the engine is closed.
    state: Mutex<Option<State>>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Shared with the transactions that read it: whoever writes while one does changes a copy.
    pub(super) kv: Arc<Kv>,
    pub(super) services: BTreeMap<String, Service>,
    /// Writes to `kv`, one a key, that were ever made.
    writes: u64,
    /// Which was the last of each key, while transactions are open.
    last_write: BTreeMap<String, u64>,
    open_transactions: usize,
    /// How often everything was replaced: no transaction outlives that.
    pub(super) restores: u64,
}

pub(super) type Kv = BTreeMap<String, Vec<u8>>;

impl State {
    /// Every write to `kv` goes through here. `None`: `key` is to be gone, whether it is there or not.
    fn write(&mut self, key: &str, value: Option<&[u8]>) {
        self.writes += 1;
        if self.open_transactions > 0 {
            self.last_write.insert(key.to_string(), self.writes);
        }
        let kv = Arc::make_mut(&mut self.kv);
        match value {
            Some(value) => drop(kv.insert(key.to_string(), value.to_vec())),
            None => drop(kv.remove(key)),
        }
    }
}

/// The keys of `map` that begin with `prefix`, with what they have.
fn with_prefix<'a, T>(
    map: &'a BTreeMap<String, T>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a String, &'a T)> {
    let from = (Bound::Included(prefix), Bound::Unbounded);
    map.range::<str, _>(from).take_while(move |(key, _)| key.starts_with(prefix))
}

#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) data: Vec<u8>,
    pub(super) expires_at_ms: u64,
}

/// What a service is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Alive,
    Expired,
    /// Expired for so long that it counts as never registered.
    Purgeable,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        MemoryEngine::new()
    }
}

impl MemoryEngine {
    /// An empty engine under the machine's clock.
    ///
    /// See the example of [`MemoryEngine`].
    #[must_use]
    pub fn new() -> Self {
        MemoryEngine::with_clock(Arc::new(SystemClock::default()))
    }

    /// An empty engine whose services expire by `clock`.
    ///
    /// See the example of [`crate::EXPIRED_RETENTION`].
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let state = Mutex::new(Some(State::default()));
        let identity = DatabaseId(DiskFs::new().random());
        let (floor, partials) = (ExpiryFloor::default(), Partials::new(identity));
        MemoryEngine { shared: Arc::new(Shared { clock, floor, identity, partials, state }) }
    }

    /// Runs `f` on the state, alone.
    fn with<R>(&self, f: impl FnOnce(&mut State) -> Result<R>) -> Result<R> {
        self.shared.with(f)
    }
}

impl Shared {
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut State) -> Result<R>) -> Result<R> {
        let mut guard: MutexGuard<'_, Option<State>> = self.state.lock();
        f(guard.as_mut().ok_or(Error::Closed)?)
    }

    pub(super) fn stage(&self, service: &Service) -> Stage {
        if !self.floor.is_expired(self.clock.as_ref(), service.expires_at_ms) {
            return Stage::Alive;
        }
        let retention_ms = u64::try_from(EXPIRED_RETENTION.as_millis()).unwrap_or(u64::MAX);
        if service.expires_at_ms.saturating_add(retention_ms) <= self.clock.now_ms() {
            Stage::Purgeable
        } else {
            Stage::Expired
        }
    }
}

impl Engine for MemoryEngine {
    fn get(&self, key: &str) -> Result<Vec<u8>> {
        self.with(|state| state.kv.get(key).cloned().ok_or(Error::KeyNotFound))
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.with(|state| {
            check_key(KV_PREFIX, key)?;
            check_value(value)?;
            state.write(key, Some(value));
            Ok(())
        })
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.with(|state| {
            check_key(KV_PREFIX, key)?;
            state.write(key, None);
            Ok(())
        })
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.with(|state| Ok(with_prefix(&state.kv, prefix).map(|(key, _)| key.clone()).collect()))
    }

    fn get_service(&self, name: &str) -> Result<Vec<u8>> {
        self.with(|state| {
            let service = state.services.get(name).ok_or(Error::ServiceNotFound)?;
            match self.shared.stage(service) {
                Stage::Alive => Ok(service.data.clone()),
                Stage::Expired => Err(Error::ServiceExpired),
                Stage::Purgeable => {
                    state.services.remove(name);
                    Err(Error::ServiceNotFound)
                }
            }
        })
    }

    fn set_service(&self, name: &str, data: &[u8], ttl: Duration) -> Result<()> {
        self.with(|state| {
            check_ttl(ttl)?;
            check_key(SERVICE_PREFIX, name)?;
            check_value(data)?;
            let expires_at_ms = self.shared.floor.deadline_ms(self.shared.clock.as_ref(), ttl);
            state.services.insert(name.to_string(), Service { data: data.to_vec(), expires_at_ms });
            Ok(())
        })
    }

    fn delete_service(&self, name: &str) -> Result<()> {
        self.with(|state| {
            check_key(SERVICE_PREFIX, name)?;
            state.services.remove(name);
            Ok(())
        })
    }

    fn list_services(&self) -> Result<Vec<String>> {
        self.with(|state| {
            let mut alive = Vec::new();
            state.services.retain(|name, service| {
                let stage = self.shared.stage(service);
                if stage == Stage::Alive {
                    alive.push(name.clone());
                }
                stage != Stage::Purgeable
            });
            Ok(alive)
        })
    }

    fn batch_set(&self, items: &[(&str, &[u8])]) -> Result<()> {
        self.with(|state| {
            for (key, value) in items {
                check_key(KV_PREFIX, key)?;
                check_value(value)?;
            }
            items.iter().for_each(|(key, value)| state.write(key, Some(value)));
            Ok(())
        })
    }

    fn batch_delete(&self, keys: &[&str]) -> Result<()> {
        self.with(|state| {
            keys.iter().try_for_each(|key| check_key(KV_PREFIX, key))?;
            keys.iter().for_each(|key| state.write(key, None));
            Ok(())
        })
    }

    fn begin_tx(&self) -> Result<Box<dyn Transaction>> {
        self.with(|state| {
            state.open_transactions += 1;
            let open = Open {
                kv: Arc::clone(&state.kv),
                began_at: state.writes,
                restores: state.restores,
                writes: BTreeMap::new(),
                read_keys: BTreeSet::new(),
                listed: BTreeSet::new(),
            };
            Ok(Box::new(MemoryTransaction { shared: Arc::clone(&self.shared), open: Some(open) })
                as _)
        })
    }

    fn export(&self, to: &mut dyn Write) -> Result<ExportReport> {
        transfer::export(&self.shared, to)
    }

    fn import(&self, from: &mut dyn Read) -> Result<ImportReport> {
        transfer::import(&self.shared, from)
    }

    fn export_data(&self) -> Result<ExportData> {
        transfer::export_data(&self.shared)
    }

    fn import_data(&self, data: &ExportData) -> Result<ImportReport> {
        transfer::import_data(&self.shared, data)
    }

    fn backup(&self, path: &Path) -> Result<BackupReport> {
        memory_backup::backup(&self.shared, path)
    }

    fn restore(&self, path: &Path) -> Result<RestoreReport> {
        memory_backup::restore(&self.shared, path)
    }

    fn close(&self) -> Result<()> {
        *self.shared.state.lock() = None;
        Ok(())
    }
}

struct MemoryTransaction {
    shared: Arc<Shared>,
    /// `None` once it is over.
    open: Option<Open>,
}

struct Open {
    /// As it was at the beginning.
    kv: Arc<Kv>,
    /// `State::writes` then.
    began_at: u64,
    /// What each key is to become (`None`: gone).
    writes: BTreeMap<String, Option<Vec<u8>>>,
    /// `State::restores` at the beginning.
    restores: u64,
    read_keys: BTreeSet<String>,
    listed: BTreeSet<String>,
}

impl Open {
    /// Whether one of the writes in `last_write` was made since, to what was read.
    fn has_conflict(&self, last_write: &BTreeMap<String, u64>) -> bool {
        let is_since = |write: &u64| *write > self.began_at;
        self.read_keys.iter().any(|key| last_write.get(key).is_some_and(is_since))
            || self
                .listed
                .iter()
                .any(|prefix| with_prefix(last_write, prefix).any(|(_, write)| is_since(write)))
    }
}

impl MemoryTransaction {
    fn open(&mut self) -> Result<&mut Open> {
        let open = self.open.as_mut().ok_or(Error::TransactionClosed)?;
        self.shared.with(|_| Ok(()))?;
        Ok(open)
    }

    fn note(&mut self, key: &str, value: Option<&[u8]>) -> Result<()> {
        let open = self.open()?;
        check_key(KV_PREFIX, key)?;
        check_value(value.unwrap_or_default())?;
        open.writes.insert(key.to_string(), value.map(<[u8]>::to_vec));
        Ok(())
    }

    /// It is over: `act` is the last that is done for it.
    fn end(&mut self, act: impl FnOnce(&mut State, Open) -> Result<()>) -> Result<()> {
        let open = self.open.take().ok_or(Error::TransactionClosed)?;
        self.shared.with(|state| {
            let done = act(state, open);
            state.open_transactions -= 1;
            if state.open_transactions == 0 {
                state.last_write.clear();
            }
            done
        })
    }
}

impl Transaction for MemoryTransaction {
    fn get(&mut self, key: &str) -> Result<Vec<u8>> {
        let open = self.open()?;
        let found = match open.writes.get(key) {
            Some(own) => own.as_ref(),
            None => {
                open.read_keys.insert(key.to_string());
                open.kv.get(key)
            }
        };
        found.cloned().ok_or(Error::KeyNotFound)
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>> {
        let open = self.open()?;
        open.listed.insert(prefix.to_string());
        let mut keys: BTreeSet<&String> =
            with_prefix(&open.kv, prefix).map(|(key, _)| key).collect();
        for (key, own) in with_prefix(&open.writes, prefix) {
            match own {
                Some(_) => keys.insert(key),
                None => keys.remove(key),
            };
        }
        Ok(keys.into_iter().cloned().collect())
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.note(key, Some(value))
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        self.note(key, None)
    }

    fn commit(&mut self) -> Result<()> {
        self.end(|state, open| {
            // One that only reads is as of its beginning, whatever came since.
            let is_outlived = open.restores != state.restores;
            if !open.writes.is_empty() && (is_outlived || open.has_conflict(&state.last_write)) {
                return Err(Error::Conflict);
            }
            // No longer shared, so that writing need not copy it.
            drop(open.kv);
            open.writes.iter().for_each(|(key, value)| state.write(key, value.as_deref()));
            Ok(())
        })
    }

    fn rollback(&mut self) -> Result<()> {
        match self.end(|_, _| Ok(())) {
            // It was over already, or the engine has forgotten everything.
            Err(Error::TransactionClosed | Error::Closed) => Ok(()),
            ended => ended,
        }
    }
}

impl Drop for MemoryTransaction {
    fn drop(&mut self) {
        let _ = self.rollback(); // It never fails.
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug, Default)]
    struct Settable(AtomicU64);

    impl Clock for Settable {
        fn now_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
        fn elapsed(&self) -> Duration {
            Duration::from_millis(self.now_ms())
        }
    }

    #[test]
    fn expired_is_told_from_missing_until_the_retention_has_passed() {
        let clock = Arc::new(Settable::default());
        let engine = MemoryEngine::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
        engine.set_service("web", b"{}", Duration::from_millis(100)).expect("it registers");
        engine.set_service("api", b"{}", Duration::from_millis(100)).expect("it registers");
        clock.0.store(100 + 600_000 - 1, Ordering::Relaxed);
        assert!(matches!(engine.get_service("web"), Err(Error::ServiceExpired)));
        assert!(engine.list_services().expect("it lists").is_empty());
        clock.0.store(100 + 600_000, Ordering::Relaxed);
        assert!(matches!(engine.get_service("web"), Err(Error::ServiceNotFound)));
        assert!(engine.list_services().expect("it lists").is_empty());
        let left = engine.with(|state| Ok(state.services.len())).expect("it is open");
        assert_eq!(left, 0, "both were purged");
        // What was purged does not come back with the clock.
        clock.0.store(0, Ordering::Relaxed);
        assert!(matches!(engine.get_service("web"), Err(Error::ServiceNotFound)));
    }
}
