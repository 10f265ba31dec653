//! Small workloads of imports.

use super::{Op, Step, delete, later, set, value};
use std::time::Duration;

/// `count` keys in order, and two services.
fn import(number: u64, count: u64, size: u64) -> Vec<Op> {
    let put = |index: u64| Op::put(format!("kv:k{index:03}"), value(number, index, size));
    let service = |name: &str, ttl| Op::Put {
        key: format!("svc:{name}").into(),
        value: value(number, count, 30),
        ttl,
    };
    let mut ops: Vec<Op> = (0..count).map(put).collect();
    ops.extend([service("s1", Some(Duration::from_secs(1))), service("s2", None)]);
    ops
}

/// Small enough for a batch, and larger, in the order of the keys.
pub(super) fn imports() -> Vec<Step> {
    vec![
        set("kv:k001", 1),
        Step::Import(import(2, 3, 30)),
        Step::Check,
        delete("kv:k000"),
        Step::Import(import(3, 12, 1500)),
        set("kv:k002", 4),
        later(1000),
        Step::Check,
        Step::Abandon,
        Step::Import(import(5, 2, 300)),
    ]
}

/// Sorted in files, several times the same key.
pub(super) fn import_in_any_order() -> Vec<Step> {
    let mut ops = import(3, 14, 900);
    ops.reverse();
    ops.extend(import(4, 5, 900).into_iter().rev());
    vec![
        set("kv:k003", 1),
        Step::Flush,
        set("kv:k009", 2),
        Step::Import(ops),
        Step::Check,
        set("kv:k004", 5),
        Step::Maintain("verify".into()),
        Step::Reopen,
    ]
}
