//! What a transaction is to write: of each key, the last word.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;
use std::time::Duration;

/// What is to become of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// It gets this value, for this long from the commit on, if not for ever.
    Set(Vec<u8>, Option<Duration>),
    /// It goes.
    Delete,
}

/// The writes of one transaction, in order of their keys.
#[derive(Debug, Default)]
pub struct Writes {
    by_key: BTreeMap<Vec<u8>, Write>,
}

impl Writes {
    /// Notes `write` of `key`, in place of what was noted of it before.
    pub fn put(&mut self, key: &[u8], write: Write) {
        match self.by_key.get_mut(key) {
            Some(noted) => *noted = write,
            None => drop(self.by_key.insert(key.to_vec(), write)),
        }
    }

    /// What is noted of `key`.
    pub fn get(&self, key: &[u8]) -> Option<&Write> {
        self.by_key.get(key)
    }

    /// Keys that are written.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Those at or above `low` and below `high` (`None`: to the end).
    pub fn range(&self, low: &[u8], high: Option<&[u8]>) -> btree_map::Range<'_, Vec<u8>, Write> {
        // A map panics where ends cross.
        let high = match high {
            Some(high) => Bound::Excluded(high.max(low)),
            None => Bound::Unbounded,
        };
        self.by_key.range::<[u8], _>((Bound::Included(low), high))
    }
}

impl IntoIterator for Writes {
    type Item = (Vec<u8>, Write);
    type IntoIter = btree_map::IntoIter<Vec<u8>, Write>;

    fn into_iter(self) -> Self::IntoIter {
        self.by_key.into_iter()
    }
}
