#![no_main]
//! See `esker_fuzz::ops_with_gc`.

use esker_fuzz::ops_with_gc;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| ops_with_gc::check(data));
