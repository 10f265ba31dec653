//! Cuts the power everywhere, fails every call, and examines what is left.

use crate::driver::{self, Mode};
use crate::history::{History, difference};
use crate::store::{Failure, Seen, Setup, Store};
use crate::watch::Watch;
use crate::workload::{Dice, Op, Step};
use esker::Clock;
use esker::sim::{CrashModel, Fault, FaultPlan, SimFs};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

/// What is explored.
#[derive(Debug, Clone)]
pub struct Case {
    pub seed: u64,
    pub setup: Setup,
    /// What is on the disk in the beginning.
    pub start: SimFs,
    pub steps: Vec<Step>,
    /// Every so-manieth call is struck.
    pub stride: usize,
    /// Every so-manieth image has its recovery crashed, too.
    pub nested_every: u64,
}

/// How much was looked at.
#[derive(Debug, Default)]
pub struct Counts {
    pub points: u64,
    pub images: u64,
    pub distinct: u64,
    pub opens: u64,
    pub nested: u64,
}

pub struct Explorer<S> {
    case: Case,
    counts: Counts,
    /// What each image examined so far showed, by content and time.
    known: HashMap<(u64, u64), Arc<Seen>>,
    watch: Watch,
    store: PhantomData<S>,
}

impl<S: Store> Explorer<S> {
    pub fn new(case: Case) -> Self {
        let watch = Watch::new();
        let counts = Counts::default();
        Explorer { case, counts, known: HashMap::new(), watch, store: PhantomData }
    }

    /// Cuts the power in each mutating call of the workload.
    pub fn power_cuts(mut self) -> Counts {
        let whole = self.fresh(0);
        self.run(&whole, Mode::Flawless, "without a fault".into());
        for nth in (1..=whole.mutating_calls()).step_by(self.case.stride) {
            let fs = self.fresh(nth);
            fs.crash_at(nth);
            let history = self.run(&fs, Mode::UntilCrash, format!("power cut in call {nth}"));
            self.counts.points += 1;
            self.examine_all(&fs, &history, nth);
        }
        self.counts
    }

    /// Fails each call of the workload, once or (`lasting`) from then on.
    pub fn faults(mut self, fault: Fault, lasting: bool) -> Counts {
        let transparent = matches!(fault, Fault::Short | Fault::Interrupted);
        let mode = if transparent { Mode::Flawless } else { Mode::Onward };
        let whole = self.fresh(0);
        self.run(&whole, Mode::Flawless, "without a fault".into());
        for nth in (1..=whole.calls()).step_by(self.case.stride) {
            let fs = self.fresh(nth);
            let (plan, how) = if lasting {
                (FaultPlan::from_on(nth, fault), "from call")
            } else {
                (FaultPlan::once(nth, fault), "in call")
            };
            fs.fail(plan);
            let history = self.run(&fs, mode, format!("{fault:?} {how} {nth}"));
            self.counts.points += 1;
            for model in [CrashModel::SyncedOnly, CrashModel::Everything] {
                self.examine(&fs, &history, nth, model);
            }
        }
        self.counts
    }

    /// The disk as in the beginning, with its own chance.
    fn fresh(&self, nth: u64) -> SimFs {
        let fs = self.case.start.crash_image(&CrashModel::Everything);
        fs.set_seed(self.case.seed ^ nth << 32);
        fs
    }

    fn run(&self, fs: &SimFs, mode: Mode, what: String) -> History {
        self.at(what);
        driver::run::<S>(fs, self.case.setup, &self.case.steps, mode)
    }

    fn at(&self, what: String) {
        let Case { seed, setup, .. } = &self.case;
        self.watch.at(format!("seed {seed}, {setup:?}, {what}"));
    }

    fn examine_all(&mut self, fs: &SimFs, history: &History, nth: u64) {
        let mut dice = Dice(self.case.seed ^ nth);
        let seed = dice.next();
        let prefix = CrashModel::Prefix(dice.below(fs.pending_count() + 1));
        for model in [
            CrashModel::SyncedOnly,
            CrashModel::Everything,
            prefix,
            CrashModel::Subset { seed },
            CrashModel::Torn { seed },
            CrashModel::ZeroFill { seed },
            CrashModel::Stale { seed },
            CrashModel::Scattered { seed },
        ] {
            self.examine(fs, history, nth, model);
        }
    }

    /// Opens what `model` leaves of `fs`, and holds it against the history.
    fn examine(&mut self, fs: &SimFs, history: &History, nth: u64, model: CrashModel) {
        let image = fs.crash_image(&model);
        self.at(format!("image {model:?} after call {nth}"));
        let at_least = match model {
            CrashModel::Everything => history.after_kill(),
            _ => history.after_power_cut(),
        };
        self.counts.images += 1;
        let key = (image.content_hash(), image.sim_clock().now_ms());
        if let Some(seen) = self.known.get(&key) {
            return explain(history, seen, at_least, &image);
        }
        self.counts.distinct += 1;
        let pristine = image.crash_image(&CrashModel::Everything);
        let (store, seen) = self.open(&image);
        explain(history, &seen, at_least, &image);
        let recovery_calls = image.mutating_calls();
        self.survive(&image, store, &seen);
        if self.counts.distinct % self.case.nested_every == 1 % self.case.nested_every {
            // An image that has pending operations loses them in a power cut
            // during recovery: nobody was shown them yet.
            let promised = Promised { history, seen: &seen };
            self.crash_recovery(&pristine, &promised, recovery_calls, nth, 2);
        }
        self.known.insert(key, Arc::new(seen));
    }

    fn open(&mut self, image: &SimFs) -> (S, Seen) {
        self.counts.opens += 1;
        let opened = S::open(image, self.case.setup)
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
        let op = Op::Put { key: key.clone(), value: value.clone(), ttl: None };
        if let Err(failure) = store.commit(&[op], Some(true)) {
            panic!("a commit after recovery: {failure}");
        }
        if !self.case.setup.wal_enabled
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

    /// Cuts the power in each mutating call of opening `pristine`; what is
    /// left must open and show the same.
    fn crash_recovery(
        &mut self,
        pristine: &SimFs,
        promised: &Promised<'_>,
        calls: u64,
        salt: u64,
        depth: u32,
    ) {
        let mut dice = Dice(self.case.seed ^ salt ^ u64::from(depth) << 48);
        for nth in 1..=calls {
            self.at(format!("power cut in call {nth} of a recovery, depth {depth}, salt {salt}"));
            let fs = pristine.crash_image(&CrashModel::Everything);
            fs.set_seed(dice.next());
            fs.crash_at(nth);
            match S::open(&fs, self.case.setup) {
                Ok(store) => drop(store),
                Err(Failure::Wrong(text)) => panic!("recovery without power: {text}"),
                Err(failure) => assert!(fs.is_off(), "with the power on: {failure}"),
            }
            self.counts.nested += 1;
            let seed = dice.next();
            let mut models = vec![
                CrashModel::SyncedOnly,
                CrashModel::Everything,
                CrashModel::Torn { seed },
                CrashModel::Scattered { seed },
            ];
            if depth == 1 {
                models.drain(..3);
            }
            for model in models {
                let image = fs.crash_image(&model);
                let again = image.crash_image(&CrashModel::Everything);
                let (store, seen) = self.open(&image);
                let calls = image.mutating_calls();
                drop(store);
                promised.hold(&seen, pristine, &image);
                if depth > 1 && nth % 3 == salt % 3 && model == (CrashModel::Torn { seed }) {
                    let promised = Promised { history: promised.history, seen: &seen };
                    self.crash_recovery(&again, &promised, calls, salt ^ nth, depth - 1);
                }
            }
        }
    }
}

/// What a recovery that is crashed must still lead to.
struct Promised<'a> {
    history: &'a History,
    /// What the same recovery shows when it is not crashed.
    seen: &'a Seen,
}

impl Promised<'_> {
    fn hold(&self, seen: &Seen, before: &SimFs, image: &SimFs) {
        if before.pending_count() == 0 {
            same(self.seen, seen, "a crash in recovery changed its outcome");
        } else {
            explain(self.history, seen, self.history.after_power_cut(), image);
        }
    }
}

fn explain(history: &History, seen: &Seen, at_least: usize, image: &SimFs) {
    if let Err(complaint) = history.explain(seen, at_least, image.sim_clock().now_ms()) {
        panic!("{complaint}");
    }
}

fn same(expected: &Seen, seen: &Seen, what: &str) {
    let (count, lines) = difference(expected, seen);
    assert!(count == 0, "{what}: {count} keys differ\n{lines}");
}
