//! The engine as a store under test.

use super::others::{BACKUP, DIR, checkpoint, link, look_at_others};
use super::store::{Failure, Seen, Store, Transacted};
use super::workload::Op;
use crate::archive::{BackupOptions, RestoreOptions};
use crate::db::{Db, WriteBatch};
use crate::engine::{Engine, KV_PREFIX, SERVICE_PREFIX};
use crate::error::Error;
use crate::fs::sim::SimFs;
use crate::json::{Sink, Writer};
use crate::lsm_engine::LsmEngine;
use crate::options::{Options, SyncPolicy, WriteOptions};
use std::sync::Arc;

/// Everything as small as it may be, so that a short workload sees memtables
/// fill, log files end and tables have several blocks.
///
/// ```
/// use esker::{Options, SyncPolicy, crashtest::tiny_options};
/// let tiny = tiny_options(SyncPolicy::Never);
/// tiny.validate()?;
/// assert_eq!(tiny.sync_policy, SyncPolicy::Never);
/// assert!(tiny.memtable_bytes < Options::default().memtable_bytes / 100);
/// # Ok::<(), esker::Error>(())
/// ```
#[must_use]
pub fn tiny_options(sync_policy: SyncPolicy) -> Options {
    Options {
        sync_policy,
        memtable_bytes: 64 << 10,
        log_file_bytes: 64 << 10,
        block_bytes: 1 << 10,
        block_cache_bytes: 1 << 20,
        table_bytes: 16 << 10,
        disk_reserve_bytes: 4 << 10,
        value_threshold: 256,
        value_garbage_percent: 10,
        ..Options::default()
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        let text = e.to_string();
        match e {
            Error::Io { .. } => Failure::Refused(text),
            Error::Indeterminate { .. } | Error::Poisoned { .. } | Error::Closed => {
                Failure::Poisoned(text)
            }
            _ => Failure::Wrong(text),
        }
    }
}

/// `ops`, made at `now_ms`, as an export.
fn document(ops: &[Op], now_ms: u64) -> Result<Vec<u8>, Failure> {
    let (mut kv, mut services, mut expiries) = (Vec::new(), Vec::new(), Vec::new());
    for op in ops {
        let Op::Put { key, value, ttl } = op else {
            return Err(Failure::Wrong("a delete in an import".into()));
        };
        let key = str::from_utf8(key).unwrap_or_default();
        match (key.strip_prefix(KV_PREFIX), key.strip_prefix(SERVICE_PREFIX), ttl) {
            (Some(key), _, None) => kv.push((key, value)),
            (_, Some(name), ttl) => {
                services.push((name, value));
                let ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
                expiries.extend(ms.map(|ms| (name, now_ms.saturating_add(ms))));
            }
            _ => return Err(Failure::Wrong(format!("not for an import: {op:?}"))),
        }
    }
    let mut document = Vec::new();
    let mut writer = Writer::new(&mut document);
    kv.into_iter().try_for_each(|(key, value)| writer.kv(key, value))?;
    services.into_iter().try_for_each(|(name, data)| writer.service(name, data))?;
    expiries.into_iter().try_for_each(|(name, at_ms)| writer.expiry(name, at_ms))?;
    writer.finish()?;
    Ok(document)
}

impl Store for Db {
    fn open(fs: &SimFs, options: &Options) -> Result<Self, Failure> {
        let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options.clone())?;
        look_at_others(fs, options)?;
        Ok(db)
    }

    fn commit(&self, ops: &[Op], sync: Option<bool>) -> Result<(), Failure> {
        match (ops, sync) {
            ([Op::Put { key, value, ttl: Some(ttl) }], None) => {
                self.set_with_ttl(key, value, *ttl)?;
            }
            ([Op::Put { key, value, ttl: None }], None) => self.set(key, value)?,
            ([Op::Delete { key }], None) => self.delete(key)?,
            _ => {
                let mut batch = WriteBatch::new();
                for op in ops {
                    match op {
                        Op::Put { key, value, ttl: None } => batch.set(key, value),
                        Op::Put { key, value, ttl: Some(ttl) } => {
                            batch.set_with_ttl(key, value, *ttl)
                        }
                        Op::Delete { key } => batch.delete(key),
                    };
                }
                self.write_with(batch, WriteOptions { sync })?;
            }
        }
        Ok(())
    }

    fn ingest(&self, ops: &[Op]) -> Result<(), Failure> {
        let mut ingest = self.start_ingest()?;
        for op in ops {
            match op {
                Op::Put { key, value, ttl: None } => ingest.put(key, value)?,
                Op::Put { key, value, ttl: Some(ttl) } => ingest.put_with_ttl(key, value, *ttl)?,
                Op::Delete { .. } => return Err(Failure::Wrong("a delete in an ingest".into())),
            }
        }
        ingest.finish()?;
        Ok(())
    }

    fn transact(
        &self,
        keys: &[Vec<u8>],
        between: &mut dyn FnMut(),
        ops: &[Op],
    ) -> Result<Transacted, Failure> {
        let mut tx = self.transaction();
        let mut seen = Seen::new();
        for key in keys {
            seen.extend(tx.get(key)?.map(|value| (key.clone(), value.to_vec())));
        }
        if keys.is_empty() {
            for row in tx.iter() {
                let (key, value) = row?;
                seen.push((key.to_vec(), value.to_vec()));
            }
        }
        between();
        for op in ops {
            match op {
                Op::Put { key, value, ttl: None } => tx.set(key, value)?,
                Op::Put { key, value, ttl: Some(ttl) } => tx.set_with_ttl(key, value, *ttl)?,
                Op::Delete { key } => tx.delete(key)?,
            }
        }
        let committed = match tx.commit() {
            Err(Error::Conflict) => false,
            told => told.map(|()| true)?,
        };
        Ok(Transacted { seen, committed })
    }

    fn import(&self, ops: &[Op]) -> Result<(), Failure> {
        let document = document(ops, self.now_ms())?;
        LsmEngine::new(self.clone()).import(&mut document.as_slice())?;
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        Ok(Db::get(self, key)?.map(|value| value.to_vec()))
    }

    fn scan(&self) -> Result<Seen, Failure> {
        let mut seen = Seen::new();
        for entry in self.iter() {
            let (key, value) = entry?;
            seen.push((key.to_vec(), value.to_vec()));
        }
        let mut left = seen.len();
        for entry in self.iter().rev() {
            let (key, value) = entry?;
            left = left.wrapping_sub(1);
            let same = seen.get(left).is_some_and(|(k, v)| *k == *key && *v == *value);
            if !same {
                return Err(Failure::Wrong("backwards is not forwards turned round".into()));
            }
        }
        if left != 0 {
            return Err(Failure::Wrong(format!("backwards shows {left} entries fewer")));
        }
        Ok(seen)
    }

    fn persist(&self) -> Result<(), Failure> {
        Ok(Db::persist(self)?)
    }

    fn flush(&self) -> Result<(), Failure> {
        Ok(Db::flush(self)?)
    }

    fn maintain(&self, task: &str) -> Result<(), Failure> {
        match task {
            "verify" => Ok(self.verify().map(drop)?),
            "compact" => Ok(self.compact()?),
            "collect garbage" => Ok(self.collect_garbage().map(|_| ())?),
            "checkpoint" => checkpoint(self),
            _ => Err(Failure::Wrong(format!("no such task: {task}"))),
        }
    }

    fn backup(&self) -> Result<(), Failure> {
        Ok(Db::backup(self, BACKUP).map(|_| ())?)
    }

    fn restore(&self) -> Result<(), Failure> {
        Ok(Db::restore(self, BACKUP).map(|_| ())?)
    }

    fn begin_chain(&self) -> Result<(), Failure> {
        let options = BackupOptions { followed: true, ..BackupOptions::default() };
        Ok(self.backup_with(link(0), options).map(|_| ())?)
    }

    fn increment(&self, number: usize) -> Result<(), Failure> {
        let base = self.verify_backup(link(number.saturating_sub(1)))?;
        Ok(self.backup_since(base.backup_id, link(number)).map(|_| ())?)
    }

    fn restore_chain(&self, count: usize) -> Result<(), Failure> {
        Ok(Db::restore_chain(self, (0..count).map(link), RestoreOptions::default()).map(|_| ())?)
    }

    fn close(self) -> Result<(), Failure> {
        Ok(Db::close(&self)?)
    }
}
