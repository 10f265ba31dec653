//! Small workloads with backups, restores and checkpoints.

use super::{Op, Step, batch, delete, ingest, later, maintain, set, value};
use std::time::Duration;

/// By name, as [`super::small`].
pub(super) fn small() -> Vec<(&'static str, Vec<Step>)> {
    vec![
        ("backups and restores", backups_and_restores()),
        ("a restore over what is there", restore_over_what_is_there()),
        ("restores of what expires", restores_of_what_expires()),
        ("checkpoints", checkpoints()),
        ("increments", increments()),
        ("increments of what merges drop", increments_of_what_merges_drop()),
    ]
}

fn backups_and_restores() -> Vec<Step> {
    vec![
        Step::Backup,
        set("a", 1),
        batch(2, 3, 300),
        Step::Restore,
        Step::Check,
        set("b", 3),
        Step::Backup,
        delete("b"),
        Step::Restore,
        set("c", 4),
        Step::Check,
        Step::Abandon,
        maintain("verify"),
    ]
}

/// In memory, in tables of level 0 and far below, in segments; and tables of several levels
/// and value files in the backup.
fn restore_over_what_is_there() -> Vec<Step> {
    vec![
        batch(1, 30, 900),
        maintain("compact"),
        batch(2, 6, 300),
        Step::Flush,
        ingest(3, 20, 700, 3),
        set("a", 3),
        Step::Backup,
        batch(4, 12, 600),
        Step::Flush,
        delete("k003"),
        Step::Restore,
        Step::Check,
        batch(5, 3, 400),
        Step::Restore,
        maintain("compact"),
        maintain("collect garbage"),
        Step::Check,
        Step::Reopen,
        maintain("verify"),
    ]
}

fn restores_of_what_expires() -> Vec<Step> {
    let put = |key: &str, number: u64, size: u64| {
        let (value, ttl) = (value(number, 0, size), Some(Duration::from_secs(1)));
        Step::commit(vec![Op::Put { key: key.into(), value, ttl }])
    };
    vec![
        put("a", 1, 20),
        put("b", 2, 400),
        set("c", 3),
        Step::Backup,
        delete("a"),
        later(500),
        Step::Restore,
        Step::Check,
        later(500),
        Step::Check,
        put("a", 4, 20),
        Step::Restore,
        Step::Abandon,
        Step::Check,
    ]
}

fn checkpoints() -> Vec<Step> {
    vec![
        batch(1, 3, 300),
        set("a", 2),
        maintain("checkpoint"),
        batch(3, 2, 300),
        maintain("compact"),
        maintain("collect garbage"),
        Step::Check,
        Step::Abandon,
    ]
}

/// Lost, made again, and restored.
fn increments() -> Vec<Step> {
    vec![
        set("a", 1),
        batch(2, 3, 300),
        Step::BeginChain,
        delete("a"),
        Step::Increment,
        set("b", 3),
        Step::Abandon,
        delete("k001"),
        Step::Increment,
        set("c", 4),
        Step::RestoreChain,
        Step::Check,
        set("d", 5),
        Step::Increment,
        Step::BeginChain,
        Step::RestoreChain,
    ]
}

/// What is deleted, has expired or was loaded in bulk since, in the last level.
fn increments_of_what_merges_drop() -> Vec<Step> {
    let put = |key: &str, number: u64, size: u64| {
        let (value, ttl) = (value(number, 0, size), Some(Duration::from_secs(1)));
        Step::commit(vec![Op::Put { key: key.into(), value, ttl }])
    };
    vec![
        batch(1, 12, 400),
        maintain("compact"),
        Step::BeginChain,
        delete("k003"),
        put("k004", 2, 20),
        put("k005", 2, 400),
        Step::Flush,
        later(700_000),
        Step::Check,
        maintain("compact"),
        Step::Increment,
        delete("k006"),
        ingest(3, 9, 700, 4),
        maintain("compact"),
        Step::Reopen,
        Step::Increment,
        set("k007", 4),
        Step::RestoreChain,
        Step::Check,
        maintain("verify"),
    ]
}
