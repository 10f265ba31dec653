//! Reading a log file from front to back, a part of it in memory at a time.

use super::format::{HEADER_SIZE, LogHeader};
use super::replay::LogEnd;
use crate::error::Result;
use crate::format::codec::{to_u64, without_zeros_at_end};
use crate::format::frame::{FRAME_HEADER_SIZE, Found, claims_in, frame_in};
use crate::format::{DatabaseId, FileKind, Frame, FramePlace, LogId};
use crate::fs::{File, Fs, IoContext, OpenMode, Window, read_exact_at};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is looked at with one call where no frame tells how much there is, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// A log file that is read in pieces: what it takes of memory is a frame, or [`PIECE_BYTES`].
#[derive(Debug)]
pub struct LogStream {
    /// Its number.
    pub id: LogId,
    /// Its path, for errors.
    pub path: PathBuf,
    /// Its header; `None` when that is not intact.
    pub header: Option<LogHeader>,
    pub(super) database: DatabaseId,
    pub(super) file: Arc<dyn File>,
    len: u64,
    /// Where its last byte ends that is not zero.
    written: u64,
}

impl LogStream {
    /// Opens the log file `id` of `dir`.
    ///
    /// # Errors
    /// [`crate::Error::Io`]; [`crate::Error::UnsupportedFormat`].
    pub fn open(fs: &dyn Fs, dir: &Path, database: DatabaseId, id: LogId) -> Result<Self> {
        let path = dir.join(FileKind::Log(id).name());
        let file = fs.open(&path, OpenMode::Read).during("open", &path)?;
        LogStream::of(file, path, database, id)
    }

    /// Of `file`, which is open.
    ///
    /// # Errors
    /// As [`LogStream::open`].
    pub fn of(file: Arc<dyn File>, path: PathBuf, database: DatabaseId, id: LogId) -> Result<Self> {
        let len = file.len().during("read", &path)?;
        let mut window = Window::of_length(Arc::clone(&file), len);
        let head = window.at(0, HEADER_SIZE).during("read", &path)?;
        let header =
            LogHeader::decode(head, &path, id)?.filter(|header| header.database == database);
        let written = without_zeros_at_end(head).len();
        let mut log = LogStream { id, path, header, database, file, len, written: to_u64(written) };
        if let Some(end) = log.find_end()? {
            log.written = end;
        }
        Ok(log)
    }

    /// Bytes from the first record to the last byte that is not zero.
    #[must_use]
    pub fn record_bytes(&self) -> u64 {
        self.written.saturating_sub(to_u64(HEADER_SIZE))
    }

    /// Calls `each` with the frames of the intact part, in order, up to the file offset `limit`; tells how that
    /// part ends, when nothing from `limit` on counts.
    ///
    /// # Errors
    /// [`crate::Error::Io`]; what `each` returns.
    pub fn walk(
        &self,
        limit: u64,
        mut each: impl FnMut(Frame<'_>) -> Result<()>,
    ) -> Result<LogEnd> {
        let mut window = self.window();
        // Without an intact header no frame counts as part of the log, but
        // claims are looked for from the first byte on.
        let mut at = if self.header.is_some() { to_u64(HEADER_SIZE) } else { 0 };
        let (mut wanted, mut last) = (FRAME_HEADER_SIZE, None);
        while at < limit {
            let bytes = window.at(at, wanted).during("read", &self.path)?;
            match frame_in(bytes, self.place(at), last) {
                Found::Frame(frame) => {
                    (last, wanted) = (Some(frame.sequence), FRAME_HEADER_SIZE);
                    at += to_u64(FRAME_HEADER_SIZE + frame.body.len());
                    each(frame)?;
                }
                Found::Part(size) if size <= self.len.saturating_sub(at) => {
                    wanted = usize::try_from(size).unwrap_or(usize::MAX);
                }
                Found::Part(_) | Found::Nothing => return self.end_at(at),
            }
        }
        Ok(LogEnd { offset: at, dropped_bytes: 0, claim: None })
    }

    /// The largest durable claim that stands anywhere in the file.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub fn claim(&self) -> Result<Option<u64>> {
        let mut claim = self.header.map(|header| header.durable);
        let end = self.walk(u64::MAX, |frame| {
            claim = claim.max(Some(frame.durable));
            Ok(())
        })?;
        Ok(claim.max(end.claim))
    }

    /// Where the intact part ends at `at`, and not because nothing behind it counts.
    fn end_at(&self, at: u64) -> Result<LogEnd> {
        let dropped_bytes = self.written.saturating_sub(at);
        let claim = if dropped_bytes > 0 { self.claims_from(at)? } else { None };
        Ok(LogEnd { offset: at, dropped_bytes, claim })
    }

    /// The largest claim of any header from `from` on.
    fn claims_from(&self, from: u64) -> Result<Option<u64>> {
        let mut window = self.window();
        let (mut at, mut claim) = (from, None);
        while at < self.len {
            // So much more that a header which begins in this piece is whole.
            let bytes =
                window.at(at, PIECE_BYTES + FRAME_HEADER_SIZE).during("read", &self.path)?;
            let piece = bytes.get(..PIECE_BYTES + FRAME_HEADER_SIZE - 1).unwrap_or(bytes);
            claim = claim.max(claims_in(piece, self.place(at)));
            at += to_u64(PIECE_BYTES);
        }
        Ok(claim)
    }

    /// Where the last byte behind the header ends that is not zero, if there is one: looked for from the end, where zeros
    /// ahead of the records are.
    fn find_end(&self) -> Result<Option<u64>> {
        let (first, mut end) = (to_u64(HEADER_SIZE), self.len);
        let mut piece = Vec::new();
        while end > first {
            let size = usize::try_from(end - first).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let begin = end - to_u64(size);
            piece.resize(size, 0);
            read_exact_at(self.file.as_ref(), &mut piece, begin).during("read", &self.path)?;
            let written = without_zeros_at_end(&piece).len();
            if written > 0 {
                return Ok(Some(begin + to_u64(written)));
            }
            end = begin;
        }
        Ok(None)
    }

    fn window(&self) -> Window {
        Window::of_length(Arc::clone(&self.file), self.len)
    }

    fn place(&self, offset: u64) -> FramePlace {
        FramePlace { database: self.database, file: self.id.into(), offset }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LogFile;
    use super::*;
    use crate::error::Error;
    use crate::format::{crc, put_frame};
    use crate::fs::BytesFile;
    use proptest::prelude::*;

    const DB: DatabaseId = DatabaseId(3);
    const ID: LogId = LogId(4);

    fn log_of(bodies: &[(u8, usize)], durable: bool) -> Vec<u8> {
        let mut out = LogHeader { database: DB, id: ID, base: 0, durable: 0 }.encode().to_vec();
        for (sequence, &(byte, size)) in (1..).zip(bodies) {
            let (offset, body) = (to_u64(out.len()), vec![byte; size.max(1)]);
            let place = FramePlace { database: DB, file: ID.into(), offset };
            let claim = if durable { offset } else { 0 };
            put_frame(&mut out, place, sequence, claim, &body, crc(&body));
        }
        out
    }

    // Cut by somebody else meanwhile: what is missing is not the torn tail of a crash, and no reason to look for ever.
    #[test]
    fn a_file_that_has_become_shorter_is_an_error() {
        let bytes = log_of(&[(1, 100), (2, 90_000), (3, 100)], true);
        for cut in [HEADER_SIZE, HEADER_SIZE + 50, HEADER_SIZE + 200, bytes.len() - 1] {
            let file = Arc::new(BytesFile::new(bytes.clone()));
            let mut log = LogStream::of(file, "log".into(), DB, ID).expect("a log");
            log.file = Arc::new(BytesFile::new(bytes[..cut].to_vec()));
            let read = log.walk(u64::MAX, |_| Ok(()));
            assert!(matches!(read, Err(Error::Io { .. })), "{cut}: {read:?}");
        }
    }

    proptest! {
        // In pieces as in one: whatever is lost, and wherever the pieces' borders are.
        #[test]
        fn reads_as_the_whole_file_in_memory_does(
            bodies in proptest::collection::vec((1u8.., prop_oneof![1usize..3_000, 1usize..200_000]), 0..7),
            zeros in prop_oneof![Just(0usize), 1..200_000usize],
            damage in proptest::option::of((any::<prop::sample::Index>(), 1u8..)),
            cut in proptest::option::of(any::<prop::sample::Index>()),
            limit in proptest::option::of(any::<prop::sample::Index>()),
            durable: bool,
        ) {
            let mut bytes = log_of(&bodies, durable);
            bytes.resize(bytes.len() + zeros, 0);
            if let Some((at, bits)) = damage {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let limit = limit.map_or(u64::MAX, |limit| to_u64(limit.index(bytes.len() + 100)));
            let path = PathBuf::from("log");
            let Ok(whole) = LogFile::new(path.clone(), DB, ID, bytes.clone()) else {
                let refused = LogStream::of(Arc::new(BytesFile::new(bytes)), path, DB, ID);
                prop_assert!(refused.is_err());
                return Ok(());
            };
            let file = Arc::new(BytesFile::new(bytes));
            let log = LogStream::of(file, path, DB, ID).expect("as the other");
            prop_assert_eq!(log.header, whole.header);
            prop_assert_eq!(log.record_bytes(), whole.record_bytes());
            prop_assert_eq!(log.claim().expect("in memory"), whole.claim());
            let mut frames = whole.frames(limit);
            let end = log.walk(limit, |frame| {
                assert_eq!(Some(frame), frames.next());
                Ok(())
            });
            prop_assert_eq!(end.expect("in memory"), whole.end(limit));
            prop_assert_eq!(frames.next(), None);
        }
    }
}
