//! How long things took: counts by size, recorded without a lock.
//!
//! A power of two is divided into 16 buckets of the same width, so a value read back from
//! its bucket's middle is off by 1/32 at most: 3.2 %, of its own size, at any size.
//!
//! Our own because recording must not take a lock, must keep the sum and the largest value
//! exactly, and is a dozen lines.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of one power of two, as a power of two.
const STEP_BITS: u32 = 4;
const STEPS: usize = 1 << STEP_BITS;

/// Values from 2^40 ns (18 minutes) on share the last bucket; the largest is known exactly.
const VALUE_BITS: u32 = 40;
const VALUE_MAX: u64 = (1 << VALUE_BITS) - 1;
const BUCKETS: usize = bucket_of(VALUE_MAX) + 1;
const _: () = assert!(BUCKETS == 592);

/// Times, recorded by any number of threads at once.
///
/// Relaxed throughout: a snapshot may have a value in its count whose time is not yet in its sum.
pub struct Histogram {
    /// Made by the first record: of the eight of a database some are never used.
    buckets: OnceLock<Box<[AtomicU64; BUCKETS]>>,
    sum_ns: AtomicU64,
    min_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            buckets: OnceLock::new(),
            sum_ns: AtomicU64::new(0),
            min_ns: AtomicU64::new(u64::MAX),
            max_ns: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Records that something took `duration`.
    #[inline]
    pub fn record(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let buckets = self.buckets.get_or_init(|| Box::new([const { AtomicU64::new(0) }; BUCKETS]));
        buckets[bucket_of(ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        // Both are rare after the first few; a look costs less than a write.
        if ns < self.min_ns.load(Ordering::Relaxed) {
            self.min_ns.fetch_min(ns, Ordering::Relaxed);
        }
        if ns > self.max_ns.load(Ordering::Relaxed) {
            self.max_ns.fetch_max(ns, Ordering::Relaxed);
        }
    }

    /// What was recorded so far.
    #[must_use]
    pub fn snapshot(&self) -> Latency {
        let buckets = self.buckets.get().into_iter().flat_map(|buckets| buckets.iter());
        let counts = buckets.map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(usize, u64)> = counts.enumerate().filter(|(_, n)| *n > 0).collect();
        let ns = |cell: &AtomicU64| Duration::from_nanos(cell.load(Ordering::Relaxed));
        if buckets.is_empty() {
            return Latency::default();
        }
        Latency {
            count: buckets.iter().map(|(_, count)| count).sum(),
            sum: ns(&self.sum_ns),
            min: ns(&self.min_ns),
            max: ns(&self.max_ns),
            buckets,
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

const fn bucket_of(ns: u64) -> usize {
    let ns = if ns > VALUE_MAX { VALUE_MAX } else { ns };
    // Below 16 ns each value has a bucket.
    let shift = if ns < 1 << STEP_BITS { 0 } else { ns.ilog2() - STEP_BITS };
    #[expect(clippy::cast_possible_truncation, reason = "below 32")]
    let step = (ns >> shift) as usize;
    shift as usize * STEPS + step
}

/// The middle of a bucket, in nanoseconds.
fn middle_of(bucket: usize) -> u64 {
    let shift = (bucket / STEPS).saturating_sub(1);
    let step = u64::try_from(bucket - shift * STEPS).expect("small");
    let width = 1 << shift;
    step * width + width / 2
}

/// How long something took, over all the times that it was done since the database was opened.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("key", "value")?;
/// let latency = db.metrics().latencies.synced_commit;
/// assert_eq!(latency.count, 1);
/// assert!(latency.quantile(0.99) <= latency.max);
/// # Ok(()) }
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latency {
    /// How often it was done.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
    /// The shortest; zero where there is none.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// Those with anything in them, by number.
    buckets: Vec<(usize, u64)>,
}

impl Latency {
    /// The time within which the share `q` of all were done: `quantile(0.5)` is the median,
    /// `quantile(0.99)` what one in a hundred exceeded. Zero where there is none. It is off
    /// by 3.2 % at most; beyond 18 minutes it is only known to be between that and
    /// [`Latency::max`]. A `q` outside of 0 to 1 counts as the nearer of them.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// for n in 0..100_u8 {
    ///     db.set([n], "value")?;
    /// }
    /// let latency = db.metrics().latencies.synced_commit;
    /// let (median, p99) = (latency.quantile(0.5), latency.quantile(0.99));
    /// assert!(latency.min <= p99 && median <= p99);
    /// assert!(latency.min <= latency.mean() && latency.mean() <= latency.max);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn quantile(&self, q: f64) -> Duration {
        let rank = q.clamp(0.0, 1.0) * self.count as f64;
        let mut seen = 0;
        let reached = self.buckets.iter().find(|(_, count)| {
            seen += count;
            seen as f64 >= rank
        });
        let value = reached.map_or(self.max, |(b, _)| Duration::from_nanos(middle_of(*b)));
        value.clamp(self.min, self.max.max(self.min))
    }

    /// How many took less than each power of two of nanoseconds, from 2^10 (about a microsecond) to 2^36
    /// (over a minute), and how many there are in all (2^64 - 1 ns): exact, and each count has those before it in it, as
    /// monitoring systems want it.
    ///
    /// ```
    /// let counts = esker::Latency::default().cumulative();
    /// assert_eq!(counts.len(), 28);
    /// assert_eq!(counts[0], (std::time::Duration::from_nanos(1 << 10), 0));
    /// ```
    #[must_use]
    pub fn cumulative(&self) -> Vec<(Duration, u64)> {
        const FIRST: u32 = 10;
        const LAST: u32 = 36;
        let mut buckets = self.buckets.iter().peekable();
        let mut below = 0;
        let mut counts: Vec<_> = (FIRST..=LAST)
            .map(|power| {
                let end = bucket_of(1 << power);
                while let Some((_, count)) = buckets.next_if(|(bucket, _)| *bucket < end) {
                    below += count;
                }
                (Duration::from_nanos(1 << power), below)
            })
            .collect();
        counts.push((Duration::from_nanos(u64::MAX), below + buckets.map(|(_, n)| n).sum::<u64>()));
        counts
    }

    /// The mean; zero where there is none.
    ///
    /// See the example of [`Latency::quantile`].
    #[must_use]
    pub fn mean(&self) -> Duration {
        let mean_ns = self.sum.as_nanos().checked_div(self.count.into()).unwrap_or(0);
        Duration::from_nanos(u64::try_from(mean_ns).unwrap_or(u64::MAX))
    }
}

/// Count, mean, median, the 99th and 99.9th percentile, and the longest.
impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|q| self.quantile(q));
        write!(
            f,
            "{} times, mean {:.1?}, p50 {p50:.1?}, p99 {p99:.1?}, p99.9 {p999:.1?}, max {:.1?}",
            self.count,
            self.mean(),
            self.max
        )
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Latency({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Latency {
        let histogram = Histogram::default();
        values.into_iter().for_each(|ns| histogram.record(Duration::from_nanos(ns)));
        histogram.snapshot()
    }

    #[test]
    fn every_bucket_returns_its_values_within_the_stated_error() {
        let mut last = None;
        for ns in (0..1 << 12).chain((12..40).flat_map(|bits| {
            let power = 1_u64 << bits;
            (0..64).flat_map(move |i| [power + (power >> 6) * i, power + (power >> 6) * i - 1])
        })) {
            let bucket = bucket_of(ns);
            let error = middle_of(bucket).abs_diff(ns);
            assert!(error * 32 <= ns, "{ns} ns comes back as {}", middle_of(bucket));
            if ns < 1 << 12 {
                assert!(last.is_none_or(|last| bucket == last || bucket == last + 1), "{ns}");
                last = Some(bucket);
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_a_sorted_list() {
        let values: Vec<u64> = (1..=1000).map(|n| n * n * 37).collect();
        let latency = of(values.iter().copied().rev());
        for (q, rank) in [(0.01, 10), (0.5, 500), (0.9, 900), (0.99, 990), (1.0, 1000)] {
            let expected = values[rank - 1];
            let found = u64::try_from(latency.quantile(q).as_nanos()).expect("small");
            assert!(found.abs_diff(expected) * 32 <= expected, "{q}: {found}, not {expected}");
        }
        assert_eq!(latency.count, 1000);
        assert_eq!(latency.sum, Duration::from_nanos(values.iter().sum()));
        assert_eq!(latency.min, Duration::from_nanos(37));
        assert_eq!(latency.max, Duration::from_nanos(37_000_000));
        assert_eq!(latency.quantile(0.0), latency.min);
        assert_eq!(latency.quantile(7.0), latency.quantile(1.0));
    }

    #[test]
    fn the_ends_are_exact_and_nothing_is_nothing() {
        let one = of([1_000_003]);
        assert_eq!([0.0, 0.5, 1.0].map(|q| one.quantile(q)), [one.max; 3]);
        assert_eq!((one.mean(), one.min), (one.max, one.max));
        assert_eq!(of([u64::MAX]).max, Duration::from_nanos(u64::MAX));
        let none = of([]);
        assert_eq!(none, Latency::default());
        assert_eq!((none.quantile(0.5), none.mean()), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn powers_of_two_are_counted_exactly() {
        let values = [5, 1023, 1024, 1025, (1 << 20) - 1, 1 << 20, 1 << 36, 1 << 50];
        let counts = of(values).cumulative();
        for (limit, count) in &counts {
            let limit = u64::try_from(limit.as_nanos()).expect("small");
            let below = values.iter().filter(|ns| **ns < limit).count();
            assert_eq!(*count, u64::try_from(below).expect("small"), "below {limit}");
        }
        assert_eq!(counts.last().map(|(_, count)| *count), Some(8));
    }

    #[test]
    fn threads_lose_nothing() {
        let histogram = Histogram::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (1..=1000).for_each(|n| histogram.record(Duration::from_micros(n))));
            }
        });
        let latency = histogram.snapshot();
        assert_eq!((latency.count, latency.sum), (4000, Duration::from_micros(4 * 500_500)));
    }
}
