//! Cuts the power everywhere, fails every call, and examines what is left.

use super::counts::{Counts, ImageKey, Tally};
use super::driver::{self, Mode, Moment};
use super::history::{History, difference};
use super::images::{Breadth, Image, images};
use super::store::{Seen, Store};
use super::watch::Watch;
use super::workload::{Dice, Op, Step};
use crate::clock::Clock;
use crate::fs::sim::{CrashModel, Fault, FaultPlan, SimFs};
use crate::options::Options;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

/// How much is looked at.
///
/// See the example of [`Case`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Every so-manieth call is struck.
    pub stride: usize,
    /// Where a power cut has up to so many outcomes, each is looked at.
    pub exhaustive_max: u64,
    /// Where it has more: so many of those that go wrong most often
    /// ([`crate::sim::Choices::corners`]),
    pub corners_max: u64,
    /// so many random ones, and as many of each model.
    pub samples: u64,
    /// Every so-manieth distinct image is opened, crashed, written to and
    /// crashed again.
    pub survive_every: u64,
    /// Every so-manieth distinct image has its recovery crashed, too; so has,
    /// by the second number, an image left by that; and by the third, one left
    /// by that. 0: none.
    pub nested_every: [u64; 3],
}

/// Of what a failed call leaves, few outcomes are gone through one and all.
const FAULTED: Breadth = Breadth { exhaustive_max: 8, corners_max: 2, samples: 1 };

impl Default for Effort {
    fn default() -> Self {
        Effort {
            stride: 1,
            exhaustive_max: 256,
            corners_max: 32,
            samples: 2,
            survive_every: 8,
            nested_every: [200, 600, 300],
        }
    }
}

/// What is explored.
///
/// ```
/// use esker::crashtest::{Case, Effort, Explorer, Op, Step, tiny_options};
/// use esker::{Db, SyncPolicy};
/// let steps = vec![Step::commit(vec![Op::put("a", "1")])];
/// let case = |stride| Case {
///     name: "one set".to_string(),
///     effort: Effort { stride, ..Effort::default() },
///     ..Case::new::<Db>(tiny_options(SyncPolicy::Always), steps.clone())
/// };
/// let every_call = Explorer::<Db>::new(case(1)).power_cuts();
/// let every_third = Explorer::<Db>::new(case(3)).power_cuts();
/// assert!(every_third.points < every_call.points);
/// ```
#[derive(Debug, Clone)]
pub struct Case {
    /// What a failure is reported under.
    pub name: String,
    /// Decides all that is left to chance.
    pub seed: u64,
    /// How the store is opened.
    pub options: Options,
    /// Whether the store may have threads of its own: its calls then come in
    /// another order from run to run, and a seed narrows a failure down
    /// without pinning it.
    pub threads: bool,
    /// What is on the disk in the beginning.
    pub start: SimFs,
    /// The workload.
    pub steps: Vec<Step>,
    /// How much is looked at.
    pub effort: Effort,
}

impl Case {
    /// `steps` on a disk on which the store was made and closed, without
    /// threads.
    ///
    /// See the example of [`Case`].
    #[must_use]
    pub fn new<S: Store>(options: Options, steps: Vec<Step>) -> Self {
        let start = SimFs::new();
        start.set_threads(false);
        driver::run::<S>(&start, &options, &[Step::Reopen], Mode::Flawless);
        let start = start.crash_image(&CrashModel::SyncedOnly);
        let effort = Effort::default();
        Case { name: String::new(), seed: 1, options, threads: false, start, steps, effort }
    }
}

/// Explores one [`Case`].
///
/// ```
/// use esker::crashtest::{Case, Explorer, Op, Step, tiny_options};
/// use esker::sim::{Fault, FaultPlan, errno};
/// use esker::{Db, SyncPolicy};
/// let explorer = || {
///     let steps = vec![Step::commit(vec![Op::put("a", "1")]), Step::Flush];
///     Explorer::<Db>::new(Case::new::<Db>(tiny_options(SyncPolicy::Always), steps))
/// };
/// assert!(explorer().power_cuts().points > explorer().power_cut(3).points);
/// assert!(explorer().faults(Fault::Errno(errno::EIO), false).faults > 0);
/// let plans = [FaultPlan::once(1, Fault::Short), FaultPlan::once(9, Fault::Errno(errno::ENOSPC))];
/// assert!(explorer().with_plans(&plans).faults > 0);
/// ```
#[derive(Debug)]
pub struct Explorer<S> {
    pub(super) case: Case,
    pub(super) counts: Counts,
    tally: Tally,
    /// What each image examined so far showed.
    known: HashMap<ImageKey, Arc<Seen>>,
    /// Each state seen so far, once.
    states: HashMap<u64, Arc<Seen>>,
    /// How many new images there were of the workload, of its recovery, of the
    /// recovery from what that left, and so on.
    met: [u64; 4],
    watch: Watch,
    store: PhantomData<S>,
}

impl<S: Store> Explorer<S> {
    /// Of `case`, with a [`Tally`] of its own.
    ///
    /// See the example of [`Explorer`].
    #[must_use]
    pub fn new(case: Case) -> Self {
        Explorer::with_tally(case, Tally::default())
    }

    /// Of `case`; images that `tally` has are not counted again.
    ///
    /// See the example of [`Tally`].
    #[must_use]
    pub fn with_tally(case: Case, tally: Tally) -> Self {
        Explorer {
            case,
            counts: Counts::default(),
            tally,
            known: HashMap::new(),
            states: HashMap::new(),
            met: [0; 4],
            watch: Watch::new(),
            store: PhantomData,
        }
    }

    /// Cuts the power in each mutating call of the workload.
    ///
    /// See the example of [`Explorer`].
    ///
    /// # Panics
    /// When the store breaks the contract.
    pub fn power_cuts(mut self) -> Counts {
        let whole = self.fresh(0);
        self.run(&whole, Mode::Flawless, "without a fault".into());
        for nth in (1..=whole.mutating_calls()).step_by(self.case.effort.stride) {
            self.cut_power_in(nth);
        }
        self.counts
    }

    /// Cuts the power in one mutating call of the workload, the `nth` modulo
    /// how many there are.
    ///
    /// See the example of [`Explorer`].
    ///
    /// # Panics
    /// When the store breaks the contract.
    pub fn power_cut(mut self, nth: u64) -> Counts {
        let whole = self.fresh(0);
        self.run(&whole, Mode::Flawless, "without a fault".into());
        self.cut_power_in(1 + nth % whole.mutating_calls().max(1));
        self.counts
    }

    fn cut_power_in(&mut self, nth: u64) {
        let fs = self.fresh(nth);
        fs.crash_at(nth);
        let history = self.run(&fs, Mode::UntilCrash, format!("power cut in call {nth}"));
        self.counts.points += 1;
        self.examine_all(&fs, &history, nth);
    }

    /// Runs the workload once, with the faults of all `plans`.
    ///
    /// See the example of [`Explorer`].
    ///
    /// # Panics
    /// When the store breaks the contract.
    pub fn with_plans(mut self, plans: &[FaultPlan]) -> Counts {
        let fs = self.fresh(0);
        plans.iter().for_each(|plan| fs.fail(plan.clone()));
        self.fail_onward(&fs, Mode::Onward, 0, format!("{plans:?}"));
        self.counts
    }

    /// Runs on with calls that fail, and looks at what is left; and at what a power cut leaves after the step in
    /// which a call failed, and after the next, before what comes later has made up for it.
    fn fail_onward(&mut self, fs: &SimFs, mode: Mode, nth: u64, what: String) {
        self.at(what.clone());
        let Case { options, steps, .. } = &self.case;
        let (history, struck) = driver::run_through::<S>(fs, options, steps, mode);
        self.counts.points += 1;
        self.counts.faults += fs.faults_hit();
        for (Moment { fs, history }, more) in struck.into_iter().zip(0..) {
            self.counts.points += 1;
            let seed = Dice(self.case.seed ^ nth).next();
            for image in images(&fs, FAULTED, seed) {
                self.examine(image, &history, nth, &format!("{what}, {more} more"));
            }
        }
        for model in [CrashModel::SyncedOnly, CrashModel::Everything] {
            let is_kill = model == CrashModel::Everything;
            let name = format!("{model:?}");
            let image = Image { fs: fs.crash_image(&model), name, is_kill };
            self.examine(image, &history, nth, &what);
        }
    }

    /// Fails each call of the workload with `fault`, once or (`lasting`) it
    /// and all after it.
    ///
    /// See the example of [`Explorer`].
    ///
    /// # Panics
    /// When the store breaks the contract; for an interruption that lasts.
    pub fn faults(mut self, fault: Fault, lasting: bool) -> Counts {
        // Of these nothing may be noticed.
        let errno = crate::fs::sim::errno::EINTR;
        let is_transparent =
            matches!(fault, Fault::Short | Fault::Interrupted) || fault == Fault::Errno(errno);
        // For good would be for ever: a call that is interrupted is made again.
        assert!(!lasting || !is_transparent || fault == Fault::Short, "it would never end");
        let mode = if is_transparent { Mode::Flawless } else { Mode::Onward };
        let whole = self.fresh(0);
        self.run(&whole, Mode::Flawless, "without a fault".into());
        for nth in (1..=whole.calls()).step_by(self.case.effort.stride) {
            let fs = self.fresh(nth);
            let (plan, how) = if lasting {
                (FaultPlan::from_on(nth, fault), "from call")
            } else {
                (FaultPlan::once(nth, fault), "in call")
            };
            let what = format!("{fault:?} {how} {nth}");
            fs.fail(plan);
            self.fail_onward(&fs, mode, nth, what);
        }
        self.counts
    }

    /// The disk as in the beginning, with its own chance.
    fn fresh(&self, nth: u64) -> SimFs {
        let fs = self.case.start.crash_image(&CrashModel::Everything);
        fs.set_threads(self.case.threads);
        fs.set_seed(self.case.seed ^ nth << 32);
        fs
    }

    fn run(&self, fs: &SimFs, mode: Mode, what: String) -> History {
        self.at(what);
        driver::run::<S>(fs, &self.case.options, &self.case.steps, mode)
    }

    pub(super) fn at(&self, what: String) {
        let Case { name, seed, options, .. } = &self.case;
        self.watch.at(format!("{name}, seed {seed}, {:?}, {what}", options.sync_policy));
    }

    fn examine_all(&mut self, fs: &SimFs, history: &History, nth: u64) {
        let Effort { exhaustive_max, corners_max, samples, .. } = self.case.effort;
        let breadth = Breadth { exhaustive_max, corners_max, samples };
        let seed = Dice(self.case.seed ^ nth).next();
        for image in images(fs, breadth, seed) {
            self.examine(image, history, nth, "");
        }
    }

    /// Opens what is left, and holds it against the history.
    fn examine(&mut self, image: Image, history: &History, nth: u64, what: &str) {
        self.at(format!("image {} after call {nth} {what}", image.name));
        let Image { fs, is_kill, .. } = image;
        let at_least = if is_kill { history.after_kill() } else { history.after_power_cut() };
        self.counts.images += 1;
        let key = key_of(&fs);
        if let Some(seen) = self.known.get(&key) {
            return explain(history, seen, at_least, &fs);
        }
        let order = self.count(key, false);
        let nests = self.nests(0);
        let pristine = nests.then(|| fs.crash_image(&CrashModel::Everything));
        let (store, seen) = self.open(&fs);
        explain(history, &seen, at_least, &fs);
        let seen = self.remember(key, seen);
        if is_due(order, self.case.effort.survive_every) {
            self.survive(&fs, store, &seen);
        } else {
            drop(store);
        }
        if let Some(pristine) = pristine {
            self.crash_recovery(&pristine, history, &seen, nth, 0);
        }
    }

    /// Counts an image that this exploration had not met; which one it is.
    pub(super) fn count(&mut self, key: ImageKey, in_recovery: bool) -> u64 {
        if self.tally.count(key) {
            self.counts.distinct += 1;
            self.counts.in_recovery += u64::from(in_recovery);
        }
        self.known.len() as u64
    }

    /// Whether the recovery of a new image is crashed, too. Counted apart for
    /// each `depth`, so that the first one of each is, however few there are.
    pub(super) fn nests(&mut self, depth: usize) -> bool {
        let order = self.met[depth];
        self.met[depth] += 1;
        is_due(order, self.case.effort.nested_every.get(depth).copied().unwrap_or(0))
    }

    pub(super) fn known(&self, key: ImageKey) -> Option<Arc<Seen>> {
        self.known.get(&key).cloned()
    }

    pub(super) fn remember(&mut self, key: ImageKey, seen: Seen) -> Arc<Seen> {
        let mut hasher = DefaultHasher::new();
        seen.hash(&mut hasher);
        let seen = self.states.entry(hasher.finish()).or_insert_with(|| Arc::new(seen)).clone();
        self.known.insert(key, Arc::clone(&seen));
        seen
    }

    pub(super) fn open(&mut self, image: &SimFs) -> (S, Seen) {
        self.counts.opens += 1;
        let opened = S::open(image, &self.case.options)
            .and_then(|store| driver::read(&store).map(|seen| (store, seen)));
        match opened {
            Ok(opened) => opened,
            Err(failure) => panic!("a crash must leave what opens: {failure}"),
        }
    }

    /// Nothing that an open showed is lost in a later power cut, and neither
    /// is what was committed durably since.
    fn survive(&mut self, image: &SimFs, store: S, seen: &Seen) {
        let second = image.crash_image(&CrashModel::SyncedOnly);
        drop(store);
        let (store, again) = self.open(&second);
        same(seen, &again, "a power cut after the open lost what it had shown");
        let (key, value) = (b"~after".to_vec(), b"the crash".to_vec());
        let op = Op::put(key.clone(), value.clone());
        if let Err(failure) = store.commit(&[op], Some(true)) {
            panic!("a commit after recovery: {failure}");
        }
        if !self.case.options.wal_enabled
            && let Err(failure) = store.flush()
        {
            panic!("a flush after recovery: {failure}");
        }
        let third = second.crash_image(&CrashModel::SyncedOnly);
        drop(store);
        let (store, again) = self.open(&third);
        drop(store);
        let mut expected = seen.clone();
        match expected.binary_search_by(|(k, _)| k.cmp(&key)) {
            Ok(at) => expected[at].1 = value,
            Err(at) => expected.insert(at, (key, value)),
        }
        same(&expected, &again, "a power cut after a synced commit");
    }
}

/// Whether the `order`-th one is the `every`-th.
fn is_due(order: u64, every: u64) -> bool {
    every > 0 && order.is_multiple_of(every)
}

pub(super) fn key_of(image: &SimFs) -> ImageKey {
    (image.content_hash(), image.sim_clock().now_ms())
}

pub(super) fn explain(history: &History, seen: &Seen, at_least: usize, image: &SimFs) {
    if let Err(complaint) = history.explain(seen, at_least, image.sim_clock().now_ms()) {
        panic!("{complaint}");
    }
}

pub(super) fn same(expected: &Seen, seen: &Seen, what: &str) {
    let (count, lines) = difference(expected, seen);
    assert!(count == 0, "{what}: {count} keys differ\n{lines}");
}
