//! From entries to what a reader sees: one version a key, none that is deleted or expired.

use crate::error::Result;
use crate::format::{Content, EntryKind, EntryRef, SeqNo};
use crate::iter::{Cursor, Merge};

/// So many entries of one key are passed one by one; behind them the merge
/// seeks. A seek costs about as much as some steps; a key that was overwritten
/// a million times under a snapshot would cost a million.
const VERSIONS_PASSED_MAX: usize = 8;

/// What a scan asks of each key that it passes.
pub trait Limit {
    /// True when the scan is not to give out this key or any after it (in
    /// its direction).
    fn ends_at(&self, key: &[u8]) -> bool;

    /// The same where it did not end at the key before, with which `key` has at least `shared` bytes in common at the
    /// front.
    fn ends_behind(&self, shared: usize, key: &[u8]) -> bool {
        let _ = shared;
        self.ends_at(key)
    }
}

/// Walks forwards.
#[derive(Debug)]
pub struct Forward<C> {
    merge: Merge<C>,
    seq: SeqNo,
    stands_on: StandsOn,
    /// Keys passed over whose newest visible version is dead, since somebody asked.
    dead: usize,
}

/// What is known of the entry that the merge of a walk stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StandsOn {
    /// It was given out last: so its key is at hand without a copy.
    Given,
    /// It is an older version of the key that was given out last.
    OlderVersion,
    /// Nothing yet.
    Unseen,
}

impl<C: Cursor> Forward<C> {
    /// Over `merge`, which stands on the first entry.
    pub fn new(merge: Merge<C>, seq: SeqNo) -> Self {
        Forward { merge, seq, stands_on: StandsOn::Unseen, dead: 0 }
    }

    /// The key that was given out last, until an entry was asked for and there was none.
    pub fn passed(&self) -> Option<&[u8]> {
        self.merge.place().filter(|_| self.stands_on == StandsOn::Given).map(|(key, _)| key)
    }

    /// How many keys it passed over whose newest visible version is deleted or expired, since it was
    /// asked last.
    pub fn take_dead(&mut self) -> usize {
        std::mem::take(&mut self.dead)
    }

    /// Key and value of the next visible entry, where it is at hand and like nearly all are: one that was seen
    /// before stands ahead of it, it has its value itself and does not expire. `None`: [`Forward::next`] is to be asked.
    #[inline(always)]
    pub fn next_at_hand(&mut self, limit: &impl Limit) -> Option<(&[u8], &[u8])> {
        if self.stands_on != StandsOn::Given {
            return None;
        }
        let (EntryRef { key, seq, kind, payload }, moved) = self.merge.next_at_hand()?;
        let is_plain = kind == EntryKind::Set && !moved.is_version && seq <= self.seq;
        if is_plain && !limit.ends_behind(moved.shared, key) {
            return Some((key, payload));
        }
        self.stands_on = if moved.is_version { StandsOn::OlderVersion } else { StandsOn::Unseen };
        None
    }

    /// What `see` makes of the next visible entry: of its key and its value.
    pub fn next<R>(
        &mut self,
        is_expired: impl Fn(u64) -> bool,
        limit: &impl Limit,
        see: impl FnOnce(&[u8], Content<'_>) -> R,
    ) -> Result<Option<R>> {
        // Of the key it stands on the newest visible version has been seen.
        let mut is_older = match std::mem::replace(&mut self.stands_on, StandsOn::Unseen) {
            StandsOn::Given => self.merge.next()?.is_version,
            StandsOn::OlderVersion => true,
            StandsOn::Unseen => false,
        };
        let mut hidden = 0;
        while let Some(entry) = self.merge.entry() {
            if is_older || entry.seq > self.seq {
                hidden += 1;
                if hidden > VERSIONS_PASSED_MAX {
                    self.pass_versions(is_older)?;
                    (hidden, is_older) = (0, false);
                } else {
                    is_older &= self.merge.next()?.is_version;
                }
                continue;
            }
            if limit.ends_at(entry.key) {
                return Ok(None);
            }
            if let Some(value) = alive(entry, &is_expired) {
                // Before `see`, which may panic: who catches that and goes on is not to
                // come to what was given out before, from the other end.
                self.stands_on = StandsOn::Given;
                return Ok(Some(see(entry.key, value)));
            }
            self.dead += 1;
            hidden = 0;
            is_older = self.merge.next()?.is_version;
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
pub struct Backward<C> {
    merge: Merge<C>,
    seq: SeqNo,
    key: Vec<u8>,
    has_key: bool,
    payload: Vec<u8>,
    /// As of [`Forward`].
    dead: usize,
}

impl<C: Cursor> Backward<C> {
    /// Over `merge`, which stands on the last entry.
    pub fn new(merge: Merge<C>, seq: SeqNo) -> Self {
        Backward { merge, seq, key: Vec::new(), has_key: false, payload: Vec::new(), dead: 0 }
    }

    /// The last key that was given out or passed over.
    pub fn passed(&self) -> Option<&[u8]> {
        self.has_key.then_some(self.key.as_slice())
    }

    /// As [`Forward::take_dead`].
    pub fn take_dead(&mut self) -> usize {
        std::mem::take(&mut self.dead)
    }

    /// What `see` makes of the next visible entry towards the front: of its key and its value.
    pub fn next<R>(
        &mut self,
        is_expired: impl Fn(u64) -> bool,
        limit: &impl Limit,
        see: impl FnOnce(&[u8], Content<'_>) -> R,
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
            if let Some(value) = alive(entry, &is_expired) {
                return Ok(Some(see(&self.key, value)));
            }
            self.dead += 1;
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
fn alive<'a>(entry: EntryRef<'a>, is_expired: impl Fn(u64) -> bool) -> Option<Content<'a>> {
    match entry.value()? {
        (Some(expires_at_ms), _) if is_expired(expires_at_ms) => None,
        (_, value) => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iter::Moved;
    use crate::iter::testing::Run;
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    /// A run that counts how often it is moved.
    #[derive(Debug)]
    struct Counted {
        run: Run,
        moves: Rc<Cell<usize>>,
    }

    impl Counted {
        fn moved<R>(&mut self, to: impl FnOnce(&mut Run) -> Result<R>) -> Result<R> {
            self.moves.set(self.moves.get() + 1);
            to(&mut self.run)
        }
    }

    impl Cursor for Counted {
        fn entry(&self) -> Option<EntryRef<'_>> {
            self.run.entry()
        }
        fn seek_first(&mut self) -> Result<()> {
            self.moved(Run::seek_first)
        }
        fn seek_last(&mut self) -> Result<()> {
            self.moved(Run::seek_last)
        }
        fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
            self.moved(|run| run.seek(key, seq))
        }
        fn seek_before(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
            self.moved(|run| run.seek_before(key, seq))
        }
        fn next(&mut self) -> Result<Moved> {
            self.moved(Run::next)
        }
        fn next_at_hand(&mut self) -> Option<(EntryRef<'_>, Moved)> {
            let at_hand = self.run.next_at_hand()?;
            self.moves.set(self.moves.get() + 1);
            Some(at_hand)
        }
        fn prev(&mut self) -> Result<()> {
            self.moved(Run::prev)
        }
    }

    struct NoLimit;

    impl Limit for NoLimit {
        fn ends_at(&self, _: &[u8]) -> bool {
            false
        }
    }

    type Entries = Vec<(Vec<u8>, SeqNo)>;

    /// The next key, as a scan comes to it.
    fn next(forward: &mut Forward<impl Cursor>, limit: &impl Limit) -> Option<Vec<u8>> {
        if let Some((key, _)) = forward.next_at_hand(limit) {
            return Some(key.to_vec());
        }
        forward.next(|_| false, limit, |key, _| key.to_vec()).expect("in memory")
    }

    /// The keys that a read at `seq` sees in `runs`, forwards and backwards, and
    /// how many moves of the runs each took.
    fn seen(runs: &[Entries], seq: u64) -> [(Vec<Vec<u8>>, usize); 2] {
        let merge = || {
            let moves = Rc::new(Cell::new(0));
            let counted =
                |run: &Entries| Counted { run: Run::new(run.clone()), moves: Rc::clone(&moves) };
            (Merge::new(runs.iter().map(counted).collect()), Rc::clone(&moves))
        };
        let never = |_: u64| false;
        let (mut forwards, forward_moves) = merge();
        forwards.seek_first().expect("in memory");
        let mut forwards = Forward::new(forwards, SeqNo(seq));
        let up: Vec<_> = std::iter::from_fn(|| next(&mut forwards, &NoLimit)).collect();
        let (mut backwards, backward_moves) = merge();
        backwards.seek_last().expect("in memory");
        let mut backwards = Backward::new(backwards, SeqNo(seq));
        let next = || backwards.next(never, &NoLimit, |key, _| key.to_vec()).expect("in memory");
        let down: Vec<_> = std::iter::from_fn(next).collect();
        [(up, forward_moves.get()), (down, backward_moves.get())]
    }

    #[test]
    fn a_key_with_very_many_versions_costs_a_few_moves() {
        let versions = |key: &[u8]| (1..=10_000).map(|n| (key.to_vec(), SeqNo(n))).collect();
        let runs = [versions(b"b"), vec![(b"a".to_vec(), SeqNo(1)), (b"c".to_vec(), SeqNo(1))]];
        // All of them visible, one, about half.
        for seq in [10_000, 1, 5_000] {
            for (keys, moves) in seen(&runs, seq) {
                assert_eq!(keys.len(), 3, "at {seq}");
                assert!(moves < 60, "{moves} moves at {seq}");
            }
        }
    }

    struct Below(u16);

    impl Limit for Below {
        fn ends_at(&self, key: &[u8]) -> bool {
            key >= self.0.to_be_bytes().as_slice()
        }
    }

    #[test]
    fn a_walk_ends_where_its_limit_says() {
        let entries = (0..100_u16).map(|n| (n.to_be_bytes().to_vec(), SeqNo(1))).collect();
        let run = Run::new(entries);
        for end in [0, 1, 50, 99, 100, 200] {
            let mut merge = Merge::new(vec![run.clone()]);
            merge.seek_first().expect("in memory");
            let mut forward = Forward::new(merge, SeqNo(1));
            let mut next = || next(&mut forward, &Below(end));
            let count = std::iter::from_fn(&mut next).count();
            assert_eq!(count, usize::from(end.min(100)));
            assert_eq!(next(), None, "nor does it go on");
        }
    }

    #[test]
    fn keys_with_one_version_cost_one_move_each() {
        let runs = [(0..1000_u16).map(|n| (n.to_be_bytes().to_vec(), SeqNo(1))).collect()];
        for (keys, moves) in seen(&runs, 1) {
            assert_eq!((keys.len(), moves), (1000, 1001));
        }
    }

    proptest! {
        #[test]
        fn each_key_with_a_visible_version_is_seen_once(
            entries in proptest::collection::vec((0..4_u8, 0..3_usize), 0..120),
            seq in 0..121_u64,
        ) {
            let (mut runs, mut first) = (vec![Entries::new(); 3], BTreeMap::new());
            for (n, (key, run)) in (1..).zip(entries) {
                runs[run].push((vec![key], SeqNo(n)));
                first.entry(vec![key]).or_insert(n);
            }
            first.retain(|_, n| *n <= seq);
            let mut want: Vec<Vec<u8>> = first.into_keys().collect();
            let [(up, _), (down, _)] = seen(&runs, seq);
            prop_assert_eq!(&up, &want);
            want.reverse();
            prop_assert_eq!(down, want);
        }
    }
}
