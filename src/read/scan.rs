//! A range, from both ends.

mod expiring;

use super::prefetch::{Prefetch, Scout};
use super::source::{LevelTables, Source};
use super::value::{Key, Value};
use super::visible::{Backward, Forward, Limit};
use crate::error::Result;
use crate::format::{Content, Level, SeqNo, TableMeta};
use crate::iter::{Concat, Cursor, Merge};
use crate::store::{DEAD_MANY, Store, View};
use crate::table::Table;
use std::ops::Bound;
use std::sync::Arc;

/// The ends of a range of keys.
#[derive(Debug, Clone)]
pub struct Bounds {
    low: Bound<Vec<u8>>,
    high: Bound<Vec<u8>>,
}

impl Bounds {
    /// From `low` to `high`.
    pub fn new(low: Bound<&[u8]>, high: Bound<&[u8]>) -> Self {
        Bounds { low: low.map(<[u8]>::to_vec), high: high.map(<[u8]>::to_vec) }
    }

    /// All keys that start with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        // The least key that is greater than all of them: the prefix without
        // its trailing 0xff, its last byte raised.
        let kept = prefix.len() - prefix.iter().rev().take_while(|&&b| b == 0xff).count();
        let mut high = prefix[..kept].to_vec();
        let high = match high.last_mut() {
            Some(last) => {
                *last += 1;
                Bound::Excluded(high)
            }
            None => Bound::Unbounded,
        };
        Bounds { low: Bound::Included(prefix.to_vec()), high }
    }

    /// All keys at or above `low` and below `high`; `None`: without an end.
    pub fn half_open(low: &[u8], high: Option<&[u8]>) -> Self {
        Bounds::new(Bound::Included(low), high.map_or(Bound::Unbounded, Bound::Excluded))
    }

    /// Its keys as a half-open range: from the first on, and up to the second, which is not part of it;
    /// `None`: up to the last there is.
    pub fn to_half_open(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let low = match &self.low {
            Bound::Included(low) => low.clone(),
            Bound::Excluded(low) => successor(low),
            Bound::Unbounded => Vec::new(),
        };
        let high = match &self.high {
            Bound::Included(high) => Some(successor(high)),
            Bound::Excluded(high) => Some(high.clone()),
            Bound::Unbounded => None,
        };
        (low, high)
    }

    fn is_before(&self, key: &[u8]) -> bool {
        match &self.low {
            Bound::Included(low) => key < low.as_slice(),
            Bound::Excluded(low) => key <= low.as_slice(),
            Bound::Unbounded => false,
        }
    }

    #[inline(always)]
    fn is_after(&self, key: &[u8]) -> bool {
        match &self.high {
            Bound::Included(high) => key > high.as_slice(),
            Bound::Excluded(high) => key >= high.as_slice(),
            Bound::Unbounded => false,
        }
    }

    /// True when no key of the table can be in the range.
    pub(super) fn excludes(&self, table: &TableMeta) -> bool {
        self.is_before(table.largest_key()) || self.is_after(table.smallest_key())
    }
}

/// The least key that is greater than `key`.
pub fn successor(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Iterates over a range of one view at one sequence number.
#[derive(Debug)]
pub struct Scan {
    store: Arc<Store>,
    view: Arc<View>,
    seq: SeqNo,
    bounds: Bounds,
    front: Option<Forward<Source>>,
    back: Option<Backward<Source>>,
    front_prefetch: Prefetch,
    back_prefetch: Prefetch,
    is_stream: bool,
    ended: bool,
}

/// What reads the values that one end of a scan comes to.
struct Values<'a> {
    store: &'a Store,
    view: &'a View,
    prefetch: &'a mut Prefetch,
}

impl Values<'_> {
    fn read(&mut self, pointer: &[u8]) -> Result<Vec<u8>> {
        self.prefetch.read(self.store, self.view, pointer)
    }
}

impl Scan {
    /// Over what `view` holds within `bounds` at `seq`.
    pub fn new(store: Arc<Store>, view: Arc<View>, seq: SeqNo, bounds: Bounds) -> Self {
        let (front_prefetch, back_prefetch) = Default::default();
        let (front, back) = (None, None);
        Scan {
            store,
            view,
            seq,
            bounds,
            front,
            back,
            front_prefetch,
            back_prefetch,
            is_stream: false,
            ended: false,
        }
    }

    /// The same past the cache, which it neither uses nor fills: for whoever reads much once.
    #[must_use]
    pub fn past_cache(self) -> Self {
        Scan { is_stream: true, ..self }
    }

    /// What `see` makes of the next entry from the front: of its key and its value.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::Corruption`], [`crate::Error::Closed`];
    /// after an error the scan has ended.
    #[inline]
    pub fn next<R>(&mut self, see: impl FnOnce(&[u8], &[u8]) -> R) -> Option<Result<R>> {
        self.step(|scan| scan.step_front(with_value(see)).and_then(Option::transpose))
    }

    /// The same from the back.
    ///
    /// # Errors
    /// As [`Scan::next`].
    #[inline]
    pub fn next_back<R>(&mut self, see: impl FnOnce(&[u8], &[u8]) -> R) -> Option<Result<R>> {
        self.step(|scan| scan.step_back(with_value(see)).and_then(Option::transpose))
    }

    /// The next entry from the front.
    ///
    /// # Errors
    /// As [`Scan::next`].
    #[inline]
    pub fn next_entry(&mut self) -> Option<Result<(Key, Value)>> {
        self.step(|scan| scan.step_front(to_entry).and_then(Option::transpose))
    }

    /// The same from the back.
    ///
    /// # Errors
    /// As [`Scan::next`].
    #[inline]
    pub fn next_entry_back(&mut self) -> Option<Result<(Key, Value)>> {
        self.step(|scan| scan.step_back(to_entry).and_then(Option::transpose))
    }

    /// What `see` makes of the next key from the front. No value is read.
    ///
    /// # Errors
    /// As [`Scan::next`].
    #[inline]
    pub fn next_key<R>(&mut self, see: impl FnOnce(&[u8]) -> R) -> Option<Result<R>> {
        self.step(|scan| scan.step_front(|_, key, _| see(key)))
    }

    /// The same from the back.
    ///
    /// # Errors
    /// As [`Scan::next`].
    #[inline]
    pub fn next_key_back<R>(&mut self, see: impl FnOnce(&[u8]) -> R) -> Option<Result<R>> {
        self.step(|scan| scan.step_back(|_, key, _| see(key)))
    }

    #[inline]
    fn step<R>(&mut self, step: impl FnOnce(&mut Self) -> Result<Option<R>>) -> Option<Result<R>> {
        if self.ended {
            return None;
        }
        let step = step(self).transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }

    #[inline(always)]
    fn step_front<R>(
        &mut self,
        see: impl FnOnce(Values<'_>, &[u8], Content<'_>) -> R,
    ) -> Result<Option<R>> {
        self.step_front_by(Store::is_expired, see)
    }

    /// Nearly all entries are at hand where the scan stands. What these take is put where it is used: handed from
    /// call to call it would be written to memory and read again each time.
    #[inline(always)]
    fn step_front_by<R>(
        &mut self,
        is_expired: impl Fn(&Store, u64) -> bool,
        see: impl FnOnce(Values<'_>, &[u8], Content<'_>) -> R,
    ) -> Result<Option<R>> {
        let limit = FrontLimit {
            bounds: &self.bounds,
            back: self.back.as_ref().and_then(Backward::passed),
        };
        if !self.front_prefetch.is_ahead()
            && self.store.health.check_open().is_ok()
            && let Some(front) = &mut self.front
            && let Some((key, value)) = front.next_at_hand(&limit)
        {
            let (store, view, prefetch) = (&*self.store, &*self.view, &mut self.front_prefetch);
            let values = Values { store, view, prefetch };
            return Ok(Some(see(values, key, Content::Inline(value))));
        }
        self.step_front_far(is_expired, see)
    }

    /// The same where something has to be looked into first.
    #[inline(never)]
    fn step_front_far<R>(
        &mut self,
        is_expired: impl Fn(&Store, u64) -> bool,
        see: impl FnOnce(Values<'_>, &[u8], Content<'_>) -> R,
    ) -> Result<Option<R>> {
        self.store.health.check_open()?;
        if self.front.is_none() {
            let mut merge = self.sources();
            match &self.bounds.low {
                Bound::Included(low) => merge.seek(low, SeqNo::MAX)?,
                // Behind every version of the key: no entry has the number 0.
                Bound::Excluded(low) => merge.seek(low, SeqNo::ZERO)?,
                Bound::Unbounded => merge.seek_first()?,
            }
            self.front = Some(Forward::new(merge, self.seq));
        }
        let limit = FrontLimit {
            bounds: &self.bounds,
            back: self.back.as_ref().and_then(Backward::passed),
        };
        let Some(front) = &mut self.front else { return Ok(None) };
        let (store, view, prefetch) = (&*self.store, &*self.view, &mut self.front_prefetch);
        let see = |key: &[u8], content: Content<'_>| {
            see(Values { store, view, prefetch: &mut *prefetch }, key, content)
        };
        let seen = front.next(|expires_at_ms| is_expired(store, expires_at_ms), &limit, see);
        report_dead(store, front.take_dead());
        let seen = seen?;
        if prefetch.wants_scout() {
            let scout = self.scout_of_front();
            self.front_prefetch.send(scout);
        }
        self.front_prefetch.advance(&self.store, &self.view, &limit);
        Ok(seen)
    }

    #[inline]
    fn step_back<R>(
        &mut self,
        see: impl FnOnce(Values<'_>, &[u8], Content<'_>) -> R,
    ) -> Result<Option<R>> {
        self.step_back_by(Store::is_expired, see)
    }

    fn step_back_by<R>(
        &mut self,
        is_expired: impl Fn(&Store, u64) -> bool,
        see: impl FnOnce(Values<'_>, &[u8], Content<'_>) -> R,
    ) -> Result<Option<R>> {
        self.store.health.check_open()?;
        if self.back.is_none() {
            let mut merge = self.sources();
            match &self.bounds.high {
                Bound::Included(high) => merge.seek_before(high, SeqNo::ZERO)?,
                Bound::Excluded(high) => merge.seek_before(high, SeqNo::MAX)?,
                Bound::Unbounded => merge.seek_last()?,
            }
            self.back = Some(Backward::new(merge, self.seq));
        }
        let limit = BackLimit {
            bounds: &self.bounds,
            front: self.front.as_ref().and_then(Forward::passed),
        };
        let Some(back) = &mut self.back else { return Ok(None) };
        let (store, view, prefetch) = (&*self.store, &*self.view, &mut self.back_prefetch);
        let see = |key: &[u8], content: Content<'_>| {
            see(Values { store, view, prefetch: &mut *prefetch }, key, content)
        };
        let seen = back.next(|expires_at_ms| is_expired(store, expires_at_ms), &limit, see);
        report_dead(store, back.take_dead());
        let seen = seen?;
        if prefetch.wants_scout() {
            let scout = self.scout_of_back();
            self.back_prefetch.send(scout);
        }
        self.back_prefetch.advance(&self.store, &self.view, &limit);
        Ok(seen)
    }

    /// What goes ahead of the front; none where its way cannot be read, which the scan is to meet.
    fn scout_of_front(&self) -> Option<Scout> {
        let passed = self.front.as_ref()?.passed()?;
        let mut merge = self.sources();
        merge.seek(passed, SeqNo::ZERO).ok()?;
        Some(Scout::Forward(Forward::new(merge, self.seq)))
    }

    fn scout_of_back(&self) -> Option<Scout> {
        let passed = self.back.as_ref()?.passed()?;
        let mut merge = self.sources();
        merge.seek_before(passed, SeqNo::MAX).ok()?;
        Some(Scout::Backward(Backward::new(merge, self.seq)))
    }

    fn sources(&self) -> Merge<Source> {
        let sealed = self.view.sealed.iter().map(|sealed| &sealed.memtable);
        let memtables = std::iter::once(&self.view.active).chain(sealed);
        let version = &self.view.version;
        let level_0 = version.level(Level::ZERO).iter();
        let of_table = |table: &Arc<Table>| {
            Source::Table(if self.is_stream { table.stream() } else { table.cursor() })
        };
        let below = Level::all().skip(1).filter_map(|level| self.level(level));
        let sources = memtables
            .filter(|memtable| !memtable.is_empty())
            .map(|memtable| Source::Memtable(memtable.cursor()))
            .chain(level_0.filter(|table| !self.bounds.excludes(table.meta())).map(of_table))
            .chain(below);
        Merge::new(sources.collect())
    }

    /// The one source for all the tables of a level below 0 that can have a key
    /// in the range, if there are any.
    fn level(&self, level: Level) -> Option<Source> {
        let tables = self.view.version.level(level);
        let from =
            tables.partition_point(|table| self.bounds.is_before(table.meta().largest_key()));
        let behind = tables.get(from..)?;
        let count =
            behind.partition_point(|table| !self.bounds.is_after(table.meta().smallest_key()));
        match behind.get(..count)? {
            [] => None,
            [table] if !self.is_stream => Some(Source::Table(table.cursor())),
            _ => {
                let version = Arc::clone(&self.view.version);
                let (range, is_stream) = (from..from + count, self.is_stream);
                Some(Source::Level(Concat::new(LevelTables { version, level, range, is_stream })))
            }
        }
    }
}

/// One step has passed over so many dead entries.
#[inline]
fn report_dead(store: &Store, dead: usize) {
    if dead >= DEAD_MANY {
        store.hurry.report(store.home.clock.elapsed());
    }
}

/// Has `see` look at the value itself, wherever it is.
fn with_value<R>(
    see: impl FnOnce(&[u8], &[u8]) -> R,
) -> impl FnOnce(Values<'_>, &[u8], Content<'_>) -> Result<R> {
    |mut values, key, content| match content {
        Content::Inline(value) => Ok(see(key, value)),
        Content::Pointer(pointer) => Ok(see(key, &values.read(pointer)?)),
    }
}

/// Key and value as the caller's own; a value that was read for it is not copied again.
fn to_entry(mut values: Values<'_>, key: &[u8], content: Content<'_>) -> Result<(Key, Value)> {
    let value = match content {
        Content::Inline(value) => Value::copy(value),
        Content::Pointer(pointer) => Value::from_vec(values.read(pointer)?),
    };
    Ok((Key::copy(key), value))
}

struct FrontLimit<'a> {
    bounds: &'a Bounds,
    back: Option<&'a [u8]>,
}

impl Limit for FrontLimit<'_> {
    #[inline(always)]
    fn ends_at(&self, key: &[u8]) -> bool {
        self.bounds.is_after(key) || self.back.is_some_and(|back| key >= back)
    }

    #[inline(always)]
    fn ends_behind(&self, shared: usize, key: &[u8]) -> bool {
        // The key before is less than an end that is excluded, by a byte of as many as the end has: if both
        // share these, so is this one. If it can be the end itself, one byte more says that it is not.
        let is_within = match &self.bounds.high {
            Bound::Included(high) => shared > high.len(),
            Bound::Excluded(high) => shared >= high.len(),
            Bound::Unbounded => true,
        };
        !(is_within && self.back.is_none()) && self.ends_at(key)
    }
}

struct BackLimit<'a> {
    bounds: &'a Bounds,
    front: Option<&'a [u8]>,
}

impl Limit for BackLimit<'_> {
    #[inline]
    fn ends_at(&self, key: &[u8]) -> bool {
        self.bounds.is_before(key) || self.front.is_some_and(|front| key <= front)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::key::common_prefix;
    use proptest::prelude::*;

    #[test]
    fn prefixes_end_at_the_next_prefix() {
        let prefix = Bounds::prefix(b"a\xff\xff");
        assert!(!prefix.is_before(b"a\xff\xff") && prefix.is_before(b"a\xff\xfe"));
        assert!(!prefix.is_after(b"a\xff\xff\xff\xff") && prefix.is_after(b"b"));
        for all in [Bounds::prefix(b"\xff\xff"), Bounds::prefix(b"")] {
            assert!(!all.is_after(&[0xff; 9]));
        }
    }

    proptest! {
        /// What two keys are known to share spares a look at the end, and changes no answer.
        #[test]
        fn what_is_shared_with_the_key_before_does_not_move_the_end(
            keys in proptest::collection::btree_set(proptest::collection::vec(0..2_u8, 0..6), 2),
            end in proptest::collection::vec(0..2_u8, 0..4),
            includes: bool,
            back in proptest::option::of(proptest::collection::vec(0..2_u8, 0..6)),
            back_is_at_key: bool,
            shared in 0..6_usize,
        ) {
            let high = if includes { Bound::Included(&end[..]) } else { Bound::Excluded(&end[..]) };
            let bounds = Bounds::new(Bound::Unbounded, high);
            let keys: Vec<_> = keys.into_iter().collect();
            let [before, key] = &keys[..] else { unreachable!("two of them") };
            let back = if back_is_at_key { Some(key) } else { back.as_ref() };
            let limit = FrontLimit { bounds: &bounds, back: back.map(Vec::as_slice) };
            prop_assume!(!limit.ends_at(before));
            let shared = shared.min(common_prefix(before, key));
            prop_assert_eq!(limit.ends_behind(shared, key), limit.ends_at(key));
        }
    }
}
