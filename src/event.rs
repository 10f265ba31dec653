//! What the engine tells a program while it works.

use crate::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why writers wait.
///
/// ```
/// use esker::{Event, StallReason};
/// /// Whether compaction does not keep up with the writers.
/// fn is_behind(event: &Event) -> bool {
///     let wait = StallReason::Level0;
///     matches!(event, Event::StallBegan { reason, .. } if *reason == wait)
/// }
/// assert_eq!(StallReason::Level0.to_string(), "as many tables in level 0 as may be");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StallReason {
    /// As many memtables are in memory as may be (`Options::memtables_max`), and
    /// one must be written out first.
    Memtables,
    /// Level 0 has as many tables as it may have, and some must be merged down first.
    Level0,
    /// An open would have to replay as much log as it may (`Options::log_replay_bytes_max`),
    /// and a memtable must be written out first.
    LogReplay,
    /// For garbage to be collected: `Options::space_amp_max`.
    Space,
}

impl fmt::Display for StallReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StallReason::Memtables => f.write_str("as many memtables as may be"),
            StallReason::Level0 => f.write_str("as many tables in level 0 as may be"),
            StallReason::Space => f.write_str("as much garbage on the disk as may be"),
            StallReason::LogReplay => f.write_str("as much log to replay as may be"),
        }
    }
}

/// Something that happened in an open database. Sizes are in bytes.
///
/// Keys and values are in none of them.
///
/// See the example of [`Listener`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A memtable begins to be written out.
    #[non_exhaustive]
    FlushBegan {
        /// Entries in it.
        entries: usize,
        /// Memory that it takes, in bytes.
        memtable_bytes: usize,
    },
    /// It is a table, and named in the manifest; both are durable.
    #[non_exhaustive]
    FlushDone {
        /// Length of the table's file; 0 where the memtable was empty.
        table_bytes: u64,
        /// How long it took, without attempts that failed before.
        duration: Duration,
    },
    /// It could not be written out.
    #[non_exhaustive]
    FlushFailed {
        /// Why.
        error: Error,
        /// Whether it is tried again; if not, [`Event::Poisoned`] follows.
        will_retry: bool,
    },
    /// Tables begin to be merged.
    #[non_exhaustive]
    CompactionBegan {
        /// The level that they come from.
        from_level: u8,
        /// The level that they go to.
        to_level: u8,
        /// Tables that are read, of both levels.
        tables: usize,
        /// Length of their files.
        input_bytes: u64,
    },
    /// They are merged; the new ones are in force, and durable.
    #[non_exhaustive]
    CompactionDone {
        /// The level that they came from.
        from_level: u8,
        /// The level that they went to.
        to_level: u8,
        /// Tables that are no longer where they were.
        tables_removed: usize,
        /// Tables that are in their place.
        tables_added: usize,
        /// What was read; 0 where tables only moved to another level.
        read_bytes: u64,
        /// What was written, likewise.
        written_bytes: u64,
        /// How long it took.
        duration: Duration,
    },
    /// They could not be merged; what was there is in force.
    #[non_exhaustive]
    CompactionFailed {
        /// The level that they come from.
        from_level: u8,
        /// The level that they were to go to.
        to_level: u8,
        /// Why.
        error: Error,
        /// Whether it is tried again.
        will_retry: bool,
    },
    /// Files with large values were written anew without their garbage, or went because all in them had
    /// expired.
    #[non_exhaustive]
    CollectionDone {
        /// Files that are no longer needed.
        files: usize,
        /// What was written in their place.
        written_bytes: u64,
        /// Bytes of garbage in them.
        freed_bytes: u64,
    },
    /// Garbage among large values could not be collected; what was there is in force.
    #[non_exhaustive]
    CollectionFailed {
        /// Why.
        error: Error,
        /// Whether it is tried again.
        will_retry: bool,
    },
    /// The database has been verified in the background (`Options::scrub_interval`).
    #[non_exhaustive]
    ScrubDone {
        /// Bytes that were read and checked.
        bytes: u64,
        /// Places that are damaged, or cannot be read; `Db::verify_with` names all of them.
        damages: u64,
        /// The first of them.
        first_damage: Option<Error>,
        /// How long it took.
        duration: Duration,
    },
    /// The database could not be verified in the background. It is tried again.
    #[non_exhaustive]
    ScrubFailed {
        /// Why.
        error: Error,
    },
    /// Writers begin to wait. While one does, all do.
    #[non_exhaustive]
    StallBegan {
        /// For what.
        reason: StallReason,
    },
    /// They wait no longer.
    #[non_exhaustive]
    StallEnded {
        /// For what they waited.
        reason: StallReason,
        /// For how long.
        duration: Duration,
    },
    /// Nothing can be written through this handle any more. Told once, with the first cause.
    #[non_exhaustive]
    Poisoned {
        /// What happened.
        cause: Arc<Error>,
    },
}

/// Who is told of each [`Event`] as it happens; see `Options::listener`.
///
/// It is called on the thread on which the thing happens: a background thread, or that of
/// a writer, with the engine's locks held and others waiting. So it must be quick: note it,
/// count it, send it into a channel that has room.
///
/// It may read: `Db::get`, `Db::iter`, `Db::metrics`. It must not call what waits for the work
/// that it was called from: writes, `flush`, `persist` and `close` may then wait for ever.
///
/// A panic in it is caught, counted (`Metrics::listener_panics`) and logged; the engine goes
/// on, and calls it for the next event as before.
///
/// A listener that holds a `Db` keeps it open: let it hold a channel, or something weak.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// use esker::{Db, Event, Listener, Options};
/// let (sender, events) = std::sync::mpsc::channel();
/// let listener = Listener::new(move |event: &Event| drop(sender.send(event.clone())));
/// let db = Db::open(dir.path(), Options { listener: Some(listener), ..Options::default() })?;
/// db.set("key", "value")?;
/// db.flush()?;
/// assert!(events.iter().any(|event| matches!(event, Event::FlushDone { .. })));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Listener(Arc<dyn Fn(&Event) + Send + Sync>);

impl Listener {
    /// Calls `act` for each event.
    ///
    /// See the example of [`Listener`].
    pub fn new(act: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Listener(Arc::new(act))
    }

    pub(crate) fn tell(&self, event: &Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

/// Two are equal when one is a clone of the other.
impl PartialEq for Listener {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Listener {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_equal_and_others_are_not() {
        let names = Arc::new(());
        let listener = |names: &Arc<()>| {
            let names = Arc::clone(names);
            Listener::new(move |_| drop(Arc::clone(&names)))
        };
        let (a, b) = (listener(&names), listener(&names));
        assert_eq!(a, a.clone());
        assert_ne!(a, b);
    }
}
