//! Operations of every kind, each answer held against a map's ([`Machine`]).

use crate::input::of_noise;
use crate::machine::{Entry, Machine, owned};
use crate::ops::{Key, NOTHING, Setup, Write, all_that_follow, listed, read};
use arbitrary::{Arbitrary, Unstructured};
use esker::crashtest::Op;
use std::collections::VecDeque;
use std::ops::Bound;

/// At most so many acts of an input are run.
const ACTS_MAX: usize = 96;

#[derive(Debug, Arbitrary)]
enum Limit {
    Unbounded,
    Included(Key),
    Excluded(Key),
}

impl Limit {
    fn bound(&self) -> Bound<Vec<u8>> {
        match self {
            Limit::Unbounded => Bound::Unbounded,
            Limit::Included(key) => Bound::Included(key.bytes()),
            Limit::Excluded(key) => Bound::Excluded(key.bytes()),
        }
    }
}

#[derive(Debug, Arbitrary)]
enum Act {
    Write(Write),
    Batch(Vec<Write>, Option<bool>),
    Get(Key),
    Range(Limit, Limit, u16),
    Prefix(u8),
    Snapshot,
    Forget,
    Persist,
    Flush,
    Verify,
    Reopen,
    Abandon,
    Advance(u16),
    StepBack(u16),
    Compact,
}

#[derive(Debug)]
struct Plan {
    setup: Setup,
    acts: Vec<Act>,
}

impl<'a> Arbitrary<'a> for Plan {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Plan { setup: u.arbitrary()?, acts: all_that_follow(u, ACTS_MAX)? })
    }
}

/// The `number`th act.
fn perform(machine: &mut Machine, number: u64, act: &Act) {
    let write = |machine: &mut Machine, writes: &[Write], sync| {
        let numbered = writes.iter().zip(0..);
        let ops: Vec<Op> = numbered.map(|(write, index)| write.op(number, index)).collect();
        machine.commit(&ops, sync);
    };
    match act {
        Act::Write(one) => write(machine, &[*one], None),
        Act::Batch(writes, sync) => write(machine, &writes[..writes.len().min(24)], *sync),
        Act::Get(key) => machine.get(&key.bytes()),
        Act::Range(low, high, turns) => range(machine, (low.bound(), high.bound()), *turns),
        Act::Prefix(len) => prefix(machine, &b"key0"[..usize::from(len % 5)]),
        Act::Snapshot => machine.take_snapshot(),
        Act::Forget => machine.drop_snapshot(),
        Act::Persist => machine.db().persist().expect("persist"),
        Act::Flush => machine.db().flush().expect("flush"),
        Act::Compact => machine.db().compact().expect("compact"),
        Act::Verify => drop(machine.db().verify().expect("verify")),
        Act::Reopen => machine.reopen(),
        Act::Abandon => machine.abandon(number),
        Act::Advance(ms) => machine.advance(u64::from(ms % 3000)),
        Act::StepBack(ms) => machine.step_back(u64::from(*ms)),
    }
}

/// Takes from both ends by turns, until they meet.
fn range(machine: &mut Machine, (low, high): (Bound<Vec<u8>>, Bound<Vec<u8>>), turns: u16) {
    machine.read_all();
    let after_low = |key: &Vec<u8>| match &low {
        Bound::Included(low) => key >= low,
        Bound::Excluded(low) => key > low,
        Bound::Unbounded => true,
    };
    let before_high = |key: &Vec<u8>| match &high {
        Bound::Included(high) => key <= high,
        Bound::Excluded(high) => key < high,
        Bound::Unbounded => true,
    };
    let all = machine.seen();
    let mut left: VecDeque<Entry> =
        all.into_iter().filter(|(key, _)| after_low(key) && before_high(key)).collect();
    let keys: Vec<Vec<u8>> = left.iter().map(|(key, _)| key.clone()).collect();
    let mut range = machine.db().range((low.clone(), high.clone()));
    for turn in 0.. {
        let (found, expected) = if turns >> (turn % 16) & 1 == 0 {
            (range.next(), left.pop_front())
        } else {
            (range.next_back(), left.pop_back())
        };
        assert_eq!(found.map(owned), expected, "{low:?} to {high:?}, turn {turn}");
        if expected.is_none() {
            break;
        }
    }
    let found = machine.db().range((low, high)).keys();
    let found: Vec<Vec<u8>> = found.map(|key| key.expect("a key").to_vec()).collect();
    assert_eq!(found, keys);
}

fn prefix(machine: &mut Machine, prefix: &[u8]) {
    machine.read_all();
    let mut expected = machine.seen();
    expected.retain(|(key, _)| key.starts_with(prefix));
    let found: Vec<Entry> = machine.db().prefix(prefix).map(owned).collect();
    assert_eq!(found, expected, "prefix {}", prefix.escape_ascii());
    expected.reverse();
    let found: Vec<Entry> = machine.db().prefix(prefix).rev().map(owned).collect();
    assert_eq!(found, expected, "prefix {}, backwards", prefix.escape_ascii());
}

/// Asserts that every answer is the map's.
///
/// # Panics
/// When one is not.
pub fn check(data: &[u8]) {
    let Some(Plan { setup, acts }) = read(data) else { return };
    let mut machine = Machine::new(setup.options());
    let acts = (1..).zip(acts.iter().take(ACTS_MAX));
    acts.for_each(|(number, act)| perform(&mut machine, number, act));
    machine.read_all();
}

/// The run that an input stands for. Keys are [`Key::bytes`] of their numbers,
/// values `esker::crashtest::workload::value` of the act's number.
#[must_use]
pub fn describe(data: &[u8]) -> String {
    let Some(Plan { setup, acts }) = read(data) else { return NOTHING.into() };
    let acts: Vec<&Act> = acts.iter().take(ACTS_MAX).collect();
    format!("options: {:#?}\nacts:\n{}", setup.options(), listed(&acts))
}

/// Some runs.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    (31..=38).map(|seed| of_noise(seed, 240)).collect()
}
