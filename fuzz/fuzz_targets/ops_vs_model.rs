#![no_main]
//! See `esker_fuzz::ops_vs_model`.

use esker_fuzz::ops_vs_model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| ops_vs_model::check(data));
