//! Large values, and the garbage that they leave.

use super::{Op, Step, batch, delete, later, maintain, set, value};
use std::time::Duration;

/// Large values in the log, in segments, overwritten, collected; and what an open makes of them.
pub(super) fn large_values() -> Vec<Step> {
    vec![
        batch(1, 6, 700),
        set("a", 2),
        Step::Flush,
        batch(3, 3, 600),
        Step::Abandon,
        delete("k004"),
        Step::Check,
        maintain("compact"),
        maintain("collect garbage"),
        Step::Check,
        batch(4, 2, 900),
        maintain("verify"),
    ]
}

/// Files that collections wrote are collected, several into one.
pub(super) fn garbage_of_garbage() -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 1..=3 {
        steps.extend([batch(round, 9 - round, 500), maintain("compact")]);
        steps.extend([maintain("collect garbage"), set("a", round)]);
    }
    steps.extend([delete("k000"), delete("k001"), maintain("compact"), Step::Check]);
    steps.extend([maintain("collect garbage"), Step::Reopen, maintain("verify")]);
    steps
}

/// Segments go whole, before the entries that point to them.
pub(super) fn large_values_expire() -> Vec<Step> {
    let put = |index: u64| Op::Put {
        key: format!("k{index:03}").into(),
        value: value(1, index, 400),
        ttl: Some(Duration::from_secs(1)),
    };
    vec![
        Step::commit((0..4).map(put).collect()),
        Step::Flush,
        later(700_000),
        maintain("collect garbage"),
        Step::Check,
        batch(2, 2, 400),
        Step::Abandon,
        maintain("verify"),
        maintain("compact"),
    ]
}
