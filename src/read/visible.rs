//! From entries to what a reader sees: one version a key, none that is deleted or expired.

use super::source::Source;
use crate::error::Result;
use crate::format::{EntryKind, EntryRef, SeqNo};
use crate::iter::{Cursor, Merge};
use crate::store::Store;

/// So many entries of one key are passed one by one; behind them the merge
/// seeks. A seek costs about as much as some steps; a key that was overwritten
/// a million times under a snapshot would cost a million.
const VERSIONS_PASSED_MAX: usize = 8;

/// What a scan asks of each key that it passes.
pub trait Limit {
    /// True when the scan is not to give out this key or any after it (in
    /// its direction).
    fn ends_at(&self, key: &[u8]) -> bool;
}

/// Walks forwards.
#[derive(Debug)]
pub struct Forward {
    merge: Merge<Source>,
    seq: SeqNo,
    /// The key of which the newest visible version has been seen, and whether there is one.
    passed: Vec<u8>,
    has_passed: bool,
}

impl Forward {
    /// Over `merge`, which stands on the first entry.
    pub fn new(merge: Merge<Source>, seq: SeqNo) -> Self {
        Forward { merge, seq, passed: Vec::new(), has_passed: false }
    }

    /// The last key that was given out or passed over.
    pub fn passed(&self) -> Option<&[u8]> {
        self.has_passed.then_some(self.passed.as_slice())
    }

    /// What `see` makes of the next visible entry: of its key and its value.
    pub fn next<R>(
        &mut self,
        store: &Store,
        limit: &impl Limit,
        see: impl FnOnce(&[u8], &[u8]) -> R,
    ) -> Result<Option<R>> {
        let mut hidden = 0;
        while let Some(entry) = self.merge.entry() {
            let is_older = self.has_passed && entry.key == self.passed;
            if is_older || entry.seq > self.seq {
                hidden += 1;
                if hidden > VERSIONS_PASSED_MAX {
                    hidden = 0;
                    self.pass_versions(is_older)?;
                } else {
                    self.merge.next()?;
                }
                continue;
            }
            if limit.ends_at(entry.key) {
                return Ok(None);
            }
            hidden = 0;
            self.passed.clear();
            self.passed.extend_from_slice(entry.key);
            self.has_passed = true;
            if let Some(value) = alive(entry, store) {
                let seen = see(entry.key, value);
                self.merge.next()?;
                return Ok(Some(seen));
            }
            self.merge.next()?;
        }
        Ok(None)
    }

    /// Seeks past the versions of the key it stands on that are hidden: older
    /// ones than one that was seen, or such as are too new.
    fn pass_versions(&mut self, is_older: bool) -> Result<()> {
        let Some(entry) = self.merge.entry() else { return Ok(()) };
        let key = entry.key.to_vec();
        // No entry has the number 0: it is behind all versions.
        self.merge.seek(&key, if is_older { SeqNo::ZERO } else { self.seq })
    }
}

/// Walks backwards: versions of a key come oldest first, so the last one at or
/// below the sequence number counts, and is kept until the key changes.
#[derive(Debug)]
pub struct Backward {
    merge: Merge<Source>,
    seq: SeqNo,
    key: Vec<u8>,
    has_key: bool,
    payload: Vec<u8>,
}

impl Backward {
    /// Over `merge`, which stands on the last entry.
    pub fn new(merge: Merge<Source>, seq: SeqNo) -> Self {
        Backward { merge, seq, key: Vec::new(), has_key: false, payload: Vec::new() }
    }

    /// The last key that was given out or passed over.
    pub fn passed(&self) -> Option<&[u8]> {
        self.has_key.then_some(self.key.as_slice())
    }

    /// What `see` makes of the next visible entry towards the front: of its key and its value.
    pub fn next<R>(
        &mut self,
        store: &Store,
        limit: &impl Limit,
        see: impl FnOnce(&[u8], &[u8]) -> R,
    ) -> Result<Option<R>> {
        loop {
            let Some(entry) = self.merge.entry() else { return Ok(None) };
            if limit.ends_at(entry.key) {
                return Ok(None);
            }
            self.key.clear();
            self.key.extend_from_slice(entry.key);
            self.has_key = true;
            let Some((seq, kind)) = self.newest_of_key()? else { continue };
            let entry = EntryRef { key: &self.key, seq, kind, payload: &self.payload };
            if let Some(value) = alive(entry, store) {
                return Ok(Some(see(&self.key, value)));
            }
        }
    }

    /// Passes all versions of `key`. Of the newest that is visible, if there is
    /// one, the payload is in `payload` afterwards.
    fn newest_of_key(&mut self) -> Result<Option<(SeqNo, EntryKind)>> {
        let mut newest: Option<(SeqNo, EntryKind)> = None;
        let mut versions = 0;
        while let Some(entry) = self.merge.entry().filter(|entry| entry.key == self.key) {
            // What comes after one that is too new is newer still.
            versions += if entry.seq <= self.seq { 1 } else { VERSIONS_PASSED_MAX + 1 };
            if versions > VERSIONS_PASSED_MAX {
                return self.seek_newest_of_key();
            }
            newest = Some((entry.seq, entry.kind));
            self.payload.clear();
            self.payload.extend_from_slice(entry.payload);
            self.merge.prev()?;
        }
        Ok(newest)
    }

    fn seek_newest_of_key(&mut self) -> Result<Option<(SeqNo, EntryKind)>> {
        self.merge.seek(&self.key, self.seq)?;
        let newest = self.merge.entry().filter(|entry| entry.key == self.key).map(|entry| {
            self.payload.clear();
            self.payload.extend_from_slice(entry.payload);
            (entry.seq, entry.kind)
        });
        self.merge.seek_before(&self.key, SeqNo::MAX)?;
        Ok(newest)
    }
}

/// The value of an entry that is neither a tombstone nor expired.
#[inline]
fn alive<'a>(entry: EntryRef<'a>, store: &Store) -> Option<&'a [u8]> {
    match entry.value()? {
        (Some(expires_at_ms), _) if store.is_expired(expires_at_ms) => None,
        (_, value) => Some(value),
    }
}
