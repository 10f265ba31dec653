//! What is set, asked for, and expected.

use crate::bytes::Bytes;
use crate::keys::key;
use crate::latency::{Done, for_each};
use crate::mix::mix;
use esker::Db;
use std::time::{Duration, Instant};

/// The length of every key.
const KEY_BYTES: u64 = 23;

/// Values up to this size are compared whole; of larger ones both ends, so that it does not show in the rate.
const COMPARED_BYTES: usize = 64;

/// Between two lines about how far a load is.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// The contents of one database.
pub struct Data {
    /// How many keys there are: those of the numbers below it.
    pub count: u64,
    value_bytes: usize,
    bytes: Bytes,
}

impl Data {
    pub fn new(count: u64, value_bytes: usize) -> Self {
        // Half of a value of 128 bytes, wherever it is cut out, is random.
        Data { count, value_bytes, bytes: Bytes::new(128) }
    }

    /// Keys and values together.
    pub fn raw_bytes(&self) -> u64 {
        self.count * self.entry_bytes()
    }

    pub fn entry_bytes(&self) -> u64 {
        KEY_BYTES + u64::try_from(self.value_bytes).expect("a size")
    }

    fn value(&self, random: u64) -> &[u8] {
        self.bytes.value(random, self.value_bytes)
    }

    /// Sets every key once, in random order.
    pub fn load(&self, db: &Db) -> Done {
        let (begun, mut told) = (Instant::now(), Duration::ZERO);
        for_each(self.count, |n, done| {
            let (key, value) = (key(n), self.value(n));
            done.sets.of(|| db.set(key, value)).expect("a set");
            if n % 4096 == 0 && begun.elapsed() - told > TOLD_EVERY {
                told = begun.elapsed();
                let rate = n as f64 / told.as_secs_f64();
                eprintln!("  {n} of {} loaded, {rate:.0} a second", self.count);
            }
        })
    }

    /// Sets a key that is there to another value.
    pub fn overwrite(&self, db: &Db, random: u64, done: &mut Done) {
        let (key, value) = (key(mix(random) % self.count), self.value(mix(random) ^ random));
        done.sets.of(|| db.set(key, value)).expect("a set");
    }

    /// Gets the key with this number, as it was loaded.
    pub fn get_loaded(&self, db: &Db, n: u64, done: &mut Done) {
        let key = key(n);
        let found = done.gets.of(|| db.get(key)).expect("a get").expect("a key that is there");
        assert!(agrees(&found, self.value(n)), "key {n} has another value than was set");
    }

    /// Gets a key that is there, with whatever value.
    pub fn get_any(&self, db: &Db, random: u64, done: &mut Done) {
        let key = key(mix(random) % self.count);
        let found = done.gets.of(|| db.get(key)).expect("a get").expect("a key that is there");
        assert_eq!(found.len(), self.value_bytes, "a value of another size than was set");
    }

    /// Gets a key that is not there. In the order of keys it is among those that are.
    pub fn get_absent(&self, db: &Db, n: u64, done: &mut Done) {
        let key = key(self.count + n);
        let found = done.gets.of(|| db.get(key)).expect("a get");
        assert!(found.is_none(), "key {n} beyond the {} that were set is there", self.count);
    }
}

fn agrees(found: &[u8], expected: &[u8]) -> bool {
    let ends = |bytes: &[u8]| {
        let middle = bytes.len().saturating_sub(COMPARED_BYTES);
        [bytes[..bytes.len().min(COMPARED_BYTES)].to_vec(), bytes[middle..].to_vec()]
    };
    found.len() == expected.len()
        && if found.len() <= 1 << 10 { found == expected } else { ends(found) == ends(expected) }
}
