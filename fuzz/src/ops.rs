//! Workloads out of inputs: what the stateful targets run.

use arbitrary::{Arbitrary, Unstructured};
use esker::crashtest::workload::value;
use esker::crashtest::{Case, Effort, Op, Step, tiny_options};
use esker::sim::SimFs;
use esker::{Compression, Options, SyncPolicy};
use std::time::Duration;

/// At most so many steps of an input are run.
const STEPS_MAX: usize = 40;

/// How the database is opened.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Setup {
    policy: u8,
    is_compressed: bool,
    has_cache: bool,
    has_large_memtable: bool,
}

impl Setup {
    /// The options.
    #[must_use]
    pub fn options(self) -> Options {
        let policy = match self.policy % 4 {
            0 | 1 => SyncPolicy::Always,
            2 => SyncPolicy::Never,
            _ => SyncPolicy::Interval(Duration::from_millis(200)),
        };
        let tiny = tiny_options(policy);
        Options {
            compression: if self.is_compressed { Compression::Snappy } else { Compression::None },
            block_cache_bytes: if self.has_cache { 1 << 20 } else { 0 },
            memtable_bytes: if self.has_large_memtable { 1 << 20 } else { tiny.memtable_bytes },
            block_bytes: 512,
            // A log is off rarely: without one there is little to get wrong.
            wal_enabled: self.policy < 240,
            ..tiny
        }
    }
}

/// One of a few keys, so that they meet.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Key(u8);

impl Key {
    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        match self.0 % 32 {
            0 => Vec::new(),
            1 => vec![0],
            2 => vec![0, 0],
            3 => vec![0xff],
            4 => vec![0xff; 300],
            5 => b"key".to_vec(),
            n => format!("key{n:02}").into_bytes(),
        }
    }
}

/// An operation of a commit.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Write {
    /// Sets a key to a value of about this size.
    Set(Key, u8),
    /// Sets a key to a value of some kilobytes.
    SetLarge(Key, u8),
    /// Sets a key for a time.
    Expiring(Key, u16),
    /// Deletes a key.
    Delete(Key),
}

impl Write {
    /// The operation; `number` and `index` make its value unlike all others.
    #[must_use]
    pub fn op(self, number: u64, index: u64) -> Op {
        match self {
            Write::Set(key, size) => Op::put(key.bytes(), value(number, index, u64::from(size))),
            Write::SetLarge(key, size) => {
                Op::put(key.bytes(), value(number, index, u64::from(size) * 64))
            }
            Write::Expiring(key, ttl_ms) => Op::Put {
                key: key.bytes(),
                value: value(number, index, 20),
                ttl: Some(Duration::from_millis(1 + u64::from(ttl_ms % 4000))),
            },
            Write::Delete(key) => Op::delete(key.bytes()),
        }
    }
}

/// One step of a workload.
#[derive(Debug, Clone, Arbitrary)]
pub enum Act {
    /// A commit by the policy.
    Write(Write),
    /// A batch.
    Batch(Vec<Write>, Option<bool>),
    /// A batch larger than a memtable.
    LargeBatch(u8),
    /// `persist`.
    Persist,
    /// `flush`.
    Flush,
    /// `verify`.
    Verify,
    /// Close and open again.
    Reopen,
    /// Drop and open again.
    Abandon,
    /// Read all.
    Check,
    /// Let time pass.
    Advance(u16),
    /// `compact`.
    Compact,
    /// `collect_garbage`.
    Collect,
}

impl Act {
    fn step(&self, number: u64) -> Step {
        match self {
            Act::Write(write) => Step::commit(vec![write.op(number, 0)]),
            Act::Batch(writes, sync) => {
                let ops = writes.iter().take(24).zip(0..).map(|(w, index)| w.op(number, index));
                Step::Commit { ops: ops.collect(), sync: *sync }
            }
            Act::LargeBatch(count) => {
                let put = |index| Op::put(format!("large{index:02}"), value(number, index, 2500));
                Step::commit((0..30 + u64::from(count % 16)).map(put).collect())
            }
            Act::Persist => Step::Persist,
            Act::Flush => Step::Flush,
            Act::Verify => Step::Maintain("verify".into()),
            Act::Compact => Step::Maintain("compact".into()),
            Act::Collect => Step::Maintain("collect garbage".into()),
            Act::Reopen => Step::Reopen,
            Act::Abandon => Step::Abandon,
            Act::Check => Step::Check,
            Act::Advance(ms) => Step::Advance(Duration::from_millis(u64::from(ms % 3000))),
        }
    }
}

/// A whole run.
#[derive(Debug, Clone)]
pub struct Plan {
    setup: Setup,
    acts: Vec<Act>,
}

impl<'a> Arbitrary<'a> for Plan {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Plan { setup: u.arbitrary()?, acts: all_that_follow(u, STEPS_MAX)? })
    }
}

/// What the rest of the input makes, at most so many. A `Vec` of `arbitrary`
/// asks after each element whether to go on, and has one on average.
///
/// # Errors
/// As the elements.
pub fn all_that_follow<'a, T: Arbitrary<'a>>(
    u: &mut Unstructured<'a>,
    most: usize,
) -> arbitrary::Result<Vec<T>> {
    let mut all = Vec::new();
    while !u.is_empty() && all.len() < most {
        all.push(u.arbitrary()?);
    }
    Ok(all)
}

impl Plan {
    /// How the database is opened.
    #[must_use]
    pub fn options(&self) -> Options {
        self.setup.options()
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let acts = self.acts.iter().take(STEPS_MAX);
        let mut large_left = 3;
        let acts = acts.filter(|act| match act {
            // They take long, and one after the other shows nothing new.
            Act::LargeBatch(_) => {
                large_left -= 1;
                large_left >= 0
            }
            _ => true,
        });
        acts.zip(0..).map(|(act, number)| act.step(number)).collect()
    }

    /// Options and steps as they are written in Rust, nearly.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("options: {:#?}\nsteps:\n{}", self.options(), listed(&self.steps()))
    }

    /// The run as a case of the harness, on an empty disk.
    #[must_use]
    pub fn case(&self, seed: u64) -> Case {
        case(self.options(), self.steps(), seed)
    }
}

/// `steps` as a case of the harness, on an empty disk.
#[must_use]
pub fn case(options: Options, steps: Vec<Step>, seed: u64) -> Case {
    let start = SimFs::with_seed(seed);
    start.set_threads(false);
    let effort = Effort {
        stride: 1,
        exhaustive_max: 4,
        corners_max: 3,
        samples: 1,
        survive_every: 5,
        // A crashed recovery is hundreds of images: one run in sixteen has one.
        nested_every: if seed.is_multiple_of(16) { [100, 150, 0] } else { [0; 3] },
    };
    Case { name: "fuzzed".into(), seed, options, threads: false, start, steps, effort }
}

/// One to a line, numbered.
#[must_use]
pub fn listed<T: std::fmt::Debug>(items: &[T]) -> String {
    let lines = items.iter().enumerate().map(|(number, item)| format!("{number:3}  {item:?}\n"));
    lines.collect()
}

/// What is printed of an input that is too short.
pub const NOTHING: &str = "not enough bytes for a run\n";

/// Reads an input; `None` where there is not enough of it.
#[must_use]
pub fn read<'a, T: Arbitrary<'a>>(data: &'a [u8]) -> Option<T> {
    T::arbitrary_take_rest(Unstructured::new(data)).ok()
}
