//! Import into the engine on disk: one commit, whatever its size.
//!
//! What is read is gathered in three sorters: keys, services, and when services expire, which in a document may
//! stand anywhere. In the end the last two are walked side by side. What was small enough to stay in
//! memory is committed as a batch. The rest goes into tables past the log: keys that came in order are in them already.

use crate::db::{Db, WriteBatch};
use crate::engine::{Checked, KV_PREFIX, SERVICE_PREFIX};
use crate::error::Result;
use crate::ingest::{Sorted, Sorter};
use crate::json::{self, ExportData, ImportReport, Sink};
use std::cmp::Ordering;
use std::io::Read;

pub(super) fn import(db: &Db, from: &mut dyn Read) -> Result<ImportReport> {
    let mut import = Import::new(db)?;
    json::read(from, &mut Checked(&mut import))?;
    import.commit(db)
}

pub(super) fn import_data(db: &Db, data: &ExportData) -> Result<ImportReport> {
    let mut import = Import::new(db)?;
    data.give(&mut Checked(&mut import))?;
    import.commit(db)
}

struct Import {
    kv: Sorter,
    services: Sorter,
    expiries: Sorter,
    /// A key as it stands in the store.
    key: Vec<u8>,
}

impl Import {
    fn new(db: &Db) -> Result<Self> {
        db.check_open()?;
        let sorter = || db.sorter();
        let (kv, services, expiries) = (sorter()?, sorter()?, sorter()?);
        Ok(Import { kv, services, expiries, key: Vec::new() })
    }

    fn put(
        key: &mut Vec<u8>,
        prefix: &str,
        name: &str,
        value: &[u8],
        to: &mut Sorter,
    ) -> Result<()> {
        key.clear();
        key.extend_from_slice(prefix.as_bytes());
        key.extend_from_slice(name.as_bytes());
        to.put(key, value)
    }

    fn commit(self, db: &Db) -> Result<ImportReport> {
        let Import { kv, services, expiries, .. } = self;
        let mut report = ImportReport::default();
        let is_small = kv.is_in_memory() && services.is_in_memory() && expiries.is_in_memory();
        if is_small {
            let mut batch = WriteBatch::new();
            let mut kv = kv.into_sorted()?;
            while let Some((key, value)) = kv.entry() {
                batch.set(key, value);
                report.kv += 1;
                kv.advance()?;
            }
            drop(kv);
            let services = Services::new(db, services, expiries)?;
            services.give(&mut report, |key, data, expires_at_ms| {
                match expires_at_ms {
                    Some(at_ms) => batch.set_until(key, data, at_ms),
                    None => batch.set(key, data),
                }
                Ok(())
            })?;
            db.write(batch)?;
        } else {
            let mut writer = kv.into_writer()?;
            report.kv = writer.entries();
            // `svc:` comes after `kv:`.
            let services = Services::new(db, services, expiries)?;
            services.give(&mut report, |key, data, at_ms| writer.put(key, data, at_ms))?;
            db.finish_load(writer)?;
        }
        Ok(report)
    }
}

impl Sink for Import {
    fn kv(&mut self, key: &str, value: &[u8]) -> Result<()> {
        Import::put(&mut self.key, KV_PREFIX, key, value, &mut self.kv)
    }

    fn service(&mut self, name: &str, data: &[u8]) -> Result<()> {
        Import::put(&mut self.key, SERVICE_PREFIX, name, data, &mut self.services)
    }

    fn expiry(&mut self, name: &str, expires_at_ms: u64) -> Result<()> {
        let value = expires_at_ms.to_le_bytes();
        Import::put(&mut self.key, SERVICE_PREFIX, name, &value, &mut self.expiries)
    }
}

/// Services, in order, and when they expire, in the same order.
struct Services {
    /// The one moment at which their times are looked at. No floor is raised: nobody has seen an
    /// entry expire, and this may yet fail.
    now_ms: u64,
    services: Sorted,
    expiries: Sorted,
}

impl Services {
    fn new(db: &Db, services: Sorter, expiries: Sorter) -> Result<Self> {
        let (services, expiries) = (services.into_sorted()?, expiries.into_sorted()?);
        Ok(Services { now_ms: db.now_ms(), services, expiries })
    }

    /// Gives those that are alive to `put`, each with its expiry, and counts all.
    fn give(
        mut self,
        report: &mut ImportReport,
        mut put: impl FnMut(&[u8], &[u8], Option<u64>) -> Result<()>,
    ) -> Result<()> {
        while let Some((key, data)) = self.services.entry() {
            let expiry = match self.expiries.entry() {
                Some((name, at_ms)) => match name.cmp(key) {
                    Ordering::Less => return Err(no_such_service(name)),
                    Ordering::Equal => at_ms.first_chunk().map(|at_ms| u64::from_le_bytes(*at_ms)),
                    Ordering::Greater => None,
                },
                None => None,
            };
            // The largest number never comes.
            let expires_at_ms = expiry.filter(|at_ms| *at_ms != u64::MAX);
            if expires_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
                report.expired += 1;
            } else {
                put(key, data, expires_at_ms)?;
                report.services += 1;
            }
            if expiry.is_some() {
                self.expiries.advance()?;
            }
            self.services.advance()?;
        }
        match self.expiries.entry() {
            Some((name, _)) => Err(no_such_service(name)),
            None => Ok(()),
        }
    }
}

fn no_such_service(key: &[u8]) -> crate::error::Error {
    let name = key.get(SERVICE_PREFIX.len()..).unwrap_or_default();
    json::no_such_service(&String::from_utf8_lossy(name))
}
