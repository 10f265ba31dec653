#![no_main]
//! See `esker_fuzz::ops_with_faults`.

use esker_fuzz::ops_with_faults;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| ops_with_faults::check(data));
