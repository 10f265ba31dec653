//! Damage to files with large values: log files that stayed, and value files.
//!
//! Every byte of them is looked at by `verify`; reads look at the value that they want and at nothing else.

use crate::disk::Files;
use crate::fixture::{Fixture, LARGE};
use crate::oracle::{Counts, Opened, Outcome, judge, judge_twice};

/// The files that hold large values and nothing that is replayed.
fn names(fixture: &Fixture) -> Vec<&String> {
    let is_live = |name: &String| fixture.logs.iter().any(|log| log.name == *name);
    let holds_values =
        |name: &&String| name.ends_with(".val") || name.ends_with(".log") && !is_live(name);
    fixture.files.keys().filter(holds_values).collect()
}

#[test]
fn there_are_both_kinds() {
    let names = names(&LARGE);
    assert!(names.iter().any(|name| name.ends_with(".val")), "{names:?}");
    assert!(names.iter().any(|name| name.ends_with(".log")), "{names:?}");
}

/// All is there but what `name` holds, and that is told by its name.
fn check(name: &str, opened: &Opened) {
    assert_eq!((opened.commits, &opened.cut), (LARGE.last(), &None));
    assert!(!opened.named.is_empty(), "verify finds everything");
    assert!(opened.named.iter().all(|named| named.file == name), "{:?}", opened.named);
}

#[test]
fn every_bit() {
    let mut counts = Counts::default();
    let mut unreadable = 0;
    for name in names(&LARGE) {
        let mut damaged = LARGE.files.clone();
        for bit in 0..damaged[name].len() * 8 {
            let at = bit / 8;
            let flip = |files: &mut Files| {
                files.get_mut(name).expect("the file")[at] ^= 1 << (bit % 8);
            };
            flip(&mut damaged);
            let context = crate::Context::new(format!("bit {bit} of {name}"));
            let outcome = judge(&LARGE, &damaged);
            let Outcome::Opened(opened) = &outcome else { panic!("{outcome:?}") };
            check(name, opened);
            assert!(opened.named.iter().all(|named| named.offset <= at as u64), "{opened:?}");
            assert!(opened.unreadable.len() <= 1, "one value at most: {opened:?}");
            unreadable += opened.unreadable.len();
            context.end();
            counts.add(&LARGE, name, &outcome);
            flip(&mut damaged);
        }
    }
    assert!(unreadable > 100, "{unreadable} times a value could not be read");
    counts.print("every bit, large values");
}

#[test]
fn cut_zeroed_extended_exchanged_or_gone() {
    let mut counts = Counts::default();
    let mut damage = |name: &String, how: &str, bytes: Option<Vec<u8>>| {
        let mut damaged = LARGE.files.clone();
        match bytes {
            Some(bytes) => drop(damaged.insert(name.clone(), bytes)),
            None => drop(damaged.remove(name)),
        }
        let context = crate::Context::new(format!("{how} of {name}"));
        let outcome = judge_twice(&LARGE, &damaged);
        counts.add(&LARGE, name, &outcome);
        match &outcome {
            Outcome::Opened(opened) => check(name, opened),
            Outcome::Refused(named) => {
                assert!(how == "absence" && named.file == *name, "{named:?}")
            }
        }
        context.end();
    };
    for name in names(&LARGE) {
        let whole = &LARGE.files[name];
        for length in 0..whole.len() {
            damage(name, &format!("a cut at {length}"), Some(whole[..length].to_vec()));
        }
        for start in (0..whole.len()).step_by(64) {
            let mut bytes = whole.clone();
            let end = bytes.len().min(start + 64);
            bytes[start..end].fill(0);
            damage(name, &format!("zeros from {start}"), Some(bytes));
        }
        for other in LARGE.files.keys().filter(|other| *other != name) {
            damage(name, &format!("{other} in place"), Some(LARGE.files[other].clone()));
        }
        damage(name, "absence", None);
    }
    counts.print("whole files, large values");
}
