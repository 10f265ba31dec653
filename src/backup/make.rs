//! From a view to a backup.

use super::feed::{Large, StoreFeed};
use crate::archive::format::{APART_BYTES_MIN, End};
use crate::archive::{Apart, ArchiveWriter, BackupOptions, BackupReport, Header, Held, Output};
use crate::error::Result;
use crate::format::{Content, DatabaseId, EntryRef, SegmentId, SeqNo, ValuePointer};
use crate::read::Stream;
use crate::store::{Store, View};
use std::sync::Arc;

/// Writes what `view` holds at `seq` as a backup into `output`. An entry that expired longer ago than they
/// are kept is left out, as it may be gone already.
///
/// # Errors
/// [`crate::Error::Corruption`] of what is read, [`crate::Error::Io`], [`crate::Error::Closed`],
/// [`crate::Error::Cancelled`].
pub fn write_backup<O: Output>(
    store: &Store,
    view: &Arc<View>,
    seq: SeqNo,
    output: O,
    options: &mut BackupOptions<'_>,
) -> Result<(O, BackupReport)> {
    let begun = store.home.clock.elapsed();
    let written = write_entries(store, view, seq, output, options);
    // With the database closed the directory may be another handle's, and what is missing there is
    // no damage.
    let (output, end, bytes) = written.map_err(|e| store.health.check_open().err().unwrap_or(e))?;
    let report = BackupReport {
        entries: end.entries,
        bytes,
        sequence_number: seq.0,
        duration: store.since(begun),
    };
    Ok((output, report))
}

fn write_entries<O: Output>(
    store: &Store,
    view: &Arc<View>,
    seq: SeqNo,
    output: O,
    options: &mut BackupOptions<'_>,
) -> Result<(O, End, u64)> {
    let home = &store.home;
    let header = Header {
        backup: DatabaseId(home.fs.random()),
        database: home.database,
        seq,
        base: None,
        created_ms: home.clock.now_ms(),
        expiry_floor_ms: store.expiry.get(),
    };
    let retention = u64::try_from(store.options.expired_retention.as_millis()).unwrap_or(u64::MAX);
    let now_ms = header.created_ms.max(header.expiry_floor_ms);
    let purged_until_ms = now_ms.saturating_sub(retention);
    let feed = StoreFeed::new(store, Arc::clone(view), options);
    let mut writer = ArchiveWriter::new(output, feed, header)?;
    let mut stream = Stream::new(view, seq)?;
    while let Some(added) = stream.next(|entry| {
        let is_gone = entry.expiry_ms().is_some_and(|at_ms| {
            // Its segment may be gone, too, though the clock has stepped back since.
            at_ms <= purged_until_ms
                || entry.pointer().is_some_and(|pointer| !view.has_segment(&pointer))
                    && store.is_expired(at_ms)
        });
        match held(entry) {
            Some(held) if !is_gone => writer.add(entry.key, entry.expiry_ms(), held),
            _ => Ok(()),
        }
    })? {
        added?;
    }
    writer.finish()
}

/// What a backup says of the value of `entry`; `None` of a tombstone.
fn held(entry: EntryRef<'_>) -> Option<Held<'_, (Apart, Large)>> {
    let apart = |pointer: ValuePointer, value: Large| {
        let ValuePointer { stored_bytes, is_compressed, checksum, .. } = pointer;
        Held::Apart((Apart { stored_bytes, is_compressed, checksum }, value))
    };
    Some(match entry.value()?.1 {
        Content::Pointer(pointer) => {
            let pointer = ValuePointer::decode(pointer).expect("an entry was checked when read");
            apart(pointer, Large::InValueLog(pointer))
        }
        Content::Inline(value) if value.len() >= APART_BYTES_MIN => {
            let pointer = ValuePointer::to(SegmentId(0), 0, value, false);
            apart(pointer, Large::Here(value.to_vec()))
        }
        Content::Inline(value) => Held::Inline(value),
    })
}
