//! A program of your own, crash-tested: the power goes in each of its calls to the disk, and what is left must make sense.
//!
//! ```text
//! cargo run --release --features sim --example crash_test
//! ```
//!
//! The program books orders and keeps their total. One version of it writes the order and the total in two commits, each of which
//! is durable: every test on a machine that stays up passes. The other writes both in one batch. `esker::sim` is a disk in memory that
//! knows what was synced; the power goes in its first call, in its second, and so on, and the database is opened on every disk that may be left.

use esker::sim::{CrashModel, SimFs};
use esker::{Db, Error, Options, WriteBatch};
use std::sync::Arc;

/// The program under test.
trait Book {
    const NAME: &str;
    /// Books the order number `n`, which is durable on return.
    fn book(db: &Db, n: u64, amount: u64) -> Result<(), Error>;
}

struct Careless;
struct Careful;

impl Book for Careless {
    const NAME: &str = "two commits";
    fn book(db: &Db, n: u64, amount: u64) -> Result<(), Error> {
        db.set(format!("order/{n}"), amount.to_le_bytes())?;
        db.set("total", (total(db)? + amount).to_le_bytes())
    }
}

impl Book for Careful {
    const NAME: &str = "one batch";
    fn book(db: &Db, n: u64, amount: u64) -> Result<(), Error> {
        let mut batch = WriteBatch::new();
        batch.set(format!("order/{n}"), amount.to_le_bytes());
        batch.set("total", (total(db)? + amount).to_le_bytes());
        db.write(batch)
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes, as they were stored"))
}

fn total(db: &Db) -> Result<u64, Error> {
    Ok(db.get("total")?.map_or(0, |bytes| number(&bytes)))
}

fn open(fs: &SimFs) -> Result<Db, Error> {
    Db::open_with_fs(Arc::new(fs.clone()), "/books", Options::default())
}

/// Runs the program until it is done or the power goes; how many orders it was told are booked.
fn run<B: Book>(fs: &SimFs) -> u64 {
    let Ok(db) = open(fs) else { return 0 };
    let booked = (1..=5).take_while(|&n| B::book(&db, n, n * 10).is_ok()).count();
    u64::try_from(booked).expect("a few")
}

/// What must hold on any disk that is left. `Err` says what does not.
fn check(disk: &SimFs, booked: u64) -> Result<(), String> {
    let db = open(disk).map_err(|e| format!("it does not open: {e}"))?;
    let mut sum = 0;
    for order in db.prefix("order/") {
        sum += number(&order.map_err(|e| e.to_string())?.1);
    }
    let total = total(&db).map_err(|e| e.to_string())?;
    if sum != total {
        return Err(format!("orders come to {sum}, and the total is {total}"));
    }
    // What was acknowledged is there; one more may be, whose acknowledgement was cut off.
    let expected = |count: u64| (1..=count).map(|n| n * 10).sum::<u64>();
    if sum != expected(booked) && sum != expected(booked + 1) {
        return Err(format!("{booked} orders were booked, and they come to {sum}"));
    }
    Ok(())
}

/// Cuts the power in every call; how many disks were looked at, and what was wrong first.
fn explore<B: Book>() -> (u64, Option<String>) {
    let mut disks = 0;
    for call in 1.. {
        let fs = SimFs::with_seed(call);
        fs.set_threads(false); // So that one seed is one run, byte for byte.
        fs.crash_at(call);
        let booked = run::<B>(&fs);
        if !fs.is_off() {
            return (disks, None); // It was done before.
        }
        let models = [
            CrashModel::SyncedOnly,
            CrashModel::Everything,
            CrashModel::Torn { seed: call },
            CrashModel::Stale { seed: call },
            CrashModel::Scattered { seed: call },
        ];
        for model in models {
            disks += 1;
            if let Err(wrong) = check(&fs.crash_image(&model), booked) {
                let wrong = format!("with the power cut in call {call}, {model:?}: {wrong}");
                return (disks, Some(wrong));
            }
        }
    }
    unreachable!("the program ends")
}

fn main() {
    let (disks, wrong) = explore::<Careless>();
    let wrong = wrong.expect("two commits are not one");
    println!("{}: wrong on disk number {disks}: {wrong}", Careless::NAME);
    assert!(wrong.contains("orders come to"), "and that is what is wrong: {wrong}");

    let (disks, wrong) = explore::<Careful>();
    println!("{}: {disks} disks, nothing wrong", Careful::NAME);
    assert_eq!(wrong, None);
    assert!(disks > 50);
}
