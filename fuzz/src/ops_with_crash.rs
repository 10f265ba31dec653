//! A workload, and a power cut in one of its calls: what is left must open and
//! be the state after a prefix of the commits, with every promised one in it;
//! so must be what crashes of its recovery leave.

use crate::input::of_noise;
use crate::ops::{NOTHING, Plan, read};
use arbitrary::Arbitrary;
use esker::Db;
use esker::crashtest::Explorer;

#[derive(Debug, Arbitrary)]
struct Crash {
    seed: u16,
    nth: u16,
    plan: Plan,
}

/// Asserts the contract.
///
/// # Panics
/// When it is broken.
pub fn check(data: &[u8]) {
    let Some(Crash { seed, nth, plan }) = read(data) else { return };
    let counts = Explorer::<Db>::new(plan.case(u64::from(seed))).power_cut(u64::from(nth));
    assert!(counts.images > 0, "nothing was looked at");
}

/// The run that an input stands for.
#[must_use]
pub fn describe(data: &[u8]) -> String {
    let Some(Crash { seed, nth, plan }) = read(data) else { return NOTHING.into() };
    format!("seed: {seed}\npower_cut({nth})\n{}", plan.describe())
}

/// Some workloads.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    (1..=6).map(|seed| of_noise(seed, 200)).collect()
}
