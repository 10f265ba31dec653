//! How latencies are distributed: curves of percentiles.

use super::axis::Axis;
use super::chart::{COLOURS, Chart, Line};
use super::markup::escape;
use crate::bench::figures::time;
use crate::bench::measurement::Latency;
use crate::bench::results::{Results, RowResults, Spread};
use crate::bench::rows::Group;
use std::fmt::{self, Write as _};

/// What is put into one plot.
const PLOTS: [(&str, &str, Option<bool>); 4] = [
    ("Durable writes", "write", Some(true)),
    ("Writes that do not wait", "write", Some(false)),
    ("Reads", "read", None),
    ("Lists, scans and passes", "scan", None),
];

/// A plot for each kind of operation.
pub fn write(results: &Results, to: &mut String) -> fmt::Result {
    let mut plots = String::new();
    for (group, suffix) in
        [(Group::Workloads, ""), (Group::Documented, ", through the Engine interface")]
    {
        for (title, kind, is_synced) in PLOTS {
            let rows = results.rows.iter().filter(|row| row.group == group);
            let rows = rows.filter(|row| is_synced.is_none_or(|is| row.plan.is_synced() == is));
            let lines: Vec<_> = rows
                .filter_map(|row| Some((row.name.as_str(), curve(row, kind)?)))
                .enumerate()
                .map(|(at, (name, points))| line(name, at, points))
                .collect();
            // More lines than there are colours go into another plot.
            for lines in lines.chunks(COLOURS) {
                write_plot(&format!("{title}{suffix}"), lines, &mut plots)?;
            }
        }
    }
    if plots.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "<h2>Latency distributions</h2>\n<p>Within how long the given share of all operations was done; both axes are \
         logarithmic, so that the slowest hundredth has as much room as the slowest tenth. Medians of the rounds. A curve that \
         turns upwards to the right is a tail: the rare operation that waited.</p>"
    )?;
    writeln!(to, "<div class=\"two\">\n{plots}</div>")
}

/// The latencies of one kind in each round, as one curve: at each share the median, as far as all rounds go.
fn curve(row: &RowResults, kind: &str) -> Option<Vec<(f64, f64)>> {
    let curves: Vec<&Latency> = row
        .measurements
        .iter()
        .filter_map(|measurement| measurement.latencies().find(|(of, _)| *of == kind))
        .map(|(_, latency)| latency)
        .collect();
    let points = curves.iter().map(|latency| latency.curve.len()).min()?;
    let point = |at: usize| {
        let (share, _) = curves.first()?.curve.get(at)?;
        let times =
            curves.iter().filter_map(|latency| latency.curve.get(at)).map(|(_, ns)| float(*ns));
        Some((*share, Spread::of(&times.collect::<Vec<_>>())?.median))
    };
    let points: Vec<_> = (0..points).filter_map(point).collect();
    (points.len() > 1).then_some(points)
}

#[expect(clippy::cast_precision_loss, reason = "a point of a plot")]
fn float(ns: u64) -> f64 {
    ns as f64
}

fn line(name: &str, at: usize, points: Vec<(f64, f64)>) -> Line {
    Line { name: name.to_string(), colour: at % COLOURS, is_faint: false, points }
}

fn write_plot(title: &str, lines: &[Line], to: &mut String) -> fmt::Result {
    let all = || lines.iter().flat_map(|line| &line.points);
    let times = || all().map(|(_, ns)| *ns);
    let chart = Chart {
        label: format!("{title}: percentiles of latencies"),
        width: 560.0,
        height: 270.0,
        x: Axis::shares(all().map(|(share, _)| *share).fold(0.0, f64::max)),
        y: Axis::times(times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max)),
        lines: lines.to_vec(),
    };
    writeln!(
        to,
        "<div class=\"card\"><h3>{}</h3>\n{}<div class=\"legend\">",
        escape(title),
        chart.render()
    )?;
    for line in lines {
        let text = format!(
            "{} {}",
            line.name,
            at_share(line, 0.99).map_or(String::new(), |ns| format!("(p99 {})", time(ns)))
        );
        write_key(line.colour, text.trim_end(), to)?;
    }
    writeln!(to, "</div></div>")
}

/// The time at the point nearest to a share.
fn at_share(line: &Line, share: f64) -> Option<f64> {
    let near = |point: &&(f64, f64)| (point.0 - share).abs() < 1e-6;
    line.points.iter().find(near).map(|(_, ns)| *ns)
}

/// A line of the legend.
pub fn write_key(colour: usize, text: &str, to: &mut String) -> fmt::Result {
    let class = colour % COLOURS + 1;
    let text = escape(text);
    writeln!(
        to,
        r#"<span><svg viewBox="0 0 20 8" aria-hidden="true"><path class="line c{class}" d="M1 4H19"/></svg>{text}</span>"#
    )
}
