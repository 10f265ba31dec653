//! The rows that only read.

use super::{Outcome, Scene, expect, wrong};
use crate::bench::data::{ABSENT_FROM, KEY_BYTES, KEYS_PER_PREFIX};
use crate::bench::plan::Work;
use crate::bench::store::Store;
use crate::bench::timed::Kind;
use crate::failure::Result;
use std::hint::black_box;

/// Random keys, each of them there.
pub fn get(scene: &Scene<'_>) -> Result<Outcome> {
    let (keys, count, size) = (scene.keys, scene.plan.keys, scene.plan.value_bytes);
    let make = |thread| {
        let mut random = keys.random(thread);
        move |store: &Store, _| {
            let index = random.below(count);
            expect(store.get(&keys.key(index))?, index, size)?;
            Ok(Kind::Read)
        }
    };
    scene.run(make, |_| Ok(()))
}

/// Keys that were never written, spread among those that were.
pub fn get_miss(scene: &Scene<'_>) -> Result<Outcome> {
    let (keys, each) = (scene.keys, scene.plan.operations_each());
    let make = |thread| {
        move |store: &Store, number| {
            let index = ABSENT_FROM + thread * each + number;
            match store.get(&keys.key(index))? {
                None => Ok(Kind::Read),
                Some(seen) => Err(wrong(format!("of a key that is not there: {seen:?}"))),
            }
        }
    };
    scene.run(make, |_| Ok(()))
}

/// The keys of one prefix, out of many.
pub fn list(scene: &Scene<'_>) -> Result<Outcome> {
    let (keys, groups) = (scene.keys, scene.plan.keys);
    let make = |thread| {
        let mut random = keys.random(thread);
        move |store: &Store, _| {
            let listed = store.list(&keys.prefix(random.below(groups)))?;
            // Two groups may have the same prefix, which is rare.
            match black_box(&listed).len() as u64 {
                count if count >= KEYS_PER_PREFIX && count % KEYS_PER_PREFIX == 0 => Ok(Kind::Scan),
                count => Err(wrong(format!("of a prefix: {count} keys"))),
            }
        }
    };
    scene.run(make, |_| Ok(()))
}

/// All entries, in passes; the operations are the entries, the latencies those of a pass.
pub fn scan(scene: &Scene<'_>) -> Result<Outcome> {
    let (work, count) = (scene.plan.work, scene.plan.keys);
    let size = KEY_BYTES + if work == Work::ScanKeys { 0 } else { scene.plan.value_bytes };
    let make = |_| {
        move |store: &Store, _| {
            let (entries, bytes) = pass(store, work)?;
            if entries == count && bytes == count * size as u64 {
                return Ok(Kind::Scan);
            }
            Err(wrong(format!("of a scan: {entries} entries of {bytes} bytes")))
        }
    };
    let mut outcome = scene.run(make, |_| Ok(()))?;
    outcome.timed.operations *= count;
    Ok(outcome)
}

/// Entries and bytes of one pass.
fn pass(store: &Store, work: Work) -> Result<(u64, u64)> {
    let (mut entries, mut bytes) = (0, 0);
    let mut see = |key: &[u8], value: &[u8]| {
        entries += 1;
        bytes += (key.len() + value.len()) as u64;
        black_box((key.first(), value.first()));
    };
    let mut range = store.db().iter();
    match work {
        Work::ScanKeys => {
            let mut keys = range.keys();
            while let Some(seen) = keys.next_with(|key| see(key, &[])) {
                seen?;
            }
        }
        Work::ScanBack => {
            while let Some(seen) = range.next_back_with(&mut see) {
                seen?;
            }
        }
        _ => {
            while let Some(seen) = range.next_with(&mut see) {
                seen?;
            }
        }
    }
    Ok((entries, bytes))
}
