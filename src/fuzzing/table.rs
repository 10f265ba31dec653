//! Tables as a whole.

use super::block::{place, seal_block};
use super::{DIR, Entry, Identity, contents, holding, path_of};
use crate::error::Result;
use crate::format::codec::{to_u64, to_usize};
use crate::format::{Decoder, FileKind, KeyHash, Properties, SeqNo, TableMeta};
use crate::fs::sim::SimFs;
use crate::fs::{Fs, OpenFiles};
use crate::iter::Cursor;
use crate::options::Compression;
use crate::table::format::{
    FOOTER_SIZE, Footer, MAGIC, Place, TRAILER_SIZE, VERSION, digest_block, open_block, stored_size,
};
use crate::table::index::{Index, IndexBuilder, decode_entry};
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
fn footer_of(bytes: &[u8], place: &Place<'_>) -> Result<(u64, Footer)> {
    let (rest, footer) = bytes
        .split_last_chunk::<FOOTER_SIZE>()
        .ok_or_else(|| place.damage(0, "the file is shorter than its footer"))?;
    let footer_offset = to_u64(rest.len());
    Ok((footer_offset, Footer::decode(place, footer_offset, footer)?))
}

/// From one offset of a file to another; of numbers that are none, nothing.
fn range(from: u64, to: u64) -> Range<usize> {
    to_usize(from).unwrap_or(usize::MAX)..to_usize(to).unwrap_or(usize::MAX)
}

/// A data block as stored, and how the index names it.
///
/// See the example of [`TableParts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its payload, compressed where it is.
    pub payload: Vec<u8>,
    /// 0: raw, 1: Snappy.
    pub compression: u8,
    /// Its separator.
    pub separator: (Vec<u8>, SeqNo),
}

/// A table taken apart, to be put together again in another way: with blocks
/// swapped, doubled, dropped or changed, and every checksum right.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::Compression;
/// use esker::fuzzing::{DatabaseId, Entry, EntryKind, FileId, Identity, SeqNo, StoredBlock, TableBytes, TableParts, table_meta_of, write_table};
/// let identity = Identity { database: DatabaseId(7), file: FileId(2) };
/// let entry = |key: &str| Entry { key: key.into(), seq: SeqNo(1), kind: EntryKind::Set, payload: vec![7; 500] };
/// let (bytes, _) = write_table(identity, 256, Compression::None, &[entry("a"), entry("b")])?;
/// let mut parts = TableParts::of(&bytes, identity)?;
/// assert_eq!(parts.assemble(identity), bytes);
///
/// let blocks: &mut [StoredBlock] = &mut parts.blocks;
/// blocks.swap(0, 1); // Every checksum will hold, and no order.
/// let swapped = parts.assemble(identity);
/// let meta = table_meta_of(&swapped, identity)?;
/// assert!(TableBytes::open(&swapped, identity, &meta, 0)?.verify().is_err());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableParts {
    /// The data blocks, in order.
    pub blocks: Vec<StoredBlock>,
    /// The payload of the properties block.
    pub properties: Vec<u8>,
    /// The payload of the filter block.
    pub filter: Vec<u8>,
}

impl TableParts {
    /// Takes a valid table apart.
    ///
    /// See the example of [`TableParts`].
    ///
    /// # Errors
    /// [`crate::Error::Corruption`], [`crate::Error::UnsupportedFormat`].
    pub fn of(bytes: &[u8], identity: Identity) -> Result<TableParts> {
        let path = path_of(FileKind::Table(identity.table()));
        let place = place(&path, identity);
        let (footer_offset, footer) = footer_of(bytes, &place)?;
        let stored = |start, end| bytes.get(range(start, end)).unwrap_or_default().to_vec();
        let index = stored(footer.index_offset, footer_offset);
        let index = open_block(&place, footer.index_offset, index, None)?;
        let index = Index::decode(&index, footer.properties_offset)
            .map_err(|detail| place.damage(footer.index_offset, detail))?;
        let mut blocks = Vec::new();
        for number in 0..index.blocks() {
            let (start, end, _) = index.block(number).expect("counted up to the last");
            let mut payload = stored(start, end);
            payload.truncate(payload.len().saturating_sub(TRAILER_SIZE - 1));
            let compression = payload.pop().unwrap_or_default();
            blocks.push(StoredBlock { payload, compression, separator: index.separator(number) });
        }
        let properties = stored(footer.properties_offset, footer.filter_offset);
        let properties = open_block(&place, footer.properties_offset, properties, None)?;
        let filter = stored(footer.filter_offset, footer.index_offset);
        let filter = open_block(&place, footer.filter_offset, filter, None)?;
        Ok(TableParts { blocks, properties, filter })
    }

    /// Puts the table together, whether or not it makes sense.
    ///
    /// See the example of [`TableParts`].
    #[must_use]
    pub fn assemble(&self, identity: Identity) -> Vec<u8> {
        let path = path_of(FileKind::Table(identity.table()));
        let place = place(&path, identity);
        let (mut out, mut index, mut digest) = (Vec::new(), IndexBuilder::default(), 0);
        for block in &self.blocks {
            let checksum = put_block(&mut out, &place, &block.payload, block.compression);
            let size = stored_size(&block.payload);
            index.add(&block.separator.0, block.separator.1, size, checksum);
            digest = digest_block(digest, checksum, size);
        }
        let properties_offset = to_u64(out.len());
        put_block(&mut out, &place, &self.properties, 0);
        let filter_offset = to_u64(out.len());
        let checksum = put_block(&mut out, &place, &self.filter, 0);
        let digest = digest_block(digest, checksum, stored_size(&self.filter));
        let index_offset = to_u64(out.len());
        let index = index.finish();
        let checksum = put_block(&mut out, &place, &index, 0);
        let digest = digest_block(digest, checksum, stored_size(&index));
        let footer = Footer { properties_offset, filter_offset, index_offset, digest };
        let footer = footer.encode(&place, to_u64(out.len()));
        out.extend_from_slice(&footer);
        out
    }
}

/// Appends a block with its trailer, and returns its checksum.
fn put_block(out: &mut Vec<u8>, place: &Place<'_>, payload: &[u8], compression: u8) -> u32 {
    let start = out.len();
    out.extend_from_slice(payload);
    out.push(compression);
    out.extend_from_slice(&[0; 4]);
    out.get_mut(start..)
        .and_then(|stored| seal_block(stored, place, to_u64(start)))
        .expect("it has a trailer")
}

/// Puts right the checksums of a table: those of the data blocks, where the
/// index says that they stand, and their copies in the index; those of
/// properties, filter and index; the digest, and the footer's own. Magic, version and
/// lengths stay as they are.
///
/// See the example of [`TableBytes`].
pub fn fix_table(bytes: &mut [u8], identity: Identity) {
    let path = path_of(FileKind::Table(identity.table()));
    let place = place(&path, identity);
    let Some((data, footer_bytes)) = bytes.split_last_chunk_mut::<FOOTER_SIZE>() else { return };
    let footer_offset = to_u64(data.len());
    let Some(footer) = offsets_of(footer_bytes) else { return };
    let Some((data, index)) = split_at(data, footer.index_offset) else { return };
    let Some((data, filter)) = split_at(data, footer.filter_offset) else { return };
    let Some((data, properties)) = split_at(data, footer.properties_offset) else { return };
    let blocks_digest = fix_data_blocks(data, index, &place);
    seal_block(properties, &place, footer.properties_offset);
    let Some(checksum) = seal_block(filter, &place, footer.filter_offset) else { return };
    let digest = digest_block(blocks_digest, checksum, to_u64(filter.len()));
    let Some(checksum) = seal_block(index, &place, footer.index_offset) else { return };
    let digest = digest_block(digest, checksum, to_u64(index.len()));
    let footer = Footer { digest, ..footer };
    if footer_bytes.ends_with(&[&VERSION.to_le_bytes()[..], &MAGIC].concat()) {
        footer_bytes.copy_from_slice(&footer.encode(&place, footer_offset));
    }
}

fn split_at(bytes: &mut [u8], offset: u64) -> Option<(&mut [u8], &mut [u8])> {
    bytes.split_at_mut_checked(to_usize(offset)?)
}

/// What a footer says, without a check of it, and no digest.
fn offsets_of(footer: &[u8]) -> Option<Footer> {
    let mut fields = Decoder::new(footer);
    Some(Footer {
        properties_offset: fields.u64()?,
        filter_offset: fields.u64()?,
        index_offset: fields.u64()?,
        digest: 0,
    })
}

/// Puts another digest into the footer of a table, and the footer's checksum
/// right: it then passes for the table of that digest until its index is read.
///
/// See the example of [`TableBytes`].
pub fn set_table_digest(bytes: &mut [u8], identity: Identity, digest: u64) {
    let path = path_of(FileKind::Table(identity.table()));
    let place = place(&path, identity);
    let Some((data, footer_bytes)) = bytes.split_last_chunk_mut::<FOOTER_SIZE>() else { return };
    if let Some(footer) = offsets_of(footer_bytes)
        && footer_bytes.ends_with(&[&VERSION.to_le_bytes()[..], &MAGIC].concat())
    {
        let footer = Footer { digest, ..footer };
        footer_bytes.copy_from_slice(&footer.encode(&place, to_u64(data.len())));
    }
}

/// Puts right the checksums of the blocks in `data` that the entries of
/// `index` name, and their copies there; returns the digest so far.
fn fix_data_blocks(data: &mut [u8], index: &mut [u8], place: &Place<'_>) -> u64 {
    let payload_size = index.len().saturating_sub(TRAILER_SIZE);
    let (mut at, mut start, mut digest) = (0, 0_usize, 0);
    while at < payload_size {
        let mut d = Decoder::new(index.get(at..payload_size).unwrap_or_default());
        // The checksum stands behind the first number.
        let mut first = d;
        first.varint();
        let checksum_at = payload_size - first.rest().len();
        let Some(entry) = decode_entry(&mut d) else { break };
        let Some(block) = to_usize(entry.stored_size)
            .and_then(|size| start.checked_add(size))
            .and_then(|end| data.get_mut(start..end))
        else {
            break;
        };
        let checksum = seal_block(block, place, to_u64(start)).unwrap_or(entry.checksum);
        start += block.len();
        digest = digest_block(digest, checksum, entry.stored_size);
        at = payload_size - d.rest().len();
        index
            .iter_mut()
            .skip(checksum_at)
            .zip(checksum.to_le_bytes())
            .for_each(|(to, from)| *to = from);
    }
    digest
}
