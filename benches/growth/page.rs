//! The tables: of a run, and on the page.

use crate::csv::Csv;
use crate::marked::replaced_between;
use crate::sweep::Sweep;
use std::path::{Path, PathBuf};

/// A line of a table: what it says, and the columns that it is made of.
type Line = (&'static str, &'static [&'static str]);

const VOLUME: &[Line] = &[
    ("keys and values, MiB", &["raw_mib"]),
    ("load, sets a second", &["load_per_s"]),
    ("... MiB a second", &["load_mib_per_s"]),
    ("... a set", &["load_set_p50_us", "load_set_p99_us", "load_set_p999_us"]),
    ("... writers slowed or stopped, s", &["load_slowed_s"]),
    ("... merges after it, s", &["settle_s"]),
    ("... written a byte", &["load_write_amp"]),
    ("... by system calls", &["load_write_calls_amp"]),
    ("disk to keys and values", &["space_amp"]),
    ("gets a second", &["get_per_s"]),
    ("... a get", &["get_p50_us", "get_p99_us", "get_p999_us"]),
    ("... tables, blocks, bytes read", &["get_tables", "get_blocks", "get_bytes"]),
    ("gets of absent keys a second", &["absent_per_s"]),
    ("... a get", &["absent_p50_us", "absent_p99_us", "absent_p999_us"]),
    ("... tables, blocks, bytes read", &["absent_tables", "absent_blocks", "absent_bytes"]),
    ("half gets, half sets, a second", &["mixed_per_s"]),
    ("... a get", &["mixed_get_p50_us", "mixed_get_p99_us", "mixed_get_p999_us"]),
    ("... a set", &["mixed_set_p50_us", "mixed_set_p99_us", "mixed_set_p999_us"]),
    ("... written a byte, with the load", &["all_write_amp"]),
    ("... disk to keys and values", &["mixed_space_amp"]),
    ("... disk to all merged and collected", &["mixed_over_merged"]),
    ("peak memory, MiB", &["peak_mib"]),
];

const THREADS: &[Line] = &[
    ("gets a second", &["get_per_s"]),
    ("... a get", &["get_p50_us", "get_p99_us", "get_p999_us"]),
    ("sets a second", &["set_per_s"]),
    ("... a set", &["set_p50_us", "set_p99_us", "set_p999_us"]),
    ("half gets, half sets, a second", &["mixed_per_s"]),
    ("... a get", &["mixed_get_p50_us", "mixed_get_p99_us", "mixed_get_p999_us"]),
    ("... a set", &["mixed_set_p50_us", "mixed_set_p99_us", "mixed_set_p999_us"]),
    ("synced sets a second", &["synced_set_per_s"]),
    ("... a set", &["synced_set_p50_us", "synced_set_p99_us", "synced_set_p999_us"]),
    ("... sets for each sync", &["sets_a_sync"]),
    ("peak memory, MiB", &["peak_mib"]),
];

const CACHE: &[Line] = &[
    ("cache, MiB", &["cache_mib"]),
    ("gets a second, all keys alike", &["uniform_per_s"]),
    ("... a get", &["uniform_p50_us", "uniform_p99_us", "uniform_p999_us"]),
    ("... blocks in the cache, %", &["uniform_hit_percent"]),
    ("... blocks, bytes read", &["uniform_blocks", "uniform_bytes"]),
    ("gets a second, Zipf", &["zipf_per_s"]),
    ("... a get", &["zipf_p50_us", "zipf_p99_us", "zipf_p999_us"]),
    ("... blocks in the cache, %", &["zipf_hit_percent"]),
    ("... blocks, bytes read", &["zipf_blocks", "zipf_bytes"]),
    ("peak memory, MiB", &["peak_mib"]),
];

/// The first column, what it is called, and the lines below it.
fn layout(sweep: Sweep) -> (&'static str, &'static str, &'static [Line]) {
    match sweep {
        Sweep::Keys => ("keys", "keys", VOLUME),
        Sweep::Values => ("value_bytes", "bytes of a value", VOLUME),
        Sweep::Threads => ("threads", "threads", THREADS),
        Sweep::Cache => ("cache_percent", "cache, % of keys and values", CACHE),
    }
}

/// As Markdown: a column for each point. Times of single operations are p50 / p99 / p99.9, in microseconds.
pub fn table(sweep: Sweep, csv: &Csv) -> String {
    let (point, title, lines) = layout(sweep);
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let with_label = |label: &str, columns: &[&str]| {
        let mut cells = vec![label.to_string()];
        for at in 0..csv.rows().len() {
            let figures = columns
                .iter()
                .map(|name| grouped(csv.column(name).nth(at).expect("each row has each column")));
            cells.push(figures.collect::<Vec<_>>().join(" / "));
        }
        row(cells)
    };
    let mut text = with_label(title, &[point]);
    text += &row(vec!["---".to_string(); csv.rows().len() + 1]);
    lines.iter().for_each(|(label, columns)| text += &with_label(label, columns));
    text
}

/// A number with commas between thousands.
fn grouped(number: &str) -> String {
    let (digits, rest) = number.split_once('.').unwrap_or((number, ""));
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if rest.is_empty() { text } else { format!("{text}.{rest}") }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The page as it is, and as the CSV files have it.
fn page() -> (String, String) {
    let page = read(&folder().join("performance.md"));
    let mut updated = page.clone();
    for sweep in Sweep::ALL {
        let file = folder().join("performance").join(sweep.file());
        let csv = Csv::parse(&read(&file)).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let name = format!("growth {}", sweep.name());
        updated = replaced_between(&updated, &name, &table(sweep, &csv)).expect("its place");
    }
    (page, updated)
}

/// Writes the tables of the page anew.
pub fn update() {
    let (_, updated) = page();
    std::fs::write(folder().join("performance.md"), updated).expect("the page is written");
}

/// Fails where the page has other figures than the CSV files.
pub fn check() {
    let (page, updated) = page();
    assert!(page == updated, "`--table` writes the tables of docs/performance.md anew");
}
