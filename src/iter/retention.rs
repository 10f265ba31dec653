//! Which versions of a key are still needed.

use crate::format::{EntryKind, EntryRef, SeqNo};

/// What becomes of an entry that is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is.
    Keep,
    /// It goes: nobody can see it, or the lack of it.
    Drop,
    /// Its value goes, but it still hides older versions: a tombstone takes its place.
    Bury,
}

/// Decides for one entry after the other of a sorted run, by what snapshots see.
///
/// The snapshots cut the sequence numbers into stripes: from each version of a
/// key in a stripe the same snapshots (or, above the last one, whoever reads from
/// now on) see the key, and of several they see the newest. So the others go.
/// A tombstone of the lowest stripe hides only what goes anyway, unless older
/// versions stand elsewhere.
#[derive(Debug)]
pub struct Retention {
    /// Ascending.
    snapshots: Vec<SeqNo>,
    /// The stripe of the entry that came last; `None` before the first.
    stripe: Option<usize>,
    /// Tombstones of greater numbers stay, though they hide nothing.
    deletes_kept_after: SeqNo,
}

impl Retention {
    /// For readers at `snapshots`, ascending, and at every number from the
    /// largest in the run on.
    #[must_use]
    pub fn new(snapshots: Vec<SeqNo>) -> Self {
        debug_assert!(snapshots.is_sorted());
        let deletes_kept_after = SeqNo::MAX;
        Retention { snapshots, stripe: None, deletes_kept_after }
    }

    /// Keeps tombstones of numbers greater than `seq`, and makes such of what has expired: who asks
    /// what has changed since then is to be told of them.
    #[must_use]
    pub fn keeping_deletes_after(self, seq: SeqNo) -> Self {
        Retention { deletes_kept_after: seq, ..self }
    }

    /// What becomes of `entry`, which follows those given before in the order of
    /// entries. `is_version`: the one given last has its key, as [`super::Cursor::next`] tells.
    /// `is_expired`: its time has passed, for every reader.
    /// `is_lowest`: no older version of its key stands outside of the run; asked only where it matters.
    pub fn fate(
        &mut self,
        entry: EntryRef<'_>,
        is_version: bool,
        is_expired: bool,
        is_lowest: impl FnOnce() -> bool,
    ) -> Fate {
        let stripe = self.snapshots.partition_point(|&snapshot| snapshot < entry.seq);
        if is_version && self.stripe == Some(stripe) {
            return Fate::Drop;
        }
        self.stripe = Some(stripe);
        let is_gone = is_expired || entry.kind == EntryKind::Delete;
        let is_kept = entry.seq > self.deletes_kept_after;
        match (is_gone, is_expired) {
            (true, _) if stripe == 0 && !is_kept && is_lowest() => Fate::Drop,
            (true, true) => Fate::Bury,
            _ => Fate::Keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// `run`: `key seq kind`, kinds `s`et, e`x`pired, `d`elete; the fates as
    /// one letter each: `k`ept, `-` dropped, `b`uried.
    fn fates(snapshots: &[u64], is_lowest: bool, run: &str) -> String {
        let mut retention = Retention::new(snapshots.iter().map(|&s| SeqNo(s)).collect());
        let mut last_key = None;
        let fate = |text| {
            let mut words = str::split_whitespace(text);
            let mut word = || words.next().expect("three words");
            let (key, seq, kind) = (word(), word(), word());
            let kind_of = if kind == "d" { EntryKind::Delete } else { EntryKind::Set };
            let entry = EntryRef {
                key: key.as_bytes(),
                seq: SeqNo(seq.parse().expect("a number")),
                kind: kind_of,
                payload: b"",
            };
            let is_version = last_key.replace(key) == Some(key);
            match retention.fate(entry, is_version, kind == "x", || is_lowest) {
                Fate::Keep => 'k',
                Fate::Drop => '-',
                Fate::Bury => 'b',
            }
        };
        run.split(',').map(fate).collect()
    }

    #[test]
    fn what_goes_and_what_stays() {
        // snapshots, lowest, run, fates
        let cases: &[(&[u64], bool, &str, &str)] = &[
            (&[], false, "a 9 s, a 5 s, b 7 s", "k-k"),
            (&[5], false, "a 9 s, a 5 s, a 4 s", "kk-"),
            (&[4], false, "a 9 s, a 5 s, a 4 s", "k-k"),
            (&[], false, "a 9 d, a 5 s", "k-"),
            (&[], true, "a 9 d, a 5 s, b 3 s", "--k"),
            // The snapshot sees the value that the tombstone hides from others.
            (&[5], true, "a 9 d, a 5 s", "kk"),
            // It sees the tombstone, and below that there is nothing.
            (&[9], true, "a 9 d, a 5 s", "--"),
            (&[9], true, "a 12 s, a 9 d, a 5 s", "k--"),
            (&[], false, "a 9 x, a 5 s", "b-"),
            (&[], true, "a 9 x, a 5 s", "--"),
            (&[5], true, "a 9 x, a 5 s", "bk"),
            (&[3, 6, 8], false, "a 9 s, a 7 s, a 5 d, a 2 s, a 1 s", "kkkk-"),
            (&[3, 6, 8], true, "a 9 s, a 7 s, a 5 d, a 2 d, a 1 s", "kkk--"),
        ];
        for (snapshots, is_lowest, run, expected) in cases {
            assert_eq!(fates(snapshots, *is_lowest, run), *expected, "{snapshots:?} {run}");
        }
    }

    #[test]
    fn deletes_that_somebody_asks_for_stay() {
        let fate = |seq, kind, is_expired| {
            let mut retention = Retention::new(Vec::new()).keeping_deletes_after(SeqNo(5));
            let entry = EntryRef { key: b"a", seq: SeqNo(seq), kind, payload: b"" };
            retention.fate(entry, false, is_expired, || true)
        };
        assert_eq!(fate(5, EntryKind::Delete, false), Fate::Drop);
        assert_eq!(fate(6, EntryKind::Delete, false), Fate::Keep);
        assert_eq!(fate(5, EntryKind::Set, true), Fate::Drop);
        assert_eq!(fate(6, EntryKind::Set, true), Fate::Bury);
        assert_eq!(fate(6, EntryKind::Set, false), Fate::Keep);
    }

    type Run = BTreeMap<(u8, std::cmp::Reverse<u64>), EntryKind>;

    /// What a reader at `seq` sees of each key: the number of the version, unless it is a tombstone.
    fn seen(run: &Run, seq: u64) -> Vec<(u8, u64)> {
        let mut seen = Vec::new();
        let mut last = None;
        for (&(key, std::cmp::Reverse(s)), &kind) in run {
            if s <= seq && last != Some(key) {
                last = Some(key);
                if kind != EntryKind::Delete {
                    seen.push((key, s));
                }
            }
        }
        seen
    }

    proptest! {
        /// No reader sees a difference, and where nothing is below, no tombstone
        /// stays without a reason.
        #[test]
        fn no_reader_sees_a_difference(
            entries in proptest::collection::btree_map(1..60_u64, (0..5_u8, any::<bool>()), 0..50),
            snapshots in proptest::collection::btree_set(0..60_u64, 0..5),
            is_lowest: bool,
        ) {
            let kind = |deleted| if deleted { EntryKind::Delete } else { EntryKind::Set };
            let run: Run = entries
                .iter()
                .map(|(&seq, &(key, deleted))| ((key, std::cmp::Reverse(seq)), kind(deleted)))
                .collect();
            let mut retention = Retention::new(snapshots.iter().map(|&s| SeqNo(s)).collect());
            let (mut kept, mut last_key) = (Run::new(), None);
            for (&(key, std::cmp::Reverse(seq)), &kind) in &run {
                let entry = EntryRef { key: &[key], seq: SeqNo(seq), kind, payload: b"" };
                let is_version = last_key.replace(key) == Some(key);
                match retention.fate(entry, is_version, false, || is_lowest) {
                    Fate::Keep => drop(kept.insert((key, std::cmp::Reverse(seq)), kind)),
                    Fate::Drop => {}
                    Fate::Bury => prop_assert!(false, "nothing expires here"),
                }
            }
            for &seq in snapshots.iter().chain([&60, &1000]) {
                prop_assert_eq!(seen(&run, seq), seen(&kept, seq), "at {}", seq);
            }
            // One version of a key for each snapshot and one for the rest, at most.
            for key in 0..5 {
                let versions = kept.keys().filter(|(k, _)| *k == key).count();
                prop_assert!(versions <= snapshots.len() + 1);
            }
            if is_lowest && snapshots.is_empty() {
                prop_assert!(kept.values().all(|&kind| kind == EntryKind::Set));
            }
        }
    }
}
