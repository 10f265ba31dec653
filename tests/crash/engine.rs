//! The engine as a store under test, with everything as small as it may be,
//! and the tests of it.

use crate::store::{Failure, Seen, Setup, Store};
use crate::workload::Op;
use crate::{ALWAYS, EIO, ENOSPC, INTERVAL, NEVER, UNLOGGED, creation, faults, power_cuts};
use esker::sim::{Fault, SimFs};
use esker::{Db, Error, Options, WriteBatch, WriteOptions};
use std::sync::Arc;

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

impl Store for Db {
    fn open(fs: &SimFs, setup: Setup) -> Result<Self, Failure> {
        let options = Options {
            sync_policy: setup.policy,
            wal_enabled: setup.wal_enabled,
            memtable_bytes: 64 << 10,
            log_file_bytes: 64 << 10,
            block_bytes: 1 << 10,
            block_cache_bytes: 1 << 20,
            ..Options::default()
        };
        Ok(Db::open_with_fs(Arc::new(fs.clone()), "/db", options)?)
    }

    fn commit(&self, ops: &[Op], sync: Option<bool>) -> Result<(), Failure> {
        match (ops, sync) {
            ([Op::Put { key, value, ttl: Some(ttl) }], _) => self.set_with_ttl(key, value, *ttl)?,
            ([Op::Put { key, value, ttl: None }], None) => self.set(key, value)?,
            ([Op::Delete { key }], None) => self.delete(key)?,
            _ => {
                let mut batch = WriteBatch::new();
                for op in ops {
                    match op {
                        Op::Put { key, value, .. } => batch.set(key, value),
                        Op::Delete { key } => batch.delete(key),
                    };
                }
                self.write_with(batch, WriteOptions { sync })?;
            }
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        Ok(Db::get(self, key)?.map(|value| value.to_vec()))
    }

    fn scan(&self) -> Result<Seen, Failure> {
        let mut seen = Seen::new();
        for entry in self.range::<&[u8]>(..) {
            let (key, value) = entry?;
            seen.push((key.to_vec(), value.to_vec()));
        }
        let mut back = Seen::new();
        for entry in self.range::<&[u8]>(..).rev() {
            let (key, value) = entry?;
            back.push((key.to_vec(), value.to_vec()));
        }
        back.reverse();
        if seen != back {
            return Err(Failure::Wrong("backwards is not forwards turned round".into()));
        }
        Ok(seen)
    }

    fn persist(&self) -> Result<(), Failure> {
        Ok(Db::persist(self)?)
    }

    fn flush(&self) -> Result<(), Failure> {
        Ok(Db::flush(self)?)
    }

    fn close(self) -> Result<(), Failure> {
        Ok(Db::close(&self)?)
    }
}

#[test]
fn power_cuts_when_every_commit_is_synced() {
    power_cuts::<Db>(ALWAYS, 1);
}

#[test]
fn power_cuts_when_commits_are_synced_now_and_then() {
    power_cuts::<Db>(INTERVAL, 2);
}

#[test]
fn power_cuts_when_commits_are_not_synced() {
    power_cuts::<Db>(NEVER, 2);
}

#[test]
fn power_cuts_without_a_log() {
    power_cuts::<Db>(UNLOGGED, 3);
}

#[test]
fn crashes_while_a_database_is_made() {
    creation::<Db>();
}

#[test]
fn every_call_fails_once() {
    faults::<Db>(ALWAYS, Fault::Errno(EIO), false, 1);
    faults::<Db>(NEVER, Fault::Errno(ENOSPC), false, 3);
}

#[test]
fn every_call_is_the_last_to_succeed() {
    faults::<Db>(ALWAYS, Fault::Errno(ENOSPC), true, 3);
    faults::<Db>(NEVER, Fault::Errno(EIO), true, 6);
}

#[test]
fn short_and_interrupted_calls_show_nowhere() {
    faults::<Db>(ALWAYS, Fault::Interrupted, false, 5);
    faults::<Db>(ALWAYS, Fault::Short, false, 5);
    faults::<Db>(ALWAYS, Fault::Short, true, 50);
}
