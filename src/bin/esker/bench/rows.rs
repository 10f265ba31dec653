//! The rows: what can be measured, by name.
//!
//! Those of the documented table (`engine_*`) work through the `Engine` interface, as the readers of that table
//! do; the others are the workloads of docs/performance.md, under the names that they have there.

use super::plan::{Plan, Work};
use super::settings::{Settings, Sync};
use super::store::Interface;
use crate::failure::{Failure, Kind, Result};
use serde::{Deserialize, Serialize};

/// What rows belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// The documented latency table.
    Documented,
    /// The workloads.
    Workloads,
}

/// When its commits are made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commit {
    Synced,
    /// Acknowledged before they are durable.
    Unsynced,
    /// As the run is asked for.
    Open,
}

/// What is there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// So many small values, unless the run says how many.
    Entries(u64),
    /// So many groups of 100 keys.
    Groups(u64),
    /// So many large values.
    Large(u64),
}

/// A row.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub group: Group,
    /// What is timed, in a few words.
    pub about: &'static str,
    work: Work,
    commit: Commit,
    threads: u64,
    operations: u64,
    before: Before,
    has_large_values: bool,
    sample_every: u64,
}

/// One in so many quick operations is timed by itself, so that reading the clock does not show.
const QUICK: u64 = 16;

impl Row {
    const fn new(name: &'static str, work: Work, about: &'static str) -> Row {
        Row {
            name,
            group: Group::Workloads,
            about,
            work,
            commit: Commit::Open,
            threads: 1,
            operations: 1,
            before: Before::Nothing,
            has_large_values: false,
            sample_every: 1,
        }
    }

    const fn documented(self) -> Row {
        Row { group: Group::Documented, ..self }
    }

    const fn commit(self, commit: Commit) -> Row {
        Row { commit, ..self }
    }

    const fn threads(self, threads: u64) -> Row {
        Row { threads, ..self }
    }

    const fn operations(self, operations: u64) -> Row {
        Row { operations, ..self }
    }

    const fn before(self, before: Before) -> Row {
        Row { before, ..self }
    }

    const fn large(self) -> Row {
        Row { has_large_values: true, ..self }
    }

    const fn sampled(self, sample_every: u64) -> Row {
        Row { sample_every, ..self }
    }

    /// Its work, in a run with these settings.
    pub fn plan(&self, settings: &Settings) -> Plan {
        let keys = match self.before {
            Before::Nothing => 0,
            Before::Entries(count) => settings.keys.unwrap_or_else(|| settings.scaled(count)),
            Before::Groups(count) | Before::Large(count) => settings.scaled(count),
        };
        let sync = match (self.commit, settings.sync) {
            (Commit::Synced, _) => Sync::Always,
            (Commit::Unsynced, Sync::Always) => Sync::Never,
            (_, sync) => sync,
        };
        // `_t2` and `_t8` are part of what the row is; passes and whole databases are for one.
        let is_shared = self.work.is_steady() && self.work != Work::Overwrite;
        let threads = if is_shared && !self.name.contains("_t") {
            settings.threads.unwrap_or(self.threads)
        } else {
            self.threads
        };
        let operations = match self.work {
            Work::Sustained => 0,
            // Passes.
            Work::Scan | Work::ScanKeys | Work::ScanBack => self.operations,
            // As many for each thread.
            _ => (settings.scaled(self.operations) / threads).max(1) * threads,
        };
        Plan {
            work: self.work,
            interface: if self.group == Group::Documented {
                Interface::Engine
            } else {
                Interface::Db
            },
            sync,
            threads,
            operations,
            keys,
            value_bytes: if self.has_large_values {
                settings.large_value_bytes
            } else {
                settings.value_bytes
            },
            seconds: (self.work == Work::Sustained).then_some(settings.seconds),
            sample_every: self.sample_every,
        }
    }
}

const ENTRIES: Before = Before::Entries(500_000);
const GROUPS: Before = Before::Groups(2_000);
const GIBIBYTE: Before = Before::Large(65_536);

/// All rows, in the order in which they are measured and shown.
pub const ROWS: &[Row] = &[
    Row::new("engine_get_sync", Work::Get, "gets of random keys out of 500,000, opened with synced writes")
        .documented().commit(Commit::Synced).operations(500_000).before(ENTRIES).sampled(QUICK),
    Row::new("engine_get_async", Work::Get, "the same, opened without")
        .documented().commit(Commit::Unsynced).operations(500_000).before(ENTRIES).sampled(QUICK),
    Row::new("engine_set_sync", Work::Set, "single sets, each durable")
        .documented().commit(Commit::Synced).operations(3_000),
    Row::new("engine_set_async", Work::Set, "single sets")
        .documented().commit(Commit::Unsynced).operations(500_000).sampled(QUICK),
    Row::new("engine_batch100_sync", Work::Batch, "batches of 100 sets, each durable")
        .documented().commit(Commit::Synced).operations(500),
    Row::new("engine_batch100_async", Work::Batch, "batches of 100 sets")
        .documented().commit(Commit::Unsynced).operations(2_000),
    Row::new("engine_list100_sync", Work::List, "the 100 keys of a prefix, out of 2,000 prefixes, opened with synced writes")
        .documented().commit(Commit::Synced).operations(10_000).before(GROUPS),
    Row::new("engine_list100_async", Work::List, "the same, opened without")
        .documented().commit(Commit::Unsynced).operations(10_000).before(GROUPS),
    Row::new("engine_mixed_sync", Work::Mixed, "half gets, half sets, each durable")
        .documented().commit(Commit::Synced).operations(20_000).before(ENTRIES),
    Row::new("engine_mixed_async", Work::Mixed, "half gets, half sets")
        .documented().commit(Commit::Unsynced).operations(200_000).before(ENTRIES).sampled(QUICK),
    Row::new("engine_backup_sync", Work::Backup, "a backup of 1 GiB, verified and synced, opened with synced writes")
        .documented().commit(Commit::Synced).before(GIBIBYTE).large(),
    Row::new("engine_backup_async", Work::Backup, "the same, opened without")
        .documented().commit(Commit::Unsynced).before(GIBIBYTE).large(),
    Row::new("set_sync", Work::Set, "single sets, each durable")
        .commit(Commit::Synced).operations(3_000),
    Row::new("set_sync_t8", Work::Set, "the same from 8 threads")
        .commit(Commit::Synced).threads(8).operations(8_000),
    Row::new("set_async", Work::Set, "single sets")
        .commit(Commit::Unsynced).operations(500_000).sampled(QUICK),
    Row::new("set_async_t2", Work::Set, "the same from 2 threads")
        .commit(Commit::Unsynced).threads(2).operations(500_000).sampled(QUICK),
    Row::new("batch100_sync", Work::Batch, "batches of 100 sets, each durable")
        .commit(Commit::Synced).operations(500),
    Row::new("batch100_async", Work::Batch, "batches of 100 sets")
        .commit(Commit::Unsynced).operations(5_000),
    Row::new("ingest", Work::Ingest, "one bulk load of 500,000 sorted entries, durable").operations(500_000),
    Row::new("get", Work::Get, "gets of random keys out of 500,000")
        .operations(500_000).before(ENTRIES).sampled(QUICK),
    Row::new("get_t2", Work::Get, "the same from 2 threads")
        .threads(2).operations(500_000).before(ENTRIES).sampled(QUICK),
    Row::new("get_miss", Work::GetMiss, "gets of keys that are not there")
        .operations(500_000).before(ENTRIES).sampled(QUICK),
    Row::new("list100", Work::List, "the 100 keys of a prefix, out of 2,000 prefixes")
        .operations(50_000).before(GROUPS),
    Row::new("scan", Work::Scan, "all 500,000 entries, 5 times; latencies are those of a pass")
        .operations(5).before(ENTRIES),
    Row::new("scan_keys", Work::ScanKeys, "the same, keys alone").operations(5).before(ENTRIES),
    Row::new("scan_back", Work::ScanBack, "the same, backwards").operations(5).before(ENTRIES),
    Row::new("mixed_async", Work::Mixed, "half gets, half sets, of 500,000 keys, from 2 threads")
        .commit(Commit::Unsynced).threads(2).operations(500_000).before(ENTRIES).sampled(QUICK),
    Row::new("mixed_sync", Work::Mixed, "the same, each set durable")
        .commit(Commit::Synced).threads(2).operations(10_000).before(ENTRIES),
    Row::new("sustained", Work::Sustained, "half gets, 35% sets, 5% deletes, 10% scans of up to 100 entries, few keys hot, from 2 threads, for --seconds")
        .threads(2).before(ENTRIES).sampled(QUICK),
    Row::new("large_set", Work::SetThenPersist, "16,384 large values, then a sync").operations(16_384).large(),
    Row::new("large_set_sync", Work::Set, "single sets of large values, each durable")
        .commit(Commit::Synced).operations(2_000).large(),
    Row::new("large_get", Work::Get, "gets of random large values out of 16,384")
        .operations(50_000).before(Before::Large(16_384)).sampled(4).large(),
    Row::new("overwrite", Work::Overwrite, "4,096 large values written 16 times over, then compaction, collection and a sync")
        .operations(65_536).large(),
    Row::new("open_clean", Work::OpenClean, "an open of 500,000 keys, closed in order, to the first answer").before(ENTRIES),
    Row::new("open_crash", Work::OpenCrash, "an open with 300,000 sets in the log, to the first answer")
        .before(Before::Entries(300_000)),
    Row::new("backup", Work::Backup, "a backup of 1 GiB, verified and synced").before(GIBIBYTE).large(),
    Row::new("checkpoint", Work::Checkpoint, "a checkpoint of 1 GiB").before(GIBIBYTE).large(),
    Row::new("restore", Work::Restore, "a restore of 1 GiB, to the first answer").before(GIBIBYTE).large(),
];

/// The row of this name.
#[cfg(test)]
pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// The rows that `asked` names: `all`, `documented`, `workloads`, a name, or one with `*` for anything; each
/// once, in their own order.
///
/// # Errors
/// One that names none.
pub fn select(asked: &[String]) -> Result<Vec<&'static Row>> {
    let names = |row: &Row, pattern: &str| match pattern {
        "all" => true,
        "documented" => row.group == Group::Documented,
        "workloads" => row.group == Group::Workloads,
        pattern => matches(pattern, row.name),
    };
    for pattern in asked {
        if !ROWS.iter().any(|row| names(row, pattern)) {
            return Err(Failure::new(Kind::Usage, format!("there is no row {pattern}"))
                .remedy("esker bench --list has them; all, documented, workloads and patterns as in set_* are fine, too"));
        }
    }
    Ok(ROWS.iter().filter(|row| asked.iter().any(|pattern| names(row, pattern))).collect())
}

/// Whether `name` is what `pattern` says, where `*` is anything.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::default;
    use super::*;

    fn names(asked: &[&str]) -> Vec<&'static str> {
        let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
        select(&asked).expect("they are there").iter().map(|row| row.name).collect()
    }

    #[test]
    fn rows_are_chosen_by_name_group_and_pattern() {
        assert_eq!(names(&["get_t2", "set_sync", "get_t2"]), ["set_sync", "get_t2"]);
        assert_eq!(names(&["*_t8"]), ["set_sync_t8"]);
        assert_eq!(names(&["mixed_*"]), ["mixed_async", "mixed_sync"]);
        assert_eq!(names(&["engine_*backup*"]), ["engine_backup_sync", "engine_backup_async"]);
        assert_eq!(names(&["all"]).len(), ROWS.len());
        assert_eq!(names(&["documented"]).len() + names(&["workloads"]).len(), ROWS.len());
        for wrong in ["", "gets", "get_", "*x*y*z*", "set_sync_t8_"] {
            let said = select(&[wrong.to_string()]).expect_err(wrong).sentence();
            assert!(said.contains("there is no row"), "{said}");
        }
    }

    #[test]
    fn names_are_distinct_and_say_which_rows_are_synced() {
        for row in ROWS {
            assert_eq!(ROWS.iter().filter(|other| other.name == row.name).count(), 1);
            assert_eq!(row.commit == Commit::Synced, row.name.contains("_sync"), "{}", row.name);
            assert_eq!(row.commit == Commit::Unsynced, row.name.contains("_async"), "{}", row.name);
            assert_eq!(row.group == Group::Documented, row.name.starts_with("engine_"));
            assert!(row.about.len() > 10);
        }
    }

    #[test]
    fn settings_reach_the_rows_that_leave_them_open() {
        let settings = Settings {
            threads: Some(3),
            keys: Some(77),
            value_bytes: 10,
            sync: Sync::Always,
            scale: 0.1,
            ..default()
        };
        let plan = |name| find(name).expect("a row").plan(&settings);
        assert_eq!((plan("get").threads, plan("get_t2").threads, plan("scan").threads), (3, 2, 1));
        assert_eq!(
            (plan("get").keys, plan("list100").keys, plan("large_get").keys),
            (77, 200, 1_638)
        );
        assert_eq!((plan("set_sync").operations, plan("scan").operations), (300, 5));
        assert_eq!((plan("get").value_bytes, plan("large_get").value_bytes), (10, 16 << 10));
        assert_eq!((plan("set_async").sync, plan("overwrite").sync), (Sync::Never, Sync::Always));
        let interval = Settings { sync: Sync::IntervalMs(9), ..default() };
        assert_eq!(find("set_async").expect("a row").plan(&interval).sync, Sync::IntervalMs(9));
        assert_eq!(find("set_sync").expect("a row").plan(&interval).sync, Sync::Always);
    }
}
