//! What one measurement came to, as a child prints it and a run keeps it.

use super::series::Series;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// One row, once, in a process of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Which repetition it was, from 0 on.
    pub round: u32,
    /// In the row's unit.
    pub figure: f64,
    pub operations: u64,
    pub elapsed_ns: u64,
    pub writes: Option<Latency>,
    pub reads: Option<Latency>,
    /// Of lists, scans and passes.
    pub scans: Option<Latency>,
    /// The most memory that the process had resident; `None` where the system does not tell.
    pub memory_peak_bytes: Option<u64>,
    /// What the directory takes up once the store is closed.
    pub disk_bytes: u64,
    /// The most that was seen meanwhile, of all that the row had there.
    pub disk_peak_bytes: u64,
    /// Bytes written for each byte of keys and values, until the close.
    pub write_amplification: Option<f64>,
    /// How often writers waited, and for how long together.
    pub stalls: u64,
    pub stall_ns: u64,
    /// For how long writers were slowed, together.
    pub delay_ns: u64,
    /// Syncs of the log.
    pub log_syncs: u64,
    pub series: Series,
}

impl Measurement {
    /// The latencies of what the row is about: of writes, if it has any.
    pub fn main_latency(&self) -> Option<&Latency> {
        self.latencies().next().map(|(_, latency)| latency)
    }

    /// All that there are, by what was done.
    pub fn latencies(&self) -> impl Iterator<Item = (&'static str, &Latency)> {
        [("write", &self.writes), ("read", &self.reads), ("scan", &self.scans)]
            .into_iter()
            .filter_map(|(kind, latency)| Some((kind, latency.as_ref()?)))
    }
}

/// Latencies of single operations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub samples: u64,
    pub mean_ns: u64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
    /// Shares of all, and within how many nanoseconds they were done: as far as there are samples.
    pub curve: Vec<(f64, u64)>,
}

/// Points of a curve for each factor of ten in what is beyond them.
const POINTS_A_DECADE: i32 = 8;
/// From all to one in a million.
const DECADES: i32 = 6;

impl Latency {
    /// Sums up a histogram of nanoseconds; `None` if nothing is in it.
    pub fn of(histogram: &Histogram<u64>) -> Option<Latency> {
        if histogram.is_empty() {
            return None;
        }
        let samples = histogram.len();
        let at = |quantile| histogram.value_at_quantile(quantile);
        let curve = (0..=POINTS_A_DECADE * DECADES).map_while(|point| {
            let beyond = 10_f64.powf(-f64::from(point) / f64::from(POINTS_A_DECADE));
            // Beyond the last sample there is nothing to tell.
            (float(samples) * beyond >= 1.0 - 1e-9).then(|| (1.0 - beyond, at(1.0 - beyond)))
        });
        Some(Latency {
            samples,
            mean_ns: whole(histogram.mean()),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: histogram.max(),
            curve: curve.collect(),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of samples")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "nanoseconds, a mean of u64"
)]
fn whole(ns: f64) -> u64 {
    ns as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_summed_up_as_far_as_there_are_samples() {
        let mut histogram = Histogram::new(3).expect("three digits");
        assert_eq!(Latency::of(&histogram), None);
        (1..=1000).for_each(|n| histogram.record(n * 1000).expect("in its range"));
        let latency = Latency::of(&histogram).expect("some");
        let near = |ns: u64, expected: u64| ns.abs_diff(expected) * 1000 <= expected;
        assert_eq!(latency.samples, 1000);
        assert!(near(latency.p50_ns, 500_000) && near(latency.p99_ns, 990_000), "{latency:?}");
        assert!(near(latency.max_ns, 1_000_000) && near(latency.mean_ns, 500_500), "{latency:?}");
        // Of 1000 samples the last thousandth is one.
        assert_eq!(latency.curve.len(), 25);
        let (quantile, ns) = *latency.curve.last().expect("some");
        assert!((quantile - 0.999).abs() < 1e-9 && near(ns, 999_000), "{quantile} {ns}");
        assert!(latency.curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
    }
}
