//! Backups of the engine in memory: the same file as of the one on disk.

use super::memory::{Kv, Service, Shared, Stage};
use super::{KV_PREFIX, LIFETIME_PREFIX, SERVICE_PREFIX};
use crate::archive::format::APART_BYTES_MIN;
use crate::archive::{
    Apart, ArchiveWriter, BackupReport, Entry, FileOutput, Header, Held, InMemory, RestoreReport,
    open_file, write_file,
};
use crate::error::{Error, Result};
use crate::format::{DatabaseId, SeqNo, ValuePointer, snappy};
use crate::fs::Fs;
use crate::fs::disk::DiskFs;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Writes a copy of what `shared` holds to `path`.
pub fn backup(shared: &Shared, path: &Path) -> Result<BackupReport> {
    let fs = DiskFs::new();
    let begun = shared.clock.elapsed();
    let (kv, services) =
        shared.with(|state| Ok((Arc::clone(&state.kv), state.services.clone())))?;
    let header = Header {
        backup: DatabaseId(fs.random()),
        database: shared.identity,
        seq: SeqNo::ZERO,
        base: None,
        created_ms: shared.clock.now_ms(),
        expiry_floor_ms: shared.floor.get(),
    };
    let write = |output: FileOutput| {
        let mut writer = ArchiveWriter::new(output, InMemory, header)?;
        // In the order of keys: `kv:` comes before `svc:`.
        for (key, value) in &*kv {
            let key = [KV_PREFIX, key].concat();
            writer.add(key.as_bytes(), None, held(value))?;
        }
        for (name, service) in &services {
            if shared.stage(service) != Stage::Purgeable {
                let key = [SERVICE_PREFIX, name].concat();
                writer.add(key.as_bytes(), Some(service.expires_at_ms), held(&service.data))?;
            }
        }
        let (output, end, bytes) = writer.finish()?;
        Ok((output, (end.entries, bytes)))
    };
    let (entries, bytes) = write_file(&fs, &shared.partials, path, true, write, |_| Ok(()))?;
    let duration = shared.clock.elapsed().saturating_sub(begun);
    let backup_id = header.backup.0;
    Ok(BackupReport { entries, bytes, backup_id, sequence_number: 0, duration })
}

fn held(value: &[u8]) -> Held<'_, (Apart, Vec<u8>)> {
    if value.len() < APART_BYTES_MIN {
        return Held::Inline(value);
    }
    let compressed = snappy::compress(value);
    let is_compressed = compressed.is_some();
    let stored = compressed.unwrap_or_else(|| value.to_vec());
    let checksum = ValuePointer::checksum(&stored);
    let stored_bytes = u32::try_from(stored.len()).expect("a value has at most 1 GiB");
    Held::Apart((Apart { stored_bytes, is_compressed, checksum }, stored))
}

/// Puts what the backup at `path` holds in the place of what `shared` does.
pub fn restore(shared: &Shared, path: &Path) -> Result<RestoreReport> {
    let begun = shared.clock.elapsed();
    shared.with(|_| Ok(()))?;
    let (mut reader, bytes) = open_file(&DiskFs::new(), path)?;
    let header = *reader.header();
    if header.base.is_some() {
        let path = path.display();
        let detail = format!("{path} is an increment; restore the full backup that came before");
        return Err(Error::invalid(detail));
    }
    let (mut kv, mut services) = (Kv::new(), Services::new());
    while let Some(entry) = reader.next_entry()? {
        put(&mut kv, &mut services, &entry, path)?;
    }
    let (entries, _) = reader.counts();
    shared.with(|state| {
        shared.floor.raise(header.expiry_floor_ms);
        (state.kv, state.services) = (Arc::new(kv), services);
        state.restores += 1;
        Ok(())
    })?;
    let duration = shared.clock.elapsed().saturating_sub(begun);
    Ok(RestoreReport { entries, bytes, sequence_number: 0, duration })
}

type Services = BTreeMap<String, Service>;

fn put(kv: &mut Kv, services: &mut Services, entry: &Entry<'_>, path: &Path) -> Result<()> {
    let value = match entry.held {
        Held::Deleted => return Ok(()),
        Held::Inline(value) => value.to_vec(),
        Held::Apart(stored) => {
            let value = stored.value().map_err(|e| Error::corruption(path, entry.offset, e))?;
            value.into_owned()
        }
    };
    let key = str::from_utf8(entry.key).ok();
    if key.is_some_and(|key| key.starts_with(LIFETIME_PREFIX)) {
        return Ok(()); // The server's, of an engine on disk: see there.
    }
    let own = key.and_then(|key| key.strip_prefix(KV_PREFIX));
    let service = key.and_then(|key| key.strip_prefix(SERVICE_PREFIX));
    match (own, service, entry.expires_at_ms) {
        (Some(key), _, None) => drop(kv.insert(key.to_owned(), value)),
        (_, Some(name), expires_at_ms) => {
            // One that was imported without a time never expires.
            let expires_at_ms = expires_at_ms.unwrap_or(u64::MAX);
            services.insert(name.to_owned(), Service { data: value, expires_at_ms });
        }
        _ => {
            let key = entry.key.escape_ascii();
            return Err(Error::invalid(format!(
                "the backup has an entry \"{key}\", which is neither a key of `kv:` without a time to live \
                 nor a service; an engine on disk restores it"
            )));
        }
    }
    Ok(())
}
