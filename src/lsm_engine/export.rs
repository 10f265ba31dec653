//! Export of the engine on disk.

use crate::db::{Db, Entries};
use crate::engine::{KV_PREFIX, SERVICE_PREFIX};
use crate::error::Result;
use crate::json::{ExportData, ExportReport, Sink, Writer};
use std::io::Write;

/// What an export holds, as of one moment.
struct Contents {
    kv: Entries,
    services: Entries,
    /// The services once more: their expiries stand behind all of them.
    expiries: Entries,
}

impl Contents {
    fn new(db: &Db) -> Result<Self> {
        db.check_open()?;
        // One moment for all: a service that expires between the two walks over services would
        // come to stand in the export without its expiry, and never expire where it is imported.
        let (snapshot, now_ms) = (db.snapshot(), db.now_ms());
        Ok(Contents {
            kv: snapshot.entries(KV_PREFIX, now_ms),
            services: snapshot.entries(SERVICE_PREFIX, now_ms),
            expiries: snapshot.entries(SERVICE_PREFIX, now_ms),
        })
    }

    fn give(mut self, to: &mut dyn Sink) -> Result<()> {
        while let Some(given) = self.kv.next_with(|key, _, value| match name(KV_PREFIX, key) {
            Some(key) => to.kv(key, value),
            None => Ok(()),
        }) {
            given??;
        }
        while let Some(given) =
            self.services.next_with(|key, _, data| match name(SERVICE_PREFIX, key) {
                Some(name) => to.service(name, data),
                None => Ok(()),
            })
        {
            given??;
        }
        while let Some(given) = self.expiries.next_key_with(|key, expires_at_ms| {
            // At the end of time is never.
            let expires_at_ms = expires_at_ms.filter(|at_ms| *at_ms != u64::MAX);
            match (name(SERVICE_PREFIX, key), expires_at_ms) {
                (Some(name), Some(expires_at_ms)) => to.expiry(name, expires_at_ms),
                _ => Ok(()),
            }
        }) {
            given??;
        }
        Ok(())
    }
}

/// The name behind its prefix; `None`: it is no string, and so not part of what the engine holds.
fn name<'a>(prefix: &str, key: &'a [u8]) -> Option<&'a str> {
    str::from_utf8(key.get(prefix.len()..)?).ok()
}

pub(super) fn export(db: &Db, to: &mut dyn Write) -> Result<ExportReport> {
    let contents = Contents::new(db)?;
    let mut writer = Writer::new(to);
    contents.give(&mut writer)?;
    writer.finish()
}

pub(super) fn export_data(db: &Db) -> Result<ExportData> {
    let mut data = ExportData::default();
    Contents::new(db)?.give(&mut data)?;
    Ok(data)
}
