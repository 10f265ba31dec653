//! Takes a store through a workload and writes down what it was promised.

use super::history::{History, State, difference};
use super::store::{Failure, Seen, Store, Transacted};
use super::workload::{Op, Step};
use crate::clock::Clock;
use crate::fs::sim::{CrashModel, SimFs};
use crate::options::{Options, SyncPolicy};

/// What failing calls mean to the driver.
///
/// ```
/// use esker::crashtest::{Mode, Op, Step, run, tiny_options};
/// use esker::{Db, SyncPolicy, sim::SimFs};
/// let steps: Vec<Step> = (0..5).map(|n| Step::commit(vec![Op::put([n], [n])])).collect();
/// let commits = |mode, power_cut: Option<u64>| {
///     let fs = SimFs::new();
///     fs.set_threads(false);
///     power_cut.into_iter().for_each(|nth| fs.crash_at(nth));
///     run::<Db>(&fs, &tiny_options(SyncPolicy::Always), &steps, mode).commit_count()
/// };
/// assert_eq!(commits(Mode::Flawless, None), 5);
/// assert_eq!(commits(Mode::UntilCrash, Some(1)), 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing may fail.
    Flawless,
    /// The power may go: the first failure ends the run.
    UntilCrash,
    /// Calls may fail: go on, in the same handle if it allows, else in a new
    /// one. In the end all faults are cleared, and the handle must work again,
    /// unless it is poisoned.
    Onward,
}

/// After so many failures in a row of opens, or failed commits between two
/// opens, the disk counts as broken for good.
const FAILURES_MAX: usize = 5;

/// A disk at a moment of a run with failing calls, as the process that dies leaves it, and what must hold then.
pub(super) struct Moment {
    pub(super) fs: SimFs,
    pub(super) history: History,
}

/// Why a run ended early.
struct Ended;

struct Driver<'a, S> {
    fs: &'a SimFs,
    options: &'a Options,
    mode: Mode,
    history: History,
    store: Option<S>,
    /// What the last backup holds, where there is one.
    backup: Option<State>,
    /// What the chain comes to, after each of its backups.
    chain: Vec<State>,
    /// Whether increments can follow upon it.
    is_followed: bool,
    /// Of [`Mode::Onward`]: where a call first failed, and one step later.
    struck: Vec<Moment>,
}

/// Runs `steps` on a store in `fs`, drops it, and returns what must hold.
///
/// See the example of [`Step`].
///
/// # Panics
/// When a reader of the live store is told something wrong, or a call fails
/// that must not.
pub fn run<S: Store>(fs: &SimFs, options: &Options, steps: &[Step], mode: Mode) -> History {
    run_through::<S>(fs, options, steps, mode).0
}

/// As [`run`]; and of [`Mode::Onward`] the disk at the end of the step in which a call failed, before anything was
/// mended, and the disk one step later: a flush heals much, so what comes afterwards would hide what was lost.
pub(super) fn run_through<S: Store>(
    fs: &SimFs,
    options: &Options,
    steps: &[Step],
    mode: Mode,
) -> (History, Vec<Moment>) {
    let history = History::new(options.wal_enabled);
    let mut driver = Driver::<S> {
        fs,
        options,
        mode,
        history,
        store: None,
        backup: None,
        chain: Vec::new(),
        is_followed: false,
        struck: Vec::new(),
    };
    let mut steps = steps.iter();
    let mut steps_since_fault = 0;
    let mut state = driver.open();
    while let (Ok(()), Some(step)) = (&state, steps.next()) {
        state = driver.step(step);
        steps_since_fault += usize::from(fs.faults_hit() > 0);
        for more in 0..steps_since_fault.min(2) {
            driver.strike(more);
        }
    }
    driver.strike(0);
    driver.strike(1);
    if mode == Mode::Onward {
        driver.after_the_faults();
    }
    driver.store = None;
    (driver.history, driver.struck)
}

impl<S: Store> Driver<'_, S> {
    /// Keeps this moment, so many steps after the one in which a call failed, unless that was passed before.
    fn strike(&mut self, more: usize) {
        if self.mode == Mode::Onward && self.struck.len() == more {
            let fs = self.fs.crash_image(&CrashModel::Everything);
            self.struck.push(Moment { fs, history: self.history.clone() });
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), Ended> {
        match step {
            Step::Commit { ops, sync } => self.commit(ops, *sync),
            Step::Transact { keys, between, ops } => self.transact(keys, between, ops),
            Step::Ingest(ops) => {
                let now_ms = self.fs.sim_clock().now_ms();
                let result = self.store().ingest(ops);
                self.history.push(ops, now_ms, result.is_ok());
                self.durable_if(result)
            }
            Step::Import(ops) => {
                let now_ms = self.fs.sim_clock().now_ms();
                let result = self.store().import(ops);
                self.committed(ops, now_ms, None, result)
            }
            Step::Persist => {
                let result = self.store().persist();
                // Without a log there is nothing that it could make durable.
                if self.options.wal_enabled { self.durable_if(result) } else { Ok(()) }
            }
            Step::Flush => {
                let result = self.store().flush();
                self.durable_if(result)
            }
            Step::Backup => self.backup(),
            Step::Restore => self.restore(self.backup.clone(), S::restore),
            Step::BeginChain => {
                let result = self.store().begin_chain();
                self.chain.clear();
                self.is_followed = result.is_ok();
                self.chained(result)
            }
            Step::Increment if !self.is_followed => Ok(()),
            Step::Increment => {
                let result = self.store().increment(self.chain.len());
                self.chained(result)
            }
            Step::RestoreChain => {
                let (state, count) = (self.chain.last().cloned(), self.chain.len());
                self.restore(state, |store| store.restore_chain(count))
            }
            Step::Maintain(task) => match self.store().maintain(task) {
                Ok(()) => Ok(()),
                Err(failure) => self.recover(failure),
            },
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

    fn backup(&mut self) -> Result<(), Ended> {
        let result = self.store().backup();
        // Else the old one may be there, or the new one.
        self.backup = result.is_ok().then(|| self.history.live_state());
        result.or_else(|failure| self.recover(failure))
    }

    /// Notes a backup of the chain, if it was made: what it holds is durable then.
    fn chained(&mut self, result: Result<(), Failure>) -> Result<(), Ended> {
        self.chain.extend(result.is_ok().then(|| self.history.live_state()));
        self.durable_if(result)
    }

    /// Restores `state`, if there is one to restore.
    fn restore(
        &mut self,
        state: Option<State>,
        restore: impl FnOnce(&S) -> Result<(), Failure>,
    ) -> Result<(), Ended> {
        let Some(state) = state else { return Ok(()) };
        let result = restore(self.store());
        self.is_followed = false;
        self.history.push_restore(state, result.is_ok());
        self.durable_if(result)
    }

    fn commit(&mut self, ops: &[Op], sync: Option<bool>) -> Result<(), Ended> {
        let now_ms = self.fs.sim_clock().now_ms();
        let result = self.store().commit(ops, sync);
        self.committed(ops, now_ms, sync, result)
    }

    fn committed(
        &mut self,
        ops: &[Op],
        now_ms: u64,
        sync: Option<bool>,
        result: Result<(), Failure>,
    ) -> Result<(), Ended> {
        self.history.push(ops, now_ms, result.is_ok());
        let is_synced = sync.unwrap_or(self.options.sync_policy == SyncPolicy::Always);
        match result {
            Ok(()) => {
                if is_synced && self.options.wal_enabled {
                    self.history.all_durable();
                }
                Ok(())
            }
            Err(failure) => self.recover(failure),
        }
    }

    /// A transaction, and a commit while it is open.
    fn transact(&mut self, keys: &[Vec<u8>], between: &[Op], ops: &[Op]) -> Result<(), Ended> {
        let now_ms = self.fs.sim_clock().now_ms();
        let there = self.history.live(now_ms);
        let mut beside = None;
        let store = self.store();
        let mut commit = || {
            beside = Some(if between.is_empty() { Ok(()) } else { store.commit(between, None) });
        };
        let result = store.transact(keys, &mut commit, ops);
        let Some(beside) = beside else {
            return match result {
                Err(failure) => self.recover(failure), // Its reads failed: it wrote nothing.
                Ok(_) => panic!("a transaction that did not call between"),
            };
        };
        if !between.is_empty() {
            self.push(between, now_ms, beside.is_ok());
        }
        let is_read = |op: &Op| keys.is_empty() || keys.iter().any(|key| key == op.key());
        let has_changed = beside.is_ok() && between.iter().any(is_read);
        match &result {
            Ok(Transacted { seen, committed }) => {
                let expected = if keys.is_empty() { there } else { only(&there, keys) };
                assert_eq!(
                    difference(&expected, seen),
                    (0, String::new()),
                    "read by a transaction"
                );
                let what = if *committed { "a conflict missed" } else { "a conflict that is none" };
                assert_ne!(*committed, has_changed, "{what}: {keys:?} read, {between:?} between");
                if *committed {
                    self.push(ops, now_ms, true);
                }
            }
            Err(_) => self.push(ops, now_ms, false),
        }
        for told in [beside, result.map(|_| ())] {
            if let Err(failure) = told {
                return self.recover(failure);
            }
        }
        Ok(())
    }

    /// Notes a commit by the policy.
    fn push(&mut self, ops: &[Op], made_at_ms: u64, succeeded: bool) {
        self.history.push(ops, made_at_ms, succeeded);
        let is_policy_always = self.options.sync_policy == SyncPolicy::Always;
        if succeeded && is_policy_always && self.options.wal_enabled {
            self.history.all_durable();
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
        match self.read_live() {
            Ok(()) => Ok(()),
            Err(failure) => self.recover(failure),
        }
    }

    fn read_live(&self) -> Result<(), Failure> {
        let expected = self.history.live(self.fs.sim_clock().now_ms());
        let (count, lines) = difference(&expected, &read(self.store())?);
        if count == 0 {
            return Ok(());
        }
        Err(Failure::Wrong(format!("{count} keys of the live store are wrong:\n{lines}")))
    }

    fn open(&mut self) -> Result<(), Ended> {
        for _ in 0..FAILURES_MAX {
            let opened = S::open(self.fs, self.options).and_then(|store| {
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
        // Reads go on, from a poisoned handle as well. (The last fault may yet
        // strike one of them.)
        let may_fail = self.fs.faults_left();
        match self.read_live() {
            Err(Failure::Wrong(text)) => panic!("read after {failure}: {text}"),
            Err(refused) if !may_fail => {
                panic!("a read with the disk sound again, after {failure}: {refused}")
            }
            _ => {}
        }
        match failure {
            Failure::Refused(_) => Ok(()),
            Failure::Poisoned(_) | Failure::Wrong(_) => {
                self.store = None;
                self.open()
            }
        }
    }

    /// With a sound disk the store works again: the handle itself, if no more
    /// than single calls of it were refused.
    fn after_the_faults(&mut self) {
        self.fs.clear_faults();
        let mut refusals = 0;
        loop {
            if self.store.is_none() && self.open().is_err() {
                panic!("the disk is sound again, and the store does not open");
            }
            let number = self.history.commit_count();
            let ops = [Op::put("~sound", number.to_string())];
            let now_ms = self.fs.sim_clock().now_ms();
            let result = self.store().commit(&ops, Some(true));
            self.history.push(&ops, now_ms, result.is_ok());
            match result {
                Ok(()) => break,
                Err(Failure::Poisoned(_)) => self.store = None,
                // What failed in the background may come to light now, once.
                Err(Failure::Refused(_)) if refusals == 0 => refusals += 1,
                Err(failure) => panic!("a commit with the disk sound again: {failure}"),
            }
        }
        if self.options.wal_enabled {
            self.history.all_durable();
        }
        if let Err(failure) = self.read_live() {
            panic!("reads with the disk sound again: {failure}");
        }
        match self.store().flush() {
            Ok(()) => self.history.all_durable(),
            Err(failure) => panic!("a flush with the disk sound again: {failure}"),
        }
    }

    /// Whether there may be a failure at all, here, and a next step.
    fn judge(&mut self, failure: &Failure) -> Result<(), Ended> {
        if let Failure::Wrong(text) = failure {
            panic!("no failing disk excuses this: {text}");
        }
        match self.mode {
            Mode::Flawless => panic!("nothing may fail here: {failure}"),
            Mode::UntilCrash => {
                assert!(self.fs.is_off(), "failed with the power on: {failure}");
                Err(Ended)
            }
            Mode::Onward => {
                self.strike(0);
                Ok(())
            }
        }
    }

    fn store(&self) -> &S {
        self.store.as_ref().expect("a run without an open store has ended")
    }
}

/// What of `there` has one of `keys`, in their order.
fn only(there: &Seen, keys: &[Vec<u8>]) -> Seen {
    let find = |key: &Vec<u8>| there.iter().find(|(other, _)| other == key).cloned();
    keys.iter().filter_map(find).collect()
}

/// Everything in the store, by iteration, and every key of it by `get` too.
///
/// ```
/// use esker::crashtest::{Failure, Op, Store, read, tiny_options};
/// use esker::{Db, SyncPolicy, sim::SimFs};
/// let store = <Db as Store>::open(&SimFs::new(), &tiny_options(SyncPolicy::Always))?;
/// store.commit(&[Op::put("b", "2"), Op::put("a", "1")], None)?;
/// assert_eq!(read(&store)?, [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())]);
/// # Ok::<(), Failure>(())
/// ```
///
/// # Errors
/// Those of the reads; [`Failure::Wrong`] where they disagree.
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
