//! What a job says of itself: events, counts, how long it took.

use super::pick::{Job, Kind};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::store::Store;
use crate::table::Table;
use std::sync::Arc;
use std::time::Duration;

/// A job that has begun.
#[derive(Debug)]
pub struct Report<'a> {
    store: &'a Store,
    job: &'a Job,
    tables: usize,
    input_bytes: u64,
    begun: Duration,
    /// What had been written by then, by all jobs.
    written_bytes: u64,
}

impl<'a> Report<'a> {
    /// Says that `job` begins.
    pub fn begin(store: &'a Store, job: &'a Job, inputs: &[Arc<Table>]) -> Self {
        let (from_level, to_level) = (job.from.number(), job.to.number());
        let (tables, input_bytes) =
            (inputs.len(), inputs.iter().map(|table| table.meta().size_bytes).sum());
        store.emit(&Event::CompactionBegan { from_level, to_level, tables, input_bytes });
        let written_bytes = store.counters.compaction_written_bytes.get();
        let begun = store.home.clock.elapsed();
        Report { store, job, tables, input_bytes, begun, written_bytes }
    }

    /// Says how it ended: with how many tables in the place of those that it took.
    pub fn end(self, done: &Result<usize>) {
        let (from_level, to_level) = (self.job.from.number(), self.job.to.number());
        let event = match done {
            Ok(tables_added) => {
                let counters = &self.store.counters;
                let duration = self.store.since(self.begun);
                if self.job.kind == Kind::Merge {
                    self.store.latencies.compaction.record(duration);
                }
                Event::CompactionDone {
                    from_level,
                    to_level,
                    tables_removed: self.tables,
                    tables_added: *tables_added,
                    read_bytes: if self.job.kind == Kind::Merge { self.input_bytes } else { 0 },
                    written_bytes: counters.compaction_written_bytes.get() - self.written_bytes,
                    duration,
                }
            }
            Err(error) => {
                let will_retry = matches!(error, Error::Io { .. });
                Event::CompactionFailed { from_level, to_level, error: error.clone(), will_retry }
            }
        };
        self.store.emit(&event);
    }
}
