//! From a view to a backup.

use super::feed::{Large, StoreFeed};
use crate::archive::format::{APART_BYTES_MIN, End};
use crate::archive::{Apart, ArchiveWriter, BackupOptions, BackupReport, Header, Held, Output};
use crate::error::Result;
use crate::format::{BackupRef, Content, DatabaseId, EntryRef, SegmentId, SeqNo, ValuePointer};
use crate::read::Stream;
use crate::store::{Store, View};
use std::sync::Arc;

/// After so many entries that it passes over, a backup looks whether it is still wanted.
const LOOK_EVERY: u64 = 1 << 12;

/// Which part of a view goes into a backup.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// What a reader sees at this number.
    pub seq: SeqNo,
    /// Of that, what has been written since this backup, deletes included. `None`: everything.
    pub base: Option<BackupRef>,
}

/// Writes what `view` holds within `scope` as a backup into `output`. An entry that expired longer ago than they
/// are kept counts as deleted, as it may be gone already.
///
/// # Errors
/// [`crate::Error::Corruption`] of what is read, [`crate::Error::Io`], [`crate::Error::Closed`],
/// [`crate::Error::Cancelled`].
pub fn write_backup<O: Output>(
    store: &Store,
    view: &Arc<View>,
    scope: Scope,
    output: O,
    options: &mut BackupOptions<'_>,
) -> Result<(O, BackupReport)> {
    let home = &store.home;
    let begun = home.clock.elapsed();
    let header = Header {
        backup: DatabaseId(home.fs.random()),
        database: home.database,
        seq: scope.seq,
        base: scope.base,
        created_ms: home.clock.now_ms(),
        expiry_floor_ms: store.expiry.get(),
    };
    let written = write_entries(store, view, &header, output, options);
    // With the database closed the directory may be another handle's, and what is missing there is
    // no damage.
    let (output, end, bytes) = written.map_err(|e| store.health.check_open().err().unwrap_or(e))?;
    let report = BackupReport {
        entries: end.entries,
        bytes,
        backup_id: header.backup.0,
        sequence_number: scope.seq.0,
        duration: store.since(begun),
    };
    Ok((output, report))
}

fn write_entries<O: Output>(
    store: &Store,
    view: &Arc<View>,
    header: &Header,
    output: O,
    options: &mut BackupOptions<'_>,
) -> Result<(O, End, u64)> {
    let retention = u64::try_from(store.options.expired_retention.as_millis()).unwrap_or(u64::MAX);
    let now_ms = header.created_ms.max(header.expiry_floor_ms);
    let purged_until_ms = now_ms.saturating_sub(retention);
    let after = header.base.map_or(SeqNo::ZERO, |base| base.seq);
    let feed = StoreFeed::new(store, Arc::clone(view), after, options);
    let mut writer = ArchiveWriter::new(output, feed, *header)?;
    let mut stream = Stream::new(view, header.seq, after)?;
    let mut passed = 0_u64;
    while let Some(added) = stream.next(|entry| {
        if entry.seq <= after {
            passed += 1;
            return if passed.is_multiple_of(LOOK_EVERY) { writer.look() } else { Ok(()) };
        }
        let is_gone = entry.expiry_ms().is_some_and(|at_ms| {
            // Its segment may be gone, too, though the clock has stepped back since.
            at_ms <= purged_until_ms
                || entry.pointer().is_some_and(|pointer| !view.has_segment(&pointer))
                    && store.is_expired(at_ms)
        });
        match held(entry).filter(|_| !is_gone) {
            Some(held) => writer.add(entry.key, entry.expiry_ms(), held),
            // The base may have it.
            None if header.base.is_some() => writer.add(entry.key, None, Held::Deleted),
            None => Ok(()),
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
