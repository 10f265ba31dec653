//! A run: every row in every round, each in a process of its own.
//!
//! Rounds are gone through one after the other, and each begins with another row, so that what the machine does
//! meanwhile meets all rows alike and no row always comes after the same other one.

use super::child::{Ended, Job, Task, Working};
use super::ground::Ground;
use super::machine;
use super::measurement::Measurement;
use super::results::{FailedRow, Results, RowResults};
use super::rows::Row;
use super::settings::Settings;
use crate::failure::{Failure, Kind, Result};
use crate::interrupt;
use crate::place::Global;
use crate::progress::Steps;
use indicatif::HumanBytes;
use std::path::Path;

/// Measures the rows below `below`. What was measured is in the results also where it was interrupted.
///
/// # Errors
/// It cannot begin, for want of space or of a directory.
pub fn run(
    global: &Global,
    below: &Path,
    rows: &[&Row],
    settings: &Settings,
) -> Result<(Results, Result<()>)> {
    let rows = rows.iter().map(|row| begun(row, settings)).collect();
    let mut results = Results::begun(below, settings, rows);
    Ground::check(below)?;
    check_space(global, below, &results.rows)?;
    let ground = Ground::make(below)?;
    interrupt::watch();
    let ended = rounds(global, &ground, &mut results);
    let removed = ground.remove();
    results.end(ended.is_ok());
    Ok((results, ended.and(removed)))
}

fn begun(row: &Row, settings: &Settings) -> RowResults {
    let plan = row.plan(settings);
    RowResults {
        name: row.name.to_string(),
        group: row.group,
        about: row.about.to_string(),
        unit: plan.work.unit(),
        space_needed_bytes: plan.space_bytes(),
        plan,
        measurements: Vec::new(),
    }
}

/// Says what the largest row needs, and refuses where there is not as much.
fn check_space(global: &Global, below: &Path, rows: &[RowResults]) -> Result<()> {
    let Some(largest) = rows.iter().max_by_key(|row| row.space_needed_bytes) else { return Ok(()) };
    let (needed, dir) = (HumanBytes(largest.space_needed_bytes), below.display());
    if let Some(free) = machine::free_bytes(below)?
        && free < largest.space_needed_bytes
    {
        let text = format!(
            "{} needs up to {needed} below {dir}, where {} are free",
            largest.name,
            HumanBytes(free)
        );
        return Err(Failure::new(Kind::Usage, text).remedy(
            "name another directory with --dir, fewer rows with --rows, or a smaller --scale",
        ));
    }
    global.remark(&format!("up to {needed} are needed below {dir}, for {}", largest.name));
    Ok(())
}

/// Where each measurement stands.
struct Turn<'a> {
    global: &'a Global,
    ground: &'a Ground,
    settings: Settings,
    steps: Steps,
}

fn rounds(global: &Global, ground: &Ground, results: &mut Results) -> Result<()> {
    let (settings, count) = (results.settings.clone(), results.rows.len());
    let total = count * usize::try_from(settings.rounds).unwrap_or(usize::MAX);
    let steps = Steps::new(global, total);
    let mut turn = Turn { global, ground, settings, steps };
    for round in 0..turn.settings.rounds {
        let first = usize::try_from(round).unwrap_or(0) % count.max(1);
        for at in (first..count).chain(0..first) {
            let Some(row) = results.rows.get_mut(at) else { continue };
            turn.steps.begin(&format!(
                "{}, round {} of {}",
                row.name,
                round + 1,
                turn.settings.rounds
            ));
            match turn.measure(row) {
                Ok(measurement) => row.measurements.push(Measurement { round, ..measurement }),
                Err(failure) if failure.kind == Kind::Interrupted => return Err(failure),
                Err(failure) => {
                    let message = failure.sentence();
                    turn.steps
                        .say(turn.global, &format!("{}, round {}: {message}", row.name, round + 1));
                    results.failures.push(FailedRow { row: row.name.clone(), round, message });
                }
            }
            turn.steps.end();
        }
    }
    match results.failures.first() {
        None => Ok(()),
        Some(first) => {
            let count = results.failures.len();
            let text = format!(
                "{count} of {total} measurements failed, {} with: {}",
                first.row, first.message
            );
            Err(Failure::new(Kind::Unknown, text))
        }
    }
}

impl Turn<'_> {
    fn measure(&self, row: &RowResults) -> Result<Measurement> {
        let dir = self.ground.fresh()?;
        let (plan, settings) = (row.plan.clone(), self.settings.clone());
        let job =
            |task| Job { task, plan: plan.clone(), settings: settings.clone(), dir: dir.clone() };
        if row.plan.work.load().is_some() {
            self.wait(Working::start(&job(Task::Load))?)?;
        }
        machine::settle(&dir)?;
        let loops = if row.plan.is_synced() { self.settings.busy_loops } else { 0 };
        let spinning: Result<Vec<Working>> =
            (0..loops).map(|_| Working::start(&job(Task::Spin))).collect();
        let spinning = spinning?;
        let ended = self.wait(Working::start(&job(Task::Measure))?)?;
        drop(spinning);
        serde_json::from_str(&ended.output).map_err(|e| {
            Failure::new(Kind::Unknown, format!("the measuring process said something else: {e}"))
        })
    }

    /// Waits for a child, and fails with what it failed with.
    fn wait(&self, child: Working) -> Result<Ended> {
        let ended = child.wait(|| {
            self.steps.tick();
            if interrupt::is_asked() { Err(interrupted()) } else { Ok(()) }
        })?;
        if ended.status.success() {
            return Ok(ended);
        }
        if interrupt::is_asked() || is_interrupted(&ended) {
            return Err(interrupted());
        }
        let said = ended.errors.trim_end();
        let said = said.strip_prefix("esker: ").unwrap_or(said);
        let text = if said.is_empty() {
            format!("the measuring process ended with {}", ended.status)
        } else {
            said.to_string()
        };
        Err(Failure::new(Kind::Unknown, text))
    }
}

fn interrupted() -> Failure {
    Failure::new(Kind::Interrupted, "the run was interrupted")
}

/// Whether Ctrl-C has ended the child: a terminal tells all its processes, and this one may be told later.
fn is_interrupted(ended: &Ended) -> bool {
    #[cfg(unix)]
    {
        const SIGINT: i32 = 2;
        std::os::unix::process::ExitStatusExt::signal(&ended.status) == Some(SIGINT)
    }
    #[cfg(not(unix))]
    {
        let _ = ended;
        false
    }
}
