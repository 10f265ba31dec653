//! What an open database is made of, file by file.

use super::Store;
use crate::format::{FileKind, Level, TableMeta};
use std::collections::BTreeMap;

/// The files of a database, as of one moment: what [`crate::Metrics`] adds up, one by one.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("key", "value")?;
/// db.flush()?;
/// let layout = db.layout();
/// let table = &layout.levels[0].tables[0];
/// assert_eq!((table.entries, table.smallest_key.as_slice()), (1, &b"key"[..]));
/// assert!(layout.value_files.is_empty());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// The levels, from 0 on; each is there.
    pub levels: Vec<LevelLayout>,
    /// The files with large values to which tables point, in the order of their names.
    pub value_files: Vec<FileLayout>,
}

/// The tables of one level.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("key", "old")?;
/// db.flush()?;
/// db.set("key", "new")?;
/// db.flush()?;
/// let levels = db.layout().levels;
/// assert!(levels.iter().zip(0..).all(|(level, number)| level.level == number));
/// assert_eq!(levels[0].tables.len(), 2);
/// db.compact()?;
/// let tables: Vec<_> = db.layout().levels.into_iter().map(|level| level.tables.len()).collect();
/// assert_eq!((tables[0], tables.iter().sum()), (0, 1));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelLayout {
    /// Which level: 0 is where memtables are written out to.
    pub level: u8,
    /// Its tables: of level 0 the newest first, of the others by their keys.
    pub tables: Vec<TableLayout>,
}

/// One table.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// // Without a background that would compact a table that is half tombstones.
/// let options = esker::Options { auto_compaction: false, ..Default::default() };
/// let db = esker::Db::open(dir.path(), options)?;
/// db.set("a", "1")?;
/// db.delete("b")?;
/// db.flush()?;
/// let table = &db.layout().levels[0].tables[0];
/// assert_eq!((table.entries, table.tombstones), (2, 1));
/// assert_eq!((&table.smallest_key[..], &table.largest_key[..]), (&b"a"[..], &b"b"[..]));
/// let file = std::fs::metadata(dir.path().join(&table.file)).expect("its file");
/// assert_eq!(file.len(), table.bytes);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableLayout {
    /// The name of its file.
    pub file: String,
    /// Its length, in bytes.
    pub bytes: u64,
    /// Entries in it, tombstones and shadowed versions included.
    pub entries: u64,
    /// Tombstones among them.
    pub tombstones: u64,
    /// Its first key.
    pub smallest_key: Vec<u8>,
    /// Its last key.
    pub largest_key: Vec<u8>,
    /// Stored bytes of the large values to which it points.
    pub value_bytes: u64,
}

/// One file with large values: the segments of the value log in it.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("photo", [7; 10_000])?;
/// db.flush()?;
/// let file = &db.layout().value_files[0];
/// assert!(dir.path().join(&file.file).exists());
/// assert_eq!(file.segments, 1);
/// assert!(0 < file.live_bytes && file.live_bytes <= file.stored_bytes);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileLayout {
    /// Its name.
    pub file: String,
    /// Segments in it.
    pub segments: usize,
    /// What it takes, in bytes: see [`crate::ValueMetrics::stored_bytes`].
    pub stored_bytes: u64,
    /// Of these, those to which tables point. The rest is garbage.
    pub live_bytes: u64,
}

impl Store {
    /// What the database is made of.
    pub fn layout(&self) -> Layout {
        let view = self.views.pin();
        let version = &view.version;
        let levels = Level::all().map(|level| LevelLayout {
            level: level.number(),
            tables: version
                .level(level)
                .iter()
                .map(|table| TableLayout::of(table.meta()))
                .collect(),
        });
        let segments = version.segments();
        let mut counts = BTreeMap::<FileKind, usize>::new();
        for segment in segments.iter() {
            *counts.entry(segment.meta.file()).or_default() += 1;
        }
        let files = segments.files().into_iter().map(|(kind, bytes)| FileLayout {
            file: kind.name(),
            segments: counts.get(&kind).copied().unwrap_or(0),
            stored_bytes: bytes.stored_bytes,
            live_bytes: bytes.live_bytes,
        });
        let mut value_files: Vec<_> = files.collect();
        value_files.sort_by(|a, b| a.file.cmp(&b.file));
        Layout { levels: levels.collect(), value_files }
    }
}

impl TableLayout {
    fn of(meta: &TableMeta) -> Self {
        let properties = &meta.properties;
        TableLayout {
            file: FileKind::Table(meta.id).name(),
            bytes: meta.size_bytes,
            entries: properties.entries,
            tombstones: properties.tombstones,
            smallest_key: meta.smallest_key().to_vec(),
            largest_key: meta.largest_key().to_vec(),
            value_bytes: properties.value_bytes(),
        }
    }
}
