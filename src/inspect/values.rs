//! A value file: each value, checked.

use super::item::{Bytes, Id, Item, ValueHeader, ValuePlace};
use super::{Subject, Telling};
use crate::error::{Error, Result};
use crate::format::codec::{to_u64, to_usize};
use crate::format::{FileKind, ValuePointer};
use crate::fs::{File, Inspected, Inspector, IoContext, OpenFiles, Stop, read_exact_at};
use crate::vlog::format::{HEADER_SIZE, stated_database};
use crate::vlog::{MapCache, Record, Records, ValueFile};
use std::path::Path;
use std::sync::Arc;

/// Tells each value with its key, and checks the map in the end.
///
/// # Errors
/// [`Error::InvalidArgument`], [`Error::UnsupportedFormat`], [`Error::Io`].
pub(super) fn tell(subject: &mut Subject<'_>) -> Result<()> {
    let Some(kind @ FileKind::Values(id)) = subject.kind else {
        return Err(Error::invalid("a value file without its name")); // `kind::of` takes none.
    };
    let mut head = vec![0; HEADER_SIZE.min(to_usize(subject.bytes).unwrap_or(HEADER_SIZE))];
    read_exact_at(subject.file.as_ref(), &mut head, 0).during("read", &subject.path)?;
    let Some(database) = stated_database(&head) else {
        let detail = "the file is shorter than its header";
        return subject.telling.damage(Error::corruption(&subject.path, 0, detail));
    };
    let files = Arc::new(OpenFiles::new(Arc::clone(&subject.fs)));
    let maps = Arc::new(MapCache::new(0));
    let file = ValueFile::open(kind, subject.dir(), database, files, maps);
    // Without a footer the records end where one cannot be read.
    let (mut records, footer) = match file.records() {
        Ok(records) => (records, None),
        Err(e) => {
            let (file, end) = (Arc::clone(&subject.file), subject.bytes);
            match Records::up_to(file, database, id, &subject.path, end) {
                Ok(records) => (records, Some(e)),
                Err(e) => return subject.telling.damage(e),
            }
        }
    };
    let header = ValueHeader { database_id: Id(database.0), file: id.0 };
    if subject.telling.item(&Item::ValueHeader(header)).is_break() {
        return Ok(());
    }
    loop {
        match (records.next_record(), &footer) {
            (Ok(Some(record)), _) => {
                let place = match place(subject, record) {
                    Ok(place) => place,
                    Err(e) => return subject.telling.damage(e),
                };
                if subject.telling.item(&Item::Value(place)).is_break() {
                    return Ok(());
                }
            }
            (Ok(None), None) => break,
            // The map begins here; or a record is damaged, which cannot be told without the footer.
            (Ok(None) | Err(Error::Corruption { .. }), Some(e)) => {
                return subject.telling.damage(e.clone());
            }
            (Err(e), _) => return subject.telling.damage(e),
        }
    }
    let mut checked = Checked { telling: &mut subject.telling, failed: None };
    let _ = file.inspect(&mut checked); // It was stopped by what is noted there.
    checked.failed.map_or(Ok(()), Err)
}

/// What `record` says, its value checked.
fn place(subject: &Subject<'_>, record: Record) -> Result<ValuePlace> {
    let Record { key, seq, pointer, value_offset } = record;
    let stored = read_value(subject, value_offset, &pointer)?;
    Ok(ValuePlace {
        offset: value_offset,
        key: Bytes(key),
        seq: seq.0,
        pointer: (pointer.segment.0, pointer.offset),
        stored_bytes: to_u64(stored.len()),
        is_compressed: pointer.is_compressed,
        stored: subject.options.values.then_some(Bytes(stored)),
    })
}

fn read_value(subject: &Subject<'_>, offset: u64, pointer: &ValuePointer) -> Result<Vec<u8>> {
    let path: &Path = &subject.path;
    let size = pointer.bytes();
    let file: &dyn File = subject.file.as_ref();
    // No room is made on the word of a record alone.
    if offset.checked_add(size).is_none_or(|end| end > subject.bytes) {
        let detail = format!("expected a value of {size} bytes, the file ends");
        return Err(Error::corruption(path, offset, detail));
    }
    let mut stored = vec![0; to_usize(size).unwrap_or(0)];
    read_exact_at(file, &mut stored, offset).during("read", path)?;
    let (expected, found) = (pointer.checksum, ValuePointer::checksum(&stored));
    if expected != found {
        let detail = format!(
            "checksum of a value of {size} bytes: expected {expected:#010x}, found {found:#010x}"
        );
        return Err(Error::corruption(path, offset, detail));
    }
    Ok(stored)
}

/// Notes the first damage that is found.
struct Checked<'a, 'b> {
    telling: &'a mut Telling<'b>,
    failed: Option<Error>,
}

impl Inspector for Checked<'_, '_> {
    fn pass(&mut self, _bytes: u64) -> Inspected {
        let is_over = self.failed.is_some() || self.telling.damage.is_some();
        if is_over { Err(Stop) } else { Ok(()) }
    }

    fn tell(&mut self, e: Error) {
        if let Err(e) = self.telling.damage(e) {
            self.failed.get_or_insert(e);
        }
    }
}
