//! What the writers write: every operation is a function of its thread and its
//! number, so that whoever knows how many operations of a thread there were
//! knows what its keys must hold.
//!
//! Each thread has keys of its own. Every operation changes what is visible, and
//! no later one undoes the change exactly (values hold the operation's number),
//! so a state of the keys belongs to one number of operations only.

use std::time::Duration;

pub const WRITERS: usize = 16;
/// Slots of each kind of key that a thread goes round in.
const SLOTS: u64 = 16;
/// How many cycles after it was set a key is deleted: by then it is in a table
/// as a rule, and its deletion in a memtable.
const DELETE_LAG: u64 = 3;
/// Outlives every test.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// Ends while the test looks.
const BRIEF: Duration = Duration::from_millis(5);
/// The first part of the keys that may have expired when somebody looks.
const BRIEF_KIND: &str = "brief";

/// What an operation does to one key.
pub enum Change {
    Set(String),
    SetFor(String, Duration),
    Delete(String),
}

/// The changes of operation `n` of `thread`; more than one are one batch.
pub fn operation(thread: usize, n: u64) -> Vec<Change> {
    use Change::{Delete, Set, SetFor};
    let (cycle, step) = (n / 8, n % 8);
    let slot = |kind: &str, cycle: u64| format!("{kind}/{thread:02}/{:02}", cycle % SLOTS);
    let three = || batch_keys(thread).map(Set);
    match step {
        0 => vec![Set(slot("plain", cycle))],
        1 => vec![SetFor(slot("lease", cycle), LONG)],
        3 => vec![Set(slot("doomed", cycle))],
        4 if cycle >= DELETE_LAG => vec![Delete(slot("doomed", cycle - DELETE_LAG))],
        5 if cycle >= DELETE_LAG => {
            let mut changes = vec![Delete(slot("lease", cycle - DELETE_LAG))];
            changes.extend(three());
            changes.push(SetFor(slot(BRIEF_KIND, 0), BRIEF));
            changes
        }
        4 | 7 => vec![Set(slot("plain", cycle + SLOTS / 2))],
        _ => three().into(),
    }
}

/// The keys that every batch of `thread` sets, far from each other in the order of keys.
pub fn batch_keys(thread: usize) -> [String; 3] {
    ["a", "m", "z"].map(|place| format!("{place}/{thread:02}/batch"))
}

/// True for a key whose value may have expired by now.
pub fn is_brief(key: &str) -> bool {
    key.starts_with(BRIEF_KIND)
}

/// The thread that a key belongs to.
pub fn thread_of(key: &str) -> Option<usize> {
    key.split('/').nth(1)?.parse().ok().filter(|thread| *thread < WRITERS)
}

/// The value that operation `n` of `thread` sets: its number, and a filling
/// that depends on both and on the place, so that neither a neighbour's bytes
/// nor zeros pass for it.
pub fn value(thread: usize, n: u64) -> Vec<u8> {
    let seed = n.wrapping_mul(31).wrapping_add(thread as u64);
    let len = match n % 997 {
        // Above what shares a commit group, and above a memtable.
        0 => 300_000,
        rest if rest % 83 == 5 => 20_000,
        _ => seed.wrapping_mul(7919) % 1500,
    };
    let filling = (0..len).map(|place| (seed.wrapping_add(place * place)).to_le_bytes()[0]);
    n.to_le_bytes().into_iter().chain(filling).collect()
}

/// The number in a value.
pub fn number_in(value: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*value.first_chunk()?))
}

/// SplitMix64: where kills and power cuts fall, and what else is left to chance.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// True once in `times` throws.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A number in the environment.
pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|e| panic!("{variable}={text}: {e}")))
}

/// Which tests to run, as with Rust's own harness: those whose name contains
/// the first argument that is no option.
pub fn filter() -> String {
    std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default()
}
