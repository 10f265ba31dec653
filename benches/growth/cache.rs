//! A cache that holds all that is stored, or a part of it: gets of all keys alike, and of some more than others.

use crate::account::{Account, Between};
use crate::arguments::Scale;
use crate::csv::Csv;
use crate::data::Data;
use crate::keys::zipf;
use crate::latency::for_each;
use crate::memory::memory_mib;
use crate::mix::mix;
use crate::subject::Subject;
use crate::volume::VALUE_BYTES;
use esker::{Options, SyncPolicy};
use std::path::Path;

/// The point that only loads.
pub const LOAD: u64 = 0;

/// So many units of keys are stored.
const UNITS: u64 = 4;

/// Which key is asked for: from a random number, and how many there are.
type Choice = fn(u64, u64) -> u64;

fn data(scale: &Scale) -> Data {
    Data::new(UNITS * scale.unit, VALUE_BYTES)
}

/// Loads the database that all points read.
pub fn load(dir: &Path, scale: &Scale) -> Csv {
    let data = data(scale);
    let subject = Subject::open(dir, SyncPolicy::Never, |options| options);
    data.load(&subject.db);
    subject.settle(scale.quiet);
    subject.db.close().expect("closes");
    let mut csv = Csv::default();
    csv.push_count("keys", data.count);
    csv
}

/// Reads it, with a cache for so many percent of its keys and values: blocks are in it as they were before they were
/// compressed. What the system keeps of the files in memory stays there.
pub fn measure(dir: &Path, percent: u64, scale: &Scale) -> Csv {
    let data = data(scale);
    let cache_bytes = usize::try_from(data.raw_bytes() * percent / 100).expect("a size");
    let subject = Subject::open(dir, SyncPolicy::Never, |options| Options {
        block_cache_bytes: cache_bytes,
        // So much that nothing else makes the cache smaller.
        memory_bytes_max: 4 << 30,
        ..options
    });
    let mut csv = Csv::default();
    csv.push_count("cache_percent", percent);
    csv.push_count("keys", data.count);
    csv.push("cache_mib", cache_bytes as f64 / f64::from(1 << 20));
    let db = &subject.db;
    let kinds: [(&str, Choice); 2] = [("uniform", |random, count| random % count), ("zipf", zipf)];
    // Six for each block: the first run of them fills the cache.
    let count = 2 * scale.gets;
    for (run, (name, choose)) in (1..).zip(kinds) {
        let number = |n: u64, half: u64| choose(mix(n | run << 48 | half << 52), data.count);
        for_each(count, |n, done| data.get_loaded(db, number(n, 1), done));
        let before = Account::take(db);
        let gets = for_each(count, |n, done| data.get_loaded(db, number(n, 2), done));
        let after = Account::take(db);
        csv.push(&format!("{name}_per_s"), gets.per_second());
        gets.gets.push_to(&mut csv, name);
        let phase = Between(&before, &after);
        csv.push(&format!("{name}_hit_percent"), phase.hit_percent());
        phase.push_reads_to(&mut csv, name, count);
    }
    let cached = db.metrics().memory.block_cache_bytes;
    assert!(cached <= cache_bytes as u64, "{cached} bytes in a cache of {cache_bytes}");
    csv.push("cached_mib", cached as f64 / f64::from(1 << 20));
    csv.push_count("peak_mib", memory_mib("VmHWM:"));
    db.close().expect("closes");
    csv
}
