//! The state that the edits of a manifest add up to.

use crate::format::{
    BackupRef, LEVELS, Level, LogId, SegmentId, SegmentMeta, SeqNo, TableId, TableMeta,
};
use std::collections::BTreeMap;

/// One change of the state. Fields that are `None` or empty change nothing.
///
/// See the example of [`State`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// The first log file whose records are not all in tables.
    pub log_min: Option<LogId>,
    /// The log position at which that file begins.
    pub log_base: Option<u64>,
    /// How often the database has been opened. Part of the identity of log
    /// files, so that what an earlier run left on the disk is never read as
    /// part of a file that happens to have the same number.
    pub opens: Option<u64>,
    /// No file has this number or a larger one.
    pub next_file: Option<u64>,
    /// Every sequence number in the tables is at most this.
    pub last_seq: Option<SeqNo>,
    /// Everything that expires by then has been seen expired.
    pub expiry_floor_ms: Option<u64>,
    /// Tables that are now part of the database, with their level.
    pub added: Vec<(Level, TableMeta)>,
    /// Tables that are no longer.
    pub removed: Vec<TableId>,
    /// Segments of the value log that are new, or stand in another file now.
    pub segments: Vec<SegmentMeta>,
    /// Segments that are no longer.
    pub segments_removed: Vec<SegmentId>,
    /// The backups upon which increments can follow, the oldest first, in place of those before: what is
    /// deleted after the first of them leaves a trace.
    pub followed: Option<Vec<BackupRef>>,
    /// The run that wrote it ended in order after this: all is in tables, and the log is empty.
    pub is_closed: bool,
}

/// Which files make up the database.
///
/// ```
/// use esker::fuzzing::{Edit, SeqNo, State, TableId};
/// let mut state = State::empty();
/// state.apply(&Edit { next_file: Some(4), last_seq: Some(SeqNo(9)), ..Edit::default() })?;
/// assert_eq!((state.next_file, state.last_seq), (4, SeqNo(9)));
///
/// let mut again = State::empty();
/// again.apply(&state.as_edit())?;
/// assert_eq!(again, state);
/// // What is not there cannot be removed.
/// assert!(again.apply(&Edit { removed: vec![TableId(1)], ..Edit::default() }).is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// As in [`Edit`].
    pub log_min: LogId,
    /// As in [`Edit`].
    pub log_base: u64,
    /// As in [`Edit`].
    pub opens: u64,
    /// As in [`Edit`].
    pub next_file: u64,
    /// As in [`Edit`].
    pub last_seq: SeqNo,
    /// As in [`Edit`].
    pub expiry_floor_ms: u64,
    /// The tables, with their level.
    pub tables: BTreeMap<TableId, (Level, TableMeta)>,
    /// The segments of the value log.
    pub segments: BTreeMap<SegmentId, SegmentMeta>,
    /// As in [`Edit`].
    pub followed: Vec<BackupRef>,
}

impl State {
    /// The state before any edit.
    ///
    /// See the example of [`State`].
    #[must_use]
    pub fn empty() -> Self {
        State {
            log_min: LogId(0),
            log_base: 0,
            opens: 0,
            next_file: 1,
            last_seq: SeqNo::ZERO,
            expiry_floor_ms: 0,
            tables: BTreeMap::new(),
            segments: BTreeMap::new(),
            followed: Vec::new(),
        }
    }

    /// Applies `edit`. `Err` says what in it does not fit; then the state is
    /// not to be used further.
    ///
    /// See the example of [`State`].
    ///
    /// # Errors
    /// A table added twice, or one removed that is not there; one that is newer
    /// than the last sequence number or the last file; two of a level below 0
    /// with a key in common; a segment in a file that is not made yet, or in a log that is still
    /// to be replayed, or one removed that is not there.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), String> {
        self.log_min = self.log_min.max(edit.log_min.unwrap_or(self.log_min));
        self.log_base = edit.log_base.unwrap_or(self.log_base);
        self.opens = self.opens.max(edit.opens.unwrap_or(0));
        self.next_file = self.next_file.max(edit.next_file.unwrap_or(0));
        self.last_seq = self.last_seq.max(edit.last_seq.unwrap_or_default());
        self.expiry_floor_ms = self.expiry_floor_ms.max(edit.expiry_floor_ms.unwrap_or(0));
        if let Some(followed) = &edit.followed {
            self.followed.clone_from(followed);
        }
        for id in &edit.removed {
            if self.tables.remove(id).is_none() {
                return Err(format!("table {id} is removed but was never added"));
            }
        }
        for (level, meta) in &edit.added {
            // What it holds would not be visible.
            if meta.properties.largest_seq > self.last_seq {
                let (seq, last_seq) = (meta.properties.largest_seq, self.last_seq);
                return Err(format!("table {} goes up to {seq}, all up to {last_seq}", meta.id));
            }
            // The number of its file would be given out again.
            if meta.id.0 >= self.next_file {
                return Err(format!("table {} is not below {}", meta.id, self.next_file));
            }
            if self.tables.insert(meta.id, (*level, meta.clone())).is_some() {
                return Err(format!("table {} is added twice", meta.id));
            }
        }
        self.apply_segments(edit)?;
        self.check_order(edit)
    }

    fn apply_segments(&mut self, edit: &Edit) -> Result<(), String> {
        for meta in &edit.segments {
            let number = meta.moved_to.map_or(meta.id.0, |file| file.0);
            if number >= self.next_file {
                return Err(format!("segment {} is in {number}, not made yet", meta.id));
            }
            if meta.moved_to.is_none() && meta.id.0 >= self.log_min.0 {
                return Err(format!("segment {} is a log that is to be replayed", meta.id));
            }
            self.segments.insert(meta.id, meta.clone());
        }
        for id in &edit.segments_removed {
            if self.segments.remove(id).is_none() {
                return Err(format!("segment {id} is removed but was never added"));
            }
        }
        Ok(())
    }

    /// That the tables of each level to which `edit` adds do not overlap; those of level 0 may.
    fn check_order(&self, edit: &Edit) -> Result<(), String> {
        let mut touched = [false; LEVELS];
        for (level, _) in edit.added.iter().filter(|(level, _)| *level != Level::ZERO) {
            touched[level.index()] = true;
        }
        for level in Level::all().filter(|level| touched[level.index()]) {
            let mut metas: Vec<&TableMeta> =
                self.tables.values().filter(|(l, _)| *l == level).map(|(_, meta)| meta).collect();
            metas.sort_by(|a, b| a.smallest_key().cmp(b.smallest_key()));
            for pair in metas.windows(2) {
                if let [a, b] = pair
                    && a.largest_key() >= b.smallest_key()
                {
                    return Err(format!("tables {} and {} of {level} overlap", a.id, b.id));
                }
            }
        }
        Ok(())
    }

    /// The edit that makes this state out of the empty one.
    ///
    /// See the example of [`State`].
    #[must_use]
    pub fn as_edit(&self) -> Edit {
        Edit {
            log_min: Some(self.log_min),
            log_base: Some(self.log_base),
            opens: Some(self.opens),
            next_file: Some(self.next_file),
            last_seq: Some(self.last_seq),
            expiry_floor_ms: Some(self.expiry_floor_ms),
            added: self.tables.values().cloned().collect(),
            removed: Vec::new(),
            segments: self.segments.values().cloned().collect(),
            segments_removed: Vec::new(),
            followed: (!self.followed.is_empty()).then(|| self.followed.clone()),
            is_closed: false,
        }
    }
}
