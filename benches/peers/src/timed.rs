//! Running operations on the clock.

use crate::Result;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// What kind of operation a latency belongs to; rows that mix them say more
/// when they are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Write,
    Read,
}

/// How often, and how closely, an operation is run.
#[derive(Clone, Copy)]
pub struct Plan {
    pub threads: u32,
    /// Operations of each thread.
    pub operations_each: u64,
    /// Every so-manyth operation is timed by itself: 1 for slow operations,
    /// 16 where reading the clock twice would show in the throughput.
    pub sample_every: u64,
}

/// What came of it.
pub struct Timed {
    pub operations: u64,
    pub elapsed: Duration,
    pub latencies: Vec<(Kind, Duration)>,
}

impl Timed {
    /// A single operation, such as an open or a backup.
    pub const fn single(elapsed: Duration) -> Self {
        Self { operations: 1, elapsed, latencies: Vec::new() }
    }
}

struct ThreadTimes {
    start: Instant,
    end: Instant,
    latencies: Vec<(Kind, Duration)>,
}

/// Runs a plan. `make` gives each thread, by number, its operation, which is
/// called with the numbers from 0 up. The clock runs from the first thread's
/// start to the last one's end.
pub fn run<F>(plan: Plan, make: impl Fn(u64) -> F + Sync) -> Result<Timed>
where
    F: FnMut(u64) -> Result<Kind>,
{
    let barrier = Barrier::new(plan.threads as usize);
    let (make, barrier) = (&make, &barrier);
    let threads: Vec<ThreadTimes> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..u64::from(plan.threads))
            .map(|thread| {
                scope.spawn(move || {
                    let operation = make(thread);
                    barrier.wait();
                    run_thread(plan, operation)
                })
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().map_err(|_| "a thread panicked")?)
            .collect::<Result<_>>()
    })?;
    let start = threads.iter().map(|times| times.start).min();
    let end = threads.iter().map(|times| times.end).max();
    Ok(Timed {
        operations: plan.operations_each * u64::from(plan.threads),
        elapsed: end.zip(start).map_or(Duration::ZERO, |(end, start)| end - start),
        latencies: threads.into_iter().flat_map(|times| times.latencies).collect(),
    })
}

fn run_thread(plan: Plan, mut operation: impl FnMut(u64) -> Result<Kind>) -> Result<ThreadTimes> {
    let samples = usize::try_from(plan.operations_each.div_ceil(plan.sample_every))?;
    let mut latencies = Vec::with_capacity(samples);
    let start = Instant::now();
    for number in 0..plan.operations_each {
        if number % plan.sample_every == 0 {
            let before = Instant::now();
            let kind = operation(number)?;
            latencies.push((kind, before.elapsed()));
        } else {
            operation(number)?;
        }
    }
    Ok(ThreadTimes { start, end: Instant::now(), latencies })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_runs_its_share_and_one_in_so_many_is_timed() {
        let plan = Plan { threads: 3, operations_each: 33, sample_every: 16 };
        let timed = run(plan, |_| |_| Ok(Kind::Read)).expect("nothing fails");
        assert_eq!(timed.operations, 99);
        assert_eq!(timed.latencies.len(), 9);
    }

    #[test]
    fn a_failure_in_a_thread_is_the_failure_of_the_run() {
        let plan = Plan { threads: 2, operations_each: 2, sample_every: 1 };
        let outcome = run(plan, |thread| {
            move |number| {
                if thread == 1 && number == 1 {
                    return Err("as planned".into());
                }
                Ok(Kind::Write)
            }
        });
        assert!(outcome.is_err());
    }
}
