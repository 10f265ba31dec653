//! The child: works on the database with many threads, and says what it was
//! promised, until it is killed or the file system is gone.

use crate::judge::digest;
use crate::line::{Ack, Line, Micros};
use crate::workload::{Change, Dice, WRITERS, batch_keys, number_in, operation, value};
use esker::{Db, Error, Options, SyncPolicy, WriteBatch, WriteOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

const DIR: &str = "ESKER_CHILD_DIR";
const TASK: &str = "ESKER_CHILD_TASK";
const POLICY: &str = "ESKER_CHILD_POLICY";
const NEXT: &str = "ESKER_CHILD_NEXT";
const SEED: &str = "ESKER_CHILD_SEED";

/// Past so many bytes a child slows down, so that the disk, on which nothing is
/// ever compacted, lasts for the rounds of one database.
const BYTES_AT_SPEED: u64 = 12 << 20;
const READERS: u64 = 2;

pub const POLICIES: [&str; 3] = ["always", "interval", "never"];

/// What a child is to do.
#[derive(Clone)]
pub struct Job {
    pub dir: PathBuf,
    /// Only open it, say what is there, and end.
    pub only_recover: bool,
    pub policy: &'static str,
    /// For each writer the number of its next operation.
    pub next: Vec<u64>,
    pub seed: u64,
}

impl Job {
    /// The job that the environment describes: `None` in the parent.
    pub fn from_environment() -> Option<Job> {
        let dir = std::env::var_os(DIR)?.into();
        let text = |name: &str| std::env::var(name).expect("set by the parent");
        let policy = text(POLICY);
        let next = text(NEXT);
        Some(Job {
            dir,
            only_recover: text(TASK) == "recover",
            policy: POLICIES.into_iter().find(|known| *known == policy).expect("a policy"),
            next: next.split(',').map(|n| n.parse().expect("a number")).collect(),
            seed: text(SEED).parse().expect("a number"),
        })
    }

    pub fn describe(&self, command: &mut Command) {
        let next: Vec<String> = self.next.iter().map(u64::to_string).collect();
        command
            .env(DIR, &self.dir)
            .env(TASK, if self.only_recover { "recover" } else { "work" })
            .env(POLICY, self.policy)
            .env(NEXT, next.join(","))
            .env(SEED, self.seed.to_string());
    }

    /// Small files, so that flushes, log switches and edits of the manifest are
    /// under way at any moment.
    pub fn options(&self) -> Options {
        let sync_policy = match self.policy {
            "always" => SyncPolicy::Always,
            "interval" => SyncPolicy::Interval(Duration::from_millis(3)),
            _ => SyncPolicy::Never,
        };
        Options {
            sync_policy,
            memtable_bytes: 64 << (10 + self.seed % 4),
            log_file_bytes: 64 << (10 + self.seed / 4 % 4),
            block_cache_bytes: 1 << 20,
            ..Options::default()
        }
    }
}

/// Does the job. Ends early, and well, when calls fail as they must on a file
/// system that is gone; a panic anywhere ends the whole process.
pub fn run(job: &Job) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // At once, lest a kill come before the report is out.
        say(&Line::Panicked(panic.to_string()));
        report(panic);
        std::process::exit(101);
    }));
    say(&Line::Ready);
    let db = match Db::open(&job.dir, job.options()) {
        Ok(db) => db,
        Err(e) => return fail(&e),
    };
    if job.only_recover {
        match digest(&db) {
            Ok(digest) => say(&Line::Shown(digest)),
            Err(e) => fail(&e),
        }
        return;
    }
    say(&Line::Open);
    let work = Work {
        db: RwLock::new(Some(db)),
        job: job.clone(),
        is_calm: job.seed % 32 < 16,
        tickets: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let work = &work;
        for thread in 0..WRITERS {
            scope.spawn(move || work.until_failure(|| work.write_all(thread)));
        }
        for reader in 0..READERS {
            scope.spawn(move || work.until_failure(|| work.read(reader)));
        }
        let pause = if work.is_calm { 20 } else { 1 };
        let persist = move || work.make_durable(Db::persist, 6_000 * pause, 1);
        let flush = move || work.make_durable(Db::flush, 30_000 * pause, 2);
        scope.spawn(move || work.until_failure(persist));
        scope.spawn(move || work.until_failure(flush));
        scope.spawn(move || work.until_failure(|| work.reopen()));
    });
}

struct Work {
    /// Locked for writing, and `None`, while it is opened anew.
    db: RwLock<Option<Db>>,
    job: Job,
    /// Nothing but the policy makes anything durable, as a rule.
    is_calm: bool,
    tickets: AtomicU64,
    bytes: AtomicU64,
    /// Some thread has failed: the others are about to.
    is_over: AtomicBool,
}

impl Work {
    fn until_failure(&self, task: impl Fn() -> Result<(), Error>) {
        if let Err(e) = task() {
            self.is_over.store(true, Ordering::SeqCst);
            fail(&e);
        }
    }

    /// Calls `task` with the database, which is not opened anew meanwhile.
    fn with_db<T>(&self, task: impl FnOnce(&Db) -> Result<T, Error>) -> Result<T, Error> {
        // There is none after it could not be opened.
        task(self.db.read().expect("no panics").as_ref().ok_or(Error::Closed)?)
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::SeqCst)
    }

    fn write_all(&self, thread: usize) -> Result<(), Error> {
        for n in self.job.next[thread].. {
            if !self.goes_on() {
                break;
            }
            let synced = self.job.policy == "always" || !self.is_calm && n % 61 == thread as u64;
            let began = self.tickets.load(Ordering::SeqCst);
            let written = self.with_db(|db| write(db, thread, n, synced))?;
            let ticket = self.tickets.fetch_add(1, Ordering::SeqCst);
            say(&Line::Ack(Ack { thread, n, began, ticket, is_durable: synced }));
            if self.bytes.fetch_add(written, Ordering::SeqCst) > BYTES_AT_SPEED {
                sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// Looks whether batches are whole, and never older than before.
    fn read(&self, reader: u64) -> Result<(), Error> {
        let mut dice = Dice(self.job.seed ^ (0x7ead + reader));
        let mut newest = [None; WRITERS];
        while self.goes_on() {
            let thread = usize::try_from(dice.below(WRITERS as u64)).expect("small");
            let numbers = self.with_db(|db| {
                let snapshot = db.snapshot();
                let mut numbers = [None; 3];
                for (number, key) in numbers.iter_mut().zip(batch_keys(thread)) {
                    *number = snapshot.get(key)?.map(|v| number_in(&v).expect("a number"));
                }
                Ok::<_, Error>(numbers)
            })?;
            assert!(numbers.iter().all(|n| *n == numbers[0]), "a batch in part: {numbers:?}");
            assert!(numbers[0] >= newest[thread], "{numbers:?} after {:?}", newest[thread]);
            newest[thread] = numbers[0];
            sleep(Duration::from_micros(dice.below(400)));
        }
        Ok(())
    }

    /// Calls `persist` or `flush` now and then, and says what it promised.
    fn make_durable(
        &self,
        call: fn(&Db) -> Result<(), Error>,
        pause_us_max: u64,
        salt: u64,
    ) -> Result<(), Error> {
        let mut dice = Dice(self.job.seed ^ salt);
        while self.goes_on() {
            sleep(Duration::from_micros(dice.below(pause_us_max)));
            let returned = self.tickets.load(Ordering::SeqCst);
            self.with_db(call)?;
            say(&Line::Durable(returned));
        }
        Ok(())
    }

    /// Opens the database anew now and then, closed or merely dropped before.
    fn reopen(&self) -> Result<(), Error> {
        let mut dice = Dice(self.job.seed ^ 3);
        while self.goes_on() {
            sleep(Duration::from_micros(dice.below(60_000)));
            if !self.goes_on() {
                break;
            }
            let mut place = self.db.write().expect("no panics");
            let returned = self.tickets.load(Ordering::SeqCst);
            let db = place.take().expect("open");
            if dice.once_in(2) {
                db.close()?;
                say(&Line::Durable(returned));
            }
            drop(db);
            *place = Some(Db::open(&self.job.dir, self.job.options())?);
            // What an open shows is durable.
            say(&Line::Durable(returned));
        }
        Ok(())
    }
}

/// Operation `n` of `thread`; returns its bytes.
fn write(db: &Db, thread: usize, n: u64, synced: bool) -> Result<u64, Error> {
    let changes = operation(thread, n);
    let value = value(thread, n);
    let options = WriteOptions { sync: synced.then_some(true) };
    match changes.as_slice() {
        [Change::Set(key)] if !synced => db.set(key, &value)?,
        [Change::SetFor(key, ttl)] if !synced => db.set_with_ttl(key, &value, *ttl)?,
        [Change::Delete(key)] if !synced => db.delete(key)?,
        _ => {
            let mut batch = WriteBatch::new();
            for change in &changes {
                match change {
                    Change::Set(key) => batch.set(key, &value),
                    Change::SetFor(key, ttl) => batch.set_with_ttl(key, &value, *ttl),
                    Change::Delete(key) => batch.delete(key),
                }
            }
            db.write_with(batch, options)?;
        }
    }
    Ok((changes.len() * value.len()) as u64)
}

/// Says that a call failed. That the file system is gone may look like this;
/// damage, say, may not.
fn fail(error: &Error) {
    let is_io = matches!(
        error,
        Error::Io { .. } | Error::Indeterminate { .. } | Error::Poisoned { .. } | Error::Closed
    );
    assert!(is_io, "no error for a lost file system: {error}");
    say(&Line::Failed(error.to_string()));
}

/// One write call a line, which a pipe takes whole or not at all. When the
/// parent is gone there is nobody to work for.
fn say(line: &Line) {
    let mut out = std::io::stdout().lock();
    if out.write_all(line.write(Micros::now()).as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}
