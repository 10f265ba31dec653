//! Which records of the log count: the chain of positions through its files.
//!
//! A pure decision over files in memory, one at a time; see `DESIGN.md`, "The log".

use crate::error::{Error, Result};
use crate::format::{Frame, LogId};
use crate::wal::{LogFile, format::LogHeader};
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
    broken: Option<Break>,
}

impl Chain {
    /// The first file must begin at `base`.
    #[must_use]
    pub fn new(base: u64) -> Self {
        Chain { expected: base, broken: None }
    }

    /// Where the log broke off, if it did.
    #[must_use]
    pub fn broken(&self) -> Option<&Break> {
        self.broken.as_ref()
    }

    /// Takes the next file, whose successor has the header `next` (`None`
    /// without a successor, or when its header is not intact), and calls
    /// `replay` with each frame that counts.
    ///
    /// # Errors
    /// [`Error::Corruption`] when a record that had been durable is damaged or
    /// missing; what `replay` returns.
    pub fn follow<'a>(
        &mut self,
        file: &'a LogFile,
        next: Option<LogHeader>,
        mut replay: impl FnMut(Frame<'a>) -> Result<()>,
    ) -> Result<()> {
        if let Some(broken) = &mut self.broken {
            broken.dropped_bytes += file.record_bytes();
            return self.check_claim(file.claim());
        }
        let Some(header) = file.header.filter(|header| header.base == self.expected) else {
            let dropped_bytes = file.record_bytes();
            return self.break_off(file, 0, dropped_bytes, file.claim());
        };
        // The next file says where this one ended: what a failed write may
        // have left after that was refused.
        let limit = next
            .filter(|next| next.base >= header.base)
            .map_or(u64::MAX, |next| next.base - header.base);
        for frame in file.frames(limit) {
            replay(frame)?;
        }
        let end = file.end(limit);
        self.expected = header.base + end.offset;
        let ends_early = limit != u64::MAX && end.offset != limit;
        if ends_early || end.dropped_bytes > 0 {
            return self.break_off(file, end.offset, end.dropped_bytes, end.claim);
        }
        Ok(())
    }

    fn break_off(
        &mut self,
        file: &LogFile,
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

/// The numbers of the log files that recovery reads: those from `log_min` on, in order.
#[must_use]
pub fn files_to_read(mut logs: Vec<LogId>, log_min: LogId) -> Vec<LogId> {
    logs.retain(|&id| id >= log_min);
    logs.sort_unstable();
    logs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{DatabaseId, FramePlace, crc, put_frame};
    use crate::wal::format::HEADER_SIZE;

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
        let files: Vec<LogFile> = files
            .iter()
            .map(|(id, bytes)| {
                let path = format!("{id}.log").into();
                LogFile::new(path, DB, LogId(*id), bytes.clone()).expect("this version")
            })
            .collect();
        let mut chain = Chain::new(0);
        let mut frames = 0;
        for (i, file) in files.iter().enumerate() {
            let next = files.get(i + 1).and_then(|next| next.header);
            chain
                .follow(file, next, |_| {
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

    #[test]
    fn a_refused_frame_after_the_sealed_end_is_not_read() {
        // The second frame was refused; the next file begins where the first ended.
        let files = [(1, file(1, 0, &[0, 0])), (2, file(2, HEADER + FRAME, &[0]))];
        assert_eq!(follow(&files), Ok((2, None)));
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
