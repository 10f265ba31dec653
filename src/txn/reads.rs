//! What a transaction has read so far.

use crate::read::{Bounds, successor};
use crate::store::Store;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Which walk of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkId(usize);

/// A range, and how far it was walked from either end.
#[derive(Debug)]
struct Walk {
    low: Vec<u8>,
    high: Option<Vec<u8>>,
    /// The last key that came from the front.
    front: Option<Vec<u8>>,
    /// The last key that came from the back.
    back: Option<Vec<u8>>,
    /// The ends have met.
    is_whole: bool,
}

/// The keys and the parts of ranges that were read.
#[derive(Debug, Default)]
pub struct Reads {
    keys: BTreeSet<Vec<u8>>,
    walks: Vec<Walk>,
    /// As long as it has read.
    presence: Option<Presence>,
}

/// An open transaction has read: leaders note what is committed.
#[derive(Debug)]
pub struct Presence {
    store: Arc<Store>,
}

impl Presence {
    fn new(store: &Arc<Store>) -> Self {
        store.transactions.enter();
        Presence { store: Arc::clone(store) }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.store.transactions.leave();
    }
}

/// Keys at or above the first and below the second; `None`: up to the last.
pub type HalfOpen = (Vec<u8>, Option<Vec<u8>>);

impl Reads {
    /// `key` is read from `store`.
    pub fn add_key(&mut self, store: &Arc<Store>, key: &[u8]) {
        self.presence.get_or_insert_with(|| Presence::new(store));
        if !self.keys.contains(key) {
            self.keys.insert(key.to_vec());
        }
    }

    /// A range of `store` is about to be walked; as yet nothing of it counts.
    pub fn begin_walk(&mut self, store: &Arc<Store>, bounds: &Bounds) -> WalkId {
        self.presence.get_or_insert_with(|| Presence::new(store));
        let (low, high) = bounds.to_half_open();
        self.walks.push(Walk { low, high, front: None, back: None, is_whole: false });
        WalkId(self.walks.len() - 1)
    }

    /// `key` is given out from the front.
    pub fn walk_front(&mut self, id: WalkId, key: &[u8]) {
        copy(&mut self.walks[id.0].front, key);
    }

    /// `key` is given out from the back.
    pub fn walk_back(&mut self, id: WalkId, key: &[u8]) {
        copy(&mut self.walks[id.0].back, key);
    }

    /// There is nothing more in it.
    pub fn end_walk(&mut self, id: WalkId) {
        self.walks[id.0].is_whole = true;
    }

    /// The keys in order; the parts of ranges in order, of which no two overlap or touch; and what
    /// keeps notes being taken.
    pub fn into_parts(self) -> (Vec<Vec<u8>>, Vec<HalfOpen>, Option<Presence>) {
        let mut parts: Vec<HalfOpen> = self.walks.iter().flat_map(Walk::parts).collect();
        parts.sort_unstable();
        let mut merged: Vec<HalfOpen> = Vec::new();
        for (low, high) in parts {
            match merged.last_mut() {
                Some((_, None)) => break, // It has all that follows.
                Some((_, Some(last))) if low <= *last => match high {
                    Some(high) if high > *last => *last = high,
                    Some(_) => {}
                    None => merged.last_mut().expect("just seen").1 = None,
                },
                _ => merged.push((low, high)),
            }
        }
        (self.keys.into_iter().collect(), merged, self.presence)
    }
}

impl Walk {
    /// What of it counts.
    fn parts(&self) -> impl Iterator<Item = HalfOpen> {
        let whole = self.is_whole.then(|| (self.low.clone(), self.high.clone()));
        let ends = (!self.is_whole).then(|| {
            let front = self.front.as_ref().map(|key| (self.low.clone(), Some(successor(key))));
            let back = self.back.as_ref().map(|key| (key.clone(), self.high.clone()));
            [front, back]
        });
        let parts = whole.into_iter().chain(ends.into_iter().flatten().flatten());
        parts.filter(|(low, high)| high.as_ref().is_none_or(|high| low < high))
    }
}

fn copy(to: &mut Option<Vec<u8>>, key: &[u8]) {
    let to = to.get_or_insert_default();
    to.clear();
    to.extend_from_slice(key);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(low: &str, high: Option<&str>, front: Option<&str>, back: Option<&str>) -> Walk {
        let bytes = |text: &str| text.as_bytes().to_vec();
        Walk {
            low: bytes(low),
            high: high.map(bytes),
            front: front.map(bytes),
            back: back.map(bytes),
            is_whole: false,
        }
    }

    fn merged(walks: Vec<Walk>) -> String {
        let reads = Reads { walks, ..Reads::default() };
        let (_, parts, _) = reads.into_parts();
        let text = |bytes: &Vec<u8>| bytes.escape_ascii().to_string();
        let part = |(low, high): &HalfOpen| {
            format!("{}..{}", text(low), high.as_ref().map_or("end".into(), text))
        };
        parts.iter().map(part).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn of_a_range_counts_what_was_walked() {
        assert_eq!(merged(vec![walk("b", Some("m"), None, None)]), "", "nothing yet");
        assert_eq!(merged(vec![walk("b", Some("m"), Some("d"), None)]), "b..d\\x00");
        assert_eq!(merged(vec![walk("b", None, None, Some("k"))]), "k..end");
        assert_eq!(
            merged(vec![walk("b", Some("m"), Some("d"), Some("k"))]),
            "b..d\\x00 k..m",
            "from both ends"
        );
        let whole = |low, high| Walk { is_whole: true, ..walk(low, high, Some(low), None) };
        assert_eq!(merged(vec![whole("b", Some("m"))]), "b..m");
        assert_eq!(merged(vec![whole("m", Some("b"))]), "", "an empty one");
    }

    #[test]
    fn parts_that_overlap_are_one() {
        let front = |low, key| walk(low, None, Some(key), None);
        assert_eq!(merged(vec![front("d", "f"), front("a", "e")]), "a..f\\x00");
        assert_eq!(merged(vec![front("a", "z"), front("b", "c")]), "a..z\\x00");
        assert_eq!(merged(vec![front("a", "b"), front("d", "e")]), "a..b\\x00 d..e\\x00");
        let to_the_end = || walk("", None, None, Some("c"));
        assert_eq!(merged(vec![front("a", "d"), to_the_end(), front("x", "y")]), "a..end");
        let up_to = walk("a", Some("c"), None, Some("a"));
        assert_eq!(merged(vec![up_to, walk("c", None, Some("d"), None)]), "a..d\\x00", "touching");
    }
}
