//! The sweeps, and the parent's part in them: a process for each point.

use crate::arguments::{Arguments, Scale};
use crate::csv::Csv;
use crate::{cache, threads, volume};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// What grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sweep {
    /// The number of keys.
    Keys,
    /// The size of values, over the same bytes in all.
    Values,
    /// The threads, over one database.
    Threads,
    /// The cache, from a hundredth of what is stored to all of it.
    Cache,
}

/// Where times of a run are told from.
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Sweep {
    pub const ALL: [Sweep; 4] = [Sweep::Keys, Sweep::Values, Sweep::Threads, Sweep::Cache];

    pub fn name(self) -> &'static str {
        match self {
            Sweep::Keys => "keys",
            Sweep::Values => "values",
            Sweep::Threads => "threads",
            Sweep::Cache => "cache",
        }
    }

    pub fn named(name: &str) -> Option<Sweep> {
        Sweep::ALL.into_iter().find(|sweep| sweep.name() == name)
    }

    /// Keys, bytes, threads, or percent.
    fn points(self, scale: &Scale) -> Vec<u64> {
        match self {
            Sweep::Keys => {
                let millions = [1, 4, 16, 64].into_iter().filter(|n| *n <= scale.max_million);
                millions.map(|n| n * scale.unit).collect()
            }
            Sweep::Values => vec![16, 128, 1 << 10, 16 << 10, 128 << 10, 1 << 20],
            Sweep::Threads => vec![1, 2, 4, 8, 16],
            Sweep::Cache => vec![1, 3, 10, 30, 100],
        }
    }

    /// Measures one point, in this process, in `dir`; a row of the table.
    pub fn measure(self, point: u64, dir: &Path, scale: &Scale) -> Csv {
        match self {
            Sweep::Keys => volume::of_keys(dir, point, scale),
            Sweep::Values => volume::of_values(dir, point, scale),
            Sweep::Threads => threads::measure(dir, point, scale),
            Sweep::Cache if point == cache::LOAD => cache::load(dir, scale),
            Sweep::Cache => cache::measure(dir, point, scale),
        }
    }

    /// Measures all points, each in a process and a directory of its own. Those of the cache read one
    /// database, which one more process has loaded: what differs between them is the cache alone.
    pub fn run(self, arguments: &Arguments) -> Csv {
        let fresh = || tempfile::tempdir_in(&arguments.below).expect("a directory");
        let shared = (self == Sweep::Cache).then(|| {
            let dir = fresh();
            self.in_a_process(cache::LOAD, dir.path());
            dir
        });
        let mut csv: Option<Csv> = None;
        for point in self.points(&arguments.scale) {
            let row = match &shared {
                Some(dir) => self.in_a_process(point, dir.path()),
                None => self.in_a_process(point, fresh().path()),
            };
            match &mut csv {
                None => csv = Some(row),
                Some(csv) => csv.append(row),
            }
            if let (Some(out), Some(csv)) = (&arguments.out, &csv) {
                let file = out.join(self.file());
                std::fs::write(&file, csv.to_text()).expect("the results are kept");
            }
        }
        csv.expect("a sweep has points")
    }

    /// The file that keeps it.
    pub fn file(self) -> String {
        format!("growth-{}.csv", self.name())
    }

    /// Runs this program again for one point, with the arguments that it was given itself.
    fn in_a_process(self, point: u64, dir: &Path) -> Csv {
        write_out(dir);
        let since = Instant::now();
        let output = Command::new(std::env::current_exe().expect("a program"))
            .args(std::env::args_os().skip(1))
            .args(["--point", self.name(), &point.to_string(), "--dir"])
            .arg(dir)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("a process");
        let is_done = output.status.success();
        assert!(is_done, "{} of {point} ended with {}", self.name(), output.status);
        let (name, took, at) = (self.name(), since.elapsed(), BEGUN.elapsed());
        eprintln!("{} {name} {point}: took {}", clock(at), clock(took));
        Csv::parse(&String::from_utf8(output.stdout).expect("text")).expect("a row")
    }
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// Writes out what is still in memory of the file system of `dir`, so that one point does not pay for another.
fn write_out(dir: &Path) {
    let dir = std::fs::File::open(dir).expect("a directory");
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&dir).expect("a sync");
    #[cfg(not(target_os = "linux"))]
    panic!("{dir:?}: this is for Linux, which counts what goes through its calls");
}
