//! Tables as a whole.

use super::block::place;
use super::{DIR, Entry, Identity, contents, holding, path_of};
use crate::error::Result;
use crate::format::codec::{to_u64, to_usize};
use crate::format::{Decoder, FileKind, KeyHash, Properties, SeqNo, TableMeta};
use crate::fs::sim::SimFs;
use crate::fs::{Fs, OpenFiles};
use crate::iter::Cursor;
use crate::options::Compression;
use crate::table::format::{FOOTER_SIZE, Footer, Place, open_block};
use crate::table::{BlockCache, HeadMemory, Table, TableBuilder, TableCursor, TableOptions};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A table that is read from bytes in memory.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::Compression;
/// use esker::fuzzing::{DatabaseId, Entry, EntryKind, FileId, Identity, SeqNo, TableBytes, fix_table, set_table_digest, table_meta_of, write_table};
/// let identity = Identity { database: DatabaseId(7), file: FileId(2) };
/// let entry = |key: &str| Entry { key: key.into(), seq: SeqNo(1), kind: EntryKind::Set, payload: b"value".into() };
/// let entries = [entry("a"), entry("c")];
/// let (mut bytes, meta) = write_table(identity, 4096, Compression::None, &entries)?;
/// let table = TableBytes::open(&bytes, identity, &meta, 0)?;
/// table.verify()?;
/// assert_eq!((table.entries()?, table.stream()?), (entries.to_vec(), entries.to_vec()));
/// assert_eq!(table.entries_backwards()?, table.stream_backwards()?);
/// assert_eq!(table.get(b"b", SeqNo::MAX)?, None);
/// assert_eq!(table.look(b"c", SeqNo::MAX)?.as_ref(), Some(&entries[1]));
/// assert_eq!(table.seek(b"b", SeqNo::MAX)?.as_ref(), Some(&entries[1]));
/// assert_eq!(table.seek_before(b"b", SeqNo::MAX)?.as_ref(), Some(&entries[0]));
///
/// let at = bytes.windows(5).position(|five| five == b"value").expect("it is raw");
/// bytes[at] = b'V';
/// assert!(TableBytes::open(&bytes, identity, &meta, 0)?.verify().is_err());
/// fix_table(&mut bytes, identity); // Sound again, and another table.
/// let changed = table_meta_of(&bytes, identity)?;
/// TableBytes::open(&bytes, identity, &changed, 0)?.verify()?;
/// assert_ne!(changed.digest, meta.digest);
/// set_table_digest(&mut bytes, identity, meta.digest); // It passes for the first, at first sight.
/// assert_eq!(table_meta_of(&bytes, identity)?.digest, meta.digest);
/// assert!(TableBytes::open(&bytes, identity, &meta, 0)?.verify().is_err());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct TableBytes {
    table: Arc<Table>,
}

impl TableBytes {
    /// Opens `bytes` as the table `identity` that the manifest describes with
    /// `meta` (its number excepted). `cache_bytes`: how many blocks are kept.
    ///
    /// See the example of [`TableBytes`].
    ///
    /// # Errors
    /// None that this file system in memory has: the file is looked at by the
    /// first of the calls below, as in a database.
    pub fn open(
        bytes: &[u8],
        identity: Identity,
        meta: &TableMeta,
        cache_bytes: usize,
    ) -> Result<TableBytes> {
        let meta = TableMeta { id: identity.table(), ..meta.clone() };
        let fs: Arc<dyn Fs> = Arc::new(holding(FileKind::Table(meta.id), bytes)?);
        let files = Arc::new(OpenFiles::new(fs));
        let cache = Arc::new(BlockCache::new(cache_bytes));
        let heads = Arc::new(HeadMemory::new(256 << 20));
        let table = Table::open(files, Path::new(DIR), identity.database, &meta, cache, heads);
        Ok(TableBytes { table: Arc::new(table) })
    }

    /// All entries, from the first on.
    ///
    /// See the example of [`TableBytes`].
    ///
    /// # Errors
    /// [`crate::Error::Corruption`], [`crate::Error::UnsupportedFormat`]; also
    /// for all methods below.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let mut cursor = self.table.cursor();
        cursor.seek_first()?;
        collect(&mut cursor, |cursor| cursor.next().map(drop))
    }

    /// All entries, from the last on.
    ///
    /// See the example of [`TableBytes`].
    ///
    /// # Errors
    /// As [`TableBytes::entries`].
    pub fn entries_backwards(&self) -> Result<Vec<Entry>> {
        let mut cursor = self.table.cursor();
        cursor.seek_last()?;
        collect(&mut cursor, Cursor::prev)
    }

    /// All entries, from the first on, as a compaction reads them: in runs of
    /// blocks, past the cache.
    ///
    /// See the example of [`TableBytes`].
    ///
    /// # Errors
    /// As [`TableBytes::entries`].
    pub fn stream(&self) -> Result<Vec<Entry>> {
        let mut cursor = self.table.stream();
        cursor.seek_first()?;
        collect(&mut cursor, |cursor| cursor.next().map(drop))
    }

    /// All entries, from the last on, likewise.
    ///
    /// See the example of [`TableBytes`].
    ///
    /// # Errors
    /// As [`TableBytes::entries`].
    pub fn stream_backwards(&self) -> Result<Vec<Entry>> {
        let mut cursor = self.table.stream();
        cursor.seek_last()?;
        collect(&mut cursor, Cursor::prev)
    }

    /// The newest version of `key` at or before `seq`.
    ///
    /// See the example of [`TableBytes`].
    ///
    /// # Errors
    /// As [`TableBytes::entries`].
    pub fn get(&self, key: &[u8], seq: SeqNo) -> Result<Option<Entry>> {
        Ok(self.table.get(key, KeyHash::of(key), seq)?.map(|found| found.entry().into()))
    }

    /// The same, as long as the table's head is not in memory.
    ///
    /// See the example of [`TableBytes`].
    ///
    /// # Errors
    /// As [`TableBytes::entries`].
    pub fn look(&self, key: &[u8], seq: SeqNo) -> Result<Option<Entry>> {
        Ok(self.table.look(key, KeyHash::of(key), seq)?.map(|found| found.entry().into()))
    }

    /// The first entry at or after `(key, seq)`.
    ///
    /// See the example of [`TableBytes`].
    ///
    /// # Errors
    /// As [`TableBytes::entries`].
    pub fn seek(&self, key: &[u8], seq: SeqNo) -> Result<Option<Entry>> {
        let mut cursor = self.table.cursor();
        cursor.seek(key, seq)?;
        Ok(cursor.entry().map(Entry::from))
    }

    /// The last entry before `(key, seq)`.
    ///
    /// See the example of [`TableBytes`].
    ///
    /// # Errors
    /// As [`TableBytes::entries`].
    pub fn seek_before(&self, key: &[u8], seq: SeqNo) -> Result<Option<Entry>> {
        let mut cursor = self.table.cursor();
        cursor.seek_before(key, seq)?;
        Ok(cursor.entry().map(Entry::from))
    }

    /// Checks all of the file against itself and what the manifest says of it.
    ///
    /// See the example of [`TableBytes`].
    ///
    /// # Errors
    /// As [`TableBytes::entries`].
    pub fn verify(&self) -> Result<()> {
        self.table.verify()
    }
}

fn collect(
    cursor: &mut TableCursor,
    step: impl Fn(&mut TableCursor) -> Result<()>,
) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    while let Some(entry) = cursor.entry() {
        entries.push(entry.into());
        step(cursor)?;
    }
    Ok(entries)
}

/// Writes a table of these entries, which stand in the order of
/// [`Entry::order`], and what the manifest says of it.
///
/// See the example of [`TableBytes`].
///
/// # Errors
/// None that this file system in memory has.
///
/// # Panics
/// When the entries are out of order, or one is malformed.
pub fn write_table(
    identity: Identity,
    block_bytes: usize,
    compression: Compression,
    entries: &[Entry],
) -> Result<(Vec<u8>, TableMeta)> {
    let fs = SimFs::new();
    let (id, options) = (identity.table(), TableOptions { block_bytes, compression });
    let mut builder = TableBuilder::create(&fs, Path::new(DIR), identity.database, id, options)?;
    for entry in entries {
        builder.add(entry.borrowed())?;
    }
    let meta = builder.finish()?;
    Ok((contents(&fs, FileKind::Table(id), meta.size_bytes)?, meta))
}

/// What a manifest would say of the table in `bytes`, by what these say of
/// themselves; for properties that cannot be read, none.
///
/// See the example of [`TableBytes`].
///
/// # Errors
/// [`crate::Error::Corruption`], [`crate::Error::UnsupportedFormat`] where
/// there is no intact footer.
pub fn table_meta_of(bytes: &[u8], identity: Identity) -> Result<TableMeta> {
    let path = path_of(FileKind::Table(identity.table()));
    let place = place(&path, identity);
    let (_, footer) = footer_of(bytes, &place)?;
    let properties = Some(range(footer.properties_offset, footer.filter_offset))
        .and_then(|range| bytes.get(range))
        .and_then(|stored| open_block(&place, footer.properties_offset, stored.to_vec(), None).ok())
        .and_then(|payload| Properties::decode(&mut Decoder::new(&payload)))
        .unwrap_or_default();
    Ok(TableMeta {
        id: identity.table(),
        size_bytes: to_u64(bytes.len()),
        digest: footer.digest,
        written_ms: 0,
        properties,
    })
}

/// The footer, and where it stands.
pub(super) fn footer_of(bytes: &[u8], place: &Place<'_>) -> Result<(u64, Footer)> {
    let (rest, footer) = bytes
        .split_last_chunk::<FOOTER_SIZE>()
        .ok_or_else(|| place.damage(0, "the file is shorter than its footer"))?;
    let footer_offset = to_u64(rest.len());
    Ok((footer_offset, Footer::decode(place, footer_offset, footer)?))
}

/// From one offset of a file to another; of numbers that are none, nothing.
pub(super) fn range(from: u64, to: u64) -> Range<usize> {
    to_usize(from).unwrap_or(usize::MAX)..to_usize(to).unwrap_or(usize::MAX)
}
