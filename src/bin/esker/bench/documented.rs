//! The documented latency table, beside what was measured.

use super::results::{Results, RowResults, Spread};
use serde::{Deserialize, Serialize};

/// One figure of the table as it is documented.
#[derive(Debug)]
struct Figure {
    operation: &'static str,
    is_synced: bool,
    documented: &'static str,
    /// The row that measures it.
    row: &'static str,
    of: Of,
}

/// What is documented. Of a span it is the end that promises more.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// The median of a single operation, in microseconds.
    LatencyUs(f64),
    PerSecond(f64),
    /// Seconds for 10^9 bytes.
    SecondsAGigabyte(f64),
}

const fn figure(
    operation: &'static str,
    is_synced: bool,
    documented: &'static str,
    row: &'static str,
    of: Of,
) -> Figure {
    Figure { operation, is_synced, documented, row, of }
}

const FIGURES: &[Figure] = &[
    figure("Get", true, "~100 µs", "engine_get_sync", Of::LatencyUs(100.0)),
    figure("Get", false, "~100 µs", "engine_get_async", Of::LatencyUs(100.0)),
    figure("Set (single)", true, "~1-2 ms", "engine_set_sync", Of::LatencyUs(1_000.0)),
    figure("Set (single)", false, "~100 µs", "engine_set_async", Of::LatencyUs(100.0)),
    figure("BatchSet (100)", true, "~10 ms", "engine_batch100_sync", Of::LatencyUs(10_000.0)),
    figure("BatchSet (100)", false, "~1 ms", "engine_batch100_async", Of::LatencyUs(1_000.0)),
    figure("List (100 keys)", true, "~1 ms", "engine_list100_sync", Of::LatencyUs(1_000.0)),
    figure("List (100 keys)", false, "~1 ms", "engine_list100_async", Of::LatencyUs(1_000.0)),
    figure("Backup (1 GB)", true, "~5 s", "engine_backup_sync", Of::SecondsAGigabyte(5.0)),
    figure("Backup (1 GB)", false, "~5 s", "engine_backup_async", Of::SecondsAGigabyte(5.0)),
    figure("Write-only", true, "~1,000/s", "engine_set_sync", Of::PerSecond(1_000.0)),
    figure("Write-only", false, "~50,000/s", "engine_set_async", Of::PerSecond(50_000.0)),
    figure("Read-only", true, "~100,000/s", "engine_get_sync", Of::PerSecond(100_000.0)),
    figure("Read-only", false, "~100,000/s", "engine_get_async", Of::PerSecond(100_000.0)),
    figure("Mixed (50/50)", true, "~5,000/s", "engine_mixed_sync", Of::PerSecond(5_000.0)),
    figure("Mixed (50/50)", false, "~30,000/s", "engine_mixed_async", Of::PerSecond(30_000.0)),
];

/// One figure of the table beside what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    pub operation: String,
    /// `synced` or `not synced`.
    pub policy: String,
    pub documented: String,
    /// In `unit`: the median of the rounds.
    pub measured: f64,
    /// `us`, `s`, or `per_second`.
    pub unit: String,
    /// How many times better than documented.
    pub ratio: f64,
    pub row: String,
}

/// The table, as far as its rows were measured.
pub fn table(results: &Results) -> Vec<Beside> {
    FIGURES.iter().filter_map(|figure| beside(figure, results.row(figure.row)?)).collect()
}

fn beside(figure: &Figure, row: &RowResults) -> Option<Beside> {
    let (measured, documented, unit) = match figure.of {
        Of::LatencyUs(documented) => {
            let medians =
                row.measurements.iter().filter_map(|measurement| measurement.main_latency());
            let medians: Vec<f64> = medians.map(|latency| us(latency.p50_ns)).collect();
            (Spread::of(&medians)?.median, documented, "us")
        }
        Of::PerSecond(documented) => (row.spread()?.median, documented, "per_second"),
        Of::SecondsAGigabyte(documented) => {
            let gigabytes = float(row.plan.loaded_bytes()) / 1e9;
            (row.spread()?.median / gigabytes.max(1e-9), documented, "s")
        }
    };
    let ratio = match figure.of {
        Of::PerSecond(_) => measured / documented,
        _ => documented / measured.max(1e-9),
    };
    Some(Beside {
        operation: figure.operation.to_string(),
        policy: if figure.is_synced { "synced" } else { "not synced" }.to_string(),
        documented: figure.documented.to_string(),
        measured,
        unit: unit.to_string(),
        ratio,
        row: figure.row.to_string(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a figure is read to four digits")]
fn float(count: u64) -> f64 {
    count as f64
}

fn us(ns: u64) -> f64 {
    float(ns) / 1e3
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{results, row};
    use super::*;

    #[test]
    fn ratios_are_above_one_where_it_is_better_than_documented() {
        // Rows of 20,000 a second whose single operations take 50 us, and of two seconds.
        let all = results(vec![
            row("engine_set_async", &[20_000.0, 20_000.0, 20_000.0]),
            row("engine_backup_sync", &[2.0]),
        ]);
        let table = table(&all);
        let found: Vec<_> = table
            .iter()
            .map(|beside| (beside.operation.as_str(), beside.measured, beside.ratio))
            .collect();
        assert_eq!(found[0], ("Set (single)", 50.0, 2.0));
        assert_eq!(found[2], ("Write-only", 20_000.0, 0.4));
        let (operation, measured, ratio) = found[1];
        assert_eq!(operation, "Backup (1 GB)");
        assert!(
            (measured - 1.86).abs() < 0.01 && (ratio - 2.69).abs() < 0.01,
            "{measured} {ratio}"
        );
    }

    #[test]
    fn each_figure_has_its_row() {
        for figure in FIGURES {
            let row = super::super::rows::find(figure.row).expect(figure.row);
            assert_eq!(row.name.ends_with("_sync"), figure.is_synced, "{}", figure.row);
        }
    }
}
