//! A process that measures: each row has one of its own, so that nothing of another is in its memory or its caches.
//!
//! It is this program again, with the hidden command `bench child`. Its standard input has the job on a line; when
//! that closes, whoever started it is gone, and so it ends. Its standard output has what the job came to.

use super::machine;
use super::measurement::Measurement;
use super::plan::Plan;
use super::settings::Settings;
use super::work;
use crate::failure::{Failure, Kind, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Fill the directory.
    Load,
    Measure,
    /// Keep a core busy.
    Spin,
}

/// It, with all there is to know about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    pub task: Task,
    pub plan: Plan,
    pub settings: Settings,
    pub dir: PathBuf,
}

/// Does the job on standard input.
///
/// # Errors
/// What it fails with; there is none.
pub fn run() -> Result<()> {
    let mut line = String::new();
    let input = Path::new("standard input");
    io::stdin().read_line(&mut line).map_err(|e| Failure::io("read", input, &e))?;
    let job: Job = serde_json::from_str(&line).map_err(|e| {
        Failure::new(Kind::Usage, format!("standard input has no job: {e}"))
            .remedy("esker bench starts this command by itself")
    })?;
    std::thread::spawn(|| {
        // Whatever comes, or fails: nobody is there any more who waits for this process.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(Kind::Interrupted.code().into());
    });
    match job.task {
        Task::Load => work::load(&job),
        Task::Measure => print(&work::measure(&job)?),
        Task::Spin => spin(),
    }
}

fn print(measurement: &Measurement) -> Result<()> {
    let mut text = serde_json::to_string(measurement).expect("plain data");
    text.push('\n');
    let output = Path::new("standard output");
    io::stdout().write_all(text.as_bytes()).map_err(|e| Failure::io("write to", output, &e))
}

/// Gives way to whoever wants to work, which only the lowest priority does.
fn spin() -> Result<()> {
    while machine::lower_priority() {
        for turn in 0..1_000_000_000_u64 {
            black_box(turn);
        }
    }
    Ok(())
}

/// A child that is at work; it ends when this is dropped.
#[derive(Debug)]
pub struct Working {
    process: Child,
    /// Open for as long as it is wanted.
    _lifeline: ChildStdin,
    output: Receiver<String>,
    errors: Receiver<String>,
}

/// What became of a child.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub output: String,
    pub errors: String,
}

impl Working {
    /// Starts one.
    ///
    /// # Errors
    /// The system refused that.
    pub fn start(job: &Job) -> Result<Working> {
        let refused = |e: io::Error| Failure::io("start", Path::new("another process"), &e);
        let mut command = Command::new(std::env::current_exe().map_err(refused)?);
        command.args(["bench", "child"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(refused)?;
        let mut lifeline = process.stdin.take().expect("piped");
        let (output, errors) = (process.stdout.take(), process.stderr.take());
        let (output, errors) = (drained(output.expect("piped")), drained(errors.expect("piped")));
        let mut line = serde_json::to_string(job).expect("plain data");
        line.push('\n');
        let written = lifeline.write_all(line.as_bytes());
        let working = Working { process, _lifeline: lifeline, output, errors };
        written.map_err(refused)?;
        Ok(working)
    }

    /// Waits for its end, and calls `each` now and then; what that fails with ends it.
    ///
    /// # Errors
    /// What `each` fails with; it cannot be waited for.
    pub fn wait(mut self, mut each: impl FnMut() -> Result<()>) -> Result<Ended> {
        let output = loop {
            each()?;
            match self.output.recv_timeout(Duration::from_millis(100)) {
                Ok(output) => break output,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break String::new(),
            }
        };
        let status = self.process.wait();
        let status = status.map_err(|e| Failure::io("wait for", Path::new("a process"), &e))?;
        let errors = self.errors.recv().unwrap_or_default();
        Ok(Ended { status, output, errors })
    }
}

/// All that comes out of a pipe, once it is closed.
fn drained(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = bounded(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks has given what it had; the exit code says the rest.
        let _ = pipe.read_to_end(&mut bytes);
        // Nobody waits for it where the child is not wanted any more.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

impl Drop for Working {
    fn drop(&mut self) {
        // Either fails only where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
