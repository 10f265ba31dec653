#![no_main]
//! See `esker_fuzz::inspect`.

use esker_fuzz::{inspect, mutation};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::mutate(data, size, max_size, seed, fuzzer_mutate, inspect::fix)
});

fuzz_target!(|data: &[u8]| inspect::check(data));
