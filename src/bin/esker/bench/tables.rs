//! The results of a run as text: the documented table, the workloads, and what to know before they are believed.

use super::documented::Beside;
use super::figures::{aligned, bytes, figure, number, off, plural, ratio, time};
use super::measurement::Latency;
use super::plan::Unit;
use super::results::{Results, RowResults, Spread};
use super::rows::ROWS;
use super::settings::Settings;
use serde_json::{Value, json};
use std::fmt::{self, Write as _};

/// All of it.
pub fn render(results: &Results) -> String {
    let mut text = String::new();
    write(results, &mut text).expect("a string takes all");
    text
}

fn write(results: &Results, to: &mut String) -> fmt::Result {
    if !results.documented.is_empty() {
        let rounds = plural(results.settings.rounds.into(), "round");
        writeln!(
            to,
            "documented, and measured (medians of {rounds}; latencies are medians of theirs)\n"
        )?;
        let rows: Vec<_> = results.documented.iter().map(documented).collect();
        to.push_str(&aligned(
            &["operation", "policy", ">documented", ">measured", ">times better"],
            &rows,
        ));
        to.push('\n');
    }
    let rows: Vec<_> = results.rows.iter().flat_map(workload).collect();
    if !rows.is_empty() {
        let heads = [
            "row",
            ">median",
            ">rounds",
            "operation",
            ">p50",
            ">p99",
            ">p99.9",
            ">longest",
            ">disk",
            ">peak memory",
            ">written/byte",
        ];
        to.push_str(&aligned(&heads, &rows));
    }
    for failure in &results.failures {
        writeln!(to, "failed: {}, round {}: {}", failure.row, failure.round + 1, failure.message)?;
    }
    for caveat in results.caveats() {
        writeln!(to, "note: {caveat}")?;
    }
    Ok(())
}

fn documented(beside: &Beside) -> Vec<String> {
    vec![
        beside.operation.clone(),
        beside.policy.clone(),
        beside.documented.clone(),
        measured(beside),
        ratio(beside.ratio),
    ]
}

/// What was measured for a figure of the documented table.
pub fn measured(beside: &Beside) -> String {
    match beside.unit.as_str() {
        "us" => time(beside.measured * 1e3),
        "s" => time(beside.measured * 1e9),
        _ => figure(beside.measured, Unit::PerSecond),
    }
}

/// The lines of a row: the figure with the first kind of operation, then the other kinds.
fn workload(row: &RowResults) -> Vec<Vec<String>> {
    let (Some(spread), Some(typical)) = (row.spread(), row.typical()) else { return Vec::new() };
    let none = || ["-"; 5].map(str::to_string);
    let mut latencies = latencies(row).into_iter();
    let first = latencies.next().unwrap_or_else(none);
    let mut lines = vec![vec![row.name.clone(), figure(spread.median, row.unit), off(spread)]];
    let [line] = lines.as_mut_slice() else { return lines };
    line.extend(first);
    line.push(bytes(typical.disk_bytes));
    line.push(typical.memory_peak_bytes.map_or("-".to_string(), bytes));
    line.push(typical.write_amplification.map_or("-".to_string(), number));
    for other in latencies {
        let mut line = vec![String::new(); 3];
        line.extend(other);
        lines.push(line);
    }
    lines
}

/// What was done, with the medians over the rounds of p50, p99 and p99.9, and the longest of all rounds.
pub fn latencies(row: &RowResults) -> Vec<[String; 5]> {
    let cells = |kind: &str| {
        let of = |pick: fn(&Latency) -> u64| {
            let found = row.measurements.iter().filter_map(|measurement| {
                measurement
                    .latencies()
                    .find(|(of, _)| *of == kind)
                    .map(|(_, latency)| float(pick(latency)))
            });
            Spread::of(&found.collect::<Vec<_>>())
        };
        let median = |pick| Some(time(of(pick)?.median));
        Some([
            kind.to_string(),
            median(|latency| latency.p50_ns)?,
            median(|latency| latency.p99_ns)?,
            median(|latency| latency.p999_ns)?,
            time(of(|latency| latency.max_ns)?.max),
        ])
    };
    ["write", "read", "scan"].into_iter().filter_map(cells).collect()
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn float(ns: u64) -> f64 {
    ns as f64
}

/// The rows that there are, with what they time.
pub fn list(settings: &Settings) -> (String, Value) {
    let cells: Vec<_> = ROWS
        .iter()
        .map(|row| {
            let need = row.plan(settings).space_bytes();
            vec![row.name.to_string(), bytes(need), row.about.to_string()]
        })
        .collect();
    let text = aligned(&["row", ">space", "what is timed"], &cells);
    let document: Vec<_> = ROWS
        .iter()
        .map(|row| {
            let plan = row.plan(settings);
            let need = plan.space_bytes();
            json!({ "name": row.name, "group": row.group, "about": row.about, "plan": plan, "space_needed_bytes": need })
        })
        .collect();
    (text, json!({ "rows": document }))
}
