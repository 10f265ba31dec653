//! What the parent knows of the writes, and whether a database agrees.
//!
//! A database agrees if it is the result of a prefix of the commit order with
//! every commit in it that has to be: of each thread some number of operations
//! from the first on, whole; and if an operation of any thread is there, then so
//! is every one that returned before it began.

use crate::line::{Ack, Line};
use crate::workload::{self, Change, WRITERS, is_brief, number_in, thread_of};
use esker::{Db, Error};
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// Keys, and the numbers of the operations that set them.
type Keys = BTreeMap<String, u64>;

/// What is known of the operations on one database.
pub struct Ledger {
    threads: Vec<Thread>,
    /// Tickets below this belong to durable operations.
    durable_below: u64,
    /// What opening it has shown since it was last judged.
    shown: Vec<u64>,
}

#[derive(Default)]
struct Thread {
    /// Operations before this one are there for good.
    base: u64,
    /// The keys after those.
    keys: Keys,
    /// The operations since, in order, but for one that may have been under way.
    acks: Vec<Ack>,
}

/// What must have survived.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    /// All that was acknowledged: the process died, and nothing else.
    Acknowledged,
    /// What was acknowledged as durable: the power went.
    Durable,
}

#[derive(Default)]
pub struct Counts {
    pub acknowledged: u64,
    pub durable: u64,
    pub lost: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        self.acknowledged += other.acknowledged;
        self.durable += other.durable;
        self.lost += other.lost;
    }
}

impl Ledger {
    pub fn new() -> Ledger {
        let threads = (0..WRITERS).map(|_| Thread::default()).collect();
        Ledger { threads, durable_below: 0, shown: Vec::new() }
    }

    /// For each thread the number of its next operation.
    pub fn next(&self) -> Vec<u64> {
        self.threads.iter().map(|thread| thread.base).collect()
    }

    /// Takes in what a child said. At most one of the children between two
    /// judgements may have written.
    pub fn take(&mut self, lines: Vec<Line>) {
        for line in lines {
            match line {
                Line::Ack(ack) => {
                    let thread = &mut self.threads[ack.thread];
                    let expected = thread.base + thread.acks.len() as u64;
                    assert_eq!(ack.n, expected, "thread {}: the child skipped one", ack.thread);
                    thread.acks.push(ack);
                    if ack.is_durable {
                        self.durable_below = self.durable_below.max(ack.began);
                    }
                }
                Line::Durable(below) => self.durable_below = self.durable_below.max(below),
                Line::Shown(digest) => self.shown.push(digest),
                Line::Ready | Line::Open | Line::Failed(_) => {}
                Line::Panicked(why) => panic!("the child panicked: {why}"),
            }
        }
    }

    /// Compares `db` with what is known, and panics where they differ; what it
    /// holds then is what the next operations go on from.
    pub fn judge(&mut self, db: &Db, survives: Survives) -> Counts {
        let digest = digest(db).expect("reads");
        let shown = std::mem::take(&mut self.shown);
        assert!(shown.iter().all(|d| *d == digest), "what an open showed is not there any more");
        let mut found: Vec<Keys> = vec![Keys::new(); WRITERS];
        for entry in db.iter() {
            let (key, value) = entry.expect("a read");
            let key = String::from_utf8(key.to_vec()).expect("our keys are text");
            let thread = thread_of(&key).unwrap_or_else(|| panic!("a key of nobody: {key}"));
            let n = number_in(&value).unwrap_or_else(|| panic!("{key}: no number in the value"));
            assert!(*value == *workload::value(thread, n), "{key}: not the value of {n}");
            found[thread].insert(key, n);
        }
        let durable_below = self.durable_below;
        let ends = (self.threads.iter().zip(&found).enumerate())
            .map(|(number, (thread, found))| {
                let required = thread.required(survives, durable_below);
                thread.end(number, found, required)
            })
            .collect::<Vec<u64>>();
        self.no_holes_between(&ends);
        let mut counts = Counts::default();
        for (number, end) in ends.into_iter().enumerate() {
            let thread = &mut self.threads[number];
            counts.acknowledged += thread.acks.len() as u64;
            counts.durable += thread.required(Survives::Durable, durable_below) - thread.base;
            counts.lost += thread.acknowledged().saturating_sub(end);
            thread.settle(number, end);
        }
        self.durable_below = 0;
        counts
    }

    /// An operation that is there while one that returned before it began is
    /// not: the state is no prefix of the commit order.
    fn no_holes_between(&self, ends: &[u64]) {
        let threads = || self.threads.iter().zip(ends).enumerate();
        let lost = threads().filter_map(|(_, (thread, &end))| thread.ack(end));
        let Some(first_lost) = lost.min_by_key(|ack| ack.ticket) else { return };
        for (number, (thread, &end)) in threads() {
            let Some(last) = end.checked_sub(1).filter(|last| *last >= thread.base) else {
                continue;
            };
            // One under way when all ended began after the one before it.
            let began = match (thread.ack(last), last.checked_sub(1).and_then(|n| thread.ack(n))) {
                (Some(ack), _) => ack.began,
                (None, Some(before)) => before.ticket + 1,
                (None, None) => continue,
            };
            assert!(
                began <= first_lost.ticket,
                "a hole: operation {last} of thread {number} is there; {first_lost:?}, which \
                 returned before it began, is lost"
            );
        }
    }
}

impl Thread {
    /// The number after the last acknowledged operation.
    fn acknowledged(&self) -> u64 {
        self.base + self.acks.len() as u64
    }

    fn ack(&self, n: u64) -> Option<&Ack> {
        self.acks.get(usize::try_from(n.checked_sub(self.base)?).ok()?)
    }

    /// The number after the last operation that must be there.
    fn required(&self, survives: Survives, durable_below: u64) -> u64 {
        if survives == Survives::Acknowledged {
            return self.acknowledged();
        }
        let is_durable = |ack: &Ack| ack.is_durable || ack.ticket < durable_below;
        self.base + self.acks.iter().rposition(is_durable).map_or(0, |last| last as u64 + 1)
    }

    /// The number of operations whose result `found` is.
    fn end(&self, number: usize, found: &Keys, required: u64) -> u64 {
        let last = self.acknowledged() + 1;
        // The operation of the newest value is there, so no end before it fits.
        let from = found.values().max().map_or(self.base, |n| self.base.max(n + 1));
        assert!(from <= last, "thread {number}: operation {} was never begun", from - 1);
        let mut keys = self.keys.clone();
        (self.base..from).for_each(|n| apply(&mut keys, number, n));
        let mut nearest: Option<(Difference, u64)> = None;
        for end in from..=last {
            let difference = Difference::between(&keys, found);
            if difference.count == 0 {
                assert!(
                    end >= required,
                    "thread {number}: operations {end} to {required} had to survive and are lost"
                );
                return end;
            }
            if nearest.as_ref().is_none_or(|(least, _)| difference.count < least.count) {
                nearest = Some((difference, end));
            }
            apply(&mut keys, number, end);
        }
        let (Difference { count, first }, end) = nearest.expect("there is one end at least");
        panic!(
            "thread {number}: its keys are the result of no number of operations ({required} to \
             {last} were possible); nearest is {end}, where {count} keys differ: {first}"
        );
    }

    /// Takes the first `end` operations as there for good.
    fn settle(&mut self, number: usize, end: u64) {
        for n in self.base..end {
            apply(&mut self.keys, number, n);
        }
        self.base = end;
        self.acks.clear();
    }
}

fn apply(keys: &mut Keys, thread: usize, n: u64) {
    for change in workload::operation(thread, n) {
        match change {
            Change::Set(key) | Change::SetFor(key, _) => keys.insert(key, n),
            Change::Delete(key) => keys.remove(&key),
        };
    }
}

/// How the keys of a thread differ from those expected.
struct Difference {
    count: usize,
    first: String,
}

impl Difference {
    fn between(expected: &Keys, found: &Keys) -> Difference {
        // One that may have expired need not be there; if it is, it is the right one.
        let missing =
            expected.iter().filter(|(key, _)| !is_brief(key) && !found.contains_key(*key));
        let wrong = found.iter().filter(|(key, n)| expected.get(*key) != Some(n));
        let missing: Vec<_> = missing.collect();
        let wrong: Vec<_> = wrong.collect();
        let first = match (missing.first(), wrong.first()) {
            (Some((key, n)), _) => format!("{key} of operation {n} is missing"),
            (None, Some((key, n))) => {
                format!("{key} is of operation {n} and not {:?}", expected.get(*key))
            }
            (None, None) => String::new(),
        };
        Difference { count: missing.len() + wrong.len(), first }
    }
}

/// A digest of all that `db` shows, but for what may expire meanwhile.
pub fn digest(db: &Db) -> Result<u64, Error> {
    let mut hasher = DefaultHasher::new();
    for entry in db.iter() {
        let (key, value) = entry?;
        let is_brief = std::str::from_utf8(&key).is_ok_and(is_brief);
        if !is_brief {
            (&*key, &*value).hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}
