//! What is told of files, as plain data.

use crate::format::codec::to_u64;
use crate::format::{self, Content, EntryRef, SegmentMeta, TableMeta, ValuePointer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use std::fmt;

/// A key or a value. In JSON a string where it is UTF-8, else `{"$base64": "…"}`, as in exports.
///
/// See the example of [`Item`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("$base64", &STANDARD.encode(&self.0))?;
                map.end()
            }
        }
    }
}

/// A number that was drawn by chance: 16 digits of hexadecimal with `0x` before them, in JSON as a string.
///
/// See the example of [`crate::inspect::inspect_with_fs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(pub u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One piece of a file. In JSON the member `item` says which.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// // Without a background that would compact a table that is half tombstones.
/// let options = esker::Options { auto_compaction: false, ..Default::default() };
/// let db = esker::Db::open(dir.path(), options)?;
/// use esker::inspect::{Bytes, EntryKind, InspectOptions, Item, Properties, inspect};
/// use std::ops::ControlFlow;
/// db.set("a", "1")?;
/// db.delete("b")?;
/// db.flush()?;
/// let table = dir.path().join(&db.layout().levels[0].tables[0].file);
/// let (mut headers, mut blocks, mut entries) = (vec![], vec![], vec![]);
/// inspect(&table, &InspectOptions { values: true, ..Default::default() }, &mut |item| {
///     match item {
///         Item::TableHeader(header) => headers.push(header.clone()),
///         Item::Block(block) => blocks.push(block.clone()),
///         Item::Entry(entry) => entries.push(entry.clone()),
///         other => panic!("not of a table: {other:?}"),
///     }
///     ControlFlow::Continue(())
/// })?;
/// let properties: &Properties = &headers[0].properties;
/// assert_eq!((properties.entries, properties.tombstones), (2, 1));
/// assert_eq!((blocks.len(), blocks[0].offset), (1, 0));
/// assert_eq!((entries[0].kind, &entries[0].stored), (EntryKind::Set, &Some(Bytes(b"1".to_vec()))));
/// assert_eq!((entries[1].kind, entries[1].seq), (EntryKind::Delete, Some(2)));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "item", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Item {
    /// Of a log file, what it says of itself.
    LogHeader(LogHeader),
    /// Of a log file, a record: one commit. Its entries follow.
    Record(Record),
    /// Of a log file, in a record: all that expires by then, in milliseconds since the Unix epoch, has been seen expired.
    ExpiryFloor {
        /// That moment.
        floor_ms: u64,
    },
    /// Of a log file, a table or a backup: an entry.
    Entry(Entry),
    /// Of a table, what it says of itself.
    TableHeader(TableHeader),
    /// Of a table, a block of entries, which follow.
    Block(Block),
    /// Of a value file, what it says of itself.
    ValueHeader(ValueHeader),
    /// Of a value file, a value; of a backup one that stands apart.
    Value(ValuePlace),
    /// Of a manifest, what it says of itself.
    ManifestHeader(ManifestHeader),
    /// Of a manifest, one edit.
    Change(Change),
    /// Of a manifest, what its edits add up to, in the end.
    State(State),
    /// All of `CURRENT`.
    Current(Current),
    /// Of a backup, what it says of itself.
    BackupHeader(BackupHeader),
}

/// What a log file says of itself.
///
/// See the example of [`Record`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogHeader {
    /// What its checksums are bound to: the database and the run that wrote it.
    pub identity: Id,
    /// Its number.
    pub log: u64,
    /// The position of its first byte, counted through all files of the log.
    pub base: u64,
    /// The position below which everything was durable when it was begun.
    pub durable: u64,
}

/// A record of a log file.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::fuzzing::{Batch, DatabaseId, Entry, EntryKind, FileId, Identity, Operation, SeqNo, inspect_bytes, write_log};
/// use esker::inspect::Item;
/// use std::ops::ControlFlow;
/// let entry = |key: &[u8]| Operation::Entry(Entry { key: key.to_vec(), seq: SeqNo(1), kind: EntryKind::Delete, payload: vec![] });
/// let batch = Batch { offset: 0, sequence: SeqNo(1), durable: 0, operations: vec![entry(b"a"), entry(b"b")] };
/// let bytes = write_log(Identity { database: DatabaseId(7), file: FileId(2) }, 500, 0, &[batch]);
/// let (mut headers, mut records, mut entries) = (vec![], vec![], 0);
/// inspect_bytes("000002.log", &bytes, DatabaseId(7), &mut |item| {
///     match item {
///         Item::LogHeader(header) => headers.push(header.clone()),
///         Item::Record(record) => records.push(record.clone()),
///         _ => entries += 1,
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!((headers[0].log, headers[0].base), (2, 500));
/// assert_eq!((records.len(), records[0].sequence, entries), (1, 1, 2)); // One commit of two.
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Record {
    /// Where it begins.
    pub offset: u64,
    /// Its length, its head included.
    pub bytes: u64,
    /// The sequence number of its first entry.
    pub sequence: u64,
    /// The position below which everything was durable when it was written.
    pub durable: u64,
}

/// What an entry says of its key.
///
/// See the example of [`Item`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// It is gone.
    Delete,
    /// It has this value.
    Set,
    /// It has a value that stands elsewhere.
    SetPointer,
}

/// An entry.
///
/// See the example of [`Item`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// What it says.
    pub kind: EntryKind,
    /// The key, as it stands in the database.
    pub key: Bytes,
    /// When it was written, in the order of commits; `None` in a backup, which has one version of each key.
    pub seq: Option<u64>,
    /// When it expires, in milliseconds since the Unix epoch, if it does.
    pub expires_at_ms: Option<u64>,
    /// The length of what is stored for a value; `None` of a delete.
    pub stored_bytes: Option<u64>,
    /// That is in Snappy.
    pub is_compressed: bool,
    /// The value as it is stored, where it stands here and was asked for.
    pub stored: Option<Bytes>,
    /// Where the value stands, of a pointer: segment and offset.
    pub pointer: Option<(u64, u64)>,
}

impl Entry {
    /// Of `entry`; `values`: with the value itself.
    pub(super) fn of(entry: EntryRef<'_>, is_compressed: bool, values: bool) -> Entry {
        let key = Bytes(entry.key.to_vec());
        let seq = Some(entry.seq.0);
        let none = Entry {
            kind: EntryKind::Delete,
            key,
            seq,
            expires_at_ms: None,
            stored_bytes: None,
            is_compressed,
            stored: None,
            pointer: None,
        };
        match entry.value() {
            None => none,
            Some((expires_at_ms, Content::Inline(value))) => Entry {
                kind: EntryKind::Set,
                expires_at_ms,
                stored_bytes: Some(to_u64(value.len())),
                stored: values.then(|| Bytes(value.to_vec())),
                ..none
            },
            Some((expires_at_ms, Content::Pointer(bytes))) => {
                let pointer = ValuePointer::decode(bytes);
                Entry {
                    kind: EntryKind::SetPointer,
                    expires_at_ms,
                    stored_bytes: pointer.map(|pointer| pointer.bytes()),
                    is_compressed: pointer.is_some_and(|pointer| pointer.is_compressed),
                    pointer: pointer.map(|pointer| (pointer.segment.0, pointer.offset)),
                    ..none
                }
            }
        }
    }
}

/// What a table says of itself.
///
/// See the example of [`Item`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableHeader {
    /// The database whose identity its checksums were checked with.
    pub database_id: Id,
    /// Its number.
    pub table: u64,
    /// What tells it from every other table, and from an older state of itself.
    pub digest: Id,
    /// What it says of its entries.
    pub properties: Properties,
}

/// What is said of the entries of a table.
///
/// See the example of [`Item`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Properties {
    /// Entries, tombstones and older versions included.
    pub entries: u64,
    /// Of these, tombstones.
    pub tombstones: u64,
    /// Of these, those that expire.
    pub expiring: u64,
    /// Bytes of keys and values, uncompressed.
    pub raw_bytes: u64,
    /// The smallest key.
    pub smallest_key: Bytes,
    /// The largest key.
    pub largest_key: Bytes,
    /// The smallest sequence number.
    pub smallest_seq: u64,
    /// The largest sequence number.
    pub largest_seq: u64,
    /// Of each segment with values to which entries point: its number, and the bytes of those.
    pub references: Vec<(u64, u64)>,
}

impl From<&format::Properties> for Properties {
    fn from(said: &format::Properties) -> Properties {
        Properties {
            entries: said.entries,
            tombstones: said.tombstones,
            expiring: said.expiring,
            raw_bytes: said.raw_bytes,
            smallest_key: Bytes(said.smallest_key.clone()),
            largest_key: Bytes(said.largest_key.clone()),
            smallest_seq: said.smallest_seq.0,
            largest_seq: said.largest_seq.0,
            references: said
                .references
                .iter()
                .map(|(segment, bytes)| (segment.0, *bytes))
                .collect(),
        }
    }
}

/// A block of a table.
///
/// See the example of [`Item`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Block {
    /// Where it begins.
    pub offset: u64,
    /// Its length as stored.
    pub bytes: u64,
}

/// What a value file says of itself.
///
/// See the example of [`ValuePlace`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ValueHeader {
    /// The database.
    pub database_id: Id,
    /// Its number.
    pub file: u64,
}

/// A value of a value file.
///
/// ```
/// use esker::fuzzing::{DatabaseId, Entry, EntryKind, FileId, Identity, SeqNo, StoredValue, inspect_bytes, write_values};
/// use esker::inspect::Item;
/// use std::ops::ControlFlow;
/// let identity = Identity { database: DatabaseId(7), file: FileId(2) };
/// let entry = Entry { key: b"a".into(), seq: SeqNo(1), kind: EntryKind::Set, payload: vec![7; 2000] };
/// let bytes = write_values(identity, &[StoredValue { entry, moved_from: None, is_compressed: false }]);
/// let (mut headers, mut places) = (vec![], vec![]);
/// inspect_bytes("000002.val", &bytes, DatabaseId(7), &mut |item| {
///     match item {
///         Item::ValueHeader(header) => headers.push(header.clone()),
///         Item::Value(place) => places.push(place.clone()),
///         other => panic!("not of a value file: {other:?}"),
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!((headers[0].file, headers[0].database_id.0), (2, 7));
/// assert_eq!((places[0].seq, places[0].stored_bytes), (1, 2000));
/// # Ok::<(), esker::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ValuePlace {
    /// Where it begins.
    pub offset: u64,
    /// The key under which it was set.
    pub key: Bytes,
    /// When it was written, in the order of commits.
    pub seq: u64,
    /// The segment and the offset in it by which entries point to it.
    pub pointer: (u64, u64),
    /// Its length as stored.
    pub stored_bytes: u64,
    /// That is in Snappy.
    pub is_compressed: bool,
    /// It as it is stored, where that was asked for.
    pub stored: Option<Bytes>,
}

/// What a manifest says of itself.
///
/// See the example of [`Change`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ManifestHeader {
    /// The database.
    pub database_id: Id,
    /// Its number.
    pub manifest: u64,
}

/// An edit of a manifest. What is `None` or empty it does not change.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
/// use esker::BackupOptions;
/// use esker::inspect::{AddedTable, Followed, InspectOptions, Item, Segment, inspect};
/// use std::ops::ControlFlow;
/// db.set("photo", [7; 10_000])?;
/// db.flush()?;
/// let followed = BackupOptions { followed: true, ..BackupOptions::default() };
/// let backup = db.backup_with(dir.path().join("backup"), followed)?;
/// let files = std::fs::read_dir(dir.path().join("db")).expect("it is there").flatten();
/// let manifest = files.map(|file| file.path()).find(|path| path.to_string_lossy().contains("MANIFEST-"));
/// let (mut headers, mut changes, mut states) = (vec![], vec![], vec![]);
/// inspect(manifest.expect("one"), &InspectOptions::default(), &mut |item| {
///     match item {
///         Item::ManifestHeader(header) => headers.push(header.clone()),
///         Item::Change(change) => changes.push(change.clone()),
///         Item::State(state) => states.push(state.clone()),
///         other => panic!("not of a manifest: {other:?}"),
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!(headers.len(), 1);
/// let added: Vec<&AddedTable> = changes.iter().flat_map(|change| &change.tables_added).collect();
/// assert_eq!((added.len(), added[0].level, added[0].properties.entries), (1, 0, 1));
/// let segments: Vec<&Segment> = changes.iter().flat_map(|change| &change.segments).collect();
/// // What all of it adds up to: a segment with the large value, and a backup.
/// assert_eq!(states[0].segments, [segments[0].segment]);
/// let followed: &[Followed] = &states[0].followed;
/// assert_eq!((followed.len(), followed[0].backup_id.0), (1, backup.backup_id));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// Where it begins.
    pub offset: u64,
    /// The first log file whose records are not all in tables.
    pub log_min: Option<u64>,
    /// The position at which that begins.
    pub log_base: Option<u64>,
    /// How often the database has been opened.
    pub opens: Option<u64>,
    /// No file has this number or a larger one.
    pub next_file: Option<u64>,
    /// No sequence number in tables is larger.
    pub last_seq: Option<u64>,
    /// What expires by then, in milliseconds since the Unix epoch, has been seen expired.
    pub expiry_floor_ms: Option<u64>,
    /// Tables that are new.
    pub tables_added: Vec<AddedTable>,
    /// Tables that are gone.
    pub tables_removed: Vec<u64>,
    /// Segments of large values that are new, or in another file now.
    pub segments: Vec<Segment>,
    /// Segments that are gone.
    pub segments_removed: Vec<u64>,
    /// The backups upon which increments can follow from now on, the oldest first.
    pub followed: Option<Vec<Followed>>,
    /// The run ended in order after this.
    pub is_closed: bool,
}

/// A backup upon which increments can follow.
///
/// See the example of [`Change`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Followed {
    /// What they call it.
    pub backup_id: Id,
    /// It holds what the commits up to this number had made.
    pub sequence_number: u64,
}

/// A table, as a manifest has it.
///
/// See the example of [`Change`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AddedTable {
    /// Its level.
    pub level: u8,
    /// Its number.
    pub table: u64,
    /// The length of its file.
    pub bytes: u64,
    /// What tells it from every other table.
    pub digest: Id,
    /// What is said of its entries.
    pub properties: Properties,
}

impl AddedTable {
    pub(super) fn of(level: format::Level, meta: &TableMeta) -> AddedTable {
        AddedTable {
            level: level.number(),
            table: meta.id.0,
            bytes: meta.size_bytes,
            digest: Id(meta.digest),
            properties: (&meta.properties).into(),
        }
    }
}

/// A segment of large values, as a manifest has it.
///
/// See the example of [`Change`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Segment {
    /// Its number.
    pub segment: u64,
    /// The file that holds it.
    pub file: String,
    /// What that takes, in bytes.
    pub file_bytes: u64,
}

impl From<&SegmentMeta> for Segment {
    fn from(meta: &SegmentMeta) -> Segment {
        Segment { segment: meta.id.0, file: meta.file().name(), file_bytes: meta.file_bytes }
    }
}

/// What the edits of a manifest add up to.
///
/// See the example of [`Change`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct State {
    /// As in [`Change`].
    pub log_min: u64,
    /// As in [`Change`].
    pub log_base: u64,
    /// As in [`Change`].
    pub opens: u64,
    /// As in [`Change`].
    pub next_file: u64,
    /// As in [`Change`].
    pub last_seq: u64,
    /// As in [`Change`].
    pub expiry_floor_ms: u64,
    /// The numbers of the tables in force.
    pub tables: Vec<u64>,
    /// The numbers of the segments in force.
    pub segments: Vec<u64>,
    /// As in [`Change`].
    pub followed: Vec<Followed>,
}

/// What `CURRENT` says.
///
/// See the example of [`crate::inspect::inspect_with_fs`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Current {
    /// The database.
    pub database_id: Id,
    /// The manifest in force.
    pub manifest: u64,
}

/// What a backup says of itself.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path().join("db"), esker::Options::default())?;
/// use esker::inspect::{InspectOptions, Item, inspect};
/// use std::ops::ControlFlow;
/// db.set("a", "1")?;
/// let path = dir.path().join("backup");
/// let report = db.backup(&path)?;
/// let mut headers = vec![];
/// inspect(&path, &InspectOptions::default(), &mut |item| {
///     if let Item::BackupHeader(header) = item {
///         headers.push(header.clone());
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!((headers[0].backup_id.0, headers[0].base_id), (report.backup_id, None));
/// assert_eq!(headers[0].sequence_number, 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupHeader {
    /// Drawn by chance: what its checksums are bound to.
    pub backup_id: Id,
    /// The database whose content it is.
    pub database_id: Id,
    /// It holds what the commits up to this number had made.
    pub sequence_number: u64,
    /// Of an increment: the id of the backup upon which it follows.
    pub base_id: Option<Id>,
    /// Of an increment: it holds what changed after this number.
    pub since: Option<u64>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// What expires by then has been seen expired.
    pub expiry_floor_ms: u64,
}
