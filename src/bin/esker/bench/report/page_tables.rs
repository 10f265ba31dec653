//! The tables of the page: documented beside measured, and every row.

use super::markup::escape;
use super::{better, ordered};
use crate::bench::documented::Beside;
use crate::bench::figures::{bytes, figure, number, off, ratio};
use crate::bench::results::{Results, RowResults, Spread};
use crate::bench::tables::{latencies, measured};
use std::fmt::{self, Write as _};

/// The documented table.
pub fn write_documented(results: &Results, to: &mut String) -> fmt::Result {
    if results.documented.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "<h2>Documented, and measured</h2>\n<p>The latency table of the persistence layer's reference: medians of single \
         operations, and throughput. Bars show how many times better than documented, on a logarithmic scale: each line to the right is ten times more.</p>"
    )?;
    writeln!(to, "<div class=\"card wide\"><table>\n<tr><th>operation</th><th>policy</th>")?;
    writeln!(
        to,
        "<th class=\"n\">documented</th><th class=\"n\">measured</th><th class=\"n\">times better</th><th></th></tr>"
    )?;
    let decades = results
        .documented
        .iter()
        .map(|beside| beside.ratio.max(1.0).log10().ceil())
        .fold(1.0, f64::max);
    for beside in &results.documented {
        let class = if beside.ratio < 1.0 { "bad" } else { "strong" };
        writeln!(
            to,
            "<tr><td>{}</td><td class=\"soft\">{}</td><td class=\"n\">{}</td><td class=\"n strong\">{}</td>\
             <td class=\"n {class}\">{}</td><td class=\"plot\">{}</td></tr>",
            escape(&beside.operation),
            escape(&beside.policy),
            escape(&beside.documented),
            escape(&measured(beside)),
            escape(&ratio(beside.ratio)),
            bar(beside, decades)?,
        )?;
    }
    writeln!(to, "</table></div>")
}

/// Where 1 stands in a bar's 200 points: to its left there is room for one power of ten.
const ONE: f64 = 30.0;
const WIDTH: f64 = 200.0;

fn bar(beside: &Beside, decades: f64) -> Result<String, fmt::Error> {
    let decade = (WIDTH - ONE) / decades;
    let mut svg = String::new();
    write!(
        svg,
        r#"<svg viewBox="0 0 {WIDTH} 16" role="img" aria-label="{}">"#,
        escape(&ratio(beside.ratio))
    )?;
    let mut x = ONE + decade;
    while x <= WIDTH + 0.1 {
        write!(svg, r#"<path class="grid" d="M{x:.1} 0V16"/>"#)?;
        x += decade;
    }
    let long = beside.ratio.max(1e-9).log10();
    let (from, width, class) = if long < 0.0 {
        let width = (-long * ONE).min(ONE);
        (ONE - width, width, "bar worse")
    } else {
        (ONE, long * decade, "bar")
    };
    write!(
        svg,
        r#"<rect class="{class}" x="{from:.1}" y="4" width="{:.1}" height="8" rx="2"/>"#,
        width.max(1.0)
    )?;
    write!(svg, r#"<path class="one" d="M{ONE} 0V16"/></svg>"#)?;
    Ok(svg)
}

/// Every row, documented ones last.
pub fn write_workloads(results: &Results, to: &mut String) -> fmt::Result {
    if !results.rows.iter().any(|row| !row.measurements.is_empty()) {
        return Ok(());
    }
    writeln!(
        to,
        "<h2>Rows</h2>\n<p>Medians of the rounds; each round is a dot, from 20 % below the median to 20 % above, arrows \
         are farther off. Latencies are medians of the rounds' percentiles, the longest is that of all rounds.</p>"
    )?;
    writeln!(
        to,
        "<div class=\"card wide\"><table>\n<tr><th>row</th><th class=\"n\">median</th><th>rounds</th><th></th>"
    )?;
    for head in ["p50", "p99", "p99.9", "longest", "disk", "peak memory", "written a byte"] {
        writeln!(to, "<th class=\"n\">{head}</th>")?;
    }
    writeln!(to, "</tr>")?;
    for row in ordered(results) {
        write_row(row, to)?;
    }
    writeln!(to, "</table></div>")
}

fn write_row(row: &RowResults, to: &mut String) -> fmt::Result {
    let (Some(spread), Some(typical)) = (row.spread(), row.typical()) else { return Ok(()) };
    let about = format!("{} ({})", row.about, better(row.unit));
    let mut latencies = latencies(row).into_iter();
    let first = latencies.next().unwrap_or_else(|| ["", "-", "-", "-", "-"].map(str::to_string));
    let name = escape(&row.name);
    writeln!(to, "<tr title=\"{}\"><td>{name}</td>", escape(&about))?;
    writeln!(to, "<td class=\"n strong\">{}</td>", escape(&figure(spread.median, row.unit)))?;
    writeln!(to, "<td class=\"plot\">{}</td>", dots(row, spread)?)?;
    write_latency(&first, to)?;
    for cell in [
        bytes(typical.disk_bytes),
        typical.memory_peak_bytes.map_or("-".to_string(), bytes),
        typical.write_amplification.map_or("-".to_string(), number),
    ] {
        writeln!(to, "<td class=\"n\">{}</td>", escape(&cell))?;
    }
    writeln!(to, "</tr>")?;
    for other in latencies {
        writeln!(to, "<tr class=\"more\"><td></td><td></td><td></td>")?;
        write_latency(&other, to)?;
        writeln!(to, "<td></td><td></td><td></td></tr>")?;
    }
    Ok(())
}

fn write_latency(cells: &[String; 5], to: &mut String) -> fmt::Result {
    let [kind, times @ ..] = cells;
    write!(to, "<td class=\"soft\">{}</td>", escape(kind))?;
    times.iter().try_for_each(|time| write!(to, "<td class=\"n\">{}</td>", escape(time)))
}

/// How far each round is from the median.
fn dots(row: &RowResults, spread: Spread) -> Result<String, fmt::Error> {
    const MIDDLE: f64 = 60.0;
    const REACH: f64 = 52.0;
    let mut svg = String::new();
    write!(svg, r#"<svg viewBox="0 0 200 16" role="img" aria-label="{}">"#, escape(&off(spread)))?;
    write!(
        svg,
        r#"<path class="grid" d="M{} 8H{}"/><path class="one" d="M{MIDDLE} 3V13"/>"#,
        MIDDLE - REACH,
        MIDDLE + REACH
    )?;
    for measurement in &row.measurements {
        let part = if spread.median == 0.0 {
            0.0
        } else {
            (measurement.figure / spread.median - 1.0) / 0.2
        };
        let x = MIDDLE + part.clamp(-1.0, 1.0) * REACH;
        let text = escape(&figure(measurement.figure, row.unit));
        let title = format!("<title>round {}: {text}</title>", measurement.round + 1);
        if part.abs() <= 1.0 {
            write!(svg, r#"<circle class="dot" cx="{x:.1}" cy="8" r="3.2">{title}</circle>"#)?;
        } else {
            let tip = x + 4.0 * part.signum();
            write!(svg, r#"<path class="dot" d="M{x:.1} 4L{tip:.1} 8L{x:.1} 12Z">{title}</path>"#)?;
        }
    }
    write!(svg, r#"<text x="124" y="12">{}</text></svg>"#, escape(&off(spread)))?;
    Ok(svg)
}
