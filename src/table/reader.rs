//! A table that is read.

use super::TableMeta;
use super::block::Block;
use super::cache::BlockCache;
use super::cursor::TableCursor;
use super::files::OpenFiles;
use super::format::{FOOTER_SIZE, Footer, Place, digest_block, open_block, span, stored_size};
use super::index::Index;
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::names::FileKind;
use crate::format::{DatabaseId, Decoder, EntryRef, Properties, SeqNo};
use crate::fs::{File, IoContext, read_exact_at};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// An open table. Its index is read on the first use and kept.
#[derive(Debug)]
pub struct Table {
    meta: TableMeta,
    database: DatabaseId,
    path: PathBuf,
    files: Arc<OpenFiles>,
    cache: Arc<BlockCache>,
    index: OnceLock<Index>,
    /// Held by the one that reads the index, so that it is read once.
    index_loading: Mutex<()>,
    /// It is no longer part of the database: its file goes with it.
    is_discarded: AtomicBool,
}

impl Drop for Table {
    fn drop(&mut self) {
        if self.is_discarded.load(Ordering::Relaxed) {
            self.files.discard(self.meta.id);
        }
    }
}

impl Table {
    /// Opens the table that `meta` describes, in `dir`. Of the file only its
    /// length is looked at here.
    ///
    /// # Errors
    /// [`Error::Corruption`] when the file is missing or of another length;
    /// [`Error::Io`] when the system refuses.
    pub fn open(
        files: Arc<OpenFiles>,
        dir: &Path,
        database: DatabaseId,
        meta: &TableMeta,
        cache: Arc<BlockCache>,
    ) -> Result<Table> {
        let path = dir.join(FileKind::Table(meta.id).name());
        let table = Table {
            meta: meta.clone(),
            database,
            path,
            files,
            cache,
            index: OnceLock::new(),
            index_loading: Mutex::new(()),
            is_discarded: AtomicBool::new(false),
        };
        let length = table.file()?.len().during("stat", &table.path)?;
        if length != meta.size_bytes {
            let detail = format!("file length: expected {}, found {length}", meta.size_bytes);
            return Err(Error::corruption(&table.path, length.min(meta.size_bytes), detail));
        }
        Ok(table)
    }

    fn file(&self) -> Result<Arc<dyn File>> {
        match self.files.get(self.meta.id, &self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(Error::corruption(&self.path, 0, "expected a table, found no file"))
            }
            opened => opened.during("open", &self.path),
        }
    }

    /// Says that the table is no longer part of the database. When the last that
    /// reads it is done, its file is due for removal ([`OpenFiles::take_discarded`]).
    pub fn discard(&self) {
        self.is_discarded.store(true, Ordering::Relaxed);
    }

    /// What the manifest says of it.
    #[must_use]
    pub fn meta(&self) -> &TableMeta {
        &self.meta
    }

    /// The newest version of `key` at or before `seq`, a tombstone too.
    ///
    /// # Errors
    /// [`Error::Corruption`], [`Error::UnsupportedFormat`] or [`Error::Io`] from reading the
    /// index or the one block that can hold the key.
    pub fn get(&self, key: &[u8], seq: SeqNo) -> Result<Option<TableEntry>> {
        let index = self.index()?;
        if index.blocks() == 0 {
            return Ok(None);
        }
        let block = self.block(index, index.find(key, seq))?;
        let found = block.lower_bound(key, seq);
        let entry = found.entry;
        Ok(found.is_key.then(|| TableEntry { block, entry, key: Key::new(key) }))
    }

    /// A cursor over all entries.
    #[must_use]
    pub fn cursor(self: &Arc<Self>) -> TableCursor {
        TableCursor::new(Arc::clone(self))
    }

    /// Reads all of the file, past the cache, and checks it against itself
    /// and against the manifest.
    ///
    /// # Errors
    /// As [`Table::get`], for the first damage.
    pub fn verify(&self) -> Result<()> {
        let (footer, index) = self.read_index()?;
        let payload = self.read_stored(footer.properties_offset, footer.index_offset, None)?;
        let damaged = |detail| self.place().damage(footer.properties_offset, detail);
        let mut d = Decoder::new(&payload);
        let stated = Properties::decode(&mut d)
            .filter(|_| d.is_empty())
            .ok_or_else(|| damaged("the properties are cut short".to_owned()))?;
        let counted = super::verify::count(self, &index)?;
        if stated != counted {
            return Err(damaged(format!("expected {counted:?}, found {stated:?}")));
        }
        let meta = &self.meta.properties;
        if stated != *meta {
            return Err(damaged(format!("the manifest expects {meta:?}, found {stated:?}")));
        }
        Ok(())
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place { database: self.database, table: self.meta.id, path: &self.path }
    }

    /// The index; the first caller reads it. A failure is not kept: it may be
    /// the disk's mood, and damage is found again.
    pub(super) fn index(&self) -> Result<&Index> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let _loading = self.index_loading.lock();
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let (_, index) = self.read_index()?;
        Ok(self.index.get_or_init(|| index))
    }

    /// Reads and checks footer and index, and that they are those of `meta`.
    fn read_index(&self) -> Result<(Footer, Index)> {
        let place = self.place();
        let size = self.meta.size_bytes;
        let footer_offset = size.checked_sub(to_u64(FOOTER_SIZE)).ok_or_else(|| {
            place.damage(0, format!("file length: expected {FOOTER_SIZE} or more, found {size}"))
        })?;
        let bytes = self.read(footer_offset, size)?;
        let bytes = bytes.first_chunk().expect("as long as was read");
        let footer = Footer::decode(&place, footer_offset, bytes)?;
        if footer.digest != self.meta.digest {
            return Err(place.damage(
                footer_offset,
                format!(
                    "digest: the manifest expects {:#018x}, found {:#018x}; another or older file",
                    self.meta.digest, footer.digest
                ),
            ));
        }
        let offset = footer.index_offset;
        let stored = self.read(offset, footer_offset)?;
        let checksum = stored.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let payload = open_block(&place, offset, stored, None)?;
        let index = Index::decode(&payload, footer.properties_offset)
            .map_err(|detail| place.damage(offset, detail))?;
        let blocks = (0..index.blocks())
            .filter_map(|block| index.block(block))
            .fold(0, |digest, (start, end, checksum)| digest_block(digest, checksum, end - start));
        let found = digest_block(blocks, checksum, stored_size(&payload));
        if found != footer.digest {
            return Err(place.damage(
                offset,
                format!(
                    "digest of the index: expected {:#018x}, found {found:#018x}",
                    footer.digest
                ),
            ));
        }
        Ok((footer, index))
    }

    /// A data block: if `cached`, from the cache where it is there, and else
    /// from the file and into the cache.
    #[inline]
    pub(super) fn block(&self, index: &Index, block: usize) -> Result<Arc<Block>> {
        let (start, end, checksum) = index.block(block).expect("the index has that block");
        if let Some(block) = self.cache.get(self.meta.id, start) {
            return Ok(block);
        }
        let block = Arc::new(self.read_block(start, end, checksum)?);
        self.cache.insert(self.meta.id, start, &block);
        Ok(block)
    }

    /// Reads and checks the data block from `start` to `end`.
    pub(super) fn read_block(&self, start: u64, end: u64, checksum: u32) -> Result<Block> {
        let payload = self.read_stored(start, end, Some(checksum))?;
        Block::parse(payload).map_err(|detail| self.place().damage(start, detail))
    }

    fn read_stored(&self, start: u64, end: u64, checksum: Option<u32>) -> Result<Vec<u8>> {
        open_block(&self.place(), start, self.read(start, end)?, checksum)
    }

    /// The file's bytes from `start` to `end`, which is within the file as opened.
    fn read(&self, start: u64, end: u64) -> Result<Vec<u8>> {
        let size = span(start, end)
            .ok_or_else(|| self.place().damage(start, format!("a block of {start}..{end}")))?;
        let mut bytes = vec![0; size];
        match read_exact_at(self.file()?.as_ref(), &mut bytes, start) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                let detail = format!("expected {size} bytes, but the file ends before");
                Err(self.place().damage(start, detail))
            }
            read => read.during("read", &self.path).map(|()| bytes),
        }
    }
}

/// An entry that was found. It keeps its block in memory.
#[derive(Debug, Clone)]
pub struct TableEntry {
    block: Arc<Block>,
    entry: usize,
    key: Key,
}

impl TableEntry {
    /// The entry.
    #[must_use]
    pub fn entry(&self) -> EntryRef<'_> {
        self.block.entry_with(self.entry, self.key.bytes())
    }
}

/// A copy of a key; in blocks keys do not stand whole. Short ones are kept
/// without an allocation.
#[derive(Debug, Clone)]
enum Key {
    Short { size: u8, bytes: [u8; KEY_SHORT_BYTES] },
    Long(Box<[u8]>),
}

const KEY_SHORT_BYTES: usize = 38;

impl Key {
    fn new(key: &[u8]) -> Key {
        let mut bytes = [0; KEY_SHORT_BYTES];
        match (bytes.get_mut(..key.len()), u8::try_from(key.len())) {
            (Some(short), Ok(size)) => {
                short.copy_from_slice(key);
                Key::Short { size, bytes }
            }
            _ => Key::Long(key.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Key::Short { size, bytes } => {
                bytes.get(..usize::from(*size)).expect("a size of a slice of these bytes")
            }
            Key::Long(bytes) => bytes,
        }
    }
}
