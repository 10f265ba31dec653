//! The segments of the value log, of one version.

use crate::format::{FileKind, SegmentId, SegmentMeta, TableMeta};
use crate::vlog::ValueFile;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One segment.
#[derive(Debug, Clone)]
pub struct Segment {
    /// What the manifest knows of it.
    pub meta: SegmentMeta,
    /// Stored bytes of its values to which tables of the version point.
    pub live_bytes: u64,
    /// The file that holds it.
    pub file: Arc<ValueFile>,
}

/// All segments to which tables of a version point.
#[derive(Debug, Clone, Default)]
pub struct Segments(BTreeMap<SegmentId, Segment>);

/// What the segments of one file come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileBytes {
    /// What it takes: see [`SegmentMeta::file_bytes`].
    pub stored_bytes: u64,
    /// Of these, those to which tables point.
    pub live_bytes: u64,
}

impl Segments {
    /// The segments `metas`, each in its file, to which `tables` point.
    pub fn of<'a>(
        metas: &[(SegmentMeta, Arc<ValueFile>)],
        tables: impl Iterator<Item = &'a TableMeta>,
    ) -> Self {
        let segment = |(meta, file): &(SegmentMeta, Arc<ValueFile>)| {
            let (meta, file) = (meta.clone(), Arc::clone(file));
            (meta.id, Segment { meta, live_bytes: 0, file })
        };
        let bare = Segments(metas.iter().map(segment).collect());
        bare.after(&[], tables, std::iter::empty(), &[]).0
    }

    /// The segment `id`.
    #[must_use]
    pub fn get(&self, id: SegmentId) -> Option<&Segment> {
        self.0.get(&id)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.0.values()
    }

    /// The files that hold them, with what is in each.
    #[must_use]
    pub fn files(&self) -> BTreeMap<FileKind, FileBytes> {
        let mut files = BTreeMap::<FileKind, FileBytes>::new();
        for segment in self.0.values() {
            let file = files.entry(segment.meta.file()).or_default();
            file.stored_bytes = file.stored_bytes.max(segment.meta.file_bytes);
            file.live_bytes += segment.live_bytes;
        }
        files
    }

    /// What all these files come to.
    #[must_use]
    pub fn total(&self) -> FileBytes {
        self.files().into_values().fold(FileBytes::default(), |mut total, file| {
            total.stored_bytes += file.stored_bytes;
            total.live_bytes += file.live_bytes;
            total
        })
    }

    /// The files of this that `later` has no use for.
    pub fn files_gone(&self, later: &Segments) -> Vec<Arc<ValueFile>> {
        let kept: BTreeSet<FileKind> = later.iter().map(|s| s.meta.file()).collect();
        let gone = self.iter().filter(|s| !kept.contains(&s.meta.file()));
        gone.map(|segment| Arc::clone(&segment.file)).collect()
    }

    /// These segments after a change of the tables, with `put` in place of what has the same
    /// number, and without `dropped` and those to which nothing points any more; and which of
    /// these are no longer there.
    ///
    /// A segment that was moved and is not there any more (its last pointer went meanwhile) does not come back.
    #[must_use]
    pub fn after<'a>(
        &self,
        put: &[(SegmentMeta, Arc<ValueFile>)],
        added: impl Iterator<Item = &'a TableMeta>,
        removed: impl Iterator<Item = &'a TableMeta>,
        dropped: &[SegmentId],
    ) -> (Segments, Vec<SegmentId>) {
        let mut segments = self.0.clone();
        for (meta, file) in put {
            let (meta, file) = (meta.clone(), Arc::clone(file));
            match segments.get_mut(&meta.id) {
                Some(segment) => (segment.meta, segment.file) = (meta, file),
                None if meta.is_at_home() => {
                    segments.insert(meta.id, Segment { meta, live_bytes: 0, file });
                }
                None => {}
            }
        }
        // A segment all of which had expired may be gone before the last that points to it.
        let mut point = |table: &TableMeta, change: fn(u64, u64) -> Option<u64>| {
            for &(id, bytes) in &table.properties.references {
                if let Some(segment) = segments.get_mut(&id) {
                    let live_bytes = change(segment.live_bytes, bytes);
                    segment.live_bytes = live_bytes.expect("what was added is taken away once");
                }
            }
        };
        added.for_each(|table| point(table, |live, bytes| Some(live.saturating_add(bytes))));
        removed.for_each(|table| point(table, u64::checked_sub));
        segments.retain(|id, segment| segment.live_bytes > 0 && !dropped.contains(id));
        let gone = self.0.keys().filter(|id| !segments.contains_key(id)).copied().collect();
        (Segments(segments), gone)
    }
}
