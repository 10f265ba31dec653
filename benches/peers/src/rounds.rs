//! The parent: starts a process for every measurement and keeps the results.

use crate::Result;
use crate::arguments::Arguments;
use crate::engines::Engine;
use crate::machine;
use crate::measurement::Measurement;
use crate::spinner::Spinners;
use crate::work::fresh_folder;
use crate::workload::Workload;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run came to. A measurement that fails is left out: the others are
/// still worth having.
#[derive(Default)]
pub struct Outcome {
    pub measurements: Vec<Measurement>,
    pub failures: Vec<String>,
}

/// Measures all that was asked for.
pub fn run(arguments: &Arguments) -> Result<Outcome> {
    let folder = folder(arguments)?;
    if machine::is_memory(&folder) {
        eprintln!(
            "peers: {} is memory, where a sync costs nothing; name a folder on a disk with --dir",
            folder.display()
        );
    }
    let mut outcome = Outcome::default();
    for workload in &arguments.workloads {
        for round in 0..arguments.rounds {
            for engine in engines_of_round(&arguments.engines, round) {
                if !engine.runs(*workload) {
                    continue;
                }
                match measure(arguments, &folder, engine, *workload) {
                    Ok(mut measurement) => {
                        measurement.round = round;
                        report(&measurement);
                        outcome.measurements.push(measurement);
                    }
                    Err(error) => {
                        let failure = format!("{} {}: {error}", workload.name(), engine.name());
                        eprintln!("{failure}");
                        outcome.failures.push(failure);
                    }
                }
            }
        }
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(outcome)
}

/// A folder of this run's own, which is removed at its end.
fn folder(arguments: &Arguments) -> Result<PathBuf> {
    let below = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
    let folder = below.join(format!("peers-{}", std::process::id()));
    fresh_folder(&folder)?;
    Ok(folder)
}

/// The engines take turns at coming first, so that none always runs after
/// the same other one.
fn engines_of_round(engines: &[Engine], round: u32) -> Vec<Engine> {
    let mut engines = engines.to_vec();
    if !engines.is_empty() {
        let turn = round as usize % engines.len();
        engines.rotate_left(turn);
    }
    engines
}

fn measure(
    arguments: &Arguments,
    folder: &Path,
    engine: Engine,
    workload: Workload,
) -> Result<Measurement> {
    let dir = folder.join("measured");
    fresh_folder(&dir)?;
    machine::sync_everything();
    let spinners = workload.is_synced().then(|| Spinners::start(arguments.spinners)).transpose()?;
    let output = Command::new(std::env::current_exe()?)
        .args(["child", &engine.name(), &workload.name()])
        .arg(&dir)
        .args(arguments.size.arguments())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    drop(spinners);
    std::fs::remove_dir_all(&dir)?;
    if !output.status.success() {
        return Err(format!("the measuring process ended with {}", output.status).into());
    }
    // An engine may print lines of its own; the measurement is the last.
    let printed = String::from_utf8(output.stdout)?;
    let line = printed.lines().last().ok_or("nothing was printed")?;
    Ok(serde_json::from_str(line)?)
}

fn report(measurement: &Measurement) {
    eprintln!(
        "{} {} round {}: {:.4e} {}",
        measurement.workload.name(),
        measurement.engine.name(),
        measurement.round,
        measurement.figure(),
        measurement.workload.unit().label(),
    );
}
