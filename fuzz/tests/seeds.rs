//! Every target's assertions, once over each committed seed, without libFuzzer;
//! and the seeds are those that the targets say.

use esker_fuzz::{DECODERS, STATEFUL};
use std::path::PathBuf;
use std::sync::Mutex;

/// Memory is counted for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The committed seeds of a target, by name.
fn committed(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut seeds: Vec<(String, Vec<u8>)> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("an entry of the folder"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .filter(|(name, _)| name.starts_with("seed-"))
        .map(|(name, path)| (name, std::fs::read(path).expect("a seed")))
        .collect();
    seeds.sort();
    seeds
}

/// Runs `check` on each seed; a panic comes with the seed's name before it.
fn check_all(target: &str, check: fn(&[u8]), expected: &[Vec<u8>]) {
    let seeds = committed(target);
    assert_eq!(
        seeds.len(),
        expected.len(),
        "{target}: `cargo run --release --example seeds` writes what is missing; remove the rest"
    );
    for (name, seed) in &seeds {
        println!("{target}, {name}");
        let number: usize = name["seed-".len()..].parse().expect("a number");
        assert!(*seed == expected[number], "the seed is not what `seeds` makes any more");
        check(seed);
    }
}

#[test]
fn decoders_hold_on_their_seeds() {
    let _alone = ALONE.lock().expect("no test panicked before");
    for target in DECODERS {
        check_all(target.name, target.check, &(target.seeds)());
    }
}

#[test]
fn databases_hold_on_their_seeds() {
    let _alone = ALONE.lock().expect("no test panicked before");
    for target in STATEFUL {
        check_all(target.name, target.check, &(target.seeds)());
    }
}

#[test]
fn every_run_is_described_and_of_ten_steps_at_least() {
    let _alone = ALONE.lock().expect("no test panicked before");
    for target in STATEFUL {
        for seed in (target.seeds)() {
            let text = (target.describe)(&seed);
            assert!(
                text.contains("sync_policy") && text.contains("  9  "),
                "{}: {text}",
                target.name
            );
        }
    }
}
