//! The results of a run: the document that is kept, with all by which another can judge it.

use super::documented::{self, Beside};
use super::machine::Machine;
use super::measurement::Measurement;
use super::plan::{Plan, Unit};
use super::rows::Group;
use super::settings::Settings;
use crate::failure::{Failure, Kind, Result};
use crate::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// What such a document calls itself.
const FORMAT: &str = "esker-bench";
/// The version of its shape; another is refused.
const VERSION: u64 = 1;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    pub format: String,
    pub version: u64,
    pub esker: Build,
    /// When it began.
    pub date: String,
    pub machine: Machine,
    /// What was to do for the processors when it began.
    pub load_average: Option<f64>,
    /// Below which it ran.
    pub dir: String,
    pub settings: Settings,
    /// Whether all that was asked for was measured.
    pub is_complete: bool,
    pub failures: Vec<FailedRow>,
    /// The documented table beside what was measured.
    pub documented: Vec<Beside>,
    pub rows: Vec<RowResults>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    pub version: String,
    /// Whether it was built with optimisation, without which figures mean nothing.
    pub is_optimised: bool,
}

impl Build {
    /// This one.
    pub fn own() -> Build {
        let version = env!("CARGO_PKG_VERSION").to_string();
        Build { version, is_optimised: !cfg!(debug_assertions) }
    }
}

/// A measurement that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRow {
    pub row: String,
    pub round: u32,
    pub message: String,
}

/// One row in all rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowResults {
    pub name: String,
    pub group: Group,
    pub about: String,
    pub unit: Unit,
    pub plan: Plan,
    /// What it was thought to need on the disk at most.
    pub space_needed_bytes: u64,
    pub measurements: Vec<Measurement>,
}

impl RowResults {
    /// The row's figure over the rounds; `None` before the first.
    pub fn spread(&self) -> Option<Spread> {
        self.spread_of(|measurement| Some(measurement.figure))
    }

    /// Something else over the rounds, where it is in all of them.
    pub fn spread_of(&self, what: impl Fn(&Measurement) -> Option<f64>) -> Option<Spread> {
        let found: Option<Vec<f64>> = self.measurements.iter().map(what).collect();
        Spread::of(&found?)
    }

    /// The round whose figure is nearest to the median.
    pub fn typical(&self) -> Option<&Measurement> {
        let median = self.spread()?.median;
        let off = |measurement: &Measurement| (measurement.figure - median).abs();
        self.measurements.iter().min_by(|a, b| off(a).total_cmp(&off(b)))
    }
}

/// Some rounds of one figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub rounds: usize,
}

impl Spread {
    /// Of these; `None` if there are none.
    pub fn of(figures: &[f64]) -> Option<Spread> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
            (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => {
                f64::midpoint(*below, *above)
            }
            (_, middle) => *middle?,
        };
        Some(Spread { median, min, max, rounds: sorted.len() })
    }

    /// How far the rounds are from the median at most, as a share of it.
    pub fn off(&self) -> f64 {
        let most = (self.max - self.median).max(self.median - self.min);
        if self.median == 0.0 { 0.0 } else { most / self.median }
    }
}

impl Results {
    /// Of a run that begins now.
    pub fn begun(dir: &Path, settings: &Settings, rows: Vec<RowResults>) -> Results {
        Results {
            format: FORMAT.to_string(),
            version: VERSION,
            esker: Build::own(),
            date: super::machine::now(),
            machine: Machine::look(dir),
            load_average: super::machine::load_average(),
            dir: dir.display().to_string(),
            settings: settings.clone(),
            is_complete: false,
            failures: Vec::new(),
            documented: Vec::new(),
            rows,
        }
    }

    /// That there is no more to come.
    pub fn end(&mut self, is_complete: bool) {
        self.is_complete = is_complete && self.failures.is_empty();
        self.documented = documented::table(self);
    }

    /// The row of this name, if it was measured.
    pub fn row(&self, name: &str) -> Option<&RowResults> {
        self.rows.iter().find(|row| row.name == name && !row.measurements.is_empty())
    }

    /// What to know before a figure is believed.
    pub fn caveats(&self) -> Vec<String> {
        let mut caveats = Vec::new();
        let mut say = |is_so: bool, text: String| {
            if is_so {
                caveats.push(text);
            }
        };
        say(!self.is_complete, "not all that was asked for was measured".to_string());
        say(
            !self.esker.is_optimised,
            "this is a build without optimisation: the figures mean nothing".to_string(),
        );
        say(
            self.settings.scale < 0.1,
            format!(
                "at a scale of {} there is too little of everything: the figures mean nothing",
                self.settings.scale
            ),
        );
        let system = self.machine.file_system.as_ref().filter(|system| system.is_memory());
        let kind = system.map_or("", |system| system.kind.as_str());
        say(
            system.is_some(),
            format!("{} is memory ({kind}), where a sync costs nothing", self.dir),
        );
        let busy = self.load_average.filter(|load| *load > 0.5).unwrap_or(0.0);
        say(busy > 0.0, format!("the machine had other work when it began (a load of {busy})"));
        caveats
    }

    /// The document as text.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("plain data")
    }

    /// The run in the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Results> {
        let refuse = |why: String| {
            let text = format!("{} holds no results of esker bench: {why}", path.display());
            Failure::new(Kind::Input, text).remedy("name a file that esker bench --out has written")
        };
        let bytes = stream::read_all(path)?;
        let document: Value = serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string()))?;
        if document.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Err(refuse(format!("it does not call itself {FORMAT}")));
        }
        let version = document.get("version").and_then(Value::as_u64);
        if version != Some(VERSION) {
            let version = version.map_or("none".to_string(), |version| version.to_string());
            let text =
                format!("{} has version {version} of the results, not {VERSION}", path.display());
            return Err(Failure::new(Kind::Format, text)
                .remedy("use the esker that wrote it, or measure anew"));
        }
        serde_json::from_value(document).map_err(|e| refuse(e.to_string()))
    }
}

#[cfg(test)]
pub mod tests;
