//! kill -9 at random moments: a child with four writing threads, killed with
//! SIGKILL; then every acknowledged write must be there, and no batch in part.
//!
//! The number of kills a policy is `ESKER_KILLS` (default 200), the seed of
//! the moments `ESKER_SEED`; it is printed.

mod child;

use child::{Ack, THREADS, batch_keys, single_key};
use esker::{Db, Options};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// After so many kills the next child starts with a fresh directory.
const KILLS_A_DIRECTORY: usize = 25;

fn main() {
    if let Some(job) = child::job() {
        child::run(&job);
        return;
    }
    let kills = number("ESKER_KILLS").unwrap_or(200);
    let seed = number("ESKER_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("kill -9: {kills} kills a policy, ESKER_SEED={seed}");
    let mut moments = Moments(seed);
    for policy in ["always", "interval", "never"] {
        let mut total = Counts::default();
        let mut dir = tempfile::tempdir().expect("a directory");
        let mut seen = Seen::default();
        for kill in 0..kills {
            if kill % KILLS_A_DIRECTORY as u64 == 0 {
                dir = tempfile::tempdir().expect("a directory");
                seen = Seen::default();
            }
            total.add(&one_kill(dir.path(), policy, moments.next(), &mut seen));
        }
        println!(
            "test {policy}: {kills} kills, {} acknowledged writes checked, {} batches whole ... ok",
            total.writes, total.batches
        );
    }
    println!("3 passed, 0 failed");
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// SplitMix64, for the moments of the kills.
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // From at once to well into the work, mostly early.
        Duration::from_micros((z ^ (z >> 31)) % 40_000)
    }
}

#[derive(Default)]
struct Counts {
    writes: u64,
    batches: u64,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.writes += other.writes;
        self.batches += other.batches;
    }
}

/// What is known to be acknowledged in this directory: how many singles and
/// batches of each thread.
#[derive(Default)]
struct Seen {
    singles: [u64; THREADS],
    batches: [u64; THREADS],
}

/// Starts a child, kills it, takes in what it acknowledged, and checks.
fn one_kill(dir: &Path, policy: &str, moment: Duration, seen: &mut Seen) -> Counts {
    let mut child = start(dir, policy, seen);
    let acks = BufReader::new(child.stdout.take().expect("piped"));
    let killer = std::thread::spawn(move || kill_after(child, moment));
    take_acks(acks, seen);
    killer.join().expect("the killer does not panic");
    check(dir, seen)
}

fn start(dir: &Path, policy: &str, seen: &Seen) -> Child {
    let next = seen.singles.iter().zip(&seen.batches).map(|(s, b)| format!("{s}:{b}"));
    Command::new(std::env::current_exe().expect("this program"))
        .env(child::JOB_DIR, dir)
        .env(child::JOB_POLICY, policy)
        .env(child::JOB_NEXT, next.collect::<Vec<_>>().join(","))
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child")
}

fn kill_after(mut child: Child, moment: Duration) {
    // The moment of the kill is the point of the test, not a wait for something.
    std::thread::sleep(Duration::from_millis(4) + moment);
    child.kill().expect("killed");
    let status = child.wait().expect("waited for");
    assert!(!status.success(), "the child ended by itself: {status}");
}

/// Reads acknowledgements until the pipe ends with the child. A line that the
/// kill cut short does not count.
fn take_acks(mut acks: BufReader<ChildStdout>, seen: &mut Seen) {
    let mut line = String::new();
    loop {
        line.clear();
        acks.read_line(&mut line).expect("a pipe can be read");
        let Some(ack) = line.strip_suffix('\n') else { return };
        match Ack::parse(ack).unwrap_or_else(|| panic!("no acknowledgement: {ack:?}")) {
            Ack::Single { thread, n } => seen.singles[thread] = n + 1,
            Ack::Batch { thread, n } => seen.batches[thread] = n + 1,
        }
    }
}

/// Opens what is left and checks it; then takes what was written but not
/// acknowledged as written, for the next child.
fn check(dir: &Path, seen: &mut Seen) -> Counts {
    let db = Db::open(dir, Options::default()).expect("opens after a kill");
    let mut counts = Counts::default();
    for thread in 0..THREADS {
        let acknowledged = seen.singles[thread];
        let mut n = 0;
        while let Some(value) = db.get(single_key(thread, n)).expect("a read") {
            assert_eq!(&*value, child::value(thread, n).as_slice(), "thread {thread}, write {n}");
            n += 1;
        }
        assert!(n >= acknowledged, "thread {thread}: write {n} was acknowledged and is lost");
        assert!(n <= acknowledged + 1, "thread {thread}: more writes than were made");
        counts.writes += n;
        seen.singles[thread] = n;

        let batch = batch_keys(thread).map(|key| {
            db.get(key).expect("a read").map(|v| child::number_in(&v).expect("a number"))
        });
        assert!(batch.iter().all(|v| *v == batch[0]), "thread {thread}: in part: {batch:?}");
        let written = batch[0].map_or(0, |n| n + 1);
        let acknowledged = seen.batches[thread];
        assert!(
            (acknowledged..=acknowledged + 1).contains(&written),
            "thread {thread}: batch {acknowledged} acknowledged, {written} there"
        );
        counts.batches += 1;
        seen.batches[thread] = written;
    }
    counts
}
