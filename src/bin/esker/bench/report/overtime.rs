//! What happened over time: throughput, space and memory, a small plot for each row.

use super::axis::Axis;
use super::chart::{Chart, Line};
use super::curves::write_key;
use super::markup::escape;
use super::ordered;
use crate::bench::figures::{bytes, figure, number};
use crate::bench::measurement::Measurement;
use crate::bench::plan::Unit;
use crate::bench::results::{Results, RowResults};
use std::fmt::{self, Write as _};

/// Fewer points than this are no plot.
const POINTS_MIN: usize = 4;
const WIDTH: f64 = 370.0;
const HEIGHT: f64 = 150.0;

/// Operations a second.
pub fn write_throughput(results: &Results, to: &mut String) -> fmt::Result {
    let mut plots = String::new();
    for row in ordered(results).filter(|row| row.plan.work.is_steady()) {
        let lines = rounds(row, 0, |measurement| measurement.series.rates());
        let Some(chart) = chart(row, "operations a second over time", lines, rate) else {
            continue;
        };
        let median = row.typical().map_or(String::new(), |typical| {
            let seconds = float(typical.elapsed_ns) / 1e9;
            figure(float(typical.operations) / seconds.max(1e-9), Unit::PerSecond)
        });
        writeln!(
            plots,
            "<div class=\"card\"><h3>{}<span>{median}</span></h3>\n{}</div>",
            escape(&row.name),
            chart.render()
        )?;
    }
    if plots.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "<h2>Throughput over time</h2>\n<p>Operations a second, over the seconds of the row. The round that is nearest to the median \
         is strong, the others faint. Dips are flushes, merges, collections, or the machine.</p>\n<div class=\"three\">\n{plots}</div>"
    )
}

/// Bytes on the disk, and resident.
pub fn write_space(results: &Results, to: &mut String) -> fmt::Result {
    let mut plots = String::new();
    for row in ordered(results).filter(|row| row.plan.work.writes()) {
        let disk = |measurement: &Measurement| over(measurement, &measurement.series.disk_bytes);
        let memory =
            |measurement: &Measurement| over(measurement, &measurement.series.memory_bytes);
        let mut lines = rounds(row, 0, disk);
        lines.extend(rounds(row, 1, memory).into_iter().filter(|line| !line.is_faint));
        let Some(chart) = chart(row, "bytes on the disk and in memory over time", lines, mebibytes)
        else {
            continue;
        };
        let peak = row.typical().map_or(String::new(), |typical| bytes(typical.disk_peak_bytes));
        writeln!(
            plots,
            "<div class=\"card\"><h3>{}<span>at most {peak}</span></h3>\n{}</div>",
            escape(&row.name),
            chart.render()
        )?;
    }
    if plots.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "<h2>Space over time</h2>\n<p>What the row had on the disk, with all that was there before, and what its process had resident, \
         in MiB, until the last operation was done.</p>\n<div class=\"legend\">"
    )?;
    write_key(0, "on the disk", to)?;
    write_key(1, "resident memory", to)?;
    writeln!(to, "</div>\n<div class=\"three\">\n{plots}</div>")
}

/// A line for each round: the typical one strong.
fn rounds(
    row: &RowResults,
    colour: usize,
    points: impl Fn(&Measurement) -> Vec<(f64, f64)>,
) -> Vec<Line> {
    let typical = row.typical().map(|measurement| measurement.round);
    row.measurements
        .iter()
        .map(|measurement| Line {
            name: format!("round {}", measurement.round + 1),
            colour,
            is_faint: Some(measurement.round) != typical,
            points: points(measurement),
        })
        .collect()
}

fn over(measurement: &Measurement, list: &[u64]) -> Vec<(f64, f64)> {
    let at = measurement.series.at_ms.iter().map(|ms| ms / 1e3);
    at.zip(list.iter().map(|count| float(*count) / f64::from(1 << 20))).collect()
}

/// The plot of the lines, if they have points enough.
fn chart(row: &RowResults, what: &str, lines: Vec<Line>, text: fn(f64) -> String) -> Option<Chart> {
    let strong = lines.iter().find(|line| !line.is_faint)?;
    if strong.points.len() < POINTS_MIN {
        return None;
    }
    let points = || lines.iter().flat_map(|line| &line.points);
    Some(Chart {
        label: format!("{}: {what}", row.name),
        width: WIDTH,
        height: HEIGHT,
        x: Axis::span(points().map(|(x, _)| *x).fold(0.0, f64::max), |value| with_unit(value, "s")),
        y: Axis::linear(points().map(|(_, y)| *y).fold(0.0, f64::max), text),
        lines,
    })
}

/// A value of an axis that is in MiB.
fn mebibytes(value: f64) -> String {
    with_unit(value, "MiB")
}

/// A value of an axis, without zeros behind its point.
fn with_unit(value: f64, unit: &str) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "0" { text.to_string() } else { format!("{text} {unit}") }
}

/// A rate on an axis.
fn rate(value: f64) -> String {
    if value == 0.0 { "0".to_string() } else { number(value) }
}

#[expect(clippy::cast_precision_loss, reason = "a point of a plot")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_axes_are_short() {
        let shown =
            [(0.0, "0"), (100.0, "100 s"), (0.5, "0.5 s"), (2.25, "2.25 s"), (10.0, "10 s")];
        for (value, expected) in shown {
            assert_eq!(with_unit(value, "s"), expected);
        }
        assert_eq!((rate(0.0), rate(2_500_000.0)), ("0".to_string(), "2,500,000".to_string()));
    }
}
