//! A bank: many threads transfer money and count it all, while memtables are written out,
//! tables merged and garbage collected. No cent may appear or vanish.

use super::small_options;
use esker::{Db, DbTransaction, Error, Result, SyncPolicy, WriteBatch};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ACCOUNTS: u64 = 200;
const OPENING: u64 = 1000;
const TELLERS: u64 = 13;
const AUDITORS: usize = 3;

fn account(number: u64) -> String {
    format!("account/{number:04}")
}

/// A balance with some paper round it, so that there is garbage; every third stands in the value log.
fn statement(balance: u64, number: u64) -> Vec<u8> {
    let mut bytes = balance.to_le_bytes().to_vec();
    bytes.resize(if number.is_multiple_of(3) { 400 } else { 60 }, number.to_le_bytes()[0]);
    bytes
}

fn balance(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk().expect("eight bytes"))
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn transfer(tx: &mut DbTransaction, dice: &mut Dice) -> Result<()> {
    let (from, to) = (dice.below(ACCOUNTS), dice.below(ACCOUNTS));
    let read = |tx: &DbTransaction, number| {
        Ok::<u64, Error>(tx.get(account(number))?.map_or(0, |bytes| balance(&bytes)))
    };
    // An account without money is closed, and opened when some comes.
    let write = |tx: &mut DbTransaction, number, balance| match balance {
        0 => tx.delete(account(number)),
        _ => tx.set(account(number), statement(balance, number)),
    };
    let amount = (1 + dice.below(400)).min(read(tx, from)?);
    let left = read(tx, from)? - amount;
    write(tx, from, left)?;
    let there = read(tx, to)?;
    write(tx, to, there + amount)
}

/// The sum of all balances, walked from one end or the other, and how many accounts are open.
fn count_all(tx: &DbTransaction, backwards: bool) -> Result<(u64, u64)> {
    let mut rows = tx.prefix("account/");
    let (mut sum, mut count) = (0, 0);
    while let Some(row) = if backwards { rows.next_back() } else { rows.next() } {
        sum += balance(&row?.1);
        count += 1;
    }
    Ok((sum, count))
}

#[derive(Default)]
struct Tally {
    transfers: AtomicU64,
    audits: AtomicU64,
    reports: AtomicU64,
}

fn tell(db: &Db, number: u64, until: &AtomicBool, tally: &Tally) {
    let mut dice = Dice(number);
    while !until.load(Ordering::Relaxed) {
        match db.transact(|tx| transfer(tx, &mut dice)) {
            Ok(()) => tally.transfers.fetch_add(1, Ordering::Relaxed),
            Err(Error::Conflict) => 0, // After many attempts: others were luckier.
            Err(e) => panic!("{e}"),
        };
    }
}

/// Counts all, and every second time writes down what was counted: a long read with a write,
/// which holds only if nothing has changed. Its report has the number of open accounts.
fn audit(db: &Db, number: usize, until: &AtomicBool, tally: &Tally) {
    for turn in 0.. {
        if until.load(Ordering::Relaxed) {
            return;
        }
        let mut tx = db.transaction();
        let (sum, count) = count_all(&tx, turn % 3 == 0).expect("a scan");
        assert_eq!(sum, ACCOUNTS * OPENING, "as of {}", tx.began_at());
        tally.audits.fetch_add(1, Ordering::Relaxed);
        if turn % 2 == 0 {
            tx.set(format!("report/{number}"), count.to_le_bytes()).expect("set");
        }
        match tx.commit() {
            Ok(()) => {
                let reported = tx.committed_at().map_or(0, |_| 1);
                tally.reports.fetch_add(reported, Ordering::Relaxed);
            }
            Err(Error::Conflict) => assert!(turn % 2 == 0, "one that only reads"),
            Err(e) => panic!("{e}"),
        }
    }
}

/// Ends the threads, also where the test fails: else it would wait for them for ever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether there was enough of everything for the sums to say something.
fn is_enough(db: &Db, tally: &Tally) -> bool {
    let metrics = db.metrics();
    tally.transfers.load(Ordering::Relaxed) > 100
        && tally.audits.load(Ordering::Relaxed) > 10
        && metrics.conflicts > 0
        && metrics.flushes > 2
        && metrics.values.collections > 0
}

fn run(how_long: Duration, policy: SyncPolicy) {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), small_options(policy)).expect("opens");
    let mut batch = WriteBatch::new();
    (0..ACCOUNTS).for_each(|number| batch.set(account(number), statement(OPENING, number)));
    db.write(batch).expect("opening");
    let (until, tally) = (AtomicBool::new(false), Tally::default());
    std::thread::scope(|scope| {
        for number in 0..TELLERS {
            let (db, until, tally) = (&db, &until, &tally);
            scope.spawn(move || tell(db, number, until, tally));
        }
        for number in 0..AUDITORS {
            let (db, until, tally) = (&db, &until, &tally);
            scope.spawn(move || audit(db, number, until, tally));
        }
        let _over = Over(&until);
        let begun = Instant::now();
        // On a busy machine a merge, or a walk over all accounts, may take a second.
        while begun.elapsed() < how_long || !is_enough(&db, &tally) {
            assert!(begun.elapsed() < how_long + Duration::from_secs(60), "{}", db.metrics());
            db.compact().expect("compact");
            db.collect_garbage().expect("collect_garbage");
        }
    });
    let metrics = db.metrics();
    let [transfers, audits, reports] =
        [&tally.transfers, &tally.audits, &tally.reports].map(|n| n.load(Ordering::Relaxed));
    println!(
        "{transfers} transfers, {audits} audits, {reports} reports, {} conflicts, {} flushes, {} merges, {} collections",
        metrics.conflicts,
        metrics.flushes,
        metrics.compaction.compactions,
        metrics.values.collections
    );
    assert_eq!(metrics.snapshots.count, 0, "all are over");
    db.verify().expect("sound");
    db.close().expect("close");
    let db = Db::open(dir.path(), small_options(policy)).expect("opens");
    assert_eq!(count_all(&db.transaction(), false).expect("a scan").0, ACCOUNTS * OPENING);
}

#[test]
fn money_neither_appears_nor_vanishes() {
    run(Duration::from_millis(2500), SyncPolicy::Never);
}

#[test]
fn nor_where_every_commit_is_synced() {
    run(Duration::from_millis(1500), SyncPolicy::Always);
}

#[test]
#[ignore = "two minutes"]
fn not_in_two_minutes() {
    run(Duration::from_secs(120), SyncPolicy::Never);
}
