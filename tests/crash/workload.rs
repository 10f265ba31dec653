//! What a run does: a list of steps, made from a seed.

use std::time::Duration;

/// One operation of a commit.
#[derive(Debug, Clone)]
pub enum Op {
    /// `ttl` only where the operation is a commit of its own.
    Put {
        key: Vec<u8>,
        value: Vec<u8>,
        ttl: Option<Duration>,
    },
    Delete {
        key: Vec<u8>,
    },
}

#[derive(Debug, Clone)]
pub enum Step {
    Commit {
        ops: Vec<Op>,
        sync: Option<bool>,
    },
    Persist,
    Flush,
    /// Close the store and open it again.
    Reopen,
    /// Drop the store, as a dying process does, and open it again.
    Abandon,
    /// Read everything, and compare.
    Check,
    /// Let time pass.
    Advance(Duration),
}

/// SplitMix64: the harness's own chance, apart from that of the file system.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

const KEYS: u64 = 24;

/// `count` steps. Every value is unlike every other, so that a state tells
/// which commits made it.
pub fn generate(seed: u64, count: u64) -> Vec<Step> {
    let mut dice = Dice(seed);
    let mut steps: Vec<Step> = (0..count).map(|number| step(&mut dice, number)).collect();
    steps.push(Step::Check);
    steps
}

fn step(dice: &mut Dice, number: u64) -> Step {
    match dice.below(100) {
        0..45 => commit(dice, number, 1),
        45..60 => {
            let count = 2 + dice.below(8);
            commit(dice, number, count)
        }
        60..64 => large_batch(dice, number),
        64..68 => {
            let ttl = Duration::from_millis(500 + dice.below(4_000));
            let op = Op::Put { key: key(dice), value: value(number, 0, 40), ttl: Some(ttl) };
            Step::Commit { ops: vec![op], sync: None }
        }
        68..75 => Step::Persist,
        75..82 => Step::Flush,
        82..86 => Step::Reopen,
        86..90 => Step::Abandon,
        90..96 => Step::Check,
        _ => Step::Advance(Duration::from_millis(dice.below(2_000))),
    }
}

fn commit(dice: &mut Dice, number: u64, count: u64) -> Step {
    let ops = (0..count).map(|index| op(dice, number, index)).collect();
    let sync = match dice.below(10) {
        0 => Some(true),
        1 => Some(false),
        _ => None,
    };
    Step::Commit { ops, sync }
}

fn op(dice: &mut Dice, number: u64, index: u64) -> Op {
    let key = key(dice);
    if dice.below(5) == 0 {
        return Op::Delete { key };
    }
    let size = match dice.below(10) {
        0 => 0,
        1 => 4096,
        2 => 20_000,
        _ => 10 + dice.below(600),
    };
    Op::Put { key, value: value(number, index, size), ttl: None }
}

/// More than the smallest memtable and the smallest log file hold.
fn large_batch(dice: &mut Dice, number: u64) -> Step {
    let put = |index| {
        let key = format!("large{:02}", index % 40).into_bytes();
        Op::Put { key, value: value(number, index, 3000), ttl: None }
    };
    let ops = (0..40 + dice.below(10)).map(put).collect();
    Step::Commit { ops, sync: None }
}

fn key(dice: &mut Dice) -> Vec<u8> {
    match dice.below(KEYS) {
        0 => vec![0],
        1 => vec![0, 0],
        2 => vec![0xff; 40],
        number => format!("key{number:03}").into_bytes(),
    }
}

/// `size` bytes (and never fewer than its own number takes).
fn value(number: u64, index: u64, size: u64) -> Vec<u8> {
    let mut bytes = format!("{number}/{index}:").into_bytes();
    let mut dice = Dice(number << 32 | index);
    while (bytes.len() as u64) < size {
        bytes.extend(dice.next().to_le_bytes());
    }
    bytes
}
