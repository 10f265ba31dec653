//! Two damages at once, by chance. `ESKER_SEED` replays one.
//!
//! What two can hide that one cannot: the claim that a damaged record of the
//! log had been durable, by damaging the files or records that make it; so
//! where both strike the log, it may end earlier than it should. It still ends
//! between two commits, and what stood in tables is there or `Corruption`.

use crate::disk::Files;
use crate::fixture::{Fixture, OTHER, SYNCED, UNSYNCED};
use crate::oracle::{Counts, Outcome, judge};
use esker::SyncPolicy;
use std::collections::BTreeSet;

const ROUNDS: u64 = 6_000;

/// A stream of numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % (n as u64)).expect("below a size")
    }

    fn pick<T>(&mut self, items: impl IntoIterator<Item = T>) -> T {
        let mut items: Vec<T> = items.into_iter().collect();
        let n = self.below(items.len());
        items.swap_remove(n)
    }
}

/// Damages `files` in some way; what was done, and to which files.
fn damage(fixture: &Fixture, files: &mut Files, random: &mut Random) -> (String, Vec<String>) {
    let name = random.pick(files.keys().cloned());
    let bytes = files.get_mut(&name).expect("a file");
    let at = random.below(bytes.len().max(1));
    let how = random.below(11);
    match how {
        0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        2 => bytes.truncate(at),
        3 => bytes.extend(vec![0x5a; at]),
        4 => {
            let start = at - at % 512;
            let end = bytes.len().min(start + 512);
            bytes[start..end].fill(0);
        }
        5 => bytes.fill(0),
        6 => drop(files.remove(&name)),
        7 => {
            let other = random.pick(files.keys().cloned());
            let (a, b) = (files[&name].clone(), files[&other].clone());
            files.extend([(name.clone(), b), (other.clone(), a)]);
            return (format!("{name} and {other} exchanged"), vec![name, other]);
        }
        8 => {
            let older = random.pick(&fixture.older);
            let name = random.pick(older.keys().cloned());
            files.insert(name.clone(), older[&name].clone());
            return (format!("{name} of an older state"), vec![name]);
        }
        9 => {
            let name = random.pick(OTHER.files.keys().cloned());
            files.insert(name.clone(), OTHER.files[&name].clone());
            return (format!("{name} of another database"), vec![name]);
        }
        _ => {
            let copy = format!("{:06}.{}", random.below(24), random.pick(["log", "tbl"]));
            files.insert(copy.clone(), files[&name].clone());
            return (format!("{name} copied to {copy}"), vec![copy]);
        }
    }
    (format!("damage {how} at {at} of {name}"), vec![name])
}

fn check(fixture: &Fixture, struck: &BTreeSet<String>, outcome: &Outcome) {
    let Outcome::Opened(opened) = outcome else { return };
    let is_log = |name: &String| name.ends_with(".log");
    let first = fixture.logs[0].first;
    assert!(opened.commits >= first, "what is in tables: {} commits", opened.commits);
    if opened.commits < fixture.last() {
        let [sealed, last] = fixture.logs.each_ref().map(|log| struck.contains(&log.name));
        let can_be_lost = match fixture.policy {
            SyncPolicy::Always => last,
            _ => sealed || last || struck.iter().any(is_log),
        };
        assert!(can_be_lost, "{} commits", opened.commits);
        assert!(opened.cut.is_some() || last, "not reported");
    }
    assert!(opened.named.iter().all(|named| struck.contains(&named.file)), "{:?}", opened.named);
}

/// The oracle itself asserts that no answer is wrong.
fn run(fixture: &'static Fixture, seeds: std::ops::Range<u64>, what: &str) {
    let seeds: Vec<u64> = match std::env::var("ESKER_SEED") {
        Ok(seed) => vec![seed.parse().expect("ESKER_SEED is a number")],
        Err(_) => seeds.collect(),
    };
    let mut counts = Counts::default();
    for seed in seeds {
        let mut random = Random(seed);
        let mut damaged = fixture.files.clone();
        let (first, mut struck) = damage(fixture, &mut damaged, &mut random);
        let (second, more) = damage(fixture, &mut damaged, &mut random);
        struck.extend(more);
        let context = crate::Context::new(format!("{what}, ESKER_SEED={seed}: {first}; {second}"));
        let outcome = judge(fixture, &damaged);
        check(fixture, &struck.iter().cloned().collect(), &outcome);
        context.end();
        counts.add(fixture, &struck[0], &outcome);
    }
    counts.print(what);
}

#[test]
fn two_damages_at_once_synced() {
    run(&SYNCED, 0..ROUNDS, "two damages, synced");
}

#[test]
fn two_damages_at_once_unsynced() {
    run(&UNSYNCED, ROUNDS..2 * ROUNDS, "two damages, unsynced");
}
