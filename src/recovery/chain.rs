//! Which records of the log count: the chain of positions through its files.
//!
//! A decision over files, one at a time, each read from front to back; see `DESIGN.md`, "The log".

use crate::error::{Error, Result};
use crate::format::Frame;
use crate::format::codec::to_u64;
use crate::wal::LogStream;
use crate::wal::format::{HEADER_SIZE, LogHeader};
use std::path::PathBuf;

/// Where the log broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The position of the first byte that does not count.
    pub position: u64,
    /// The file in which it stands, or should stand.
    pub path: PathBuf,
    /// Its offset there.
    pub offset: u64,
    /// Bytes of that file that are dropped.
    pub dropped_bytes: u64,
}

/// Follows the log through its files, in the order of their numbers.
#[derive(Debug)]
pub struct Chain {
    /// The position at which the next file must begin.
    expected: u64,
    /// The first file has been taken, which the manifest names.
    begun: bool,
    broken: Option<Break>,
}

impl Chain {
    /// The first file must begin at `base`.
    #[must_use]
    pub fn new(base: u64) -> Self {
        Chain { expected: base, begun: false, broken: None }
    }

    /// The position after what counts of the files that were taken.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// Where the log broke off, if it did.
    #[must_use]
    pub fn broken(&self) -> Option<&Break> {
        self.broken.as_ref()
    }

    /// Takes the next file, behind which come files with the headers `later`
    /// (`None` for one that is not intact), and calls `replay` with each frame
    /// that counts.
    ///
    /// # Errors
    /// [`Error::Corruption`] when a record that had been durable is damaged or
    /// missing; [`Error::Io`]; what `replay` returns.
    pub fn follow(
        &mut self,
        file: &LogStream,
        later: &[Option<LogHeader>],
        replay: impl FnMut(Frame<'_>) -> Result<()>,
    ) -> Result<()> {
        if let Some(broken) = &mut self.broken {
            broken.dropped_bytes += file.record_bytes();
            return self.check_claim(file.claim()?);
        }
        // A file that was begun and given up, for a full disk say, may still be
        // there: the log goes on behind it, where it would have begun itself.
        let is_given_up = later.iter().flatten().any(|next| next.base == self.expected);
        let is_blank = file.header.is_none() && file.record_bytes() == 0;
        let is_first = !std::mem::replace(&mut self.begun, true);
        if !is_first && (is_given_up || is_blank) {
            return Ok(());
        }
        let Some(header) = file.header.filter(|header| header.base == self.expected) else {
            if is_first {
                // It was durable before the edit that names the file.
                let detail =
                    "the manifest names this log, but its header is damaged or of another file";
                return Err(Error::corruption(&file.path, 0, detail));
            }
            let dropped_bytes = file.record_bytes();
            return self.break_off(file, 0, dropped_bytes, file.claim()?);
        };
        // The next file says where this one ended: what a failed write may
        // have left after that was refused. None ends before its header does: a
        // block that held the header of an interrupted recovery's log may turn
        // up in a file that has its number and was never synced.
        let limit = later
            .iter()
            .flatten()
            .filter_map(|next| next.base.checked_sub(header.base))
            .find(|&end| end >= to_u64(HEADER_SIZE))
            .unwrap_or(u64::MAX);
        let end = file.walk(limit, replay)?;
        self.expected = header.base + end.offset;
        // If the header of the very next one is lost, that will turn out there.
        let is_next_intact = later.first().is_some_and(Option::is_some);
        let ends_early = is_next_intact && limit != u64::MAX && end.offset != limit;
        if ends_early || end.dropped_bytes > 0 {
            return self.break_off(file, end.offset, end.dropped_bytes, end.claim);
        }
        Ok(())
    }

    fn break_off(
        &mut self,
        file: &LogStream,
        offset: u64,
        dropped_bytes: u64,
        claim: Option<u64>,
    ) -> Result<()> {
        let position = self.expected;
        self.broken = Some(Break { position, path: file.path.clone(), offset, dropped_bytes });
        self.check_claim(claim)
    }

    /// The rule of the durable claim (INV-3 of the module).
    fn check_claim(&self, claim: Option<u64>) -> Result<()> {
        match (&self.broken, claim) {
            (Some(broken), Some(claim)) if claim > broken.position => Err(Error::corruption(
                &broken.path,
                broken.offset,
                format!(
                    "a log record is damaged or missing at position {}, but the log was durable up to position {claim}",
                    broken.position
                ),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{DatabaseId, FramePlace, LogId, crc, put_frame};
    use crate::fs::BytesFile;
    use std::sync::Arc;

    const DB: DatabaseId = DatabaseId(9);

    /// A log file with frames of these durable claims.
    fn file(id: u64, base: u64, claims: &[u64]) -> Vec<u8> {
        let id = LogId(id);
        let mut out = LogHeader { database: DB, id, base, durable: 0 }.encode().to_vec();
        for (i, &claim) in (id.0 * 100..).zip(claims) {
            let place = FramePlace { database: DB, file: id.into(), offset: out.len() as u64 };
            put_frame(&mut out, place, i, claim, b"body", crc(b"body"));
        }
        out
    }

    const FRAME: u64 = 36;
    const HEADER: u64 = HEADER_SIZE as u64;

    /// Follows files given as bytes; how many frames counted, or the error.
    fn follow(files: &[(u64, Vec<u8>)]) -> std::result::Result<(usize, Option<u64>), String> {
        let files: Vec<LogStream> = files
            .iter()
            .map(|(id, bytes)| {
                let (file, path) = (BytesFile::new(bytes.clone()), format!("{id}.log").into());
                LogStream::of(Arc::new(file), path, DB, LogId(*id)).expect("this version")
            })
            .collect();
        let mut chain = Chain::new(0);
        let mut frames = 0;
        for (i, file) in files.iter().enumerate() {
            let later: Vec<_> = files[i + 1..].iter().map(|later| later.header).collect();
            chain
                .follow(file, &later, |_| {
                    frames += 1;
                    Ok(())
                })
                .map_err(|e| e.to_string())?;
        }
        Ok((frames, chain.broken().map(|b| b.position)))
    }

    #[test]
    fn whole_files_count_in_full() {
        let end = HEADER + 2 * FRAME;
        let files = [(1, file(1, 0, &[0, 0])), (2, file(2, end, &[0]))];
        assert_eq!(follow(&files), Ok((3, None)));
    }

    #[test]
    fn a_torn_tail_is_cut_and_what_follows_does_not_count() {
        let end = HEADER + 2 * FRAME;
        let mut torn = file(1, 0, &[0, 0]);
        torn.truncate(torn.len() - 1);
        let files = [(1, torn), (2, file(2, end, &[0]))];
        assert_eq!(follow(&files), Ok((1, Some(HEADER + FRAME))));
    }

    #[test]
    fn damage_below_a_claim_is_corruption_wherever_the_claim_stands() {
        let end = HEADER + 2 * FRAME;
        let mut damaged = file(1, 0, &[0, 0]);
        damaged[HEADER_SIZE] ^= 1;
        let claims = |claim| [(1, damaged.clone()), (2, file(2, end, &[claim]))];
        assert_eq!(follow(&claims(HEADER)), Ok((0, Some(HEADER))));
        let text = follow(&claims(HEADER + 1)).expect_err("durable");
        assert!(text.contains("1.log at offset 48"), "{text}");
        // In the same file.
        let mut damaged = file(1, 0, &[0, end - FRAME]);
        damaged[HEADER_SIZE] ^= 1;
        assert!(follow(&[(1, damaged)]).is_err());
    }

    #[test]
    fn a_missing_file_breaks_the_chain() {
        let one = HEADER + FRAME;
        let files = |claim| [(1, file(1, 0, &[0])), (3, file(3, one + HEADER + FRAME, &[claim]))];
        assert_eq!(follow(&files(one)), Ok((1, Some(one))));
        assert!(follow(&files(one + 1)).is_err());
    }

    // It looks like one that was begun and given up; but the log goes on further.
    #[test]
    fn a_file_that_was_lost_whole_breaks_the_chain() {
        let one = HEADER + FRAME;
        for lost in [Vec::new(), vec![0; 500]] {
            let files = |claim| {
                let last = file(3, one + HEADER + FRAME, &[claim]);
                [(1, file(1, 0, &[0])), (2, lost.clone()), (3, last)]
            };
            assert_eq!(follow(&files(one)), Ok((1, Some(one))));
            assert!(follow(&files(one + 1)).is_err());
        }
    }

    #[test]
    fn a_refused_frame_after_the_sealed_end_is_not_read() {
        // The second frame was refused; the next file begins where the first ended.
        let files = [(1, file(1, 0, &[0, 0])), (2, file(2, HEADER + FRAME, &[0]))];
        assert_eq!(follow(&files), Ok((2, None)));
    }

    #[test]
    fn a_file_that_was_given_up_is_passed_over() {
        let end = HEADER + FRAME;
        let refused = file(1, 0, &[0, 0]);
        let mut headless = file(2, end, &[]);
        headless[20] ^= 1;
        let noise = vec![0xa5; 500];
        for given_up in [file(2, end, &[]), headless, noise.clone(), Vec::new(), vec![0; 500]] {
            let last = file(3, end, &[end]);
            let files = [(1, refused.clone()), (2, given_up), (3, last)];
            assert_eq!(follow(&files), Ok((2, None)));
        }
        // Not so when it holds what the log lacks.
        let lacking = |claim| {
            let last = file(3, end + HEADER + FRAME, &[claim]);
            [(1, file(1, 0, &[0])), (2, noise.clone()), (3, last)]
        };
        assert_eq!(follow(&lacking(end)), Ok((1, Some(end))));
        let text = follow(&lacking(end + 1)).expect_err("durable");
        assert!(text.contains("2.log at offset 0"), "{text}");
    }

    #[test]
    fn the_first_file_must_have_its_header() {
        let intact = || file(1, 0, &[0, 0]);
        let mut damaged = intact();
        damaged[20] ^= 1;
        let begins_elsewhere = file(1, 1, &[0]);
        for first in [damaged, begins_elsewhere, Vec::new(), vec![0; 500], vec![0xa5; 500]] {
            // Also where the next file begins at the same position.
            for files in [vec![(1, first.clone())], vec![(1, first), (2, file(2, 0, &[0]))]] {
                let text = follow(&files).expect_err("durable");
                assert!(text.contains("1.log at offset 0"), "{text}");
            }
        }
        assert_eq!(follow(&[(1, intact())]), Ok((2, None)));
    }

    #[test]
    fn a_lost_header_is_cut_unless_its_frames_claim_more() {
        let one = HEADER + FRAME;
        let headless = |claim| {
            let mut bytes = file(2, one, &[claim]);
            bytes[20] ^= 1;
            [(1, file(1, 0, &[0])), (2, bytes)]
        };
        assert_eq!(follow(&headless(one)), Ok((1, Some(one))));
        assert!(follow(&headless(one + HEADER)).is_err());
    }
}
