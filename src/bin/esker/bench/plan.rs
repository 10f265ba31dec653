//! What a row does, with its numbers: two measurements can be compared where these are the same.

use super::data::{KEY_BYTES, KEYS_PER_PREFIX};
use super::settings::Sync;
use super::store::Interface;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Sets of one batch, where batches are measured.
pub const BATCH_SETS: u64 = 100;
/// How often `overwrite` writes each value.
pub const OVERWRITE_TIMES: u64 = 16;
/// What an entry takes in a file beside its key and value, at most.
const ENTRY_OVERHEAD_BYTES: u64 = 64;
/// What a database takes whatever is in it: its reserve, and zeros written ahead.
const DATABASE_BYTES: u64 = 32 << 20;

/// What files with large values take at most beside three times what lives, by the promise of
/// `Options::space_amp_max`: log files, the log to replay, and a file that is being collected.
const VALUES_BYTES_MAX: u64 = 704 << 20;
/// What the log takes at most, with files that are not yet removed.
const LOG_BYTES_MAX: u64 = 512 << 20;

/// The kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Single sets of keys of their own.
    Set,
    /// The same, and one sync after the last.
    SetThenPersist,
    /// Batches of 100 sets.
    Batch,
    /// One bulk load of sorted entries.
    Ingest,
    /// Gets of random keys that are there.
    Get,
    /// Gets of keys that are not.
    GetMiss,
    /// The 100 keys of a prefix, as strings.
    List,
    /// All entries, in passes.
    Scan,
    ScanKeys,
    ScanBack,
    /// Half gets, half sets, of random keys that are there.
    Mixed,
    /// The same large values over and over, then compaction, collection and a sync.
    Overwrite,
    /// Gets, sets, deletes and short scans of keys of which few are hot, for a time.
    Sustained,
    /// From the call to the first answer, after an orderly end.
    OpenClean,
    /// The same, after the death of the process.
    OpenCrash,
    Backup,
    Checkpoint,
    /// From a backup to the first answer.
    Restore,
}

/// What a directory holds before the clock starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Entries, closed in order.
    Entries,
    /// Groups of 100 keys, closed in order.
    Groups,
    /// Unsynced sets, after which the process dies.
    Crash,
    /// Entries, and a backup of them.
    Backup,
}

/// What is measured, and so whether more of it is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    PerSecond,
    Milliseconds,
    Seconds,
}

impl Unit {
    /// As it stands behind a figure.
    pub const fn label(self) -> &'static str {
        match self {
            Unit::PerSecond => "/s",
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
        }
    }

    /// Whether more is better.
    pub const fn is_rate(self) -> bool {
        matches!(self, Unit::PerSecond)
    }
}

impl Work {
    /// What there is before.
    pub const fn load(self) -> Option<Load> {
        match self {
            Work::Set | Work::SetThenPersist | Work::Batch | Work::Ingest | Work::Overwrite => None,
            Work::List => Some(Load::Groups),
            Work::OpenCrash => Some(Load::Crash),
            Work::Restore => Some(Load::Backup),
            _ => Some(Load::Entries),
        }
    }

    /// What is measured.
    pub const fn unit(self) -> Unit {
        match self {
            Work::OpenClean | Work::OpenCrash | Work::Checkpoint => Unit::Milliseconds,
            Work::Overwrite | Work::Backup | Work::Restore => Unit::Seconds,
            _ => Unit::PerSecond,
        }
    }

    /// Whether it writes, so that the space over time says something.
    pub const fn writes(self) -> bool {
        !matches!(
            self,
            Work::Get
                | Work::GetMiss
                | Work::List
                | Work::Scan
                | Work::ScanKeys
                | Work::ScanBack
                | Work::OpenClean
                | Work::OpenCrash
        )
    }

    /// Whether it is many operations, so that there is a throughput over time.
    pub const fn is_steady(self) -> bool {
        matches!(self.unit(), Unit::PerSecond)
            && !matches!(self, Work::Scan | Work::ScanKeys | Work::ScanBack | Work::Ingest)
            || matches!(self, Work::Overwrite)
    }
}

/// A row's work with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub work: Work,
    pub interface: Interface,
    pub sync: Sync,
    pub threads: u64,
    /// Of all threads together; 0 where a time ends it.
    pub operations: u64,
    /// Entries that are there before; of lists, groups of 100.
    pub keys: u64,
    pub value_bytes: usize,
    /// For how long, where no count ends it.
    pub seconds: Option<f64>,
    /// One in so many operations is timed by itself.
    pub sample_every: u64,
}

impl Plan {
    /// Of each thread.
    pub fn operations_each(&self) -> u64 {
        (self.operations / self.threads.max(1)).max(1)
    }

    /// Whether each commit waits for the disk.
    pub fn is_synced(&self) -> bool {
        self.sync == Sync::Always && self.work.writes()
    }

    /// Bytes of keys and values that are there before.
    pub fn loaded_bytes(&self) -> u64 {
        let each = if self.work.load() == Some(Load::Groups) { KEYS_PER_PREFIX } else { 1 };
        self.keys.saturating_mul(each).saturating_mul(self.entry_bytes())
    }

    fn entry_bytes(&self) -> u64 {
        (KEY_BYTES + self.value_bytes) as u64
    }

    /// The most that it takes on the disk: log, tables and what is being merged, each once, nothing compressed.
    pub fn space_bytes(&self) -> u64 {
        let each = |entry: u64| entry.saturating_add(ENTRY_OVERHEAD_BYTES);
        let sets = match self.work {
            Work::Batch => self.operations.saturating_mul(BATCH_SETS),
            _ if self.work.load().is_none() || self.work == Work::Mixed => self.operations,
            _ => 0,
        };
        let groups = if self.work.load() == Some(Load::Groups) { KEYS_PER_PREFIX } else { 1 };
        let loaded = self.keys.saturating_mul(groups).saturating_mul(each(self.entry_bytes()));
        let written = sets.saturating_mul(each(self.entry_bytes()));
        if self.work == Work::Overwrite {
            let live = written / OVERWRITE_TIMES;
            let bound = live.saturating_mul(3).saturating_add(VALUES_BYTES_MAX);
            return written.saturating_mul(2).min(bound).saturating_add(DATABASE_BYTES);
        }
        let times = match self.work {
            // The copies are there beside it.
            Work::Restore => 5,
            Work::Backup | Work::Checkpoint => 4,
            // Log files that are not in tables yet, and levels above the last.
            Work::Sustained => 5,
            _ => 3,
        };
        // What goes on for a time may fill the log to its bound, at a million sets a second.
        let log = match self.seconds {
            Some(seconds) => {
                LOG_BYTES_MAX.min(whole(seconds * 1e6).saturating_mul(each(self.entry_bytes())))
            }
            None => 0,
        };
        let data = loaded.saturating_add(written);
        data.saturating_mul(times).saturating_add(DATABASE_BYTES).saturating_add(log)
    }

    /// In which fields another differs, with both values.
    pub fn differences(&self, other: &Plan) -> Vec<String> {
        let fields = |plan: &Plan| serde_json::to_value(plan).expect("plain data");
        differences("", &fields(self), &fields(other))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, above 0")]
fn whole(count: f64) -> u64 {
    count as u64
}

/// In which members two documents differ, by path, with both values.
pub fn differences(path: &str, a: &Value, b: &Value) -> Vec<String> {
    if let (Value::Object(a), Value::Object(b)) = (a, b) {
        let mut names: Vec<&String> =
            a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))).collect();
        names.sort();
        let null = Value::Null;
        return names
            .into_iter()
            .flat_map(|name| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                differences(&path, a.get(name).unwrap_or(&null), b.get(name).unwrap_or(&null))
            })
            .collect();
    }
    if a == b {
        return Vec::new();
    }
    let name = if path.is_empty() { "all of it" } else { path };
    vec![format!("{name} {} and {}", short(a), short(b))]
}

fn short(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_named_with_both_values() {
        let a = json!({"x": 1, "y": {"z": "one", "same": 1}, "gone": true});
        let b = json!({"x": 2, "y": {"z": "two", "same": 1}});
        assert_eq!(
            differences("", &a, &b),
            ["gone true and nothing", "x 1 and 2", "y.z one and two"]
        );
        assert!(differences("", &a, &a).is_empty());
    }

    #[test]
    fn more_data_needs_more_space_and_no_number_overflows() {
        let plan = |keys| Plan {
            work: Work::Restore,
            interface: Interface::Db,
            sync: Sync::Never,
            threads: 1,
            operations: 1,
            keys,
            value_bytes: 16 << 10,
            seconds: None,
            sample_every: 1,
        };
        assert!(plan(2_000).space_bytes() > plan(1_000).space_bytes());
        assert_eq!(plan(u64::MAX).space_bytes(), u64::MAX);
    }
}
