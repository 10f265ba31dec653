//! What a run is asked for: everything by which two runs may differ, as plain data that is kept with the results.

use crate::failure::{Failure, Kind, Result};
use esker::{Compression, Options, SyncPolicy};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;

/// When commits are made durable, in rows that leave it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sync {
    Always,
    Never,
    IntervalMs(u64),
}

impl Sync {
    /// The policy of the store.
    pub fn policy(self) -> SyncPolicy {
        match self {
            Sync::Always => SyncPolicy::Always,
            Sync::Never => SyncPolicy::Never,
            Sync::IntervalMs(ms) => SyncPolicy::Interval(Duration::from_millis(ms)),
        }
    }
}

impl FromStr for Sync {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Sync, String> {
        match text {
            "always" => Ok(Sync::Always),
            "never" => Ok(Sync::Never),
            span => crate::duration::parse(span)
                .ok()
                .and_then(|span| u64::try_from(span.as_millis()).ok())
                .map(Sync::IntervalMs)
                .ok_or_else(|| "expected always, never, or a span as in 100ms".to_string()),
        }
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Multiplies every count.
    pub scale: f64,
    /// How often each row is measured.
    pub rounds: u32,
    /// Keys and the order of what is done are functions of it.
    pub seed: u64,
    /// For the rows whose threads are not in their names; `None`: as the row has it.
    pub threads: Option<u64>,
    /// Entries that are there before rows of small values; `None`: as the row has it.
    pub keys: Option<u64>,
    pub value_bytes: usize,
    pub large_value_bytes: usize,
    /// Of the row that goes on for a time.
    pub seconds: f64,
    pub sync: Sync,
    pub compression: String,
    pub memory_bytes_max: u64,
    pub block_cache_bytes: u64,
    pub memtable_bytes: u64,
    pub value_threshold: u64,
    /// Loops of the lowest priority beside synced rows, that keep a core from halting.
    pub busy_loops: u32,
}

impl Settings {
    /// How the store is opened, with this policy.
    ///
    /// # Errors
    /// A setting is outside of its range.
    pub fn options(&self, sync: Sync) -> Result<Options> {
        let bytes = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let options = Options {
            sync_policy: sync.policy(),
            compression: if self.compression == "none" {
                Compression::None
            } else {
                Compression::Snappy
            },
            memory_bytes_max: bytes(self.memory_bytes_max),
            block_cache_bytes: bytes(self.block_cache_bytes),
            memtable_bytes: bytes(self.memtable_bytes),
            value_threshold: bytes(self.value_threshold),
            ..Options::default()
        };
        options.validate()?;
        Ok(options)
    }

    /// Looks whether all of it makes sense.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<()> {
        let usage = |text: String| Err(Failure::new(Kind::Usage, text));
        if !(self.scale > 0.0 && self.scale <= 1000.0) {
            return usage(format!(
                "a scale of {}; it must be above 0, and 1000 at most",
                self.scale
            ));
        }
        if !(self.seconds > 0.0 && self.seconds <= 1e6) {
            return usage(format!(
                "{} seconds; it must be above 0, and 1000000 at most",
                self.seconds
            ));
        }
        for (what, size) in
            [("value-bytes", self.value_bytes), ("large-value-bytes", self.large_value_bytes)]
        {
            if !(1..=1 << 20).contains(&size) {
                return usage(format!("--{what} is {size}; it must be from 1 B to 1 MiB"));
            }
        }
        // What only some rows use is looked at here all the same.
        self.options(self.sync).map(|_| ())
    }

    /// A count of a row, as this run has it; never nothing.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "counts are far below 2^52, and the scale is positive"
    )]
    pub fn scaled(&self, count: u64) -> u64 {
        ((count as f64 * self.scale).round() as u64).max(1)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// What a run is by default.
    pub fn default() -> Settings {
        let options = Options::default();
        let bytes = |count: usize| count as u64;
        Settings {
            scale: 1.0,
            rounds: 5,
            seed: 0,
            threads: None,
            keys: None,
            value_bytes: 128,
            large_value_bytes: 16 << 10,
            seconds: 10.0,
            sync: Sync::Never,
            compression: "snappy".to_string(),
            memory_bytes_max: bytes(options.memory_bytes_max),
            block_cache_bytes: bytes(options.block_cache_bytes),
            memtable_bytes: bytes(options.memtable_bytes),
            value_threshold: bytes(options.value_threshold),
            busy_loops: 1,
        }
    }

    #[test]
    fn each_range_is_held_and_named() {
        assert!(default().check().is_ok());
        for (settings, named) in [
            (Settings { scale: 0.0, ..default() }, "scale"),
            (Settings { scale: f64::NAN, ..default() }, "scale"),
            (Settings { seconds: -1.0, ..default() }, "seconds"),
            (Settings { value_bytes: 0, ..default() }, "value-bytes"),
            (Settings { large_value_bytes: 2 << 20, ..default() }, "large-value-bytes"),
            (Settings { memory_bytes_max: 1, ..default() }, "memory_bytes_max"),
            (Settings { sync: Sync::IntervalMs(0), ..default() }, "sync_policy"),
        ] {
            let said = settings.check().expect_err(named).sentence();
            assert!(said.contains(named), "{said}");
        }
    }

    #[test]
    fn policies_are_read() {
        assert_eq!("always".parse(), Ok(Sync::Always));
        assert_eq!("never".parse(), Ok(Sync::Never));
        assert_eq!("100ms".parse(), Ok(Sync::IntervalMs(100)));
        assert!("sometimes".parse::<Sync>().is_err());
    }

    #[test]
    fn a_scale_never_leaves_nothing() {
        let scale = |scale| Settings { scale, ..default() };
        assert_eq!(scale(1.0).scaled(500), 500);
        assert_eq!(scale(0.0001).scaled(500), 1);
        assert_eq!(scale(2.5).scaled(4), 10);
    }
}
