//! The rows that write.

use super::{SAMPLE_QUICK_EVERY, SAMPLE_TAIL_EVERY, Scene, run_over, run_over_then};
use crate::Result;
use crate::data::{LARGE_VALUE_SIZE, Random, Values, key};
use crate::engines::{Commit, Entry, Peer};
use crate::timed::{Kind, Plan, Timed};
use crate::workload::{ENTRIES, LARGE_ENTRIES, Load};

const BATCH_SIZE: usize = 100;

/// What one thread does with the operation's number.
type Operation = Box<dyn FnMut(&dyn Peer, u64) -> Result<Kind>>;

/// `set_sync` and `set_sync_t8`: single sets, each waiting for the disk.
pub fn set_synced(scene: &Scene, threads: u32, sets_each: u64) -> Result<Timed> {
    let plan = Plan { threads, operations_each: scene.scaled(sets_each), sample_every: 1 };
    set(scene, Commit::Synced, plan, scene.size.value_bytes)
}

/// `large_set_sync`: single sets of 16 KiB, each waiting for the disk.
pub fn large_set_synced(scene: &Scene, sets: u64) -> Result<Timed> {
    let plan = Plan { threads: 1, operations_each: scene.scaled(sets), sample_every: 1 };
    set(scene, Commit::Synced, plan, LARGE_VALUE_SIZE)
}

/// `set_async` and `set_async_t2`: single sets that do not wait.
pub fn set_unsynced(scene: &Scene, threads: u32, sets_each: u64) -> Result<Timed> {
    let plan = Plan {
        threads,
        operations_each: scene.scaled(sets_each),
        sample_every: SAMPLE_QUICK_EVERY,
    };
    set(scene, Commit::Unsynced, plan, scene.size.value_bytes)
}

fn set(scene: &Scene, commit: Commit, plan: Plan, value_size: usize) -> Result<Timed> {
    run_over(scene, commit, plan, setter(plan.operations_each, value_size))
}

/// Sets keys of its own in each thread, in the order of their indexes,
/// which is none among the keys.
fn setter(sets_each: u64, value_size: usize) -> impl Fn(u64) -> Operation + Sync {
    move |thread| {
        let values = Values::new(value_size);
        let mut value = Vec::new();
        Box::new(move |peer, number| {
            let index = thread * sets_each + number;
            values.fill(index, 0, &mut value);
            peer.set(&key(index), &value)?;
            Ok(Kind::Write)
        })
    }
}

/// `batch100_*`: batches of 100 sets, all or nothing.
pub fn batch100(scene: &Scene, commit: Commit, batches: u64) -> Result<Timed> {
    let plan = Plan { threads: 1, operations_each: scene.scaled(batches), sample_every: 1 };
    let value_size = scene.size.value_bytes;
    run_over(scene, commit, plan, |_| {
        let values = Values::new(value_size);
        let mut batch: Vec<Entry> = Vec::new();
        move |peer, number| {
            batch.resize_with(BATCH_SIZE, Entry::empty);
            for (index, entry) in (number * BATCH_SIZE as u64..).zip(&mut batch) {
                entry.key = key(index);
                values.fill(index, 0, &mut entry.value);
            }
            peer.write(&batch)?;
            Ok(Kind::Write)
        }
    })
}

/// `mixed_*`: two threads over loaded keys, half gets and half overwrites.
pub fn mixed(scene: &Scene, commit: Commit, operations_each: u64) -> Result<Timed> {
    scene.load(Load::Entries)?;
    let (loaded, value_size) = (scene.scaled(ENTRIES), scene.size.value_bytes);
    let plan = Plan {
        threads: 2,
        operations_each: scene.scaled(operations_each),
        sample_every: match commit {
            Commit::Synced => 1,
            Commit::Unsynced => SAMPLE_QUICK_EVERY,
        },
    };
    run_over(scene, commit, plan, |thread| {
        let values = Values::new(value_size);
        let mut value = Vec::new();
        let mut random = Random::new(thread);
        move |peer, number| {
            let index = random.below(loaded);
            if random.next().is_multiple_of(2) {
                // The other thread may have overwritten it: only the size
                // is known.
                return match peer.get(&key(index))? {
                    Some(seen) if seen.size == value_size => Ok(Kind::Read),
                    other => Err(format!("index {index} holds {other:?}").into()),
                };
            }
            values.fill(index, number + 1, &mut value);
            peer.set(&key(index), &value)?;
            Ok(Kind::Write)
        }
    })
}

/// `sustained`: two threads over loaded keys, half gets and half overwrites, some keys far more often than
/// others; two of a hundred overwrites are of 16 KiB. Enough of it that tables are merged and large values collected meanwhile.
pub fn sustained(scene: &Scene, operations_each: u64) -> Result<Timed> {
    scene.load(Load::Entries)?;
    let (loaded, value_size) = (scene.scaled(ENTRIES), scene.size.value_bytes);
    let plan = Plan {
        threads: 2,
        operations_each: scene.scaled(operations_each),
        sample_every: SAMPLE_TAIL_EVERY,
    };
    run_over(scene, Commit::Unsynced, plan, |thread| {
        let (small, large) = (Values::new(value_size), Values::new(LARGE_VALUE_SIZE));
        let mut value = Vec::new();
        let mut random = Random::new(thread);
        move |peer, number| {
            // The lower an index, the more often it comes.
            let within = random.below(loaded) + 1;
            let index = random.below(within);
            if random.next().is_multiple_of(2) {
                return match peer.get(&key(index))? {
                    Some(seen) if [value_size, LARGE_VALUE_SIZE].contains(&seen.size) => {
                        Ok(Kind::Read)
                    }
                    other => Err(format!("index {index} holds {other:?}").into()),
                };
            }
            let values = if random.below(50) == 0 { &large } else { &small };
            values.fill(index, number + 1, &mut value);
            peer.set(&key(index), &value)?;
            Ok(Kind::Write)
        }
    })
}

/// `large_set`: values of 16 KiB, unsynced, and one sync after the last.
pub fn large_set(scene: &Scene) -> Result<Timed> {
    let plan = Plan { threads: 1, operations_each: scene.scaled(LARGE_ENTRIES), sample_every: 1 };
    let make = setter(plan.operations_each, LARGE_VALUE_SIZE);
    run_over_then(scene, Commit::Unsynced, plan, make, |peer| peer.persist())
}

/// `overwrite`: the same large values written over and over, after which the
/// engine is told to give back what it can, and a sync.
pub fn overwrite(scene: &Scene, live: u64, times: u64) -> Result<Timed> {
    let live = scene.scaled(live);
    let plan = Plan { threads: 1, operations_each: live * times, sample_every: 1 };
    let make = |_| {
        let values = Values::new(LARGE_VALUE_SIZE);
        let mut value = Vec::new();
        move |peer: &dyn Peer, number| {
            let (version, index) = (number / live, number % live);
            values.fill(index, version, &mut value);
            peer.set(&key(index), &value)?;
            Ok(Kind::Write)
        }
    };
    run_over_then(scene, Commit::Unsynced, plan, make, |peer| {
        peer.collect_garbage()?;
        peer.persist()
    })
}
