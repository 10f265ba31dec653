//! `bench`: performance experiments.

use crate::bench::report;
use crate::bench::results::Results;
use crate::bench::settings::{Settings, Sync};
use crate::bench::{child, compare, rows, run, tables};
use crate::failure::{Failure, Kind, Result};
use crate::place::Global;
use crate::progress::Progress;
use crate::stream::{self, Destination};
use crate::{duration, size};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Measure the documented latency table and the workloads of docs/performance.md, over databases of its own.
///
/// It makes a directory esker-bench below --dir, which must not be there, and removes it in the end, also when it is
/// interrupted; --data-dir is not looked at. Each measurement has a process and a database of its own. Build with
/// --release, and let nothing else run.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Bench {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    run: Run,
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
enum Other {
    Compare(Compare),
    Report(Report),
    /// Measure one row: what esker bench starts for each.
    #[command(hide = true)]
    Child,
}

/// Compare two runs: what is better or worse, by how much, and whether that is beyond the noise.
///
/// A difference is beyond the noise where every round of one run is better than every round of the other, of at least three
/// each. Rows that did not do the same work are not compared, and it is said why.
#[derive(Debug, Args)]
pub struct Compare {
    /// The results of the run to compare with.
    a: PathBuf,
    /// Those of the other.
    b: PathBuf,
}

/// Make the HTML report of a run from its results.
#[derive(Debug, Args)]
pub struct Report {
    /// The results of the run.
    results: PathBuf,
    /// The page.
    page: PathBuf,
}

/// A run. Sizes are bytes or as in 64MiB, times as in 500ms or 30s.
#[derive(Debug, Args)]
struct Run {
    /// Where the databases are to be: on the disk to measure.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Which rows: names, patterns as in set_*, all, documented, workloads; with commas between.
    #[arg(long, value_name = "ROWS", value_delimiter = ',', default_value = "all")]
    rows: Vec<String>,
    /// Print the rows that there are, and measure nothing.
    #[arg(long)]
    list: bool,
    /// Only show that everything runs: a hundredth of the work, one round, one second [figures mean nothing].
    #[arg(long)]
    quick: bool,
    /// How often each row is measured; medians are shown [default: 5].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Multiply all counts by this [default: 1].
    #[arg(long, value_name = "FACTOR")]
    scale: Option<f64>,
    /// For how long the row sustained goes on [default: 10s].
    #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
    seconds: Option<Duration>,
    /// How many entries are there before, in rows of small values, whatever the scale.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    keys: Option<u64>,
    /// How many threads share the work, in rows whose names do not say.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Size of small values, of which half compresses away.
    #[arg(long, value_name = "SIZE", value_parser = size::parse, default_value = "128")]
    value_bytes: u64,
    /// Size of large values.
    #[arg(long, value_name = "SIZE", value_parser = size::parse, default_value = "16KiB")]
    large_value_bytes: u64,
    /// When commits are made durable in rows that leave it open: always, never, or a span as in 100ms.
    #[arg(long, value_name = "POLICY", default_value = "never")]
    sync_policy: Sync,
    /// How blocks and large values are compressed.
    #[arg(long, value_name = "HOW", default_value = "snappy", value_parser = ["snappy", "none"])]
    compression: String,
    /// Memory of the store: memtables, cache, indexes.
    #[arg(long, value_name = "SIZE", value_parser = size::parse, default_value = "1GiB")]
    memory_bytes_max: u64,
    /// Memory for blocks.
    #[arg(long, value_name = "SIZE", value_parser = size::parse, default_value = "256MiB")]
    block_cache_bytes: u64,
    /// Memory of one memtable.
    #[arg(long, value_name = "SIZE", value_parser = size::parse, default_value = "64MiB")]
    memtable_bytes: u64,
    /// Size from which values stay in the log.
    #[arg(long, value_name = "SIZE", value_parser = size::parse, default_value = "1KiB")]
    value_threshold: u64,
    /// Decides the keys, and the order in which they come; with 0 they are those of docs/performance.md.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Loops of the lowest priority beside synced rows: an idle core that sleeps takes longer to wake than a sync (Linux).
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=64))]
    busy_loops: u32,
    /// Keep the results in this file, as JSON.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a page with plots into this file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Compare with an earlier run in the end.
    #[arg(long, value_name = "FILE")]
    compare_with: Option<PathBuf>,
}

impl Bench {
    /// Does it.
    ///
    /// # Errors
    /// Arguments that make no sense; no room; a row that fails; a file that cannot be written.
    pub fn run(&self, global: &Global) -> Result<()> {
        match &self.other {
            None => self.run.run(global),
            Some(Other::Compare(compare)) => compare.run(global),
            Some(Other::Report(report)) => report.run(global),
            Some(Other::Child) => child::run(),
        }
    }
}

impl Compare {
    fn run(&self, global: &Global) -> Result<()> {
        let (a, b) = (Results::read(&self.a)?, Results::read(&self.b)?);
        let (name_a, name_b) = (self.a.display().to_string(), self.b.display().to_string());
        let comparison = compare::compare((&name_a, &a), (&name_b, &b));
        global.output().answer(comparison.render().trim_end(), &comparison.to_json())
    }
}

impl Report {
    fn run(&self, global: &Global) -> Result<()> {
        let results = Results::read(&self.results)?;
        let to = Destination::create(&self.page, true, Progress::silent())?;
        keep(to, &self.page, &report::render(&results))?;
        if stream::is_standard(&self.page) {
            return Ok(());
        }
        let page = self.page.display().to_string();
        global.output().answer(&page, &serde_json::json!({ "page": page }))
    }
}

impl Run {
    fn run(&self, global: &Global) -> Result<()> {
        let settings = self.settings()?;
        if self.list {
            let (text, document) = tables::list(&settings);
            return global.output().answer(text.trim_end(), &document);
        }
        let rows = rows::select(&self.rows)?;
        // What would be in vain after an hour is looked at now.
        let before = self.compare_with.as_deref().map(Results::read).transpose()?;
        let out = self.out.as_deref().map(destination).transpose()?;
        let page = self.report.as_deref().map(destination).transpose()?;
        let (results, ended) = run::run(global, &self.dir, &rows, &settings)?;
        let kept = self.keep(&results, out, page);
        let comparison = before.as_ref().zip(self.compare_with.as_deref()).map(|(before, path)| {
            compare::compare((&path.display().to_string(), before), ("this run", &results))
        });
        let mut text = tables::render(&results);
        let mut document = results.to_json();
        if let Some(comparison) = comparison {
            text = format!("{text}\n{}", comparison.render());
            document["comparison"] = comparison.to_json();
        }
        if results.rows.iter().any(|row| !row.measurements.is_empty()) {
            global.output().answer(text.trim_end(), &document)?;
        }
        kept?;
        ended.map_err(|failure| match (failure.kind, &self.out) {
            (Kind::Interrupted, Some(out)) => {
                failure.remedy(format!("what was measured by then is in {}", out.display()))
            }
            _ => failure,
        })
    }

    fn settings(&self) -> Result<Settings> {
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let settings = Settings {
            scale: self.scale.unwrap_or(if self.quick { 0.01 } else { 1.0 }),
            rounds: self.rounds.unwrap_or(if self.quick { 1 } else { 5 }),
            seed: self.seed,
            threads: self.threads,
            keys: self.keys,
            value_bytes: bytes(self.value_bytes),
            large_value_bytes: bytes(self.large_value_bytes),
            seconds: self
                .seconds
                .map_or(if self.quick { 1.0 } else { 10.0 }, |span| span.as_secs_f64()),
            sync: self.sync_policy,
            compression: self.compression.clone(),
            memory_bytes_max: self.memory_bytes_max,
            block_cache_bytes: self.block_cache_bytes,
            memtable_bytes: self.memtable_bytes,
            value_threshold: self.value_threshold,
            busy_loops: self.busy_loops,
        };
        settings.check()?;
        Ok(settings)
    }

    /// Writes what was asked for, also of a run that did not come to its end.
    fn keep(
        &self,
        results: &Results,
        out: Option<Destination>,
        page: Option<Destination>,
    ) -> Result<()> {
        if let (Some(out), Some(path)) = (out, &self.out) {
            let document: Value = results.to_json();
            keep(out, path, &format!("{document}\n"))?;
        }
        if let (Some(page), Some(path)) = (page, &self.report) {
            keep(page, path, &report::render(results))?;
        }
        Ok(())
    }
}

/// A file of the user's that is to be written in the end, whatever comes.
fn destination(path: &Path) -> Result<Destination> {
    if stream::is_standard(path) {
        return Err(Failure::new(Kind::Usage, "standard output has the tables")
            .remedy("name a file, or take the results from --json"));
    }
    Ok(Destination::create(path, true, Progress::silent())?.uninterruptible())
}

fn keep(mut to: Destination, path: &Path, text: &str) -> Result<()> {
    to.write_all(text.as_bytes()).map_err(|e| Failure::io("write", path, &e))?;
    to.finish()
}
