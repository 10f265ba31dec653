//! A child process at work, as its parent sees it.

use crate::child::Job;
use crate::line::{Line, Micros};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How far a child has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// About to open the database.
    Ready,
    /// The database is open.
    Open,
}

/// When something is done to a child: it has come to `stage` and has since said
/// `acks` acknowledgements, or as many as it could `within` that time (or it has
/// ended); and then `pause` has passed. Counted in work rather than in time
/// alone, because time means little on a busy machine.
pub struct Moment {
    pub stage: Stage,
    pub acks: u64,
    pub within: Duration,
    pub pause: Duration,
}

impl Moment {
    fn wait(&self, events: &Receiver<Event>) {
        while events.recv().is_ok_and(|event| event != Event::Reached(self.stage)) {}
        let end = Instant::now() + self.within;
        let mut acks = 0;
        while acks < self.acks {
            match events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(event) => acks += u64::from(event == Event::Acknowledged),
                Err(_over_time_or_ended) => break,
            }
        }
        // Where in a call it strikes is the point of the test, not a wait for something.
        std::thread::sleep(self.pause);
    }
}

#[derive(PartialEq, Eq)]
enum Event {
    Reached(Stage),
    Acknowledged,
}

/// Runs a child until `moment`, does to it what `crash` does, and kills it with
/// SIGKILL. Returns what it said, and when.
///
/// `crash` sets the flag that it is given once calls of the child may fail,
/// because the file system is about to go.
pub fn run_until(
    job: &Job,
    moment: &Moment,
    crash: impl FnOnce(&AtomicBool),
) -> Vec<(Micros, Line)> {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    job.describe(&mut command);
    let mut running = Running(command.stdout(Stdio::piped()).spawn().expect("a child"));
    let out = BufReader::new(running.0.stdout.take().expect("piped"));
    let (sender, events) = channel();
    let may_fail = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(out, sender, &may_fail));
        moment.wait(&events);
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
    events: Sender<Event>,
    may_fail: &AtomicBool,
) -> Vec<(Micros, Line)> {
    let mut lines = Vec::new();
    let mut text = String::new();
    loop {
        text.clear();
        out.read_line(&mut text).expect("a pipe can be read");
        let Some(text) = text.strip_suffix('\n') else { return lines };
        let (at, line) = Line::read(text).unwrap_or_else(|| panic!("the child said {text:?}"));
        let event = match line {
            Line::Ready => Some(Event::Reached(Stage::Ready)),
            Line::Open => Some(Event::Reached(Stage::Open)),
            Line::Ack(_) => Some(Event::Acknowledged),
            _ => None,
        };
        // That nobody waits any more is fine.
        let _nobody_waits = event.map(|event| events.send(event));
        if let Line::Failed(why) = &line {
            assert!(may_fail.load(Ordering::SeqCst), "a call failed on a sound disk: {why}");
        }
        lines.push((at, line));
    }
}
