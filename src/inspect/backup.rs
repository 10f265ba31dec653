//! A backup, entry by entry.

use super::Subject;
use super::item::{BackupHeader, Bytes, Entry, EntryKind, Id, Item};
use crate::archive::{Held, open_file};
use crate::error::Result;
use crate::format::codec::to_u64;

/// Tells each entry; that the end fits them is checked when it comes.
///
/// # Errors
/// [`crate::error::Error::UnsupportedFormat`], [`crate::error::Error::Io`].
pub(super) fn tell(subject: &mut Subject<'_>) -> Result<()> {
    let mut reader = match open_file(subject.fs.as_ref(), &subject.path) {
        Ok((reader, _)) => reader,
        Err(e) => return subject.telling.damage(e),
    };
    let header = *reader.header();
    let said = BackupHeader {
        backup_id: Id(header.backup.0),
        database_id: Id(header.database.0),
        sequence_number: header.seq.0,
        since: header.base.map(|base| base.seq.0),
        created_ms: header.created_ms,
        expiry_floor_ms: header.expiry_floor_ms,
    };
    if subject.telling.item(&Item::BackupHeader(said)).is_break() {
        return Ok(());
    }
    let values = subject.options.values;
    loop {
        let entry = match reader.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(()),
            Err(e) => return subject.telling.damage(e),
        };
        let (kind, stored, is_compressed) = match entry.held {
            Held::Deleted => (EntryKind::Delete, None, false),
            Held::Inline(value) => (EntryKind::Set, Some(value), false),
            Held::Apart(stored) => (EntryKind::Set, Some(stored.bytes), stored.is_compressed),
        };
        let told = Entry {
            kind,
            key: Bytes(entry.key.to_vec()),
            seq: None,
            expires_at_ms: entry.expires_at_ms,
            stored_bytes: stored.map(|stored| to_u64(stored.len())),
            is_compressed,
            stored: stored.filter(|_| values).map(|stored| Bytes(stored.to_vec())),
            pointer: None,
        };
        if subject.telling.item(&Item::Entry(told)).is_break() {
            return Ok(());
        }
    }
}
