//! A child process at work, as its parent sees it.

use crate::child::Job;
use crate::line::Line;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// How far a child has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// About to open the database.
    Ready,
    /// The database is open.
    Open,
}

/// Runs a child until `moment` after it has come to `stage` (or has ended before),
/// does to it what `crash` does, and kills it with SIGKILL. Returns what it said.
///
/// `crash` sets the flag that it is given once calls of the child may fail,
/// because the file system is about to go.
pub fn run_until(
    job: &Job,
    stage: Stage,
    moment: Duration,
    crash: impl FnOnce(&AtomicBool),
) -> Vec<Line> {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    job.describe(&mut command);
    let mut running = Running(command.stdout(Stdio::piped()).spawn().expect("a child"));
    let out = BufReader::new(running.0.stdout.take().expect("piped"));
    let (sender, stages) = channel();
    let may_fail = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(out, sender, &may_fail));
        while stages.recv().is_ok_and(|reached| reached != stage) {}
        // The moment is the point of the test, not a wait for something.
        std::thread::sleep(moment);
        crash(&may_fail);
        let status = running.kill();
        assert!(status.code().is_none_or(|code| code == 0), "the child ended with {status}");
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A child; killed at the latest when it goes out of scope.
struct Running(Child);

impl Running {
    fn kill(&mut self) -> ExitStatus {
        self.0.kill().expect("killed, or gone already");
        self.0.wait().expect("waited for")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads until the pipe ends with the child. A line that its death cut short
/// does not count.
fn read(
    mut out: BufReader<ChildStdout>,
    stages: Sender<Stage>,
    may_fail: &AtomicBool,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut text = String::new();
    loop {
        text.clear();
        out.read_line(&mut text).expect("a pipe can be read");
        let Some(text) = text.strip_suffix('\n') else { return lines };
        let line = Line::read(text).unwrap_or_else(|| panic!("the child said {text:?}"));
        // That nobody waits for a stage any more is fine.
        let _nobody_waits = match line {
            Line::Ready => stages.send(Stage::Ready),
            Line::Open => stages.send(Stage::Open),
            _ => Ok(()),
        };
        if let Line::Failed(why) = &line {
            assert!(may_fail.load(Ordering::SeqCst), "a call failed on a sound disk: {why}");
        }
        lines.push(line);
    }
}
