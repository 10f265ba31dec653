//! Totals that many threads add to.

use std::array;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A total. Relaxed: it orders nothing, and a reader may see one total newer than another.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The total so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Into how many parts a [`Sharded`] total is divided. Threads beyond that share.
const SHARDS: usize = 16;

/// `N` totals that are added to in reads, which take a microsecond and run on all
/// processors at once. One counter for all would travel between their caches, for ten
/// times what the addition costs; here each thread adds to a cache line of its own.
#[derive(Debug)]
pub struct Sharded<const N: usize> {
    shards: [Shard<N>; SHARDS],
}

/// Two lines, since processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<const N: usize>([Counter; N]);

impl<const N: usize> Default for Sharded<N> {
    fn default() -> Self {
        Sharded { shards: array::from_fn(|_| Shard(array::from_fn(|_| Counter::default()))) }
    }
}

impl<const N: usize> Sharded<N> {
    /// Adds to each of the totals.
    #[inline]
    pub fn add(&self, amounts: [u64; N]) {
        let Shard(counters) = &self.shards[own_shard()];
        for (counter, amount) in counters.iter().zip(amounts) {
            if amount > 0 {
                counter.add(amount);
            }
        }
    }

    /// The totals so far.
    pub fn get(&self) -> [u64; N] {
        array::from_fn(|i| self.shards.iter().map(|Shard(counters)| counters[i].get()).sum())
    }
}

/// The shard of this thread, which is given out in turn.
#[inline]
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    OWN.with(|own| {
        if own.get() == usize::MAX {
            own.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        own.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_with_more_threads_than_shards() {
        let totals = Sharded::<2>::default();
        std::thread::scope(|scope| {
            for _ in 0..SHARDS + 3 {
                scope.spawn(|| (0..1000).for_each(|i| totals.add([1, i % 2])));
            }
        });
        assert_eq!(totals.get(), [1000, 500].map(|n: u64| n * 19));
    }
}
