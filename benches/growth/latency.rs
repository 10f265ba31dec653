//! Operations on the clock.

use crate::csv::Csv;
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Of gets one in so many is timed by itself, so that reading the clock does not show in the rate. Sets are all
/// timed: what is rare and long is to be seen.
const GETS_A_SAMPLE: u64 = 8;

/// How long operations of one kind took.
pub struct Times {
    taken: Histogram<u32>,
    /// Every so-manyth is timed.
    every: u64,
    operations: u64,
}

impl Times {
    fn new(every: u64) -> Self {
        // Up to a minute, with an error of a thousandth: 110 KiB, and each thread has two.
        let taken = Histogram::new_with_max(60 * 1_000_000_000, 3).expect("bounds in order");
        Times { taken, every, operations: 0 }
    }

    /// Does it, and counts it.
    pub fn of<T>(&mut self, act: impl FnOnce() -> T) -> T {
        self.operations += 1;
        if !self.operations.is_multiple_of(self.every) {
            return act();
        }
        let since = Instant::now();
        let done = act();
        self.taken.saturating_record(u64::try_from(since.elapsed().as_nanos()).expect("short"));
        done
    }

    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Adds the columns `NAME_p50_us`, `NAME_p99_us` and `NAME_p999_us`.
    pub fn push_to(&self, csv: &mut Csv, name: &str) {
        assert!(!self.taken.is_empty(), "nothing was timed of {name}");
        for (part, of) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
            let nanos = self.taken.value_at_quantile(of);
            csv.push(&format!("{name}_{part}_us"), nanos as f64 / 1000.0);
        }
    }
}

/// What was done in a phase.
pub struct Done {
    pub gets: Times,
    pub sets: Times,
    pub elapsed: Duration,
}

impl Done {
    fn new() -> Self {
        let (gets, sets) = (Times::new(GETS_A_SAMPLE), Times::new(1));
        Done { gets, sets, elapsed: Duration::ZERO }
    }

    fn add(&mut self, other: &Done) {
        for (own, other) in [(&mut self.gets, &other.gets), (&mut self.sets, &other.sets)] {
            own.taken.add(&other.taken).expect("they have the same bounds");
            own.operations += other.operations;
        }
    }

    pub fn operations(&self) -> u64 {
        self.gets.operations + self.sets.operations
    }

    pub fn per_second(&self) -> f64 {
        self.operations() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Does `step` for each number below `count`, in this thread.
pub fn for_each(count: u64, mut step: impl FnMut(u64, &mut Done)) -> Done {
    let mut done = Done::new();
    let begun = Instant::now();
    for n in 0..count {
        step(n, &mut done);
    }
    done.elapsed = begun.elapsed();
    done
}

/// Does `step` in `threads` at once, again and again until `phase` is over: each time with another number.
pub fn for_time(threads: u64, phase: Duration, step: impl Fn(u64, &mut Done) + Sync) -> Done {
    let is_over = AtomicBool::new(false);
    let work = |thread: u64| {
        let mut own = Done::new();
        for n in thread << 48.. {
            step(n, &mut own);
            // However short the phase: some of each kind are timed.
            if own.operations() >= 2 * GETS_A_SAMPLE && is_over.load(Ordering::Relaxed) {
                break;
            }
        }
        own
    };
    let mut all = Done::new();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        std::thread::sleep(phase);
        is_over.store(true, Ordering::Relaxed);
        for worker in workers {
            all.add(&worker.join().expect("no panic"));
        }
    });
    all.elapsed = begun.elapsed();
    all
}
