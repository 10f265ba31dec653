//! What was asked for.

use crate::sweep::Sweep;
use std::path::PathBuf;
use std::time::Duration;

/// How large a run is.
pub struct Scale {
    /// How many keys a million of keys is.
    pub unit: u64,
    /// The largest point of `--keys`, in units.
    pub max_million: u64,
    /// Keys and values of each point of `--values`.
    pub values_bytes: u64,
    /// How long what goes by time goes on.
    pub phase: Duration,
    /// How often what goes by number is done.
    pub gets: u64,
    /// So long nothing is merged before merging counts as over.
    pub quiet: Duration,
    pub is_quick: bool,
}

pub enum Task {
    Sweeps,
    /// The tables of the page, from the CSV files.
    Table,
    /// One point of a sweep, in a process of its own, in the directory [`Arguments::below`].
    Point {
        sweep: Sweep,
        point: u64,
    },
    /// A loop that keeps a core awake.
    Spin,
}

pub struct Arguments {
    pub sweeps: Vec<Sweep>,
    pub scale: Scale,
    /// Where CSV files are kept.
    pub out: Option<PathBuf>,
    /// Where directories for databases are made.
    pub below: PathBuf,
    pub task: Task,
}

impl Arguments {
    pub fn read() -> Self {
        let scale = Scale {
            unit: 1_000_000,
            max_million: 64,
            values_bytes: 512 << 20,
            phase: Duration::from_secs(10),
            gets: 500_000,
            quiet: Duration::from_millis(300),
            is_quick: false,
        };
        let below = std::env::temp_dir();
        let mut read =
            Arguments { sweeps: Vec::new(), scale, out: None, below, task: Task::Sweeps };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let scale = &mut read.scale;
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} wants a value"));
            let number = |text: String| {
                text.parse::<u64>().unwrap_or_else(|e| panic!("{word} wants a number: {e}"))
            };
            match word.as_str() {
                "--max-million" => scale.max_million = number(value()),
                "--mib" => scale.values_bytes = number(value()) << 20,
                "--unit" => scale.unit = number(value()),
                "--seconds" => scale.phase = Duration::from_secs(number(value())),
                "--gets" => scale.gets = number(value()),
                "--quick" => {
                    *scale = Scale {
                        unit: 500,
                        max_million: scale.max_million,
                        values_bytes: 1 << 20,
                        phase: Duration::from_millis(50),
                        gets: 1_000,
                        quiet: Duration::from_millis(20),
                        is_quick: true,
                    }
                }
                "--out" => read.out = Some(value().into()),
                "--dir" => read.below = value().into(),
                "--table" => read.task = Task::Table,
                "--spin" => read.task = Task::Spin,
                "--point" => {
                    let sweep = Sweep::named(&value()).expect("the name of a sweep");
                    read.task = Task::Point { sweep, point: number(value()) };
                }
                "--bench" => {}
                other => {
                    let sweep = other.strip_prefix("--").and_then(Sweep::named);
                    read.sweeps.push(sweep.unwrap_or_else(|| panic!("unknown argument {other}")));
                }
            }
        }
        if read.sweeps.is_empty() {
            read.sweeps = Sweep::ALL.to_vec();
        }
        read
    }
}
