#![no_main]
//! See `esker_fuzz::import`.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| esker_fuzz::import::check(data));
