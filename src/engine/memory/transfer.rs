//! Export and import of the engine in memory.

use super::{Service, Shared, Stage};
use crate::engine::Checked;
use crate::error::Result;
use crate::json::{self, ExportData, ExportReport, ImportReport};
use std::collections::BTreeMap;
use std::io::{Read, Write};

pub(super) fn export(shared: &Shared, to: &mut dyn Write) -> Result<ExportReport> {
    // Copied: whoever reads the other end of `to` may take his time, or need the engine for it.
    let data = export_data(shared)?;
    let mut writer = json::Writer::new(to);
    data.give(&mut writer)?;
    writer.finish()
}

pub(super) fn export_data(shared: &Shared) -> Result<ExportData> {
    shared.with(|state| {
        let mut data = ExportData { kv: BTreeMap::clone(&state.kv), ..ExportData::default() };
        for (name, service) in &state.services {
            if shared.stage(service) != Stage::Alive {
                continue;
            }
            data.services.insert(name.clone(), service.data.clone());
            if service.expires_at_ms != u64::MAX {
                data.expires_at_ms.insert(name.clone(), service.expires_at_ms);
            }
        }
        Ok(data)
    })
}

pub(super) fn import(shared: &Shared, from: &mut dyn Read) -> Result<ImportReport> {
    shared.with(|_| Ok(()))?;
    let mut data = ExportData::default();
    json::read(from, &mut Checked(&mut data))?;
    merge(shared, data)
}

pub(super) fn import_data(shared: &Shared, data: &ExportData) -> Result<ImportReport> {
    shared.with(|_| Ok(()))?;
    let mut own = ExportData::default();
    data.give(&mut Checked(&mut own))?;
    merge(shared, own)
}

/// Stores all of `data`, or nothing.
fn merge(shared: &Shared, data: ExportData) -> Result<ImportReport> {
    let ExportData { kv, services, expires_at_ms } = data;
    if let Some(name) = expires_at_ms.keys().find(|name| !services.contains_key(*name)) {
        return Err(json::no_such_service(name));
    }
    shared.with(|state| {
        let mut report = ImportReport::default();
        // Without raising the floor: nobody has seen an entry expire.
        let now_ms = shared.clock.now_ms().max(shared.floor.get());
        for (name, data) in services {
            // Without a time it never expires.
            let expires_at_ms = expires_at_ms.get(&name).copied().unwrap_or(u64::MAX);
            if expires_at_ms <= now_ms && expires_at_ms != u64::MAX {
                report.expired += 1;
            } else {
                state.services.insert(name, Service { data, expires_at_ms });
                report.services += 1;
            }
        }
        report.kv += u64::try_from(kv.len()).unwrap_or(u64::MAX);
        kv.iter().for_each(|(key, value)| state.write(key, Some(value)));
        Ok(report)
    })
}
