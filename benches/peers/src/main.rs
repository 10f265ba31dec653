//! Runs one set of workloads over esker and the engines it is measured
//! against, on equal terms, and prints what each did.
//!
//! One program plays every part: the parent chooses what to measure and
//! prints the tables; a `child` does one measurement in a fresh process and
//! directory; a `load` process fills a directory before a child opens it; a
//! `spin` process keeps a core from sleeping beside synced rows.

mod arguments;
mod data;
mod engines;
mod machine;
mod measurement;
mod report;
mod rounds;
mod spinner;
mod timed;
mod work;
mod workload;

use arguments::{Arguments, Command, Files};
use clap::Parser;
use measurement::Measurement;
use std::error::Error;
use std::process::ExitCode;

/// Whatever went wrong, in any engine: the run prints it and stops.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        None => {
            let outcome = rounds::run(arguments)?;
            if let Some(path) = &arguments.json {
                std::fs::write(path, serde_json::to_vec_pretty(&outcome.measurements)?)?;
            }
            print!("{}", report::render(&outcome.measurements));
            if outcome.failures.is_empty() {
                return Ok(());
            }
            Err(format!("not measured:\n{}", outcome.failures.join("\n")).into())
        }
        Some(Command::Tables(Files { files, csv })) => {
            let mut measurements: Vec<Measurement> = Vec::new();
            for path in files {
                let earlier: Vec<Measurement> = serde_json::from_slice(&std::fs::read(path)?)
                    .map_err(|e| format!("{}: {e}", path.display()))?;
                measurements.extend(earlier);
            }
            if let Some(path) = csv {
                std::fs::write(path, report::ratios(&measurements))?;
            }
            print!("{}", report::render(&measurements));
            Ok(())
        }
        Some(Command::Child(job)) => {
            let measurement = work::measure(job)?;
            println!("{}", serde_json::to_string(&measurement)?);
            Ok(())
        }
        Some(Command::Load(job)) => work::load(job),
        Some(Command::Spin) => {
            spinner::spin();
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}
