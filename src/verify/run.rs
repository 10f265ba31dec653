//! From the manifest to the last byte of the log.

use super::inspection::Inspection;
use super::report::{Finding, VerifyOptions, VerifyProgress, VerifyReport};
use crate::commit::Pipeline;
use crate::error::{Error, Result};
use crate::format::{DatabaseId, FileKind, LogId, SegmentId};
use crate::fs::{Inspected, Inspector, OpenMode};
use crate::store::{Audit, Catalog, Store, View, run_of};
use crate::wal::{WrittenLog, inspect_log};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind::NotFound;
use std::ops::ControlFlow;
use std::sync::Arc;

/// How often it is tried to see which log is being written, while that changes.
const LOOKS_MAX: usize = 100;

/// Verifies one database, as often as wanted.
#[derive(Debug)]
pub struct Verifier {
    store: Arc<Store>,
    catalog: Arc<Catalog>,
    pipeline: Arc<Pipeline>,
}

impl Verifier {
    /// Of `store`, with its `catalog` and `pipeline`.
    #[must_use]
    pub fn new(store: Arc<Store>, catalog: Arc<Catalog>, pipeline: Arc<Pipeline>) -> Self {
        Verifier { store, catalog, pipeline }
    }

    /// Its state.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Verifies all of it, and tells `progress` how far it has come, which may end it.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Io`]: the directory cannot be listed. What is found is in the report.
    pub fn run(
        &self,
        options: VerifyOptions,
        progress: &mut dyn FnMut(VerifyProgress) -> ControlFlow<()>,
    ) -> Result<VerifyReport> {
        self.store.health.check_open()?;
        let Audit { view, bytes, damages, unnamed } = self.catalog.audit()?;
        let logs = self.logs();
        let in_all = bytes + tables_bytes(&view) + logs.values().sum::<u64>();
        let mut inspection = Inspection::new(&self.store, &view, options, in_all, progress);
        damages.into_iter().for_each(|e| inspection.tell(e));
        for name in unnamed {
            inspection.find(Finding::unnamed(self.store.home.dir.join(name)));
        }
        inspection.report.files += 2;
        let ended = inspection.pass(bytes).and_then(|()| {
            self.tables(&view, &mut inspection)?;
            self.segments(&view, &mut inspection)?;
            logs.iter().try_for_each(|(&id, &end)| self.log(id, end, &mut inspection))?;
            inspection.tell_progress()
        });
        inspection.report.is_complete = ended.is_ok();
        inspection.report.duration = inspection.duration();
        match inspection.stopped_by {
            Some(e) => Err(e),
            None => Ok(inspection.report),
        }
    }

    /// Every table, and what it points to; then the accounts of the segments to which tables point that could
    /// be read whole.
    fn tables(&self, view: &View, inspection: &mut Inspection<'_>) -> Inspected {
        let mut uncounted = BTreeSet::<SegmentId>::new();
        for (_, table) in view.version.tables() {
            inspection.report.files += 1;
            if !table.inspect(inspection)? {
                let references = &table.meta().properties.references;
                uncounted.extend(references.iter().map(|(id, _)| *id));
            }
        }
        for segment in view.version.segments().iter() {
            let (id, live_bytes) = (segment.meta.id, segment.live_bytes);
            let counted = inspection.counted.get(&id).copied().unwrap_or(0);
            if counted != live_bytes && !uncounted.contains(&id) {
                let detail = format!(
                    "segment {id}: expected {live_bytes} bytes of values that live, counted {counted}"
                );
                inspection.tell(Error::corruption(segment.file.path(), 0, detail));
            }
        }
        Ok(())
    }

    /// Every file that holds segments, from front to back.
    fn segments(&self, view: &View, inspection: &mut Inspection<'_>) -> Inspected {
        let mut files = BTreeMap::new();
        for segment in view.version.segments().iter() {
            files.insert(segment.meta.file(), segment);
        }
        for (kind, segment) in files {
            inspection.report.files += 1;
            match (kind, segment.file.file()) {
                (_, Err(e)) => inspection.tell(e),
                (FileKind::Log(id), Ok(file)) => {
                    let (path, end) = (segment.file.path(), segment.meta.file_bytes);
                    let log = WrittenLog { file, path, id, end };
                    inspect_log(&log, |identity| self.is_ours(identity), inspection)?;
                }
                _ => segment.file.inspect(inspection)?,
            }
        }
        Ok(())
    }

    /// A log file that is in memtables: its records up to `end`.
    fn log(&self, id: LogId, end: u64, inspection: &mut Inspection<'_>) -> Inspected {
        let home = &self.store.home;
        let path = home.path(FileKind::Log(id));
        let file = match home.fs.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == NotFound => {
                // A flush has made it a table meanwhile, or it is gone.
                if live_logs(&self.store.views.pin()).contains(&id) {
                    inspection.tell(Error::corruption(&path, 0, "the log is missing"));
                }
                return Ok(());
            }
            Err(e) => {
                inspection.tell(Error::io("open", &path, e));
                return Ok(());
            }
        };
        inspection.report.files += 1;
        let log = WrittenLog { file, path: &path, id, end };
        inspect_log(&log, |identity| self.is_ours(identity), inspection)
    }

    fn is_ours(&self, identity: DatabaseId) -> bool {
        let home = &self.store.home;
        (1..=run_of(home.database, home.log_identity)).contains(&run_of(home.database, identity))
    }

    /// The log files whose records are in memtables, and where in each they end.
    fn logs(&self) -> BTreeMap<LogId, u64> {
        let mut logs = BTreeMap::<LogId, u64>::new();
        for _ in 0..LOOKS_MAX {
            let view = self.store.views.pin();
            let (id, end) = self.pipeline.written_log();
            if self.store.health.is_read_only() || view.active_values.own_segment().0 == id.0 {
                for sealed in &view.sealed {
                    // More than one memtable may come of a log file, each of it up to some point.
                    let end = logs.entry(sealed.log).or_default();
                    *end = (*end).max(sealed.next_base - sealed.base);
                }
                logs.insert(id, end);
                break;
            }
            std::thread::yield_now(); // It is just being changed.
        }
        logs
    }
}

/// The log files whose records are in memtables.
fn live_logs(view: &View) -> BTreeSet<LogId> {
    let active = LogId(view.active_values.own_segment().0);
    view.sealed.iter().map(|sealed| sealed.log).chain([active]).collect()
}

/// What there is to read of tables, what they point to, and the files where that is.
fn tables_bytes(view: &View) -> u64 {
    let tables: u64 = view.version.metas().map(|(_, meta)| meta.size_bytes).sum();
    let files = view.version.segments().files();
    tables + files.values().map(|bytes| bytes.stored_bytes + bytes.live_bytes).sum::<u64>()
}
