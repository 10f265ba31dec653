//! Who owns which part of an arena.
//!
//! Room is first reserved, at the most that a node can take, and then claimed, at
//! what it takes; the difference is free again. So the most is counted only
//! for nodes that are on their way.
//!
//! INV-1: `top_units + pending_units <= capacity_units`, and the units below
//! `top_units` were given out once each.
//!
//! Concurrency: both numbers are in one word and change at once. All orderings
//! are `Relaxed`: the word tells who owns which units, for which the atomicity
//! of each change is enough; what is in the units is published by links.

use super::sync::{AtomicU64, Ordering};
use std::fmt;

/// The room in an arena. What a unit is, the arena knows.
pub struct Space {
    capacity_units: u32,
    /// A packed [`Use`].
    in_use: AtomicU64,
}

/// What a space is used for.
#[derive(Debug, Clone, Copy)]
struct Use {
    /// Given out, counted from the front.
    top_units: u32,
    /// Reserved, and not given out yet.
    pending_units: u32,
}

impl Use {
    #[expect(clippy::cast_possible_truncation, reason = "each takes its half")]
    fn unpack(word: u64) -> Self {
        Use { top_units: word as u32, pending_units: (word >> 32) as u32 }
    }

    fn pack(self) -> u64 {
        u64::from(self.pending_units) << 32 | u64::from(self.top_units)
    }
}

impl Space {
    /// A space of which the first `top_units` are given out already.
    pub fn new(capacity_units: u32, top_units: u32) -> Self {
        assert!(top_units <= capacity_units, "INV-1");
        let in_use = Use { top_units, pending_units: 0 };
        Space { capacity_units, in_use: AtomicU64::new(in_use.pack()) }
    }

    fn in_use(&self) -> Use {
        Use::unpack(self.in_use.load(Ordering::Relaxed))
    }

    /// How much there is.
    pub fn capacity_units(&self) -> u32 {
        self.capacity_units
    }

    /// How much is given out.
    pub fn top_units(&self) -> u32 {
        self.in_use().top_units
    }

    /// Sets room aside. False: there is not as much, and nothing was set aside.
    pub fn reserve(&self, wanted_units: u32) -> bool {
        let mut now = self.in_use();
        loop {
            // INV-1: neither this difference nor the sum below leaves its range.
            let free_units = self.capacity_units - now.top_units - now.pending_units;
            if wanted_units > free_units {
                return false;
            }
            let next = Use { pending_units: now.pending_units + wanted_units, ..now };
            match self.exchange(now, next) {
                Ok(()) => return true,
                Err(found) => now = found,
            }
        }
    }

    /// Gives out `taken_units` for `reserved_units` that were set aside, and
    /// answers the first of them.
    ///
    /// # Panics
    /// When less is set aside, or more taken than that.
    pub fn claim(&self, reserved_units: u32, taken_units: u32) -> u32 {
        assert!(taken_units <= reserved_units, "no more is taken than was set aside");
        let mut now = self.in_use();
        loop {
            let Some(pending_units) = now.pending_units.checked_sub(reserved_units) else {
                panic!("Memtable::reserve must have set aside room for an entry before its insert");
            };
            // INV-1: the sum of both shrinks or stays.
            let next = Use { top_units: now.top_units + taken_units, pending_units };
            match self.exchange(now, next) {
                Ok(()) => return now.top_units,
                Err(found) => now = found,
            }
        }
    }

    fn exchange(&self, now: Use, next: Use) -> Result<(), Use> {
        self.in_use
            .compare_exchange_weak(now.pack(), next.pack(), Ordering::Relaxed, Ordering::Relaxed)
            .map(|_| ())
            .map_err(Use::unpack)
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space")
            .field("capacity_units", &self.capacity_units)
            .field("in_use", &self.in_use())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_is_not_taken_is_free_again() {
        let space = Space::new(100, 10);
        assert!(!space.reserve(91));
        assert!(space.reserve(90));
        assert!(!space.reserve(1));
        assert_eq!(space.claim(50, 20), 10);
        assert_eq!(space.top_units(), 30);
        assert!(!space.reserve(31));
        assert!(space.reserve(30));
        assert_eq!(space.claim(70, 70), 30);
        assert_eq!(space.top_units(), 100);
    }

    #[test]
    #[should_panic(expected = "must have set aside room")]
    fn nothing_is_given_out_that_was_not_reserved() {
        let space = Space::new(100, 0);
        assert!(space.reserve(10));
        space.claim(11, 1);
    }

    #[test]
    fn threads_get_different_units() {
        let count: u32 = if cfg!(miri) { 30 } else { 10_000 };
        let space = Space::new(u32::MAX, 3);
        let claim_all = || -> Vec<u32> {
            let claim = |taken| {
                assert!(space.reserve(4));
                let start = space.claim(4, taken);
                start..start + taken
            };
            (0..count).map(|i| 1 + i % 4).flat_map(claim).collect()
        };
        let mut all = thread::scope(|scope| {
            let other = scope.spawn(claim_all);
            let mut all = claim_all();
            all.extend(other.join().expect("no panic"));
            all
        });
        all.sort_unstable();
        assert!(all.iter().copied().eq(3..space.top_units()));
    }
}
