//! Puts the content of a backup in the place of everything.

use super::builder::{Built, build};
use crate::archive::{Chain, RestoreOptions, RestoreReport};
use crate::commit::{Pipeline, Turn};
use crate::error::{Error, Result};
use crate::format::{SegmentMeta, SeqNo};
use crate::store::{Catalog, Failed, Replacement, Store};
use std::io::Read;
use std::sync::Arc;

/// Restores into one open database.
#[derive(Debug)]
pub struct Restorer {
    store: Arc<Store>,
    pipeline: Arc<Pipeline>,
    catalog: Arc<Catalog>,
}

impl Restorer {
    /// Into `store`, by way of these.
    #[must_use]
    pub fn new(store: Arc<Store>, pipeline: Arc<Pipeline>, catalog: Arc<Catalog>) -> Self {
        Restorer { store, pipeline, catalog }
    }

    /// Puts what `chain` comes to in the place of everything; on return that is durable and visible. `bytes_total`: how
    /// many bytes it has, where that is known. Transactions that are open fail when they commit.
    ///
    /// # Errors
    /// [`Error::Indeterminate`]: it is not in force, and after a crash it may be, or not.
    /// All others: nothing has changed, and what was written is removed.
    pub fn restore<R: Read>(
        &self,
        chain: Chain<R>,
        bytes_total: Option<u64>,
        mut options: RestoreOptions<'_>,
    ) -> Result<RestoreReport> {
        let store = &self.store;
        let begun = store.home.clock.elapsed();
        // Whoever reads what this puts in force reads at this number or a greater one. (No entry has
        // the number 0; while that is all that is visible, there is nothing to be seen.)
        let seq = store.visible.load().max(SeqNo(1));
        let built = build(store, seq, chain, bytes_total, &mut options);
        let built = built.map_err(|e| self.failed(e))?;
        let _gate = store.gate.enter()?;
        // Dropped before the gate opens, as what an ingest wrote.
        let mut built = built;
        let install = |turn: Turn| self.install(&mut built, turn);
        let seq = self.pipeline.replace(install).map_err(|e| self.failed(e))?;
        let (entries, bytes) = (built.entries(), built.bytes);
        drop(built);
        store.remove_discarded();
        let duration = store.since(begun);
        log::info!(
            target: "esker::backup", entries, bytes;
            "restored {entries} entries from {bytes} bytes in {duration:.1?}"
        );
        Ok(RestoreReport { entries, bytes, sequence_number: seq.0, duration })
    }

    /// With the lead held.
    fn install(&self, built: &mut Built<'_>, turn: Turn) -> Result<()> {
        let file_of = |meta: SegmentMeta| {
            let file = self.store.open_values(meta.file());
            (meta, file)
        };
        let replacement = Replacement {
            last_seq: turn.seq,
            log: turn.log,
            expiry_floor_ms: built.expiry_floor_ms,
            tables: built.tables().iter().map(|meta| self.store.open_table(meta)).collect(),
            segments: built.segments().into_iter().map(file_of).collect(),
        };
        built.set_kept(true);
        let Err(e) = self.catalog.replace(replacement) else { return Ok(()) };
        match self.catalog.undo(e) {
            Failed::Undone(e) => {
                built.set_kept(false);
                Err(e)
            }
            Failed::Unknown(e) => Err(e),
        }
    }

    fn failed(&self, e: Error) -> Error {
        self.store.poison_after_sync(e)
    }
}
