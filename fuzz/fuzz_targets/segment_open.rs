#![no_main]
//! See `esker_fuzz::segment_open`.

use esker_fuzz::{mutation, segment_open};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::mutate(data, size, max_size, seed, fuzzer_mutate, segment_open::fix)
});

fuzz_target!(|data: &[u8]| segment_open::check(data));
