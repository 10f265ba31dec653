//! What is done: options and acts out of inputs.

use arbitrary::{Arbitrary, Unstructured};
use esker::crashtest::workload::{compressible_value, value};
use esker::crashtest::{Op, Step, tiny_options};
use esker::{Compression, Options, SyncPolicy};
use std::time::Duration;

/// So few keys that most writes leave garbage.
const KEYS: u8 = 12;

/// How the database is opened: everything small, collections soon.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) struct Setup {
    policy: u8,
    threshold: u8,
    garbage: u8,
    space: u8,
    times: u8,
    is_compressed: bool,
    is_by_hand: bool,
}

impl Setup {
    pub(super) fn options(self) -> Options {
        let policy = match self.policy % 4 {
            0 | 1 => SyncPolicy::Always,
            2 => SyncPolicy::Never,
            _ => SyncPolicy::Interval(Duration::from_millis(200)),
        };
        let of = |list: &[u64], at: u8| list[usize::from(at) % list.len()];
        Options {
            block_bytes: 512,
            log_replay_bytes_max: of(&[64 << 10, 128 << 10], self.policy >> 2),
            compression: if self.is_compressed { Compression::Snappy } else { Compression::None },
            value_threshold: [64, 65, 200, 700][usize::from(self.threshold % 4)],
            value_garbage_percent: [1, 10, 30, 60][usize::from(self.garbage % 4)],
            space_amp_max: [1.1, 1.5, 2.5, 6.0][usize::from(self.space % 4)],
            value_gc_interval: Duration::from_millis(of(&[1, 1000, 300_000], self.times)),
            expired_retention: Duration::from_millis(of(&[0, 1000, 600_000], self.times / 3)),
            auto_compaction: !self.is_by_hand,
            ..tiny_options(policy)
        }
    }
}

/// How large a value is, and whether Snappy makes less of it.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) struct Content {
    size: u8,
    is_compressible: bool,
}

impl Content {
    fn bytes(self, number: u64, index: u64, threshold: usize) -> Vec<u8> {
        let n = u64::from(self.size / 8);
        let size = match self.size % 8 {
            0 => n,
            // One less than what is large, as much, one more.
            1 => threshold as u64 + n % 3 - 1,
            2..=5 => 300 + n * 64,
            6 => n * 512,
            // More than a log file holds.
            _ => n * 1200,
        };
        if self.is_compressible {
            compressible_value(number, index, size)
        } else {
            value(number, index, size)
        }
    }
}

/// All of them.
pub(super) fn keys() -> Vec<Vec<u8>> {
    (0..KEYS).map(key).collect()
}

pub(super) fn key(number: u8) -> Vec<u8> {
    format!("key{:02}", number % KEYS).into_bytes()
}

/// An operation of a commit.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) enum Write {
    Set(u8, Content),
    SetAgain(u8, Content),
    Expiring(u8, Content, u16),
    Delete(u8),
}

impl Write {
    fn op(self, number: u64, index: u64, threshold: usize) -> Op {
        let put = |at, content: Content, ttl| Op::Put {
            key: key(at),
            value: content.bytes(number, index, threshold),
            ttl,
        };
        match self {
            Write::Set(at, content) | Write::SetAgain(at, content) => put(at, content, None),
            Write::Expiring(at, content, ms) => {
                put(at, content, Some(Duration::from_millis(1 + u64::from(ms % 4000))))
            }
            Write::Delete(at) => Op::delete(key(at)),
        }
    }
}

/// One act of a run.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Write(Vec<Write>, Option<bool>),
    /// Sets some keys in a row to values of one kind, of which all may expire.
    Fill(u8, u8, Content, Option<u16>),
    /// Deletes some keys in a row.
    Clear(u8, u8),
    Persist,
    Flush,
    Compact,
    CompactRange(u8, u8),
    Collect,
    Snapshot,
    Forget,
    /// Begins an iterator.
    Hold,
    /// Takes one to its end.
    Finish,
    Advance(u16),
    StepBack(u16),
    Reopen,
    Abandon,
}

impl<'a> Arbitrary<'a> for Act {
    /// What leaves garbage, and what finds it, is more frequent than the rest.
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(match u8::arbitrary(u)? % 32 {
            0..=7 => Act::Write(all_some(u)?, u.arbitrary()?),
            8..=11 => Act::Fill(u.arbitrary()?, u.arbitrary()?, u.arbitrary()?, u.arbitrary()?),
            12 | 13 => Act::Clear(u.arbitrary()?, u.arbitrary()?),
            14 => Act::Persist,
            15..=17 => Act::Flush,
            18 | 19 => Act::Compact,
            20 => Act::CompactRange(u.arbitrary()?, u.arbitrary()?),
            21..=23 => Act::Collect,
            24 => Act::Snapshot,
            25 => Act::Forget,
            26 => Act::Hold,
            27 => Act::Finish,
            28 => Act::Advance(u.arbitrary()?),
            29 => Act::StepBack(u.arbitrary()?),
            30 => Act::Reopen,
            _ => Act::Abandon,
        })
    }
}

/// From one to four of them.
fn all_some(u: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Write>> {
    let count = 1 + u8::arbitrary(u)? % 4;
    (0..count).map(|_| u.arbitrary()).collect()
}

/// From `from` on, up to eight keys.
fn row(from: u8, count: u8) -> impl Iterator<Item = u8> {
    (0..=count % 8).map(move |at| from.wrapping_add(at) % KEYS)
}

/// Milliseconds; at times more than anything is kept or waited for.
pub(super) fn time(ms: u16) -> u64 {
    let short = u64::from(ms % 5000);
    if ms >> 14 == 0 { short * 200 } else { short }
}

impl Act {
    /// What it commits.
    pub(super) fn ops(&self, number: u64, threshold: usize) -> Vec<Op> {
        match self {
            Act::Write(writes, _) => {
                writes.iter().zip(0..).map(|(write, i)| write.op(number, i, threshold)).collect()
            }
            Act::Fill(from, count, content, ttl) => {
                let write = |at| match ttl {
                    Some(ms) => Write::Expiring(at, *content, *ms),
                    None => Write::Set(at, *content),
                };
                let writes = row(*from, *count).map(write);
                writes.zip(0..).map(|(write, i)| write.op(number, i, threshold)).collect()
            }
            Act::Clear(from, count) => row(*from, *count).map(|at| Op::delete(key(at))).collect(),
            _ => Vec::new(),
        }
    }

    /// Who reads is no part of a run with a crash, but for snapshots, for whose sake values are kept.
    pub(super) fn steps(&self, number: u64, threshold: usize) -> Vec<Step> {
        let maintain = |task: &str| Step::Maintain(task.to_owned());
        match self {
            Act::Write(_, sync) => {
                vec![Step::Commit { ops: self.ops(number, threshold), sync: *sync }]
            }
            Act::Fill(..) | Act::Clear(..) => vec![Step::commit(self.ops(number, threshold))],
            Act::Persist => vec![Step::Persist],
            Act::Flush => vec![Step::Flush],
            Act::Compact => vec![maintain("compact")],
            Act::CompactRange(from, to) => {
                let [from, to] = [from, to].map(|at| key(*at).escape_ascii().to_string());
                vec![maintain(&format!("compact {from}..{to}"))]
            }
            Act::Collect => vec![maintain("collect garbage"), Step::Check],
            Act::Snapshot => vec![maintain("snapshot")],
            Act::Forget => vec![maintain("forget")],
            Act::Hold | Act::Finish | Act::StepBack(_) => Vec::new(),
            Act::Advance(ms) => vec![Step::Advance(Duration::from_millis(time(*ms)))],
            Act::Reopen => vec![Step::Reopen],
            Act::Abandon => vec![Step::Abandon],
        }
    }
}
