//! From entries to what a reader sees: one version a key, none that is deleted or expired.

use super::source::Source;
use super::value::{Key, Value};
use crate::error::Result;
use crate::format::{EntryKind, EntryRef, SeqNo};
use crate::iter::{Cursor, Merge};
use crate::store::Store;

/// What a step of a scan produced.
pub type Step = Option<(Key, Value)>;

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

    /// The next visible entry; its value stays empty unless `with_value`.
    pub fn next(&mut self, store: &Store, with_value: bool, limit: &impl Limit) -> Result<Step> {
        while let Some(entry) = self.merge.entry() {
            let hidden = entry.seq > self.seq || (self.has_passed && entry.key == self.passed);
            if !hidden {
                if limit.ends_at(entry.key) {
                    return Ok(None);
                }
                self.passed.clear();
                self.passed.extend_from_slice(entry.key);
                self.has_passed = true;
                if let Some(value) = alive(entry, store) {
                    let value = if with_value { Value::copy(value) } else { Value::default() };
                    let found = (Key::copy(entry.key), value);
                    self.merge.next()?;
                    return Ok(Some(found));
                }
            }
            self.merge.next()?;
        }
        Ok(None)
    }
}

/// Walks backwards: versions of a key come oldest first, so the last one at or
/// below the sequence number counts, and is kept until the key changes.
#[derive(Debug)]
pub struct Backward {
    merge: Merge<Source>,
    seq: SeqNo,
    key: Vec<u8>,
    payload: Vec<u8>,
}

impl Backward {
    /// Over `merge`, which stands on the last entry.
    pub fn new(merge: Merge<Source>, seq: SeqNo) -> Self {
        Backward { merge, seq, key: Vec::new(), payload: Vec::new() }
    }

    /// The next visible entry towards the front.
    pub fn next(&mut self, store: &Store, with_value: bool, limit: &impl Limit) -> Result<Step> {
        loop {
            let Some(entry) = self.merge.entry() else { return Ok(None) };
            if limit.ends_at(entry.key) {
                return Ok(None);
            }
            self.key.clear();
            self.key.extend_from_slice(entry.key);
            let mut newest: Option<(SeqNo, EntryKind)> = None;
            while let Some(entry) = self.merge.entry().filter(|entry| entry.key == self.key) {
                if entry.seq <= self.seq {
                    newest = Some((entry.seq, entry.kind));
                    self.payload.clear();
                    self.payload.extend_from_slice(entry.payload);
                }
                self.merge.prev()?;
            }
            let Some((seq, kind)) = newest else { continue };
            let entry = EntryRef { key: &self.key, seq, kind, payload: &self.payload };
            if let Some(value) = alive(entry, store) {
                let value = if with_value { Value::copy(value) } else { Value::default() };
                return Ok(Some((Key::copy(&self.key), value)));
            }
        }
    }
}

/// The value of an entry that is neither a tombstone nor expired.
fn alive<'a>(entry: EntryRef<'a>, store: &Store) -> Option<&'a [u8]> {
    match entry.value()? {
        (Some(expires_at_ms), _) if store.is_expired(expires_at_ms) => None,
        (_, value) => Some(value),
    }
}
