//! The log, as far as it can be had.
//!
//! Where a normal open takes it, it is taken as there, a torn tail cut off. Where a record is damaged or
//! missing that had been durable, what comes before it is a prefix of the commits, and safe. A
//! commit behind it is whole, and of its keys the newest: it is taken, too. What the damaged
//! record itself had is lost; of keys that can still be read in it no older version is shown. So what comes of it
//! is all commits but those lost. (To end with the prefix would bring back what intact commits behind the damage
//! are known to have deleted.)

use super::lost::LostRange;
use super::salvage::Damage;
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::frame::FRAME_HEADER_SIZE;
use crate::format::{FileKind, LogId, SeqNo};
use crate::manifest::State;
use crate::recovery::batch::check_batch;
use crate::recovery::{Chain, Replay, logs_to_read};
use crate::store::log_identity;
use crate::wal::format::{HEADER_SIZE, LogHeader};
use crate::wal::{LogFile, LogStream, Op, OpReader, Piece, read_log, read_log_header};
use std::collections::BTreeSet;

/// The log files that count, with what their headers say.
struct Logs<'a> {
    replay: &'a mut Replay,
    state: &'a State,
    ids: Vec<LogId>,
    headers: Vec<Option<LogHeader>>,
}

/// Takes what can be had of the log into `replay`; what is lost goes into `damage`.
///
/// # Errors
/// [`Error::Io`]; [`Error::UnsupportedFormat`].
pub fn replay(
    replay: &mut Replay,
    state: &State,
    files: &BTreeSet<FileKind>,
    damage: &mut Damage<'_>,
) -> Result<()> {
    let ids = logs_to_read(files, state.log_min, replay.store.home.next_file());
    let mut logs = Logs { replay, state, ids, headers: Vec::new() };
    logs.headers = logs.ids.iter().map(|&id| logs.header(id)).collect::<Result<_>>()?;
    let is_complete = logs.ids.first() == Some(&state.log_min);
    match if is_complete { logs.follow(false) } else { Ok(None) } {
        Ok(Some(chain)) => {
            logs.follow(true)?;
            if let Some(broken) = chain.broken() {
                let cut = (broken.path.clone(), broken.offset, broken.dropped_bytes);
                damage.report.log_cut_at = Some(cut);
            }
            Ok(())
        }
        Ok(None) | Err(Error::Corruption { .. }) => logs.salvage(is_complete, damage),
        Err(e) => Err(e),
    }
}

impl Logs<'_> {
    fn header(&self, id: LogId) -> Result<Option<LogHeader>> {
        let home = &self.replay.store.home;
        let identity = log_identity(home.database, self.state.opens);
        read_log_header(home.fs.as_ref(), &home.dir, identity, id)
    }

    fn read(&self, id: LogId) -> Result<LogFile> {
        let home = &self.replay.store.home;
        let identity = log_identity(home.database, self.state.opens);
        read_log(home.fs.as_ref(), &home.dir, identity, id)
    }

    fn stream(&self, id: LogId) -> Result<LogStream> {
        let home = &self.replay.store.home;
        let identity = log_identity(home.database, self.state.opens);
        LogStream::open(home.fs.as_ref(), &home.dir, identity, id)
    }

    /// Follows the log by the rules of a normal open; `takes`: and takes the records.
    fn follow(&mut self, takes: bool) -> Result<Option<Chain>> {
        let mut chain = Chain::new(self.state.log_base);
        let mut last_seq = self.replay.last_seq;
        let threshold = self.replay.store.options.value_threshold;
        for (i, &id) in (1..).zip(&self.ids) {
            let file = self.stream(id)?;
            self.replay.begin(id);
            let begins = chain.expected();
            chain.follow(&file, &self.headers[i..], |frame| {
                last_seq = check_batch(&frame, &file.path, last_seq, threshold)?.last_seq;
                if takes { self.replay.replay_frame((&file).into(), &frame) } else { Ok(()) }
            })?;
            self.replay.seal(id, (begins, chain.expected()));
        }
        Ok(Some(chain))
    }

    /// Takes what is intact, on both sides of what is not.
    fn salvage(&mut self, is_complete: bool, damage: &mut Damage<'_>) -> Result<()> {
        if !is_complete {
            let path = self.replay.store.home.path(FileKind::Log(self.state.log_min));
            let detail = "the manifest names this log, but it is missing";
            damage.lose(&Error::corruption(&path, 0, detail), None, None);
        }
        let mut claims = Vec::with_capacity(self.ids.len());
        for &id in &self.ids {
            claims.push(self.stream(id)?.claim()?);
        }
        let mut expected = self.state.log_base;
        for (i, id) in self.ids.clone().into_iter().enumerate() {
            let later = self.headers.get(i + 1..).unwrap_or_default().to_vec();
            let behind = claims.get(i + 1..).unwrap_or_default().iter().copied().max().flatten();
            let file = self.read(id)?;
            let is_first = i == 0 && is_complete;
            let is_given_up = later.iter().flatten().any(|next| next.base == expected);
            let is_blank = file.header.is_none() && file.record_bytes() == 0;
            if !is_first && (is_given_up || is_blank) {
                continue;
            }
            let base = file.header.map_or(expected, |header| header.base);
            if !self.check_begin(&file, expected, behind.max(claims[i]), damage) {
                return Ok(());
            }
            let ends = later.iter().flatten().filter_map(|next| next.base.checked_sub(base));
            let limit = ends.filter(|&end| end >= to_u64(HEADER_SIZE)).min().unwrap_or(u64::MAX);
            match self.take(&file, base, limit, behind, damage)? {
                Some(end) => expected = base + end,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Says what is missing before the records of `file`; false: nothing from there on counts.
    fn check_begin(
        &self,
        file: &LogFile,
        expected: u64,
        claim: Option<u64>,
        damage: &mut Damage<'_>,
    ) -> bool {
        let detail = match file.header {
            Some(header) if header.base == expected => return true,
            Some(header) => {
                format!("the log before this file is missing, from {expected} to {}", header.base)
            }
            None => "the header is damaged, or of another file".to_owned(),
        };
        let is_durable = claim.is_some_and(|claim| claim > expected);
        if is_durable || file.id == self.state.log_min {
            damage.lose(&Error::corruption(&file.path, 0, detail), None, None);
            return true;
        }
        damage.report.log_cut_at = Some((file.path.clone(), 0, file.record_bytes()));
        false
    }

    /// Takes the records of one file; gives where it ends, or `None` where the log does.
    fn take(
        &mut self,
        file: &LogFile,
        base: u64,
        limit: u64,
        behind: Option<u64>,
        damage: &mut Damage<'_>,
    ) -> Result<Option<u64>> {
        self.replay.begin(file.id);
        let mut end_at = to_u64(HEADER_SIZE);
        for piece in file.pieces(limit) {
            match piece {
                Piece::Record(frame) => {
                    end_at = frame.offset + to_u64(FRAME_HEADER_SIZE + frame.body.len());
                    match self.replay.replay_frame(file.into(), &frame) {
                        Err(e @ Error::Corruption { .. }) => damage.lose(&e, None, None),
                        taken => taken?,
                    }
                }
                Piece::Hole { offset, end, body, next_sequence, claim } => {
                    if claim.max(behind).is_none_or(|claim| claim <= base + offset) {
                        damage.report.log_cut_at = Some((file.path.clone(), offset, end - offset));
                        self.replay.seal(file.id, (base, base + offset));
                        return Ok(None);
                    }
                    end_at = end;
                    self.lose(file, offset..end, body, next_sequence, damage);
                }
            }
        }
        self.replay.seal(file.id, (base, base + end_at));
        Ok(Some(end_at))
    }

    /// Notes damaged records at `range`, and hides what is older of the keys in them.
    fn lose(
        &self,
        file: &LogFile,
        range: std::ops::Range<u64>,
        body: &[u8],
        next_sequence: Option<u64>,
        damage: &mut Damage<'_>,
    ) {
        let mut detail = "a damaged record that had been durable".to_owned();
        if let Some(next) = next_sequence {
            let (from, to) = (self.replay.last_seq.0 + 1, next.saturating_sub(1));
            detail =
                format!("{detail}; with operations {from} to {to}, counted from the first ever");
        }
        let error = Error::corruption(&file.path, range.start, detail);
        damage.lose(&error, Some(range.end - range.start), None);
        let largest_seq = next_sequence.map_or(SeqNo::MAX, |next| SeqNo(next.saturating_sub(1)));
        for op in OpReader::new(body, SeqNo(1)).map_while(|op| op) {
            if let Op::Entry(entry) | Op::Compressed(entry) = op {
                damage.lost.push(LostRange::of_key(entry.key, 0, largest_seq));
            }
        }
    }
}
