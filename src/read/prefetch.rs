//! Values that a scan will come to are asked for before it is there.
//!
//! A value in a segment is one read of the disk, and a scan that waits for each in turn leaves the
//! disk idle in between. So once reads were slow, a *scout* goes over the same entries
//! some way ahead and tells the system which values come ([`crate::fs::File::will_need`]).
//! Where all is in the page cache none is slow but now and then, when the thread had to wait for a processor: one
//! among many that are quick says nothing, and there is no scout.

use super::source::Source;
use super::visible::{Backward, Forward, Limit};
use crate::error::Result;
use crate::format::{Content, ValuePointer};
use crate::store::{Store, View};
use crate::vlog::ReadAhead;
use std::time::Duration;

/// A read that took longer than this, and [`SLOW_PER_KIB`], came from the disk.
const SLOW: Duration = Duration::from_micros(40);
const SLOW_PER_KIB: Duration = Duration::from_nanos(500);

/// Among so many quick reads a slow one is by chance.
const QUICK_MANY: usize = 16;

/// How far a scout goes ahead, in entries and in bytes of values.
const AHEAD_ENTRIES_MAX: usize = 64;
const AHEAD_BYTES_MAX: u64 = 4 << 20;

/// How many values a scout asks for before it is asked again whether reads are slow.
const VALUES_MAX: usize = 1024;

/// Walks over the entries that a scan is about to come to.
#[derive(Debug)]
pub enum Scout {
    Forward(Forward<Source>),
    Backward(Backward<Source>),
}

/// How one end of a scan reads values, and what it knows of those to come.
#[derive(Debug, Default)]
pub struct Prefetch {
    is_slow: bool,
    /// Quick reads since the last slow one, or since it began to count.
    quick: usize,
    reads: ReadAhead,
    scout: Option<Box<Ahead>>,
}

#[derive(Debug)]
struct Ahead {
    scout: Scout,
    /// Entries and bytes between the scan and the scout. The bytes of one entry, on average,
    /// are taken off with it: what a hint is worth does not depend on more.
    entries: usize,
    bytes: u64,
    /// Values that may still be asked for.
    left: usize,
}

impl Prefetch {
    /// Reads the value at `pointer`, as [`View::read_value_ahead`] does, and notes how long it took.
    ///
    /// # Errors
    /// As there.
    pub fn read(&mut self, store: &Store, view: &View, pointer: &[u8]) -> Result<Vec<u8>> {
        let clock = &store.home.clock;
        let start = clock.elapsed();
        let (value, read_bytes) = view.read_value_ahead(pointer, &mut self.reads)?;
        // What was at hand says nothing of the disk.
        if read_bytes > 0 {
            let kib = u32::try_from(read_bytes >> 10).unwrap_or(u32::MAX);
            self.note(clock.elapsed().saturating_sub(start) > SLOW + SLOW_PER_KIB * kib);
        }
        Ok(value)
    }

    fn note(&mut self, is_slow: bool) {
        self.is_slow = is_slow && self.quick < QUICK_MANY;
        self.quick = if is_slow { 0 } else { self.quick.saturating_add(1) };
    }

    /// True when there is to be a scout, and is none.
    #[inline]
    pub fn wants_scout(&self) -> bool {
        self.is_slow && self.scout.is_none()
    }

    /// True while there is a scout.
    #[inline]
    pub fn is_ahead(&self) -> bool {
        self.scout.is_some()
    }

    /// Sends out `scout`, which stands where the scan stands, if there is one.
    pub fn send(&mut self, scout: Option<Scout>) {
        let ahead = |scout| Box::new(Ahead { scout, entries: 0, bytes: 0, left: VALUES_MAX });
        self.scout = scout.map(ahead);
        self.is_slow = false;
    }

    /// Says that the scan has passed an entry: the scout goes on.
    #[inline]
    pub fn advance(&mut self, store: &Store, view: &View, limit: &impl Limit) {
        if let Some(ahead) = &mut self.scout
            && !ahead.advance(store, view, limit)
        {
            self.scout = None;
            // Of what was read while there was one.
            (self.is_slow, self.quick) = (false, 0);
        }
    }
}

impl Ahead {
    /// False when its work is done.
    fn advance(&mut self, store: &Store, view: &View, limit: &impl Limit) -> bool {
        if let Some(each) = self.bytes.checked_div(self.entries as u64) {
            self.bytes -= each;
        }
        self.entries = self.entries.saturating_sub(1);
        // In runs, so that what is asked for comes in runs as well.
        if self.entries > AHEAD_ENTRIES_MAX / 2 {
            return true;
        }
        while self.left > 0 && self.entries < AHEAD_ENTRIES_MAX && self.bytes < AHEAD_BYTES_MAX {
            let is_expired = |at_ms: u64| store.is_expired(at_ms);
            let see = |_: &[u8], content: Content<'_>| match content {
                Content::Inline(_) => None,
                Content::Pointer(pointer) => ValuePointer::decode(pointer),
            };
            let next = match &mut self.scout {
                Scout::Forward(scout) => scout.next(is_expired, limit, see),
                Scout::Backward(scout) => scout.next(is_expired, limit, see),
            };
            // An error is the scan's to meet, and to tell, when it comes there.
            let Ok(Some(pointer)) = next else {
                self.left = 0;
                break;
            };
            self.entries += 1;
            if let Some(pointer) = pointer {
                view.will_need(&pointer);
                self.bytes += pointer.bytes();
                self.left -= 1;
            }
        }
        self.left > 0 || self.entries > 0
    }
}
