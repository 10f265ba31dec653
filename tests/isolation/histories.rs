//! Threads make a history of random transactions; then it is judged: each read against the
//! commit order, and all of it by `checker`.

use super::checker::{Anomaly, History, Key, Record, Tx, Version, anomalies};
use super::{fresh, small_options};
use esker::{Db, DbTransaction, Error, SyncPolicy};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;

const KEYS: [Key; 10] = ["a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4", "c1", "c2"];
const THREADS: u64 = 6;

/// What one transaction did, as it saw it.
#[derive(Debug, Default)]
struct Log {
    number: u64,
    began_at: u64,
    committed_at: Option<u64>,
    conflicted: bool,
    /// Keys that it read from the database, and what it found.
    reads: Vec<(Key, Option<(u64, usize)>)>,
    /// Keys that it walked over: they count as read where it had written them itself, too.
    walked: BTreeSet<Key>,
    /// What it made of each key, in order; `false`: deleted it.
    writes: BTreeMap<Key, Vec<bool>>,
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

/// `number.nth` of whoever wrote it, and some bytes so that memtables fill.
fn value(number: u64, nth: usize) -> Vec<u8> {
    let mut bytes = format!("{number}.{nth} ").into_bytes();
    bytes.resize(bytes.len() + usize::try_from(number % 500).expect("small"), b'.');
    bytes
}

fn origin(value: &[u8]) -> (u64, usize) {
    let text = str::from_utf8(value).expect("text");
    let (number, nth) =
        text.split_whitespace().next().and_then(|w| w.split_once('.')).expect("two");
    (number.parse().expect("a number"), nth.parse().expect("a number"))
}

impl Log {
    fn get(&mut self, tx: &DbTransaction, key: Key) {
        let found = tx.get(key).expect("a read").map(|value| origin(&value));
        self.saw(key, found);
    }

    /// Notes a read, and holds it against the transaction's own writes.
    fn saw(&mut self, key: Key, found: Option<(u64, usize)>) {
        match self.writes.get(key).map(|writes| (writes.len(), writes.last())) {
            Some((nth, Some(true))) => assert_eq!(found, Some((self.number, nth)), "its own"),
            Some(_) => assert_eq!(found, None, "its own delete"),
            None => self.reads.push((key, found)),
        }
    }

    fn write(&mut self, tx: &mut DbTransaction, key: Key, is_set: bool) {
        let writes = self.writes.entry(key).or_default();
        writes.push(is_set);
        let nth = writes.len();
        if is_set {
            tx.set(key, value(self.number, nth)).expect("set");
        } else {
            tx.delete(key).expect("delete");
        }
    }

    /// Walks a range, or a part of it, from either end.
    fn scan(&mut self, tx: &DbTransaction, dice: &mut Dice) {
        let (a, b) = (dice.below(KEYS.len() + 1), dice.below(KEYS.len() + 1));
        let (low, high) = (a.min(b), a.max(b));
        let end = KEYS.get(high).copied().unwrap_or("z");
        let mut rows = tx.range(KEYS.get(low).copied().unwrap_or("z")..end);
        let is_backwards = dice.below(2) == 0;
        let steps = if dice.below(3) == 0 { dice.below(4) } else { KEYS.len() + 1 };
        let mut found = BTreeMap::new();
        // Which of the keys it has been told of.
        let mut told = if is_backwards { high..high } else { low..low };
        for _ in 0..steps {
            match if is_backwards { rows.next_back() } else { rows.next() } {
                None => told = low..high,
                Some(row) => {
                    let (key, value) = row.expect("an entry");
                    let at = KEYS.iter().position(|known| known.as_bytes() == &*key).expect("ours");
                    told = if is_backwards { at..high } else { low..at + 1 };
                    found.insert(at, origin(&value));
                }
            }
        }
        for at in told {
            self.saw(KEYS[at], found.get(&at).copied());
            self.walked.insert(KEYS[at]);
        }
    }
}

fn run_one(db: &Db, number: u64, dice: &mut Dice) -> Log {
    let mut tx = db.transaction();
    let mut log = Log { number, began_at: tx.began_at(), ..Log::default() };
    for _ in 0..1 + dice.below(5) {
        let key = KEYS[dice.below(KEYS.len())];
        match dice.below(10) {
            0..4 => log.get(&tx, key),
            4..7 => log.write(&mut tx, key, true),
            7 => log.write(&mut tx, key, false),
            8 => log.scan(&tx, dice),
            _ => std::thread::yield_now(),
        }
    }
    if dice.below(12) == 0 {
        tx.rollback();
        return log;
    }
    match tx.commit() {
        Ok(()) => log.committed_at = tx.committed_at().or(Some(log.began_at)),
        Err(Error::Conflict) => log.conflicted = true,
        Err(e) => panic!("{e}"),
    }
    log
}

/// Who wrote what when, of those that committed, in the order of their numbers.
fn commit_order(logs: &[Log]) -> BTreeMap<Key, Vec<(u64, Tx)>> {
    let mut order = BTreeMap::<Key, Vec<(u64, Tx)>>::new();
    for (tx, log) in logs.iter().enumerate() {
        if let Some(seq) = log.committed_at {
            log.writes.keys().for_each(|key| order.entry(key).or_default().push((seq, tx)));
        }
    }
    order.values_mut().for_each(|writers| writers.sort_unstable());
    order
}

/// The version of `key` after the commits up to `seq`, and what a reader is shown of it.
fn version_at(
    logs: &[Log],
    order: &BTreeMap<Key, Vec<(u64, Tx)>>,
    key: Key,
    seq: u64,
) -> (Version, Option<(u64, usize)>) {
    let writers = order.get(key).map_or(&[][..], Vec::as_slice);
    let Some((_, tx)) = writers.iter().rfind(|(at, _)| *at <= seq) else { return (None, None) };
    let writes = &logs[*tx].writes[key];
    let is_set = writes.last() == Some(&true);
    (Some((*tx, writes.len())), is_set.then_some((logs[*tx].number, writes.len())))
}

/// Every read is of the state at which the transaction began, whatever became of it.
fn reads_are_of_the_beginning(logs: &[Log], order: &BTreeMap<Key, Vec<(u64, Tx)>>) {
    for log in logs {
        for (key, found) in &log.reads {
            let (_, expected) = version_at(logs, order, key, log.began_at);
            assert_eq!(*found, expected, "{key} as of {} in {log:?}", log.began_at);
        }
    }
}

/// Who was refused had read something that was written since, and who was not had not.
fn conflicts_are_just(logs: &[Log], order: &BTreeMap<Key, Vec<(u64, Tx)>>) {
    for log in logs {
        let read = log.reads.iter().map(|(key, _)| key).chain(&log.walked);
        let read: BTreeSet<Key> = read.copied().collect();
        let until = log.committed_at.unwrap_or(u64::MAX);
        let is_touched = read.iter().any(|key| {
            let writers = order.get(key).map_or(&[][..], Vec::as_slice);
            writers.iter().any(|(at, _)| *at > log.began_at && *at < until)
        });
        if log.conflicted {
            assert!(is_touched, "refused for nothing: {log:?}");
        } else if log.committed_at.is_some_and(|at| at > log.began_at) && !log.writes.is_empty() {
            assert!(!is_touched, "what it read had changed: {log:?}");
        }
    }
}

fn history_of(logs: &[Log], order: &BTreeMap<Key, Vec<(u64, Tx)>>) -> History {
    let by_number: BTreeMap<u64, Tx> =
        logs.iter().enumerate().map(|(tx, l)| (l.number, tx)).collect();
    let record = |log: &Log| Record {
        committed: log.committed_at.is_some(),
        reads: log
            .reads
            .iter()
            .map(|(key, found)| match found {
                Some((number, nth)) => (*key, Some((by_number[number], *nth))),
                // Not there: since when, only the order tells.
                None => (*key, version_at(logs, order, key, log.began_at).0),
            })
            .collect(),
        writes: log.writes.iter().map(|(key, writes)| (*key, writes.len())).collect(),
    };
    let txs = |writers: &Vec<(u64, Tx)>| writers.iter().map(|(_, tx)| *tx).collect();
    History {
        records: logs.iter().map(record).collect(),
        order: order.iter().map(|(key, writers)| (*key, txs(writers))).collect(),
    }
}

fn random_history(policy: SyncPolicy, seed: u64, count: u64) -> (Db, Vec<Log>, tempfile::TempDir) {
    let (dir, db) = fresh(small_options(policy));
    let barrier = Barrier::new(usize::try_from(THREADS).expect("few"));
    let mut logs = Vec::new();
    std::thread::scope(|scope| {
        let run = |thread: u64| {
            let (db, barrier) = (&db, &barrier);
            move || {
                let mut dice = Dice(seed * 1000 + thread);
                barrier.wait();
                let number = |n| thread * 1_000_000 + n;
                (0..count).map(|n| run_one(db, number(n), &mut dice)).collect::<Vec<Log>>()
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(run(thread))).collect();
        for thread in threads {
            logs.extend(thread.join().expect("no panic"));
        }
    });
    (db, logs, dir)
}

fn judge(policy: SyncPolicy, seed: u64, count: u64) {
    println!("seed {seed}, {policy:?}");
    let (db, logs, _dir) = random_history(policy, seed, count);
    let order = commit_order(&logs);
    reads_are_of_the_beginning(&logs, &order);
    conflicts_are_just(&logs, &order);
    let found: BTreeMap<Anomaly, Vec<Tx>> = anomalies(&history_of(&logs, &order));
    for (anomaly, txs) in &found {
        let txs: Vec<&Log> = txs.iter().map(|tx| &logs[*tx]).collect();
        println!("{anomaly:?}: {txs:#?}");
    }
    assert!(found.is_empty(), "{:?}", found.keys());
    for key in KEYS {
        let last = db.get(key).expect("a read").map(|value| origin(&value));
        assert_eq!(last, version_at(&logs, &order, key, u64::MAX).1, "{key} in the end");
    }
    let conflicts = logs.iter().filter(|log| log.conflicted).count();
    let commits = logs.iter().filter(|log| log.committed_at.is_some()).count();
    assert!(conflicts > 0 && commits > conflicts / 10, "{conflicts} conflicts, {commits} commits");
    assert_eq!(db.metrics().conflicts, u64::try_from(conflicts).expect("few"));
    assert_eq!(db.metrics().snapshots.count, 0, "all are over");
}

#[test]
fn random_histories_are_serializable() {
    let first = std::env::var("ESKER_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    for seed in first..first + 4 {
        judge(SyncPolicy::Never, seed, 400);
    }
}

#[test]
fn so_they_are_where_groups_form() {
    let first = std::env::var("ESKER_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    judge(SyncPolicy::Always, first, 150);
}
