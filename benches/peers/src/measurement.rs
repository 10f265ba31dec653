//! The outcome of one measurement, as a child prints it and a run keeps it.

use crate::arguments::Size;
use crate::engines::Engine;
use crate::timed::{Kind, Timed};
use crate::workload::{Unit, Workload};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One workload, once, over one engine, in a process of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    pub engine: Engine,
    pub workload: Workload,
    /// Which repetition it was, from 0; the parent fills it in.
    #[serde(default)]
    pub round: u32,
    pub scale: f64,
    /// Of the rows that are not of large values. 0 in files of before it was kept: 128.
    #[serde(default)]
    pub value_bytes: usize,
    pub operations: u64,
    pub elapsed_ns: u64,
    pub writes: Option<Latency>,
    pub reads: Option<Latency>,
    /// The most memory the measuring process had resident, to its end.
    pub memory_peak_bytes: u64,
    /// What the directory takes up once the engine is closed.
    pub disk_bytes: u64,
}

/// Latencies of single operations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub samples: u64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    /// 0 in files of before it was kept.
    #[serde(default)]
    pub p999_ns: u64,
    pub max_ns: u64,
}

impl Latency {
    /// Sums up the latencies of one kind; `None` if there are none.
    pub fn of(latencies: &[(Kind, Duration)], kind: Kind) -> Option<Self> {
        let mut sorted: Vec<u64> = latencies
            .iter()
            .filter(|(of, _)| *of == kind)
            .map(|(_, latency)| nanoseconds(*latency))
            .collect();
        sorted.sort_unstable();
        let max_ns = *sorted.last()?;
        let at = |per_mille: usize| sorted[(sorted.len() * per_mille / 1000).min(sorted.len() - 1)];
        let (p50_ns, p99_ns, p999_ns) = (at(500), at(990), at(999));
        Some(Self { samples: sorted.len() as u64, p50_ns, p99_ns, p999_ns, max_ns })
    }
}

impl Measurement {
    pub fn new(engine: Engine, workload: Workload, size: Size, timed: &Timed) -> Self {
        Self {
            engine,
            workload,
            round: 0,
            scale: size.scale,
            value_bytes: size.value_bytes,
            operations: timed.operations,
            elapsed_ns: nanoseconds(timed.elapsed),
            writes: Latency::of(&timed.latencies, Kind::Write),
            reads: Latency::of(&timed.latencies, Kind::Read),
            memory_peak_bytes: 0,
            disk_bytes: 0,
        }
    }

    /// The figure of the main table, in the workload's unit.
    #[expect(clippy::cast_precision_loss, reason = "a figure is read to four digits")]
    pub fn figure(&self) -> f64 {
        let seconds = self.elapsed_ns as f64 / 1e9;
        match self.workload.unit() {
            Unit::PerSecond => self.operations as f64 / seconds.max(1e-9),
            Unit::Milliseconds => seconds * 1e3,
            Unit::Seconds | Unit::Megabytes => seconds,
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_one_kind_only() {
        let latencies: Vec<_> = (1..=100)
            .map(|number| (Kind::Write, Duration::from_nanos(number)))
            .chain([(Kind::Read, Duration::from_secs(1))])
            .collect();
        let writes = Latency::of(&latencies, Kind::Write).expect("there are writes");
        assert_eq!((writes.p50_ns, writes.p99_ns, writes.max_ns), (51, 100, 100));
        assert_eq!((writes.samples, writes.p999_ns), (100, 100));
        assert_eq!(Latency::of(&[], Kind::Read), None);
    }
}
