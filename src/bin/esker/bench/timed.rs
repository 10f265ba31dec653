//! Operations on the clock.

use super::measurement::Latency;
use super::series::{Done, Sampler, Series};
use crate::failure::Result;
use hdrhistogram::Histogram;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// What kind of operation a latency belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Write,
    Read,
    Scan,
}

/// How often an operation is done, and how closely it is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub threads: u64,
    pub until: Until,
    /// Every so-manyth operation is timed by itself.
    pub sample_every: u64,
}

/// When a thread has done enough.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so many operations of its own.
    Count(u64),
    /// After so long.
    Time(Duration),
}

/// What came of it.
#[derive(Debug)]
pub struct Timed {
    pub operations: u64,
    pub elapsed: Duration,
    pub writes: Option<Latency>,
    pub reads: Option<Latency>,
    pub scans: Option<Latency>,
    pub series: Series,
}

/// Histograms of one thread, or of all.
struct Histograms([Histogram<u64>; 3]);

/// The longest time that is told from longer ones.
const LONGEST: Duration = Duration::from_secs(3600);

impl Histograms {
    fn new() -> Histograms {
        let longest = u64::try_from(LONGEST.as_nanos()).expect("an hour");
        // Three digits: an error of a thousandth.
        let new = || Histogram::new_with_max(longest, 3).expect("its bounds are in order");
        Histograms([new(), new(), new()])
    }

    fn record(&mut self, kind: Kind, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.of(kind).saturating_record(ns);
    }

    fn of(&mut self, kind: Kind) -> &mut Histogram<u64> {
        &mut self.0[match kind {
            Kind::Write => 0,
            Kind::Read => 1,
            Kind::Scan => 2,
        }]
    }

    fn add(&mut self, other: &Histograms) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            own.add(other).expect("they have the same bounds");
        }
    }
}

struct ThreadTimes {
    begun: Instant,
    ended: Instant,
    operations: u64,
    histograms: Histograms,
}

/// Does what `make` gives each thread, by its number; the operation is called with the numbers from 0 on. The clock
/// runs from the first thread's beginning to the last one's end, and through `last`.
///
/// # Errors
/// The first thing that fails.
pub fn run<F>(
    pace: Pace,
    dir: &Path,
    make: impl Fn(u64) -> F + Sync,
    last: impl FnOnce() -> Result<()>,
) -> Result<Timed>
where
    F: FnMut(u64) -> Result<Kind>,
{
    let done: Arc<[Done]> = (0..pace.threads).map(|_| Done::default()).collect();
    let sampler = Sampler::start(dir, Arc::clone(&done));
    let barrier = Barrier::new(done.len());
    let (make, barrier) = (&make, &barrier);
    let threads: Result<Vec<ThreadTimes>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0_u64..)
            .zip(done.iter())
            .map(|(thread, done)| {
                scope.spawn(move || {
                    let operation = make(thread);
                    barrier.wait();
                    run_thread(pace, done, operation)
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().expect("no operation panics")).collect()
    });
    let before_last = Instant::now();
    let lasted = threads.and_then(|threads| last().map(|()| threads));
    let in_last = before_last.elapsed();
    let series = sampler.finish();
    let threads = lasted?;
    let (mut all, mut operations, mut span) = (Histograms::new(), 0, None);
    for times in threads {
        all.add(&times.histograms);
        operations += times.operations;
        let (begun, ended) = span.unwrap_or((times.begun, times.ended));
        span = Some((times.begun.min(begun), times.ended.max(ended)));
    }
    let elapsed = span.map_or(Duration::ZERO, |(begun, ended)| ended - begun) + in_last;
    let latency = |kind| Latency::of(all.of(kind));
    let [writes, reads, scans] = [Kind::Write, Kind::Read, Kind::Scan].map(latency);
    Ok(Timed { operations, elapsed, writes, reads, scans, series })
}

/// One operation on a whole database.
///
/// # Errors
/// What it fails with.
pub fn single<T>(dir: &Path, operation: impl FnOnce() -> Result<T>) -> Result<(Timed, T)> {
    let sampler = Sampler::start(dir, Arc::new([]));
    let begun = Instant::now();
    let result = operation();
    let elapsed = begun.elapsed();
    let series = sampler.finish();
    let timed = Timed { operations: 1, elapsed, writes: None, reads: None, scans: None, series };
    Ok((timed, result?))
}

/// Operations between two looks at the clock, where it says when to end.
const LOOK_EVERY: u64 = 64;

fn run_thread(
    pace: Pace,
    done: &Done,
    mut operation: impl FnMut(u64) -> Result<Kind>,
) -> Result<ThreadTimes> {
    let mut histograms = Histograms::new();
    let begun = Instant::now();
    let mut number = 0;
    loop {
        let is_over = match pace.until {
            Until::Count(count) => number >= count,
            Until::Time(time) => number % LOOK_EVERY == 0 && begun.elapsed() >= time,
        };
        if is_over {
            break;
        }
        if number % pace.sample_every == 0 {
            let before = Instant::now();
            let kind = operation(number)?;
            histograms.record(kind, before.elapsed());
        } else {
            operation(number)?;
        }
        number += 1;
        done.set(number);
    }
    Ok(ThreadTimes { begun, ended: Instant::now(), operations: number, histograms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, Kind as FailureKind};

    fn dir() -> tempfile::TempDir {
        tempfile::tempdir().expect("a directory")
    }

    #[test]
    fn every_thread_does_its_share_and_one_in_so_many_is_timed() {
        let pace = Pace { threads: 3, until: Until::Count(33), sample_every: 16 };
        let timed =
            run(pace, dir().path(), |_| |_| Ok(Kind::Read), || Ok(())).expect("nothing fails");
        assert_eq!(timed.operations, 99);
        assert_eq!(timed.reads.expect("reads").samples, 9);
        assert!(timed.writes.is_none());
        assert_eq!(timed.series.operations.last(), Some(&99));
    }

    #[test]
    fn a_time_ends_it_too() {
        let pace =
            Pace { threads: 2, until: Until::Time(Duration::from_millis(30)), sample_every: 1 };
        let timed =
            run(pace, dir().path(), |_| |_| Ok(Kind::Write), || Ok(())).expect("nothing fails");
        assert!(timed.elapsed >= Duration::from_millis(30) && timed.operations > 2, "{timed:?}");
    }

    #[test]
    fn a_failure_in_a_thread_or_at_the_end_is_that_of_the_run() {
        let failure = || Failure::new(FailureKind::Io, "as planned");
        let pace = Pace { threads: 2, until: Until::Count(2), sample_every: 1 };
        let make = |thread| {
            move |number| if thread == 1 && number == 1 { Err(failure()) } else { Ok(Kind::Write) }
        };
        assert!(run(pace, dir().path(), make, || Ok(())).is_err());
        assert!(run(pace, dir().path(), |_| |_| Ok(Kind::Read), || Err(failure())).is_err());
        assert!(single::<()>(dir().path(), || Err(failure())).is_err());
    }
}
