//! The rows that only read. Each opens a directory that another process
//! filled and closed.

use super::{SAMPLE_LARGE_EVERY, SAMPLE_QUICK_EVERY, Scene, expect_found, run_over};
use crate::Result;
use crate::data::{ABSENT_FROM, KEYS_PER_PREFIX, LARGE_VALUE_SIZE, Random, key, listed_prefix};
use crate::engines::{Commit, Peer};
use crate::timed::{Kind, Plan, Timed};
use crate::workload::{ENTRIES, LARGE_ENTRIES, LISTED_GROUPS, Load};
use std::hint::black_box;

/// `get` and `get_t2`: random keys, every one of them there.
pub fn get(scene: &Scene, threads: u32, gets_each: u64) -> Result<Timed> {
    scene.load(Load::Entries)?;
    let plan = Plan {
        threads,
        operations_each: scene.scaled(gets_each),
        sample_every: SAMPLE_QUICK_EVERY,
    };
    get_random(scene, plan, scene.scaled(ENTRIES), scene.size.value_bytes)
}

/// `large_get`: random keys of values of 16 KiB.
pub fn large_get(scene: &Scene, gets: u64) -> Result<Timed> {
    scene.load(Load::Large)?;
    let plan =
        Plan { threads: 1, operations_each: scene.scaled(gets), sample_every: SAMPLE_LARGE_EVERY };
    get_random(scene, plan, scene.scaled(LARGE_ENTRIES), LARGE_VALUE_SIZE)
}

fn get_random(scene: &Scene, plan: Plan, loaded: u64, value_size: usize) -> Result<Timed> {
    read(scene, plan, |thread| {
        let mut random = Random::new(thread);
        move |peer, _| {
            let index = random.below(loaded);
            expect_found(peer.get(&key(index))?, index, value_size)
        }
    })
}

/// `get_miss`: keys that were never written, spread among those that were.
pub fn get_miss(scene: &Scene, gets: u64) -> Result<Timed> {
    scene.load(Load::Entries)?;
    let plan =
        Plan { threads: 1, operations_each: scene.scaled(gets), sample_every: SAMPLE_QUICK_EVERY };
    read(scene, plan, |_| {
        |peer, number| match peer.get(&key(ABSENT_FROM + number))? {
            None => Ok(()),
            Some(seen) => Err(format!("absent key {number} holds {seen:?}").into()),
        }
    })
}

/// `list100`: the keys of one prefix, as strings, out of many prefixes.
pub fn list100(scene: &Scene, lists: u64) -> Result<Timed> {
    scene.load(Load::Lists)?;
    let groups = scene.scaled(LISTED_GROUPS);
    let plan = Plan { threads: 1, operations_each: scene.scaled(lists), sample_every: 1 };
    read(scene, plan, |thread| {
        let mut random = Random::new(thread);
        move |peer, _| {
            let mut keys = Vec::new();
            peer.list(&listed_prefix(random.below(groups)), &mut keys)?;
            if black_box(&keys).len() as u64 == KEYS_PER_PREFIX {
                return Ok(());
            }
            Err(format!("{} keys were listed", keys.len()).into())
        }
    })
}

/// `scan`: every pair, a few times over; the operations are the pairs, and
/// the latencies those of a whole pass.
pub fn scan(scene: &Scene, passes: u64) -> Result<Timed> {
    scene.load(Load::Entries)?;
    let loaded = scene.scaled(ENTRIES);
    let plan = Plan { threads: 1, operations_each: passes, sample_every: 1 };
    let mut timed = read(scene, plan, |_| {
        move |peer, _| {
            let (mut pairs, mut bytes) = (0, 0);
            peer.scan(&mut |key, value| {
                pairs += 1;
                bytes += key.len() + value.len();
                black_box((key.first(), value.first()));
            })?;
            if pairs == loaded && black_box(bytes) > 0 {
                return Ok(());
            }
            Err(format!("{pairs} pairs were seen of {loaded}").into())
        }
    })?;
    timed.operations *= loaded;
    Ok(timed)
}

/// Opens what was loaded, and runs the operation that `make` gives a thread.
fn read<F>(scene: &Scene, plan: Plan, make: impl Fn(u64) -> F + Sync) -> Result<Timed>
where
    F: FnMut(&dyn Peer, u64) -> Result<()>,
{
    run_over(scene, Commit::Unsynced, plan, |thread| {
        let mut operation = make(thread);
        move |peer, number| operation(peer, number).map(|()| Kind::Read)
    })
}
