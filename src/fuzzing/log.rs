//! Log files.

use super::{Entry, Identity, fix_frames, path_of};
use crate::error::Result;
use crate::format::codec::to_u64;
use crate::format::key::EXPIRY_SIZE;
use crate::format::{
    Content, DatabaseId, EntryKind, FileId, FileKind, FramePlace, SeqNo, crc, put_frame,
};
use crate::fs::BytesFile;
use crate::recovery::batch::check_batch;
use crate::recovery::chain::Chain;
use crate::wal::format::{HEADER_SIZE, LogHeader, seal};
use crate::wal::ops::{put_compressed, put_delete, put_expiry_floor, put_set, put_set_expiring};
use crate::wal::{LogStream, Op};
use std::sync::Arc;

/// One operation of a batch.
///
/// See the example of [`write_log`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Writes an entry. Its sequence number is given by its place in the log:
    /// that of its batch, and one more for each entry before it.
    Entry(Entry),
    /// The same, with a value that stands in Snappy.
    Compressed(Entry),
    /// Raises the expiry floor, in milliseconds.
    ExpiryFloor(u64),
}

/// One commit in the log.
///
/// See the example of [`write_log`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Where its frame starts in its file. Not looked at when it is written.
    pub offset: u64,
    /// Sequence number of its first entry.
    pub sequence: SeqNo,
    /// The position up to which it says that the log was durable.
    pub durable: u64,
    /// What it does.
    pub operations: Vec<Operation>,
}

/// What is in a log.
///
/// See the example of [`write_log`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFound {
    /// The batches that count, in order.
    pub batches: Vec<Batch>,
    /// The position at which the log broke off, where it did.
    pub cut_at: Option<u64>,
    /// Bytes that were dropped there and behind.
    pub dropped_bytes: u64,
}

/// Decodes one log file as recovery does, which begins at the position `base`.
///
/// See the example of [`write_log`].
///
/// # Errors
/// As [`decode_log_files`].
pub fn decode_log(bytes: &[u8], identity: Identity, base: u64) -> Result<LogFound> {
    decode_log_files(&[(identity.file, bytes)], identity.database, base)
}

/// Decodes the files of a log, with their numbers and in the order of these,
/// as recovery does: headers, frames, every operation, the chain of positions
/// from `base` on, and where that breaks the search for durable claims.
///
/// See the example of [`write_log`].
///
/// # Errors
/// [`crate::Error::Corruption`] where what had been durable is damaged or
/// missing, or an intact batch makes no sense;
/// [`crate::Error::UnsupportedFormat`].
pub fn decode_log_files(
    files: &[(FileId, &[u8])],
    database: DatabaseId,
    base: u64,
) -> Result<LogFound> {
    let read = |&(file, bytes): &(FileId, &[u8])| {
        let id = Identity { database, file }.log();
        let file = Arc::new(BytesFile::new(bytes.to_vec()));
        LogStream::of(file, path_of(FileKind::Log(id)), database, id)
    };
    let files: Vec<LogStream> = files.iter().map(read).collect::<Result<_>>()?;
    let headers: Vec<_> = files.iter().map(|file| file.header).collect();
    let mut chain = Chain::new(base);
    let mut batches = Vec::new();
    let mut last_seq = SeqNo::ZERO;
    for (file, later) in files.iter().zip((1..).filter_map(|next| headers.get(next..))) {
        chain.follow(file, later, |frame| {
            let batch = check_batch(&frame, &file.path, last_seq, usize::MAX)?;
            last_seq = batch.last_seq;
            batches.push(Batch {
                offset: frame.offset,
                sequence: SeqNo(frame.sequence),
                durable: frame.durable,
                operations: batch.operations().map(Operation::from).collect(),
            });
            Ok(())
        })?;
    }
    let broken = chain.broken();
    Ok(LogFound {
        batches,
        cut_at: broken.map(|broken| broken.position),
        dropped_bytes: broken.map_or(0, |broken| broken.dropped_bytes),
    })
}

impl From<Op<'_>> for Operation {
    fn from(op: Op<'_>) -> Operation {
        match op {
            Op::Entry(entry) => Operation::Entry(entry.into()),
            Op::Compressed(entry) => Operation::Compressed(entry.into()),
            Op::ExpiryFloor(floor_ms) => Operation::ExpiryFloor(floor_ms),
        }
    }
}

/// A log file that begins at the position `base`, in the encoding of the
/// engine, without the zeros that its writer puts behind: a quarter of a
/// megabyte. `durable` is the claim of its header.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::fuzzing::{Batch, DatabaseId, Entry, EntryKind, FileId, Identity, LogFound, Operation, SeqNo, decode_log, decode_log_files, fix_log, write_log};
/// let identity = Identity { database: DatabaseId(7), file: FileId(2) };
/// let batch = |seq| {
///     let entry = Entry { key: b"a".into(), seq: SeqNo(seq), kind: EntryKind::Set, payload: b"value".into() };
///     Batch { offset: 0, sequence: SeqNo(seq), durable: 0, operations: vec![Operation::Entry(entry)] }
/// };
/// let mut bytes = write_log(identity, 0, 0, &[batch(1), batch(2)]);
/// let found: LogFound = decode_log(&bytes, identity, 0)?;
/// assert_eq!((found.batches.len(), found.cut_at), (2, None));
/// assert_eq!(decode_log_files(&[(identity.file, &bytes)], identity.database, 0)?, found);
///
/// *bytes.last_mut().expect("a value") ^= 1; // The end of the second: a torn tail.
/// assert_eq!(decode_log(&bytes, identity, 0)?.batches.len(), 1);
/// fix_log(&mut bytes, identity);
/// assert_eq!(decode_log(&bytes, identity, 0)?.batches.len(), 2);
/// # Ok(()) }
/// ```
///
/// # Panics
/// When a batch is empty, a payload is too short for its kind, or an entry has a pointer.
#[must_use]
pub fn write_log(identity: Identity, base: u64, durable: u64, batches: &[Batch]) -> Vec<u8> {
    let Identity { database, file } = identity;
    let mut out = LogHeader { database, id: identity.log(), base, durable }.encode().to_vec();
    for batch in batches {
        let body = body_of(batch);
        assert!(!body.is_empty(), "a batch has an operation");
        let place = FramePlace { database, file, offset: to_u64(out.len()) };
        put_frame(&mut out, place, batch.sequence.0, batch.durable, &body, crc(&body));
    }
    out
}

pub(super) fn body_of(batch: &Batch) -> Vec<u8> {
    let mut body = Vec::new();
    batch.operations.iter().for_each(|operation| put_operation(&mut body, operation));
    body
}

fn put_operation(body: &mut Vec<u8>, operation: &Operation) {
    match operation {
        Operation::ExpiryFloor(floor_ms) => put_expiry_floor(body, *floor_ms),
        Operation::Compressed(entry) => {
            let Some((expires_at_ms, Content::Inline(value))) = entry.borrowed().value() else {
                panic!("what is compressed has a value");
            };
            put_compressed(body, &entry.key, value, expires_at_ms);
        }
        Operation::Entry(Entry { key, kind, payload, .. }) => match kind {
            EntryKind::SetPointer | EntryKind::SetPointerExpiring => {
                panic!("the log has values, not pointers")
            }
            EntryKind::Delete => put_delete(body, key),
            EntryKind::Set => put_set(body, key, payload),
            EntryKind::SetExpiring => {
                let (expiry, value) = payload
                    .split_first_chunk::<EXPIRY_SIZE>()
                    .expect("the payload starts with an expiry");
                put_set_expiring(body, key, value, u64::from_le_bytes(*expiry));
            }
        },
    }
}

/// Puts right the checksums of a log file: that of its header, and those of
/// each frame's header and body.
///
/// See the example of [`write_log`].
pub fn fix_log(bytes: &mut [u8], identity: Identity) {
    if let Some(head) = bytes.first_chunk_mut::<HEADER_SIZE>() {
        seal(head);
        fix_frames(bytes, HEADER_SIZE, identity);
    }
}
