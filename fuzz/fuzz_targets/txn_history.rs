#![no_main]
//! See `esker_fuzz::txn_history`.

use esker_fuzz::txn_history;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| txn_history::check(data));
