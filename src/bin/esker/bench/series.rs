//! What happened over time: operations, space and memory, looked at by a thread of its own.
//!
//! It looks every 25 ms, and half as often each time that there are too many points. A look costs a listing of the
//! directory.

use super::machine;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it looks at first.
const PERIOD: Duration = Duration::from_millis(25);
/// Points at most.
const POINTS_MAX: usize = 240;

/// Points in time, with what was so then. All lists are of the same length.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub at_ms: Vec<f64>,
    /// Done since the beginning.
    pub operations: Vec<u64>,
    /// All that the row has on the disk.
    pub disk_bytes: Vec<u64>,
    /// Resident; 0 where the system does not tell.
    pub memory_bytes: Vec<u64>,
}

impl Series {
    /// Operations a second between each point and the one before, with the times between them.
    pub fn rates(&self) -> Vec<(f64, f64)> {
        let points = self.at_ms.iter().zip(&self.operations);
        points
            .clone()
            .zip(points.skip(1))
            .filter(|((before, _), (after, _))| after > before)
            .map(|((before, done), (after, now))| {
                let operations = float(now.saturating_sub(*done));
                (f64::midpoint(*before, *after) / 1e3, operations / (after - before) * 1e3)
            })
            .collect()
    }

    /// The most that was on the disk.
    pub fn disk_peak_bytes(&self) -> u64 {
        self.disk_bytes.iter().copied().max().unwrap_or(0)
    }

    fn push(&mut self, at: Duration, operations: u64, dir: &Path) {
        self.at_ms.push((at.as_secs_f64() * 1e4).round() / 10.0);
        self.operations.push(operations);
        self.disk_bytes.push(machine::disk_bytes(dir));
        self.memory_bytes.push(machine::resident_bytes().unwrap_or(0));
    }

    /// Keeps every second point, the first among them.
    fn thin(&mut self) {
        fn halve<T: Copy>(list: &mut Vec<T>) {
            *list = list.iter().copied().step_by(2).collect();
        }
        halve(&mut self.at_ms);
        halve(&mut self.operations);
        halve(&mut self.disk_bytes);
        halve(&mut self.memory_bytes);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure is read to four digits")]
fn float(count: u64) -> f64 {
    count as f64
}

/// What one thread has done, on a cache line of its own: others look, one writes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Done(AtomicU64);

impl Done {
    /// So many operations by now.
    pub fn set(&self, operations: u64) {
        self.0.store(operations, Ordering::Relaxed);
    }
}

/// The thread that looks.
#[derive(Debug)]
pub struct Sampler {
    over: Sender<()>,
    thread: JoinHandle<Series>,
}

impl Sampler {
    /// Begins to look at `dir`, and at what the threads have done.
    pub fn start(dir: &Path, done: Arc<[Done]>) -> Sampler {
        let (over, is_over) = bounded(1);
        let (dir, begun) = (dir.to_path_buf(), Instant::now());
        let thread = std::thread::spawn(move || {
            let (mut series, mut period) = (Series::default(), PERIOD);
            loop {
                let operations = done.iter().map(|done| done.0.load(Ordering::Relaxed)).sum();
                series.push(begun.elapsed(), operations, &dir);
                if series.at_ms.len() >= POINTS_MAX {
                    series.thin();
                    period *= 2;
                }
                if is_over.recv_timeout(period) != Err(RecvTimeoutError::Timeout) {
                    let operations = done.iter().map(|done| done.0.load(Ordering::Relaxed)).sum();
                    series.push(begun.elapsed(), operations, &dir);
                    return series;
                }
            }
        });
        Sampler { over, thread }
    }

    /// Looks a last time, and gives what was seen.
    pub fn finish(self) -> Series {
        drop(self.over);
        self.thread.join().expect("the thread that looks does not panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_between_points() {
        let series = Series {
            at_ms: vec![0.0, 100.0, 100.0, 300.0],
            operations: vec![0, 50, 60, 60],
            disk_bytes: vec![1, 7, 3, 2],
            memory_bytes: vec![0; 4],
        };
        assert_eq!(series.rates(), [(0.05, 500.0), (0.2, 0.0)]);
        assert_eq!(series.disk_peak_bytes(), 7);
        let mut thinned = series;
        thinned.thin();
        assert_eq!(thinned.at_ms, [0.0, 100.0]);
        assert_eq!(thinned.operations, [0, 60]);
    }

    #[test]
    fn the_first_and_the_last_state_are_seen() {
        let dir = tempfile::tempdir().expect("a directory");
        let done: Arc<[Done]> = (0..2).map(|_| Done::default()).collect();
        let sampler = Sampler::start(dir.path(), Arc::clone(&done));
        done[0].set(3);
        done[1].set(4);
        let series = sampler.finish();
        assert!(series.at_ms.len() >= 2);
        assert_eq!(series.operations.last(), Some(&7));
        assert_eq!(series.at_ms.len(), series.disk_bytes.len());
    }
}
