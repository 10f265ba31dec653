//! What is told of files, as plain data.

use crate::format::codec::to_u64;
use crate::format::{self, Content, EntryRef, SegmentMeta, TableMeta, ValuePointer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use std::fmt;

/// A key or a value. In JSON a string where it is UTF-8, else `{"$base64": "…"}`, as in exports.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Block {
    /// Where it begins.
    pub offset: u64,
    /// Its length as stored.
    pub bytes: u64,
}

/// What a value file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ValueHeader {
    /// The database.
    pub database_id: Id,
    /// Its number.
    pub file: u64,
}

/// A value of a value file.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ManifestHeader {
    /// The database.
    pub database_id: Id,
    /// Its number.
    pub manifest: u64,
}

/// An edit of a manifest. What is `None` or empty it does not change.
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
}

/// A backup upon which increments can follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Followed {
    /// What they call it.
    pub backup_id: Id,
    /// It holds what the commits up to this number had made.
    pub sequence_number: u64,
}

/// A table, as a manifest has it.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Current {
    /// The database.
    pub database_id: Id,
    /// The manifest in force.
    pub manifest: u64,
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupHeader {
    /// Drawn by chance: what its checksums are bound to.
    pub backup_id: Id,
    /// The database whose content it is.
    pub database_id: Id,
    /// It holds what the commits up to this number had made.
    pub sequence_number: u64,
    /// Of an increment: the backup upon which it follows.
    pub base_id: Option<Id>,
    /// Of an increment: it holds what changed after this number.
    pub since: Option<u64>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// What expires by then has been seen expired.
    pub expiry_floor_ms: u64,
}
