//! What happened lately, for the status page.

use super::calendar::rfc3339;
use crate::clock::{Clock, SystemClock};
use crate::event::Event;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;

/// How many are kept.
const EVENTS_MAX: usize = 200;

/// What is kept of one.
#[derive(Debug, Clone, Serialize)]
pub struct Noted {
    /// Counted from 1 since the start.
    pub number: u64,
    /// When, as RFC 3339 has it.
    pub at: String,
    /// `flush`, `compaction`, `stall`, ...
    pub kind: &'static str,
    /// `info`, `warning` or `error`.
    pub level: &'static str,
    /// For a person.
    pub text: String,
}

/// The last events.
#[derive(Debug, Default)]
pub struct Events {
    kept: Mutex<(u64, VecDeque<Noted>)>,
    clock: SystemClock,
}

impl Events {
    /// Notes `event`, if it says something. It is called with locks of the engine held: it does not wait.
    pub fn note(&self, event: &Event) {
        if let Some((kind, level, text)) = told(event) {
            self.add(kind, level, text);
        }
    }

    /// Notes something of the server's own.
    pub fn add(&self, kind: &'static str, level: &'static str, text: String) {
        let at = rfc3339(self.clock.now_ms());
        let mut kept = self.kept.lock();
        kept.0 += 1;
        let number = kept.0;
        kept.1.push_back(Noted { number, at, kind, level, text });
        if kept.1.len() > EVENTS_MAX {
            kept.1.pop_front();
        }
    }

    /// The last `count`, the newest first.
    pub fn newest(&self, count: usize) -> Vec<Noted> {
        self.kept.lock().1.iter().rev().take(count).cloned().collect()
    }
}

/// What `event` is called, how bad it is, and what it says; `None`: nothing that a person has to see.
fn told(event: &Event) -> Option<(&'static str, &'static str, String)> {
    let size = |bytes: u64| match bytes {
        0..0x10_0000 => format!("{:.1} KiB", bytes as f64 / f64::from(1 << 10)),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    };
    let many = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let tables = |count: usize| many(count, "table");
    Some(match event {
        Event::FlushDone { table_bytes: 0, .. } => return None,
        Event::FlushDone { table_bytes, duration } => {
            ("flush", "info", format!("a table of {} in {duration:.1?}", size(*table_bytes)))
        }
        Event::FlushFailed { error, .. } => ("flush", "error", error.to_string()),
        Event::CompactionDone {
            from_level,
            to_level,
            tables_removed,
            tables_added,
            written_bytes,
            duration,
            ..
        } => (
            "compaction",
            "info",
            match (tables_added, written_bytes) {
                (0, _) => format!("level {from_level}: {} dropped", tables(*tables_removed)),
                (_, 0) => {
                    format!("level {from_level} to {to_level}: {} moved", tables(*tables_added))
                }
                (added, written) => format!(
                    "level {from_level} to {to_level}: {} into {added}, {} in {duration:.1?}",
                    tables(*tables_removed),
                    size(*written)
                ),
            },
        ),
        Event::CompactionFailed { error, .. } => ("compaction", "error", error.to_string()),
        Event::CollectionDone { files, freed_bytes, .. } => (
            "collection",
            "info",
            format!("{} of garbage freed from {}", size(*freed_bytes), many(*files, "file")),
        ),
        Event::CollectionFailed { error, .. } => ("collection", "error", error.to_string()),
        Event::ScrubDone { bytes, damages: 0, duration, .. } => {
            ("scrub", "info", format!("{} verified in {duration:.1?}", size(*bytes)))
        }
        Event::ScrubDone { damages, first_damage, .. } => {
            let first =
                first_damage.as_ref().map_or(String::new(), |e| format!("; the first: {e}"));
            ("scrub", "error", format!("{damages} places are damaged{first}"))
        }
        Event::ScrubFailed { error } => ("scrub", "error", error.to_string()),
        Event::StallBegan { reason } => ("stall", "warning", format!("writers wait: {reason}")),
        Event::StallEnded { duration, .. } => {
            ("stall", "info", format!("writers waited {duration:.1?}"))
        }
        Event::Poisoned { cause } => ("health", "error", format!("no more writes: {cause}")),
        Event::FlushBegan { .. } | Event::CompactionBegan { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_merge_says_what_became_of_the_tables() {
        let merged = |tables_removed, tables_added, written_bytes| {
            let (from_level, to_level, duration) = (4, 5, Duration::from_millis(7));
            told(&Event::CompactionDone {
                from_level,
                to_level,
                tables_removed,
                tables_added,
                read_bytes: written_bytes,
                written_bytes,
                duration,
            })
            .expect("it is told")
            .2
        };
        assert_eq!(merged(5, 2, 2048), "level 4 to 5: 5 tables into 2, 2.0 KiB in 7.0ms");
        assert_eq!(merged(1, 1, 0), "level 4 to 5: 1 table moved");
        assert_eq!(merged(3, 0, 0), "level 4: 3 tables dropped");
    }

    #[test]
    fn the_last_are_kept_the_newest_first() {
        let events = Events::default();
        for n in 0..EVENTS_MAX + 10 {
            events.add("flush", "info", n.to_string());
        }
        let newest = events.newest(usize::MAX);
        assert_eq!(newest.len(), EVENTS_MAX);
        assert_eq!((newest[0].number, newest[0].text.as_str()), (210, "209"));
        assert_eq!(events.newest(2).len(), 2);
    }
}
