//! The child: writes with four threads, and says so, until it is killed.

use esker::{Db, Options, SyncPolicy, WriteBatch};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

pub const THREADS: usize = 4;
pub const JOB_DIR: &str = "ESKER_KILL_DIR";
pub const JOB_POLICY: &str = "ESKER_KILL_POLICY";
pub const JOB_NEXT: &str = "ESKER_KILL_NEXT";

/// What the child is to do.
pub struct Job {
    dir: PathBuf,
    policy: SyncPolicy,
    /// For each thread the numbers of its next single write and batch.
    next: Vec<(u64, u64)>,
}

/// The job in the environment: `None` in the parent.
pub fn job() -> Option<Job> {
    let dir = std::env::var_os(JOB_DIR)?.into();
    let policy = match std::env::var(JOB_POLICY).ok()?.as_str() {
        "always" => SyncPolicy::Always,
        "interval" => SyncPolicy::Interval(Duration::from_millis(3)),
        _ => SyncPolicy::Never,
    };
    let next = std::env::var(JOB_NEXT).ok()?;
    let next = next.split(',').map(|pair| {
        let (single, batch) = pair.split_once(':').expect("a pair");
        (single.parse().expect("a number"), batch.parse().expect("a number"))
    });
    Some(Job { dir, policy, next: next.collect() })
}

/// An acknowledged write.
pub enum Ack {
    Single { thread: usize, n: u64 },
    Batch { thread: usize, n: u64 },
}

impl Ack {
    fn line(&self) -> String {
        match self {
            Ack::Single { thread, n } => format!("s {thread} {n}\n"),
            Ack::Batch { thread, n } => format!("b {thread} {n}\n"),
        }
    }

    pub fn parse(line: &str) -> Option<Ack> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let thread = words.next()?.parse().ok()?;
        let n = words.next()?.parse().ok()?;
        match kind {
            "s" => Some(Ack::Single { thread, n }),
            "b" => Some(Ack::Batch { thread, n }),
            _ => None,
        }
    }
}

pub fn single_key(thread: usize, n: u64) -> String {
    format!("single/{thread}/{n:09}")
}

pub fn batch_keys(thread: usize) -> [String; 3] {
    ["a", "m", "z"].map(|place| format!("{place}/batch/{thread}"))
}

/// The value of a write: its number, and a filling that depends on it.
pub fn value(thread: usize, n: u64) -> Vec<u8> {
    let mut value = n.to_le_bytes().to_vec();
    let len = 8 + usize::try_from(n * 7919 % 3000).expect("small") + thread;
    value.resize(len, n.to_le_bytes()[0]);
    value
}

pub fn number_in(value: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*value.first_chunk()?))
}

/// Writes until killed.
pub fn run(job: &Job) {
    // Small memtables, so that kills meet flushes and log switches too.
    let options =
        Options { sync_policy: job.policy, memtable_bytes: 256 << 10, ..Options::default() };
    let db = Db::open(&job.dir, options).expect("opens");
    std::thread::scope(|scope| {
        for (thread, &(single, batch)) in job.next.iter().enumerate() {
            let db = db.clone();
            scope.spawn(move || write(&db, thread, single, batch));
        }
    });
}

fn write(db: &Db, thread: usize, mut single: u64, mut batch: u64) {
    loop {
        db.set(single_key(thread, single), value(thread, single)).expect("set");
        say(&Ack::Single { thread, n: single });
        single += 1;
        let mut three = WriteBatch::new();
        for key in batch_keys(thread) {
            three.set(key, value(thread, batch));
        }
        db.write(three).expect("write");
        say(&Ack::Batch { thread, n: batch });
        batch += 1;
    }
}

/// One write call a line, which a pipe takes whole or not at all. When the
/// parent is gone there is nobody to work for.
fn say(ack: &Ack) {
    let mut out = std::io::stdout().lock();
    let said = out.write_all(ack.line().as_bytes()).and_then(|()| out.flush());
    if said.is_err() {
        std::process::exit(1);
    }
}
