//! Puts the tables of an ingest in force.

use super::sorter::Sorter;
use super::writer::Writer;
use super::written::Written;
use crate::commit::Pipeline;
use crate::compaction::Compactor;
use crate::error::{Error, Result};
use crate::format::{Level, SeqNo, TableMeta};
use crate::fs::IoContext;
use crate::manifest::Edit;
use crate::store::{Catalog, Change, Failed, Store, Version};
use crate::table::Table;
use std::sync::Arc;

/// What an ingest came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Entries.
    pub entries: u64,
    /// The tables that they are in.
    pub tables: usize,
    /// The length of those, in bytes.
    pub table_bytes: u64,
    /// Large values beside them, as they are stored, in bytes.
    pub value_bytes: u64,
    /// How often they were written anew, see [`super`].
    pub rewrites: u32,
}

/// Ingests into one database.
#[derive(Debug)]
pub struct Ingester {
    store: Arc<Store>,
    pipeline: Arc<Pipeline>,
    catalog: Arc<Catalog>,
    compactor: Arc<Compactor>,
}

impl Ingester {
    /// Into `store`, by way of these.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        pipeline: Arc<Pipeline>,
        catalog: Arc<Catalog>,
        compactor: Arc<Compactor>,
    ) -> Self {
        Ingester { store, pipeline, catalog, compactor }
    }

    /// Begins one.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn begin(&self) -> Result<Writer> {
        Writer::new(&self.store, 0)
    }

    /// Begins to sort what comes in any order.
    #[must_use]
    pub fn sorter(&self) -> Sorter {
        Sorter::new(&self.store)
    }

    /// Makes all that `writer` took durable and visible at once. `flush` does the work of
    /// the flush worker, where there is none.
    ///
    /// # Errors
    /// [`Error::Indeterminate`]: it is not visible, and after a crash all of it may be there or nothing.
    /// All others: nothing has changed, and what was written is removed.
    pub fn finish(&self, writer: Writer, flush: impl Fn()) -> Result<Done> {
        let _gate = self.store.gate.enter()?;
        // Dropped before the gate opens: a close that came between would keep it from removing its tables.
        let mut writer = writer;
        writer.finish().map_err(|e| self.failed(e))?;
        if writer.tables().is_empty() {
            return Ok(Done::default());
        }
        for rewrites in 0.. {
            let written = self.open(&writer).map_err(|e| self.failed(e))?;
            let done = Done {
                entries: writer.entries(),
                tables: written.tables().len(),
                table_bytes: written.tables().iter().map(|table| table.meta().size_bytes).sum(),
                value_bytes: written.segments().iter().map(|(meta, _)| meta.file_bytes).sum(),
                rewrites,
            };
            if self.put_in_force(&mut writer, &written, &flush)? {
                self.count(&writer, &done);
                return Ok(done);
            }
            writer = writer.again(&written, rewrites + 1).map_err(|e| self.failed(e))?;
        }
        unreachable!("more rewrites than there are sequence numbers")
    }

    fn count(&self, writer: &Writer, done: &Done) {
        let counters = &self.store.counters;
        counters.ingests.add(1);
        let written_bytes = done.table_bytes + done.value_bytes;
        counters.ingest_written_bytes.add(written_bytes * u64::from(done.rewrites + 1));
        counters.user_bytes.add(writer.user_bytes());
        log::info!(
            target: "esker::ingest", entries = done.entries, tables = done.tables;
            "ingested {} entries in {} tables", done.entries, done.tables
        );
    }

    /// Makes the names of the files durable, and opens them.
    fn open(&self, writer: &Writer) -> Result<Written> {
        let home = &self.store.home;
        home.fs.sync_dir(&home.dir).during("sync", &home.dir)?;
        Ok(writer.open())
    }

    /// False: the number of the entries has been passed.
    fn put_in_force(
        &self,
        writer: &mut Writer,
        written: &Written,
        flush: &impl Fn(),
    ) -> Result<bool> {
        let seq = writer.seq();
        // Without the lead, so that little is left to do with it.
        let sealed_seq = self.pipeline.seal()?;
        flush();
        self.store.views.wait_until_flushed(sealed_seq)?;
        self.compactor.wait_for_job();
        let Store { snapshots, visible, home, .. } = &*self.store;
        let mut held = None;
        let taken = self.pipeline.take_in(seq, flush, || {
            // A merge may begin before N is visible: it leaves what readers until then need.
            held = Some(snapshots.take(visible, home.clock.elapsed()));
            self.install(writer, written, seq)
        });
        if let Some(seq) = held {
            snapshots.release(seq);
        }
        taken
    }

    /// With the lead held, and everything that was committed before in tables.
    fn install(&self, writer: &mut Writer, written: &Written, seq: SeqNo) -> Result<()> {
        let paused = self.compactor.try_pause();
        let version = Arc::clone(&self.store.views.load().version);
        let level = |table: &Arc<Table>| match &paused {
            Some(_) => level_of(&version, table.meta()),
            None => Level::ZERO,
        };
        let tables = written.tables().iter();
        let added = tables.map(|table| (level(table), Arc::clone(table))).collect();
        let edit = Edit { last_seq: Some(seq), ..Edit::default() };
        let segments = written.segments().to_vec();
        writer.set_kept(true);
        let change = Change { edit, added, segments, ..Change::default() };
        let Err(e) = self.catalog.apply(change) else { return Ok(()) };
        match self.catalog.undo(e) {
            Failed::Undone(e) => {
                writer.set_kept(false);
                Err(e)
            }
            Failed::Unknown(e) => Err(e),
        }
    }

    fn failed(&self, e: Error) -> Error {
        self.store.poison_after_sync(e)
    }
}

/// The lowest level to which the table can go, as no table there or above overlaps it (INV-4).
fn level_of(version: &Version, meta: &TableMeta) -> Level {
    let overlaps = |table: &Arc<Table>| {
        let other = table.meta();
        other.smallest_key() <= meta.largest_key() && meta.smallest_key() <= other.largest_key()
    };
    let is_free = |level: &Level| !version.level(*level).iter().any(overlaps);
    Level::all().take_while(is_free).last().unwrap_or(Level::ZERO)
}
