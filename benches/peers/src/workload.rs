//! The workloads, by the names under which their figures are kept.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// One row of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    SetSync,
    SetSyncT8,
    SetAsync,
    SetAsyncT2,
    Batch100Sync,
    Batch100Async,
    Get,
    GetT2,
    GetMiss,
    List100,
    Scan,
    MixedAsync,
    MixedSync,
    Sustained,
    LargeSet,
    LargeSetSync,
    LargeGet,
    Overwrite,
    OpenClean,
    OpenCrash,
    Backup,
    Checkpoint,
    Restore,
}

/// What a measurement's figure is, and so whether more of it is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    PerSecond,
    Milliseconds,
    Seconds,
    Megabytes,
}

impl Unit {
    pub const fn label(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Megabytes => "MB",
        }
    }

    pub const fn more_is_better(self) -> bool {
        matches!(self, Self::PerSecond)
    }
}

impl Workload {
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub const fn unit(self) -> Unit {
        match self {
            Self::OpenClean | Self::OpenCrash | Self::Checkpoint => Unit::Milliseconds,
            Self::Overwrite | Self::Backup | Self::Restore => Unit::Seconds,
            _ => Unit::PerSecond,
        }
    }

    /// Whether each commit waits for the disk: these rows get a busy loop.
    pub const fn is_synced(self) -> bool {
        matches!(
            self,
            Self::SetSync
                | Self::SetSyncT8
                | Self::Batch100Sync
                | Self::MixedSync
                | Self::LargeSetSync
        )
    }

    /// Whether it has large values, for which engines that can are to keep them apart.
    pub const fn has_large_values(self) -> bool {
        matches!(
            self,
            Self::LargeSet
                | Self::LargeSetSync
                | Self::LargeGet
                | Self::Overwrite
                | Self::Sustained
        )
    }

    /// Whether commits are acknowledged before they are synced: only engines
    /// whose commits then survive the death of the process count.
    pub const fn relies_on_unsynced_writes(self) -> bool {
        matches!(
            self,
            Self::SetAsync
                | Self::SetAsyncT2
                | Self::Batch100Async
                | Self::MixedAsync
                | Self::Sustained
                | Self::LargeSet
                | Self::Overwrite
                | Self::OpenCrash
        )
    }
}

/// What a directory holds before the measured process opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Load {
    /// `ENTRIES` small entries, closed cleanly.
    Entries,
    /// `LISTED_GROUPS` groups of 100 keys, closed cleanly.
    Lists,
    /// `LARGE_ENTRIES` entries of 16 KiB, closed cleanly.
    Large,
    /// `BACKUP_ENTRIES` entries of 16 KiB, closed cleanly.
    BackupSource,
    /// The same, and a backup of it beside it.
    BackupMade,
    /// `CRASH_SETS` unsynced sets, after which the process dies.
    Crash,
}

pub const ENTRIES: u64 = 500_000;
pub const LISTED_GROUPS: u64 = 2_000;
pub const LARGE_ENTRIES: u64 = 16_384;
pub const BACKUP_ENTRIES: u64 = 65_536;
pub const CRASH_SETS: u64 = 300_000;

/// A count brought down, or up, by `--scale`; never nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts are far below 2^52 and the scale is positive"
)]
pub fn scaled(count: u64, scale: f64) -> u64 {
    ((count as f64 * scale).round() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_kept_figures() {
        assert_eq!(Workload::SetSyncT8.name(), "set_sync_t8");
        assert_eq!(Workload::Batch100Async.name(), "batch100_async");
        assert_eq!(Workload::List100.name(), "list100");
        let json = serde_json::to_string(&Workload::SetAsyncT2).expect("a name is a string");
        assert_eq!(json, "\"set_async_t2\"");
    }

    #[test]
    fn a_scale_never_leaves_nothing() {
        assert_eq!(scaled(500, 1.0), 500);
        assert_eq!(scaled(500, 0.0001), 1);
    }
}
