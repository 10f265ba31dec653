//! The rows that write.

use super::{Outcome, Scene, wrong};
use crate::bench::data::{Keys, Random, Values, mix};
use crate::bench::plan::{BATCH_SETS, OVERWRITE_TIMES};
use crate::bench::store::{Entry, Store};
use crate::bench::timed::{self, Kind};
use crate::failure::Result;
use std::ops::RangeInclusive;

/// Keys of its own in each thread, in the order of their indexes, which is none among the keys.
pub fn set(scene: &Scene<'_>) -> Result<Outcome> {
    set_then(scene, |_| Ok(()))
}

/// The same, and one sync after the last.
pub fn set_then_persist(scene: &Scene<'_>) -> Result<Outcome> {
    set_then(scene, |store| Ok(store.db().persist()?))
}

fn set_then(scene: &Scene<'_>, last: impl FnOnce(&Store) -> Result<()>) -> Result<Outcome> {
    let (keys, each, size) = (scene.keys, scene.plan.operations_each(), scene.plan.value_bytes);
    let make = |thread| {
        let (values, mut value) = (Values::new(size), Vec::new());
        move |store: &Store, number| {
            let index = thread * each + number;
            values.fill(index, 0, &mut value);
            store.set(&keys.key(index), &value)?;
            Ok(Kind::Write)
        }
    };
    scene.run(make, last)
}

/// Batches, all or nothing.
pub fn batch(scene: &Scene<'_>) -> Result<Outcome> {
    let (keys, each, size) = (scene.keys, scene.plan.operations_each(), scene.plan.value_bytes);
    let make = |thread| {
        let values = Values::new(size);
        let empty = Entry { key: keys.key(0), value: Vec::new() };
        let mut batch = vec![empty; usize::try_from(BATCH_SETS).expect("small")];
        move |store: &Store, number| {
            let first = (thread * each + number) * BATCH_SETS;
            for (index, entry) in (first..).zip(&mut batch) {
                entry.key = keys.key(index);
                values.fill(index, 0, &mut entry.value);
            }
            store.write(&batch)?;
            Ok(Kind::Write)
        }
    };
    scene.run(make, |_| Ok(()))
}

/// Sorted entries straight into tables, as one commit. The keys are sorted before.
pub fn ingest(scene: &Scene<'_>) -> Result<Outcome> {
    let count = scene.plan.operations;
    let mut keys: Vec<_> = (0..count).map(|index| scene.keys.key(index)).collect();
    keys.sort_unstable();
    let (values, store) = (Values::new(scene.plan.value_bytes), scene.open()?);
    let (mut timed, report) = timed::single(scene.dir, || {
        let entries = (0..).zip(&keys).map(|(index, key)| {
            let mut value = Vec::new();
            values.fill(index, 0, &mut value);
            (key, value)
        });
        Ok(store.db().ingest(entries)?)
    })?;
    if report.entries != count {
        return Err(wrong(format!("of an ingest: {} entries", report.entries)));
    }
    timed.operations = count;
    let metrics = store.db().metrics();
    store.close()?;
    Ok(Outcome { timed, metrics, dir: scene.database() })
}

/// Keys that are there, half of them read and half overwritten.
pub fn mixed(scene: &Scene<'_>) -> Result<Outcome> {
    let (keys, count, size) = (scene.keys, scene.plan.keys, scene.plan.value_bytes);
    let make = |thread| {
        let (values, mut value, mut random) = (Values::new(size), Vec::new(), keys.random(thread));
        move |store: &Store, number: u64| {
            let index = random.below(count);
            if random.number().is_multiple_of(2) {
                return read(store, keys, index, size..=size);
            }
            values.fill(index, number + 1, &mut value);
            store.set(&keys.key(index), &value)?;
            Ok(Kind::Write)
        }
    };
    scene.run(make, |_| Ok(()))
}

/// Another thread may have overwritten it: only its size is known.
fn read(store: &Store, keys: Keys, index: u64, sizes: RangeInclusive<usize>) -> Result<Kind> {
    let seen = store.get(&keys.key(index))?;
    match seen {
        Some(seen) if sizes.contains(&seen.size) => Ok(Kind::Read),
        // Where there are deletes.
        None if sizes.contains(&0) => Ok(Kind::Read),
        other => Err(wrong(format!("of the key of index {index}: {other:?}"))),
    }
}

/// The same large values over and over; then all garbage is to go.
pub fn overwrite(scene: &Scene<'_>) -> Result<Outcome> {
    let (keys, size) = (scene.keys, scene.plan.value_bytes);
    let live = (scene.plan.operations_each() / OVERWRITE_TIMES).max(1);
    let make = |_| {
        let (values, mut value) = (Values::new(size), Vec::new());
        move |store: &Store, number: u64| {
            values.fill(number % live, number / live, &mut value);
            store.set(&keys.key(number % live), &value)?;
            Ok(Kind::Write)
        }
    };
    scene.run(make, |store| {
        store.db().compact()?;
        store.db().collect_garbage()?;
        Ok(store.db().persist()?)
    })
}

/// Entries of a short scan, at most.
const SCANNED: usize = 100;

/// All kinds of operations, for a time, where few keys are hot.
pub fn sustained(scene: &Scene<'_>) -> Result<Outcome> {
    let (keys, count, size) = (scene.keys, scene.plan.keys, scene.plan.value_bytes);
    let make = |thread| {
        let (values, mut value, mut random) = (Values::new(size), Vec::new(), keys.random(thread));
        move |store: &Store, number: u64| {
            // Ranks are spread over the keys: what is hot is not what was written first.
            let index = mix(zipf(&mut random, count)) % count;
            match random.below(20) {
                0..10 => read(store, keys, index, 0..=size),
                10..17 => {
                    values.fill(index, number + 1, &mut value);
                    store.set(&keys.key(index), &value)?;
                    Ok(Kind::Write)
                }
                17 => {
                    store.db().delete(keys.key(index))?;
                    Ok(Kind::Write)
                }
                _ => scan_short(store, &keys.key(index)),
            }
        }
    };
    scene.run(make, |_| Ok(()))
}

fn scan_short(store: &Store, from: &[u8]) -> Result<Kind> {
    let mut range = store.db().range(from..);
    for _ in 0..SCANNED {
        match range.next_with(|key, value| std::hint::black_box(key.len() + value.len())) {
            Some(seen) => seen?,
            None => break,
        };
    }
    Ok(Kind::Scan)
}

/// A rank from 1 to `count`, the first the most often: Zipf's with exponent 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rank is at most the count, which is far below 2^52"
)]
fn zipf(random: &mut Random, count: u64) -> u64 {
    let part = (random.number() >> 11) as f64 / (1_u64 << 53) as f64;
    ((count as f64).powf(part) as u64).clamp(1, count)
}
