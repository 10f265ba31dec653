#![no_main]
//! See `esker_fuzz::corrupt_then_open`.

use esker_fuzz::corrupt_then_open;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| corrupt_then_open::check(data));
