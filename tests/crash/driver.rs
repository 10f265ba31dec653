//! Takes a store through a workload and writes down what it was promised.

use crate::history::{History, difference};
use crate::store::{Failure, Seen, Setup, Store};
use crate::workload::{Op, Step};
use esker::sim::SimFs;
use esker::{Clock, SyncPolicy};

/// What failing calls mean to the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing may fail.
    Flawless,
    /// The power may go: the first failure ends the run.
    UntilCrash,
    /// Calls may fail: go on, in the same handle if it allows, else in a new one.
    Onward,
}

/// After so many failures in a row of opens, or failed commits between two
/// opens, the disk counts as broken for good.
const FAILURES_MAX: usize = 5;

/// Why a run ended early.
struct Ended;

struct Driver<S> {
    fs: SimFs,
    setup: Setup,
    mode: Mode,
    history: History,
    store: Option<S>,
}

/// Runs `steps` on a store in `fs`, drops it, and returns what must hold.
///
/// # Panics
/// When a reader of the live store is told something wrong, or a call fails
/// that must not.
pub fn run<S: Store>(fs: &SimFs, setup: Setup, steps: &[Step], mode: Mode) -> History {
    let history = History::new(setup.wal_enabled);
    let mut driver = Driver::<S> { fs: fs.clone(), setup, mode, history, store: None };
    let mut steps = steps.iter();
    let mut state = driver.open();
    while let (Ok(()), Some(step)) = (&state, steps.next()) {
        state = driver.step(step);
    }
    driver.store = None;
    driver.history
}

impl<S: Store> Driver<S> {
    fn step(&mut self, step: &Step) -> Result<(), Ended> {
        match step {
            Step::Commit { ops, sync } => self.commit(ops, *sync),
            Step::Persist => {
                let result = self.store().persist();
                // Without a log there is nothing that it could make durable.
                if self.setup.wal_enabled { self.durable_if(result) } else { Ok(()) }
            }
            Step::Flush => {
                let result = self.store().flush();
                self.durable_if(result)
            }
            Step::Reopen => {
                if let Some(Err(failure)) = self.store.take().map(S::close) {
                    self.judge(&failure)?;
                } else {
                    self.history.all_durable();
                }
                self.open()
            }
            Step::Abandon => {
                self.store = None;
                self.open()
            }
            Step::Check => self.check(),
            Step::Advance(by) => {
                self.fs.sim_clock().advance(*by);
                Ok(())
            }
        }
    }

    fn commit(&mut self, ops: &[Op], sync: Option<bool>) -> Result<(), Ended> {
        let now_ms = self.fs.sim_clock().now_ms();
        let result = self.store().commit(ops, sync);
        self.history.push(ops, now_ms, result.is_ok());
        // A single operation with a time to live goes by the policy.
        let is_synced = sync.unwrap_or(self.setup.policy == SyncPolicy::Always);
        match result {
            Ok(()) => {
                if is_synced && self.setup.wal_enabled {
                    self.history.all_durable();
                }
                Ok(())
            }
            Err(failure) => self.recover(failure),
        }
    }

    fn durable_if(&mut self, result: Result<(), Failure>) -> Result<(), Ended> {
        match result {
            Ok(()) => {
                self.history.all_durable();
                Ok(())
            }
            Err(failure) => self.recover(failure),
        }
    }

    /// The live store shows what it acknowledged, and nothing else.
    fn check(&mut self) -> Result<(), Ended> {
        let expected = self.history.live(self.fs.sim_clock().now_ms());
        let read = read(self.store());
        match read {
            Ok(seen) => {
                let (count, lines) = difference(&expected, &seen);
                assert!(count == 0, "{count} keys of the live store are wrong:\n{lines}");
                Ok(())
            }
            Err(failure) => self.recover(failure),
        }
    }

    fn open(&mut self) -> Result<(), Ended> {
        for _ in 0..FAILURES_MAX {
            let opened = S::open(&self.fs, self.setup).and_then(|store| {
                let seen = read(&store)?;
                Ok((store, seen))
            });
            match opened {
                Ok((store, seen)) => {
                    let now_ms = self.fs.sim_clock().now_ms();
                    let at_least = self.history.after_kill();
                    match self.history.explain(&seen, at_least, now_ms) {
                        Ok(state) => self.history.rebase(state),
                        Err(complaint) => panic!("reopened by the driver: {complaint}"),
                    }
                    self.store = Some(store);
                    return Ok(());
                }
                Err(failure) => self.judge(&failure)?,
            }
        }
        Err(Ended)
    }

    /// Goes on after a failure, if there is a way.
    fn recover(&mut self, failure: Failure) -> Result<(), Ended> {
        self.judge(&failure)?;
        if self.history.failed_count() >= FAILURES_MAX {
            return Err(Ended);
        }
        match failure {
            Failure::Refused(_) => Ok(()),
            Failure::Poisoned(_) | Failure::Wrong(_) => {
                self.store = None;
                self.open()
            }
        }
    }

    /// Whether there may be a failure at all, here, and a next step.
    fn judge(&self, failure: &Failure) -> Result<(), Ended> {
        if let Failure::Wrong(text) = failure {
            panic!("no failing disk excuses this: {text}");
        }
        match self.mode {
            Mode::Flawless => panic!("nothing may fail here: {failure}"),
            Mode::UntilCrash => {
                assert!(self.fs.is_off(), "failed with the power on: {failure}");
                Err(Ended)
            }
            Mode::Onward => Ok(()),
        }
    }

    fn store(&self) -> &S {
        self.store.as_ref().expect("a run without an open store has ended")
    }
}

/// Everything in the store, by iteration, and every key of it by `get` too.
pub fn read<S: Store>(store: &S) -> Result<Seen, Failure> {
    let seen = store.scan()?;
    for (key, value) in &seen {
        if store.get(key)?.as_ref() != Some(value) {
            let key = key.escape_ascii();
            return Err(Failure::Wrong(format!("get and iteration disagree on {key}")));
        }
    }
    Ok(seen)
}
