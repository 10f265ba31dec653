//! A log file: its records, and the entries in them.

use super::item::{Entry, Id, Item, LogHeader, Record};
use super::{Damage, Subject};
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::frame::FRAME_HEADER_SIZE;
use crate::format::{FileKind, Frame, SeqNo};
use crate::recovery::batch::check_batch;
use crate::wal::{LogFile, Op, format};
use std::ops::ControlFlow;

/// Tells all that counts of the file, record by record.
///
/// # Errors
/// [`Error::UnsupportedFormat`], [`Error::Io`].
pub(super) fn tell(subject: &mut Subject<'_>) -> Result<()> {
    let bytes = subject.read()?;
    let path = subject.path.clone();
    let id = match subject.kind {
        Some(FileKind::Log(id)) => Some(id),
        // Under another name the number that it states is taken for its own.
        _ => format::LogHeader::stated(&bytes).map(|header| header.id),
    };
    let header = match id {
        Some(id) => format::LogHeader::decode(&bytes, &path, id)?,
        None => None,
    };
    let Some(header) = header else {
        let detail = "the header of the log is damaged, or of another file";
        return subject.telling.damage(Error::corruption(&path, 0, detail));
    };
    let format::LogHeader { database, id, base, durable } = header;
    let said = LogHeader { identity: Id(database.0), log: id.0, base, durable };
    if subject.telling.item(&Item::LogHeader(said)).is_break() {
        return Ok(());
    }
    let log = LogFile::new(path, database, id, bytes)?;
    let mut last_seq = SeqNo::ZERO;
    for frame in log.frames(u64::MAX) {
        match tell_record(subject, &log, &frame, &mut last_seq) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => return Ok(()),
            Err(e) => return subject.telling.damage(e),
        }
    }
    let end = log.end(u64::MAX);
    if end.dropped_bytes > 0 {
        let is_torn_tail = end.claim.is_none_or(|claim| claim <= base.saturating_add(end.offset));
        let what = match (end.claim, is_torn_tail) {
            (Some(claim), false) => format!(
                "{} bytes that are no intact record, though the log was durable up to position {claim}",
                end.dropped_bytes
            ),
            _ => format!("{} bytes that are no intact record", end.dropped_bytes),
        };
        subject.telling.damage = Some(Damage { offset: end.offset, what, is_torn_tail });
    }
    Ok(())
}

fn tell_record(
    subject: &mut Subject<'_>,
    log: &LogFile,
    frame: &Frame<'_>,
    last_seq: &mut SeqNo,
) -> Result<ControlFlow<()>> {
    let batch = check_batch(frame, &log.path, *last_seq, usize::MAX)?;
    *last_seq = batch.last_seq;
    let values = subject.options.values;
    let record = Record {
        offset: frame.offset,
        bytes: to_u64(FRAME_HEADER_SIZE + frame.body.len()),
        sequence: frame.sequence,
        durable: frame.durable,
    };
    let mut flow = subject.telling.item(&Item::Record(record));
    for op in batch.operations() {
        if flow.is_break() {
            break;
        }
        let item = match op {
            Op::Entry(entry) => Item::Entry(Entry::of(entry, false, values)),
            Op::Compressed(entry) => Item::Entry(Entry::of(entry, true, values)),
            Op::ExpiryFloor(floor_ms) => Item::ExpiryFloor { floor_ms },
        };
        flow = subject.telling.item(&item);
    }
    Ok(flow)
}
