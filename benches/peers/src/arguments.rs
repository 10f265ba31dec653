//! The command line, of the parent and of the processes it starts.

use crate::data::{LARGE_VALUE_SIZE, VALUE_SIZE};
use crate::engines::Engine;
use crate::workload::{Load, Workload};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Measure esker and its peers, workload by workload, and print the tables.
#[derive(Parser)]
#[command(version)]
pub struct Arguments {
    /// Engines to run, by name and with commas between; all that were compiled in by default.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Engine::value_variants().to_vec())]
    pub engines: Vec<Engine>,

    /// Workloads to run, with commas between; all by default.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Workload::value_variants().to_vec())]
    pub workloads: Vec<Workload>,

    /// Times each workload is run over each engine; the tables show medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,

    #[command(flatten)]
    pub size: Size,

    /// Folder for the databases, on the disk to measure; by default one below the system's temporary folder.
    #[arg(long)]
    pub dir: Option<PathBuf>,

    /// Keeps every single measurement in this file, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,

    /// Niced busy loops beside the synced rows, which keep the cores awake; 0 for none.
    #[arg(long, default_value_t = 1)]
    pub spinners: u32,

    #[command(subcommand)]
    pub command: Option<Command>,
}

/// How much data a run is about.
#[derive(Args, Clone, Copy)]
pub struct Size {
    /// Multiplies every count: 0.01 is a smoke test, whose figures mean nothing.
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    pub scale: f64,

    /// Bytes of the values of the rows whose values are not of 16 KiB.
    #[arg(long, default_value_t = VALUE_SIZE, value_parser = value_bytes)]
    pub value_bytes: usize,
}

impl Size {
    /// The same, as the arguments of a process that is started.
    pub fn arguments(&self) -> [String; 4] {
        let (scale, value_bytes) = (self.scale.to_string(), self.value_bytes.to_string());
        ["--scale".to_owned(), scale, "--value-bytes".to_owned(), value_bytes]
    }
}

/// What a process that the parent started is to do.
#[derive(Subcommand)]
pub enum Command {
    /// Print the tables of earlier runs, all their rounds together.
    Tables(Files),
    /// Do one measurement and print it as a line of JSON.
    #[command(hide = true)]
    Child(Job),
    /// Fill a directory, for a child to open.
    #[command(hide = true)]
    Load(LoadJob),
    /// Keep a core busy until the parent is gone.
    #[command(hide = true)]
    Spin,
}

/// What earlier runs kept with `--json`.
#[derive(Args)]
pub struct Files {
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Writes esker's ratios to this file as well, a line each row of the table and a column each peer: for a plot.
    #[arg(long)]
    pub csv: Option<PathBuf>,
}

/// One measurement.
#[derive(Args)]
pub struct Job {
    #[arg(value_enum)]
    pub engine: Engine,
    #[arg(value_enum)]
    pub workload: Workload,
    pub dir: PathBuf,
    #[command(flatten)]
    pub size: Size,
}

/// What a directory is filled with before a measurement.
#[derive(Args)]
pub struct LoadJob {
    #[arg(value_enum)]
    pub engine: Engine,
    #[arg(value_enum)]
    pub load: Load,
    pub dir: PathBuf,
    #[command(flatten)]
    pub size: Size,
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale > 0.0 && scale <= 100.0 => Ok(scale),
        _ => Err("a number above 0 and up to 100 is needed".to_owned()),
    }
}

/// Room for the stamp, and no more than a large value: the table has rows for those.
fn value_bytes(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(bytes) if (16..=LARGE_VALUE_SIZE).contains(&bytes) => Ok(bytes),
        _ => Err(format!("a number of bytes from 16 to {LARGE_VALUE_SIZE} is needed")),
    }
}
