//! The tables: medians over the rounds, engine by engine.

mod table;

use crate::engines::Engine;
use crate::measurement::{Latency, Measurement};
use crate::workload::{Unit, Workload};
use table::{Table, number};

/// One row of the main table, and how its value comes out of a measurement.
struct Row {
    name: String,
    workload: Workload,
    unit: Unit,
    value: Value,
}

type Value = fn(&Measurement) -> f64;
type LatencyOf = fn(&Measurement) -> Option<Latency>;

/// All tables of a run, as Markdown.
pub fn render(measurements: &[Measurement]) -> String {
    let engines = in_order(measurements.iter().map(|measurement| measurement.engine));
    let workloads = in_order(measurements.iter().map(|measurement| measurement.workload));
    let rows: Vec<Row> = workloads.iter().flat_map(|workload| rows_of(*workload)).collect();
    [
        figures(measurements, &engines, &rows),
        latencies(measurements, &engines, &workloads),
        sizes(measurements, &engines, &workloads),
    ]
    .join("\n")
}

/// The distinct items, in the order in which they first come up.
fn in_order<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for item in items {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    distinct
}

/// A workload's row, and the row of a size that is a goal of its own.
fn rows_of(workload: Workload) -> Vec<Row> {
    let mut rows = vec![Row {
        name: workload.name(),
        workload,
        unit: workload.unit(),
        value: Measurement::figure,
    }];
    let size: Option<(&str, Value)> = match workload {
        Workload::Overwrite => Some(("disk after it", |of| megabytes(of.disk_bytes))),
        Workload::SetAsync => Some(("peak memory of it", |of| megabytes(of.memory_peak_bytes))),
        _ => None,
    };
    rows.extend(size.map(|(name, value)| Row {
        name: format!("... {name}"),
        workload,
        unit: Unit::Megabytes,
        value,
    }));
    rows
}

/// Every engine's median, esker's ratio to it, and to the best that counts.
fn figures(measurements: &[Measurement], engines: &[Engine], rows: &[Row]) -> String {
    let esker = engines.iter().copied().find(|engine| engine.name() == "esker");
    let peers: Vec<Engine> =
        engines.iter().copied().filter(|engine| Some(*engine) != esker).collect();
    let mut table = Table::new(["workload", "unit"]);
    table.header(engines.iter().map(|engine| engine.name()));
    table.header(["best peer".to_owned()]);
    if esker.is_some() {
        table.header(peers.iter().map(|peer| format!("to {peer}", peer = peer.name())));
        table.header(["to best".to_owned()]);
    }
    for row in rows {
        let value = |engine: Engine| median_of(measurements, engine, row);
        let best = best_peer(&peers, row, value);
        let mut cells = vec![row.name.clone(), row.unit.label().to_owned()];
        cells.extend(engines.iter().map(|engine| figure_cell(*engine, row, value(*engine))));
        cells.push(best.map_or_else(none, |(peer, _)| peer.name()));
        if let Some(esker) = esker {
            let ratio = |other: Option<f64>| ratio_cell(row.unit, value(esker), other);
            cells.extend(peers.iter().map(|peer| ratio(value(*peer))));
            cells.push(ratio(best.map(|(_, value)| value)));
        }
        table.row(cells);
    }
    format!(
        "## Figures\n\nMedians. `*`: does not count in this row. Ratios are esker's, above 1 where esker is ahead.\n\n{table}"
    )
}

/// Esker's ratio to each peer, a line each row, as CSV. Nothing where there is none, or where the peer does not count.
pub fn ratios(measurements: &[Measurement]) -> String {
    let engines = in_order(measurements.iter().map(|measurement| measurement.engine));
    let workloads = in_order(measurements.iter().map(|measurement| measurement.workload));
    let rows = workloads.iter().flat_map(|workload| rows_of(*workload));
    let (esker, peers): (Vec<Engine>, Vec<Engine>) =
        engines.into_iter().partition(|engine| engine.name() == "esker");
    let names = peers.iter().map(|peer| peer.name());
    let mut lines = vec![std::iter::once("row".to_owned()).chain(names).collect::<Vec<_>>()];
    for row in rows {
        let value = |engine: &Engine| median_of(measurements, *engine, &row);
        let own = esker.first().and_then(value);
        let ratio = |peer: &Engine| {
            let other = value(peer).filter(|_| peer.counts(row.workload));
            Some(ratio_cell(row.unit, own, other))
                .filter(|cell| *cell != none())
                .unwrap_or_default()
        };
        let name = row.name.replace("...", row.workload.name().as_str());
        lines.push(std::iter::once(name).chain(peers.iter().map(ratio)).collect());
    }
    lines.iter().map(|cells| cells.join(",") + "\n").collect()
}

fn median_of(measurements: &[Measurement], engine: Engine, row: &Row) -> Option<f64> {
    median(of(measurements, engine, row.workload).map(row.value).collect())
}

fn best_peer(
    peers: &[Engine],
    row: &Row,
    value: impl Fn(Engine) -> Option<f64>,
) -> Option<(Engine, f64)> {
    let that_count = peers.iter().filter(|peer| peer.counts(row.workload));
    let values = that_count.filter_map(|peer| Some((*peer, value(*peer)?)));
    values.max_by(|(_, one), (_, other)| {
        if row.unit.more_is_better() { one.total_cmp(other) } else { other.total_cmp(one) }
    })
}

fn figure_cell(engine: Engine, row: &Row, value: Option<f64>) -> String {
    let mark = if engine.counts(row.workload) { "" } else { " *" };
    value.map_or_else(none, |value| format!("{}{mark}", number(value)))
}

fn ratio_cell(unit: Unit, esker: Option<f64>, other: Option<f64>) -> String {
    match (esker, other) {
        (Some(esker), Some(other)) if esker > 0.0 && other > 0.0 => {
            let ratio = if unit.more_is_better() { esker / other } else { other / esker };
            format!("{ratio:.2}")
        }
        _ => none(),
    }
}

/// Medians over the rounds of each round's percentiles.
fn latencies(measurements: &[Measurement], engines: &[Engine], workloads: &[Workload]) -> String {
    let mut table = Table::new(["workload", "operation"]);
    table.header(engines.iter().map(|engine| engine.name()));
    let kinds: [(&str, LatencyOf); 2] = [("write", |of| of.writes), ("read", |of| of.reads)];
    for workload in workloads {
        for (kind, latency) in kinds {
            let cell = |engine: Engine| {
                let percentile = |which: fn(&Latency) -> u64| {
                    let latencies = of(measurements, engine, *workload).filter_map(latency);
                    median(latencies.map(|latency| microseconds(which(&latency))).collect())
                };
                let p50 = percentile(|latency| latency.p50_ns)?;
                let p99 = percentile(|latency| latency.p99_ns)?;
                let p999 = percentile(|latency| latency.p999_ns)?;
                Some(format!("{} / {} / {}", number(p50), number(p99), number(p999)))
            };
            let cells: Vec<Option<String>> = engines.iter().map(|engine| cell(*engine)).collect();
            if cells.iter().any(Option::is_some) {
                let names = [workload.name(), kind.to_owned()];
                let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(none));
                table.row(names.into_iter().chain(cells).collect());
            }
        }
    }
    format!(
        "## Latency of an operation, p50 / p99 / p99.9, µs\n\n`scan`: of a whole pass.\n\n{table}"
    )
}

fn sizes(measurements: &[Measurement], engines: &[Engine], workloads: &[Workload]) -> String {
    let mut table = Table::new(["workload"]);
    table.header(engines.iter().map(|engine| engine.name()));
    for workload in workloads {
        let mut cells = vec![workload.name()];
        cells.extend(engines.iter().map(|engine| {
            let size = |bytes: fn(&Measurement) -> u64| {
                let sizes = of(measurements, *engine, *workload).map(bytes);
                median(sizes.map(megabytes).collect())
            };
            let memory = size(|of| of.memory_peak_bytes);
            let disk = size(|of| of.disk_bytes);
            memory.zip(disk).map_or_else(none, |(memory, disk)| {
                format!("{} / {}", number(memory), number(disk))
            })
        }));
        table.row(cells);
    }
    format!("## Peak memory / disk afterwards, MB\n\n{table}")
}

fn of(
    measurements: &[Measurement],
    engine: Engine,
    workload: Workload,
) -> impl Iterator<Item = &Measurement> {
    measurements.iter().filter(move |of| of.engine == engine && of.workload == workload)
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[expect(clippy::cast_precision_loss, reason = "a size is read to four digits")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "a latency is read to four digits")]
fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

fn none() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Size;
    use crate::data::VALUE_SIZE;
    use crate::timed::Timed;
    use clap::ValueEnum;
    use std::time::Duration;

    fn measurement(engine: Engine, workload: Workload, elapsed: Duration) -> Measurement {
        let size = Size { scale: 1.0, value_bytes: VALUE_SIZE };
        Measurement::new(engine, workload, size, &Timed::single(elapsed))
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn the_best_peer_is_one_that_counts() {
        let measurements = [
            measurement(Engine::Redb, Workload::SetAsync, Duration::from_millis(1)),
            measurement(Engine::Fjall, Workload::SetAsync, Duration::from_millis(2)),
            measurement(Engine::Canopydb, Workload::SetAsync, Duration::from_millis(4)),
        ];
        let text = render(&measurements);
        let row = text.lines().find(|line| line.starts_with("| set_async")).expect("a row");
        assert!(row.contains("1,000 *"), "{row}");
        assert!(row.contains("fjall"), "{row}");
    }

    #[test]
    fn ratios_for_a_plot_leave_out_what_does_not_count() {
        let of =
            |engine, millis| measurement(engine, Workload::SetAsync, Duration::from_millis(millis));
        let ours = Engine::value_variants().iter().find(|engine| engine.name() == "esker");
        let Some(ours) = ours else { return };
        let text = ratios(&[of(*ours, 2), of(Engine::Redb, 1), of(Engine::Fjall, 3)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["row,redb,fjall", "set_async,,1.50"]);
    }

    #[test]
    fn ratios_are_above_one_where_esker_is_ahead() {
        assert_eq!(ratio_cell(Unit::PerSecond, Some(30.0), Some(10.0)), "3.00");
        assert_eq!(ratio_cell(Unit::Milliseconds, Some(10.0), Some(30.0)), "3.00");
        assert_eq!(ratio_cell(Unit::Seconds, None, Some(30.0)), "-");
    }
}
