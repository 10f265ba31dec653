//! A table that is read.

use super::TableMeta;
use super::block::Block;
use super::block_bytes::BlockBytes;
use super::cache::{BlockCache, BlockGuard, BlockPlace};
use super::cold;
use super::cursor::TableCursor;
use super::format::{Footer, Place, TRAILER_SIZE, open_block, open_block_into, span};
use super::head::Head;
use super::head_memory::{CountedHead, HeadGuard, HeadMemory, HeadSlot};
use super::preload::Preload;
use super::read_ahead::{Direction, ReadAhead};
use super::verify::TableInspector;
use crate::error::{Error, Result};
use crate::format::names::FileKind;
use crate::format::{DatabaseId, Decoder, EntryRef, KeyHash, Properties, SeqNo};
use crate::fs::{File, Inspected, IoContext, OpenFiles, read_exact_at};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An open table. Of the file nothing is looked at before the first use.
#[derive(Debug)]
pub struct Table {
    meta: TableMeta,
    database: DatabaseId,
    path: PathBuf,
    files: Arc<OpenFiles>,
    cache: Arc<BlockCache>,
    heads: Arc<HeadMemory>,
    head: Arc<HeadSlot>,
    /// It is no longer part of the database: its file goes with it.
    is_discarded: AtomicBool,
}

impl Drop for Table {
    fn drop(&mut self) {
        if self.is_discarded() {
            self.files.discard(FileKind::Table(self.meta.id));
        }
    }
}

impl Table {
    /// The table that `meta` describes, in `dir`. Its file is opened by the first
    /// use, which tells whether it is there and is that table.
    #[must_use]
    pub fn open(
        files: Arc<OpenFiles>,
        dir: &Path,
        database: DatabaseId,
        meta: &TableMeta,
        cache: Arc<BlockCache>,
        heads: Arc<HeadMemory>,
    ) -> Table {
        Table {
            meta: meta.clone(),
            database,
            path: dir.join(FileKind::Table(meta.id).name()),
            files,
            cache,
            heads,
            head: Arc::default(),
            is_discarded: AtomicBool::new(false),
        }
    }

    pub(super) fn file(&self) -> Result<Arc<dyn File>> {
        match self.files.get(FileKind::Table(self.meta.id), &self.path) {
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

    /// Whether it was said so.
    pub(super) fn is_discarded(&self) -> bool {
        self.is_discarded.load(Ordering::Relaxed)
    }

    pub(super) fn cache(&self) -> &BlockCache {
        &self.cache
    }

    /// What the manifest says of it.
    #[must_use]
    pub fn meta(&self) -> &TableMeta {
        &self.meta
    }

    /// The newest version of `key`, whose hash is `hash`, at or before `seq`, a tombstone too.
    ///
    /// # Errors
    /// [`Error::Corruption`], [`Error::UnsupportedFormat`] or [`Error::Io`] from reading the
    /// head, or what of it decides, or the one block that can hold the key.
    #[inline]
    pub fn get(
        self: &Arc<Self>,
        key: &[u8],
        hash: KeyHash,
        seq: SeqNo,
    ) -> Result<Option<TableEntry>> {
        self.find(key, hash, seq, |head| self.note_load(head))
    }

    /// The same for who is no reader: that a block had to be loaded for it says nothing of what readers will come to.
    ///
    /// # Errors
    /// Likewise.
    pub fn get_unnoted(&self, key: &[u8], hash: KeyHash, seq: SeqNo) -> Result<Option<TableEntry>> {
        self.find(key, hash, seq, |_| ())
    }

    #[inline(always)]
    fn find(
        &self,
        key: &[u8],
        hash: KeyHash,
        seq: SeqNo,
        note_load: impl FnOnce(&Head),
    ) -> Result<Option<TableEntry>> {
        let head = match self.head.current() {
            Some(head) => head,
            None if self.head.take_look(cold::looks_max(&self.meta)) => {
                return self.look(key, hash, seq);
            }
            None => self.head()?,
        };
        if !head.filter.may_contain(hash) {
            return Ok(None);
        }
        let block = self.block(&head, head.index.find(key, seq), note_load)?;
        Ok(TableEntry::find(block, key, seq))
    }

    /// As [`Table::get`], without the head in memory. What is read for it is not kept.
    ///
    /// # Errors
    /// Likewise.
    #[cold]
    pub fn look(&self, key: &[u8], hash: KeyHash, seq: SeqNo) -> Result<Option<TableEntry>> {
        let Some(place) = cold::block(self, key, hash, seq)? else { return Ok(None) };
        // It may be there from when there was a head.
        let block = match self.cache.get_without_slot(self.meta.id, place.0) {
            Some(block) => block,
            None => Arc::new(self.read_block(place, false)?),
        };
        Ok(TableEntry::find(BlockGuard::of(block), key, seq))
    }

    /// A cursor over all entries. Its blocks come from the cache and go into it.
    #[must_use]
    pub fn cursor(self: &Arc<Self>) -> TableCursor {
        TableCursor::new(Arc::clone(self), ReadAhead::on_misses())
    }

    /// A cursor that neither uses nor fills the cache, for whoever reads much of
    /// the table once: a few calls to the disk read it from end to end.
    #[must_use]
    pub fn stream(self: &Arc<Self>) -> TableCursor {
        TableCursor::new(Arc::clone(self), ReadAhead::always())
    }

    /// Reads all of the file, past the cache, and checks it against itself
    /// and against the manifest.
    ///
    /// # Errors
    /// As [`Table::get`], for the first damage.
    #[cfg(any(test, feature = "sim"))]
    pub fn verify(&self) -> Result<()> {
        super::verify::first::damage(self)
    }

    /// Inspects all of the file, past the cache: against itself and against the manifest. False: not all of it
    /// could be read.
    ///
    /// # Errors
    /// [`crate::fs::Stop`], from `inspector`.
    pub fn inspect(&self, inspector: &mut dyn TableInspector) -> Inspected<bool> {
        super::verify::inspect(self, inspector)
    }

    /// What the file says of its entries.
    pub(super) fn properties(&self, footer: &Footer) -> Result<Properties> {
        let payload = self.read_stored(footer.properties_offset, footer.filter_offset, None)?;
        let damaged = || {
            self.place().damage(footer.properties_offset, "the properties are cut short".to_owned())
        };
        let mut d = Decoder::new(&payload);
        Properties::decode(&mut d).filter(|_| d.is_empty()).ok_or_else(damaged)
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place { database: self.database, table: self.meta.id, path: &self.path }
    }

    /// The head; the first caller reads it.
    #[inline]
    pub(super) fn head(&self) -> Result<HeadGuard> {
        self.heads.get(&self.head, || Head::read(self).map(|(_, head)| head))
    }

    /// A data block, from the cache where it is there, and else from the file and
    /// into the cache, which is noted.
    #[inline]
    fn block(
        &self,
        head: &Head,
        number: usize,
        note_load: impl FnOnce(&Head),
    ) -> Result<BlockGuard> {
        let (start, end, checksum) = head.index.block(number).expect("the index has that block");
        let place = self.block_place(head, number, start);
        if let Some(block) = self.cache.get(&place) {
            return Ok(block);
        }
        let block = self.cache_block(&place, self.read_block((start, end, checksum), true)?);
        note_load(head);
        Ok(block)
    }

    /// Notes that a reader had to load a block. Once half of them are in the cache, the rest is loaded on another thread.
    pub(super) fn note_load(self: &Arc<Self>, head: &Head) {
        if head.blocks.note_load()
            && self.files.allows_threads()
            && let Some(preloader) = self.cache.preloader()
            && let Ok(head) = self.head()
        {
            preloader.fill(self, head.pin());
        }
    }

    /// The data block of that number, if it is in the cache.
    #[inline]
    pub(super) fn cached_block(&self, head: &Head, number: usize) -> Option<Arc<Block>> {
        let (start, ..) = head.index.block(number).expect("the index has that block");
        self.cache.get(&self.block_place(head, number, start)).map(BlockGuard::pin)
    }

    /// Whether that data block is in the cache. It does not count as used.
    pub(super) fn has_cached(&self, head: &Head, number: usize) -> bool {
        let (start, ..) = head.index.block(number).expect("the index has that block");
        self.cache.has(&self.block_place(head, number, start))
    }

    /// Has the blocks behind block `from` loaded ahead of a cursor that goes on in that direction. `None`: it is to do so itself.
    pub(super) fn preload(
        self: &Arc<Self>,
        head: &Arc<CountedHead>,
        from: usize,
        direction: Direction,
    ) -> Option<Preload> {
        let preloader = self.cache.preloader().filter(|_| self.files.allows_threads())?;
        preloader.go_ahead(self, Arc::clone(head), from, direction)
    }

    /// Has the processor begin to fetch the data block of that number, if there is one and it is in the cache.
    #[inline]
    pub(super) fn prefetch_block(&self, head: &Head, number: usize) {
        if let Some(block) = head.blocks.load(number) {
            block.prefetch();
        }
    }

    /// Puts the data block of that number into the cache.
    pub(super) fn keep_block(&self, head: &Head, number: usize, block: Block) -> Arc<Block> {
        let (start, ..) = head.index.block(number).expect("the index has that block");
        self.cache_block(&self.block_place(head, number, start), block).pin()
    }

    fn cache_block(&self, place: &BlockPlace<'_>, block: Block) -> BlockGuard {
        let block = Arc::new(block);
        self.cache.insert(place, &block);
        BlockGuard::of(block)
    }

    #[inline]
    fn block_place<'a>(&self, head: &'a Head, number: usize, start: u64) -> BlockPlace<'a> {
        BlockPlace { slots: &head.blocks, number, table: self.meta.id, offset: start }
    }

    /// Reads and checks the data block from `start` to `end`, for the cache or not.
    pub(super) fn read_block(
        &self,
        (start, end, checksum): (u64, u64, u32),
        is_kept: bool,
    ) -> Result<Block> {
        let stored = self.read(start, end)?;
        if is_kept && self.cache.is_for_slabs(stored.len().saturating_sub(TRAILER_SIZE)) {
            return self.open_block(start, &stored, checksum, true);
        }
        // If it is not compressed, it is the block as it is.
        let payload = open_block(&self.place(), start, stored, Some(checksum))?;
        self.parse(start, payload.into())
    }

    /// Checks the data block at `start`, whose bytes as stored are in memory, for the cache or not.
    pub(super) fn open_block(
        &self,
        start: u64,
        stored: &[u8],
        checksum: u32,
        is_kept: bool,
    ) -> Result<Block> {
        let room = |size| is_kept.then(|| self.cache.room(size)).flatten().map(BlockBytes::from);
        let payload = open_block_into(&self.place(), start, stored, Some(checksum), room)?;
        self.parse(start, payload)
    }

    fn parse(&self, start: u64, payload: BlockBytes) -> Result<Block> {
        Block::parse(payload).map_err(|detail| self.place().damage(start, detail))
    }

    fn read_stored(&self, start: u64, end: u64, checksum: Option<u32>) -> Result<Vec<u8>> {
        open_block(&self.place(), start, self.read(start, end)?, checksum)
    }

    /// The file's bytes from `start` to `end`, which is within what the manifest
    /// says of its length.
    pub(super) fn read(&self, start: u64, end: u64) -> Result<Vec<u8>> {
        let size = span(start, end)
            .ok_or_else(|| self.place().damage(start, format!("a block of {start}..{end}")))?;
        let mut bytes = vec![0; size];
        self.read_into(&mut bytes, start)?;
        Ok(bytes)
    }

    /// Fills `bytes` with those of the file from `start` on.
    pub(super) fn read_into(&self, bytes: &mut [u8], start: u64) -> Result<()> {
        match read_exact_at(self.file()?.as_ref(), bytes, start) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                let size = bytes.len();
                let detail = format!("expected {size} bytes, but the file ends before");
                Err(self.place().damage(start, detail))
            }
            read => read.during("read", &self.path),
        }
    }
}

/// An entry that was found. It keeps its block in memory.
#[derive(Debug)]
pub struct TableEntry {
    block: BlockGuard,
    entry: usize,
    key: Key,
}

impl TableEntry {
    /// The newest version of `key` at or before `seq`, if `block` has it.
    #[inline]
    fn find(block: BlockGuard, key: &[u8], seq: SeqNo) -> Option<TableEntry> {
        let found = block.lower_bound(key, seq);
        let entry = found.entry;
        found.is_key.then(|| TableEntry { block, entry, key: Key::new(key) })
    }

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
