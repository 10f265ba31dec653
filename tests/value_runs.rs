//! Values that stand in the order of their keys are read in runs, one call for many, and what a run has beside them harms none.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod hooked_fs;

use esker::sim::{CallKind, SimFs};
use esker::{Db, Error, Options};
use hooked_fs::HookedFs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const VALUES: usize = 400;

/// A value that does not compress, of 1,024 bytes and a few.
fn value(n: usize) -> Vec<u8> {
    let mut state = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    });
    random.take(1024 + n % 7).collect()
}

fn key(n: usize) -> String {
    format!("key{n:05}")
}

/// Sets the values in the order that `place` gives their numbers, small ones between them, and leaves them in a segment.
fn fill(db: &Db, place: impl Fn(usize) -> usize) {
    for n in (0..VALUES).map(place) {
        db.set(key(n), value(n)).expect("a set");
        db.set(format!("small {n}"), "x").expect("a set");
    }
    db.flush().expect("a flush");
}

/// A database of which the reads of files with values are counted. Those of the numbers that are named fail.
struct Counted {
    db: Db,
    reads: Arc<AtomicUsize>,
}

impl Counted {
    fn new(place: impl Fn(usize) -> usize, failing: &'static [usize]) -> Counted {
        let fs = HookedFs::new(&SimFs::new());
        let options = Options { disk_reserve_bytes: 0, ..Options::default() };
        let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", options).expect("opens");
        fill(&db, place);
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&reads);
        fs.set_hook(move |call| {
            let is_of_values = call.is(CallKind::Read, ".log") && !call.is_done;
            if is_of_values && failing.contains(&counted.fetch_add(1, Ordering::Relaxed)) {
                return Err(io::Error::other("a bad sector"));
            }
            Ok(())
        });
        Counted { db, reads }
    }

    /// Looks at each value, and says how many reads that took.
    fn walk(&self, backwards: bool) -> usize {
        let before = self.reads.load(Ordering::Relaxed);
        let see = |(n, entry): (usize, esker::Result<(esker::Key, esker::Value)>)| {
            let (found_key, found) = entry.expect("a read");
            assert_eq!((&*found_key, &*found), (key(n).as_bytes(), &*value(n)));
        };
        let walk = self.db.prefix("key");
        match backwards {
            false => walk.enumerate().for_each(see),
            true => (0..VALUES).rev().zip(walk.rev()).for_each(see),
        }
        self.reads.load(Ordering::Relaxed) - before
    }
}

#[test]
fn values_in_the_order_of_their_keys_take_a_call_for_many() {
    let in_order = Counted::new(|n| n, &[]);
    // Of 400 KiB and what is between them, 64 KiB at a time, after some that are shorter.
    let calls = in_order.walk(false);
    assert!((7..=14).contains(&calls), "{calls} calls");
    assert_eq!(in_order.walk(true), VALUES, "backwards each takes one");
}

#[test]
fn values_in_another_order_take_one_call_each() {
    let elsewhere = Counted::new(|n| n * 77 % VALUES, &[]);
    assert_eq!(elsewhere.walk(false), VALUES);
    // Neither the next one nor far away: nothing behind it would be of use.
    let every_fourth = Counted::new(|n| n % 4 * (VALUES / 4) + n / 4, &[]);
    assert_eq!(every_fourth.walk(false), VALUES);
}

/// What fails may lie behind the value, where the walk need not come.
#[test]
fn a_run_that_cannot_be_read_fails_no_value() {
    let whole = Counted::new(|n| n, &[]).walk(false);
    let failing = Counted::new(|n| n, &[1, 4, 7]);
    assert!((whole + 3..whole + 10).contains(&failing.walk(false)), "{whole} without failures");
}

#[test]
fn damage_in_a_run_is_told_of_the_value_that_has_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = || Options { disk_reserve_bytes: 0, ..Options::default() };
    let db = Db::open(dir.path(), options()).expect("opens");
    fill(&db, |n| n);
    db.close().expect("closes");
    flip_in_value(dir.path(), 200);
    let db = Db::open(dir.path(), options()).expect("opens");
    let mut walk = db.prefix("key");
    for n in 0..200 {
        assert_eq!(*walk.next().expect("there").expect("a read").1, value(n), "{n}");
    }
    let told = walk.next().expect("there").expect_err("it is damaged");
    assert!(
        matches!(&told, Error::Corruption { detail, .. } if detail.contains("checksum")),
        "{told}"
    );
    assert!(walk.next().is_none(), "an error ends a walk");
    assert_eq!(db.range(key(201)..key(VALUES)).count(), VALUES - 201);
}

/// Flips a bit in the midst of value `n`, wherever it stands.
fn flip_in_value(dir: &Path, n: usize) {
    let wanted = value(n);
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        let mut bytes = std::fs::read(&path).expect("a file");
        if let Some(at) = bytes.windows(wanted.len()).position(|window| window == wanted) {
            bytes[at + 500] ^= 1;
            return std::fs::write(&path, bytes).expect("a write");
        }
    }
    panic!("value {n} stands nowhere");
}
