//! Each anomaly, tried on the engine: one story, and what happens instead.

use super::fresh;
use esker::{Db, DbTransaction, Error, Options};

fn bank(accounts: &[(&str, i64)]) -> (tempfile::TempDir, Db) {
    let (dir, db) = fresh(Options::default());
    for (account, balance) in accounts {
        db.set(account, balance.to_string()).expect("set");
    }
    (dir, db)
}

fn number(value: Option<esker::Value>) -> i64 {
    let value = value.expect("it is there");
    str::from_utf8(&value).expect("text").parse().expect("a number")
}

fn of(tx: &DbTransaction, account: &str) -> i64 {
    number(tx.get(account).expect("a read"))
}

fn put(tx: &mut DbTransaction, account: &str, balance: i64) {
    tx.set(account, balance.to_string()).expect("set");
}

fn now(db: &Db, account: &str) -> i64 {
    number(db.get(account).expect("a read"))
}

fn is_conflict(told: Result<(), Error>) -> bool {
    matches!(told, Err(Error::Conflict))
}

/// Two that write the same accounts by turns: all of the one, then all of the other.
#[test]
fn g0_dirty_write() {
    let (_dir, db) = bank(&[("x", 0), ("y", 0)]);
    let (mut first, mut second) = (db.transaction(), db.transaction());
    put(&mut first, "x", 1);
    put(&mut second, "x", 2);
    put(&mut second, "y", 2);
    put(&mut first, "y", 1);
    second.commit().expect("it read nothing");
    assert_eq!([now(&db, "x"), now(&db, "y")], [2, 2]);
    first.commit().expect("it read nothing");
    assert_eq!([now(&db, "x"), now(&db, "y")], [1, 1]);
}

/// One that is rolled back, seen by nobody.
#[test]
fn g1a_aborted_read() {
    let (_dir, db) = bank(&[("x", 10)]);
    let mut aborted = db.transaction();
    put(&mut aborted, "x", 99);
    let (during, mut reader) = (now(&db, "x"), db.transaction());
    aborted.rollback();
    assert_eq!([during, of(&reader, "x"), now(&db, "x")], [10; 3]);
    reader.commit().expect("it only read");
}

/// What one wrote first and then thought better of, seen by nobody.
#[test]
fn g1b_intermediate_read() {
    let (_dir, db) = bank(&[("x", 10)]);
    let (mut writer, reader) = (db.transaction(), db.transaction());
    put(&mut writer, "x", 11);
    assert_eq!([of(&reader, "x"), now(&db, "x")], [10; 2]);
    put(&mut writer, "x", 12);
    writer.commit().expect("it read nothing");
    assert_eq!([of(&reader, "x"), now(&db, "x"), of(&db.transaction(), "x")], [10, 12, 12]);
}

/// Two that would each have to come after the other.
#[test]
fn g1c_circular_information_flow() {
    let (_dir, db) = bank(&[("x", 10), ("y", 20)]);
    let (mut first, mut second) = (db.transaction(), db.transaction());
    put(&mut first, "x", 11);
    put(&mut second, "y", 21);
    assert_eq!([of(&first, "y"), of(&second, "x")], [20, 10], "what the other has not committed");
    first.commit().expect("nothing has changed");
    assert!(is_conflict(second.commit()), "it has not read what the first committed");
    assert_eq!([now(&db, "x"), now(&db, "y")], [11, 20]);
}

/// Two that add to one account: neither deposit may be lost.
#[test]
fn lost_update() {
    let (_dir, db) = bank(&[("x", 100)]);
    let (mut first, mut second) = (db.transaction(), db.transaction());
    let (a, b) = (of(&first, "x"), of(&second, "x"));
    put(&mut first, "x", a + 20);
    put(&mut second, "x", b + 30);
    first.commit().expect("nothing has changed");
    assert!(is_conflict(second.commit()));
    assert_eq!(now(&db, "x"), 120);
    let mut again = db.transaction();
    let balance = of(&again, "x");
    put(&mut again, "x", balance + 30);
    again.commit().expect("nothing has changed");
    assert_eq!(now(&db, "x"), 150);
}

/// One that reads two accounts, with a transfer between the reads.
#[test]
fn read_skew() {
    let (_dir, db) = bank(&[("x", 50), ("y", 50)]);
    let mut reader = db.transaction();
    assert_eq!(of(&reader, "x"), 50);
    db.transact(|tx| {
        tx.set("x", "25")?;
        tx.set("y", "75")
    })
    .expect("a transfer");
    assert_eq!(of(&reader, "y"), 50, "of the same moment");
    reader.commit().expect("it only read");
    assert_eq!([now(&db, "x"), now(&db, "y")], [25, 75]);
}

/// Of two doctors one must be on call. Both look, see two, and go.
#[test]
fn write_skew() {
    let (_dir, db) = bank(&[("alice on call", 1), ("bob on call", 1)]);
    let (mut alice, mut bob) = (db.transaction(), db.transaction());
    for tx in [&alice, &bob] {
        assert_eq!(of(tx, "alice on call") + of(tx, "bob on call"), 2);
    }
    put(&mut alice, "alice on call", 0);
    put(&mut bob, "bob on call", 0);
    alice.commit().expect("nothing has changed");
    assert!(is_conflict(bob.commit()));
    assert_eq!([now(&db, "alice on call"), now(&db, "bob on call")], [0, 1]);
}

/// A room is booked for an hour that is free: nobody else may have booked it since.
#[test]
fn phantom() {
    let (_dir, db) = fresh(Options::default());
    db.set("room/08:00", "somebody").expect("set");
    let (mut first, mut second, mut third) = (db.transaction(), db.transaction(), db.transaction());
    for tx in [&first, &second] {
        assert_eq!(tx.range("room/09:00".."room/11:00").count(), 0, "free");
    }
    assert_eq!(third.prefix("room/1").keys().count(), 0, "free in the afternoon");
    first.set("room/10:00", "first").expect("set");
    second.set("room/09:30", "second").expect("set");
    third.set("room/15:00", "third").expect("set");
    first.commit().expect("nothing has changed");
    assert!(is_conflict(second.commit()));
    assert!(is_conflict(third.commit()), "10:00 has the prefix");
    assert_eq!(db.prefix("room/").count(), 2);
}

/// An account is opened if it is not there: a key that is missing is read, too.
#[test]
fn phantom_of_one_key() {
    let (_dir, db) = fresh(Options::default());
    let (mut first, mut second) = (db.transaction(), db.transaction());
    for tx in [&mut first, &mut second] {
        assert_eq!(tx.get("account").expect("a read"), None);
        put(tx, "account", 10);
    }
    second.commit().expect("nothing has changed");
    assert!(is_conflict(first.commit()));
}

/// A withdrawal with a fee if both accounts together are overdrawn; a deposit; and a report that
/// shows the deposit and no withdrawal. So the withdrawal comes after the deposit,
/// and there is no fee.
#[test]
fn read_only_anomaly() {
    let (_dir, db) = bank(&[("checking", 0), ("savings", 0)]);
    let mut withdrawal = db.transaction();
    let total = of(&withdrawal, "checking") + of(&withdrawal, "savings");
    put(&mut withdrawal, "checking", if total < 10 { -11 } else { -10 });

    let mut deposit = db.transaction();
    let balance = of(&deposit, "savings");
    put(&mut deposit, "savings", balance + 20);
    deposit.commit().expect("nothing has changed");

    let mut report = db.transaction();
    assert_eq!([of(&report, "checking"), of(&report, "savings")], [0, 20]);
    report.commit().expect("it only read");

    assert!(is_conflict(withdrawal.commit()), "it did not see the deposit");
    assert_eq!([now(&db, "checking"), now(&db, "savings")], [0, 20]);
}
