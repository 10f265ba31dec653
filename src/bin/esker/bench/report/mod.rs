//! The results of a run as one page: nothing is fetched from elsewhere, nothing needs a script, and it reads in
//! light and in dark.
//!
//! Plots are our own SVG: the drawing is three hundred lines with its tests, and its colours must be the page's, which follow the reader's choice;
//! libraries write fixed ones into each element.

mod axis;
mod chart;
mod curves;
mod markup;
mod overtime;
mod page_tables;

use super::figures::{bytes, plural};
use super::plan::Unit;
use super::results::{Results, RowResults};
use super::rows::Group;
use super::settings::Settings;
use markup::escape;
use std::fmt::{self, Write as _};

/// The page.
pub fn render(results: &Results) -> String {
    let mut to = String::new();
    write(results, &mut to).expect("a string takes all");
    to
}

fn write(results: &Results, to: &mut String) -> fmt::Result {
    let css = include_str!("page.css");
    writeln!(to, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>")?;
    writeln!(to, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>")?;
    writeln!(to, "<title>esker bench, {}</title>", escape(&results.date))?;
    writeln!(to, "<style>\n{css}</style>\n</head>\n<body>\n<main>")?;
    write_head(results, to)?;
    page_tables::write_documented(results, to)?;
    page_tables::write_workloads(results, to)?;
    curves::write(results, to)?;
    overtime::write_throughput(results, to)?;
    overtime::write_space(results, to)?;
    write_ground(results, to)?;
    writeln!(
        to,
        "<footer>Written by esker bench {}; see docs/benchmarks.md.</footer>",
        escape(&results.esker.version)
    )?;
    writeln!(to, "</main>\n</body>\n</html>")
}

fn write_head(results: &Results, to: &mut String) -> fmt::Result {
    let machine = &results.machine;
    let cpu = machine.cpu.as_deref().unwrap_or(&machine.architecture);
    let file_system =
        machine.file_system.as_ref().map_or("an unknown file system", |found| found.kind.as_str());
    let memory = machine.memory_bytes.map_or(String::new(), |count| format!(", {}", bytes(count)));
    writeln!(to, "<header>\n<h1>esker bench</h1>")?;
    let rounds = plural(u64::from(results.settings.rounds), "round");
    let about = format!(
        "esker {}, {}, {rounds}. {cpu}, {}{memory}, {file_system}, {}.",
        results.esker.version,
        results.date.replace('T', " ").replace('Z', " UTC"),
        plural(machine.cores as u64, "core"),
        machine.system,
    );
    writeln!(to, "<p>{}</p>", escape(&about))?;
    for caveat in results.caveats() {
        writeln!(to, "<p class=\"note\">{}</p>", escape(&caveat))?;
    }
    for failure in &results.failures {
        let text =
            format!("failed: {}, round {}: {}", failure.row, failure.round + 1, failure.message);
        writeln!(to, "<p class=\"note\">{}</p>", escape(&text))?;
    }
    writeln!(to, "</header>")
}

/// On what it was measured, and how.
fn write_ground(results: &Results, to: &mut String) -> fmt::Result {
    writeln!(to, "<h2>On what, and how</h2>\n<div class=\"two\">")?;
    let machine = &results.machine;
    let unknown = || "not known".to_string();
    let file_system = machine.file_system.as_ref();
    let virtual_machine = match machine.is_virtual {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known",
    };
    let machine = [
        ("processor", machine.cpu.clone().unwrap_or_else(unknown)),
        ("cores", machine.cores.to_string()),
        ("memory", machine.memory_bytes.map_or_else(unknown, bytes)),
        ("system", format!("{}, {}", machine.system, machine.architecture)),
        ("virtual machine", virtual_machine.to_string()),
        (
            "file system",
            file_system.map_or_else(unknown, |found| format!("{} on {}", found.kind, found.device)),
        ),
        ("mounted with", file_system.map_or_else(unknown, |found| found.options.clone())),
        ("directory", results.dir.clone()),
        (
            "load at the beginning",
            results.load_average.map_or_else(unknown, |load| load.to_string()),
        ),
    ];
    write_list(&machine, to)?;
    write_list(&settings(&results.settings), to)?;
    writeln!(to, "</div>")
}

fn settings(settings: &Settings) -> [(&'static str, String); 13] {
    let as_rows_have = || "as each row has it".to_string();
    [
        ("scale", settings.scale.to_string()),
        ("rounds", settings.rounds.to_string()),
        ("seed", settings.seed.to_string()),
        ("threads", settings.threads.map_or_else(as_rows_have, |count| count.to_string())),
        ("keys", settings.keys.map_or_else(as_rows_have, |count| count.to_string())),
        (
            "values",
            format!(
                "{}; large ones {}",
                size(settings.value_bytes),
                size(settings.large_value_bytes)
            ),
        ),
        ("rows without a policy", format!("{:?}", settings.sync.policy())),
        ("compression", settings.compression.clone()),
        ("memory budget", bytes(settings.memory_bytes_max)),
        ("block cache", bytes(settings.block_cache_bytes)),
        ("memtable", bytes(settings.memtable_bytes)),
        ("value threshold", bytes(settings.value_threshold)),
        ("busy loops beside synced rows", settings.busy_loops.to_string()),
    ]
}

fn size(count: usize) -> String {
    bytes(count as u64)
}

fn write_list(items: &[(&str, String)], to: &mut String) -> fmt::Result {
    writeln!(to, "<div class=\"card\"><dl>")?;
    for (name, value) in items {
        writeln!(to, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value))?;
    }
    writeln!(to, "</dl></div>")
}

/// The rows as they are shown: workloads first, since those of the documented table are in that.
fn ordered(results: &Results) -> impl Iterator<Item = &RowResults> {
    let of = |group: Group| results.rows.iter().filter(move |row| row.group == group);
    of(Group::Workloads).chain(of(Group::Documented))
}

/// What more of is better, in a word.
fn better(unit: Unit) -> &'static str {
    if unit.is_rate() { "more is better" } else { "less is better" }
}

#[cfg(test)]
mod tests;
