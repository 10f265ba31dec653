//! Writes a table, front to back.

use super::block_builder::BlockBuilder;
use super::filter::FilterBuilder;
use super::format::{
    BLOCK_TARGET_BYTES_MAX, Footer, Place, block_trailer, digest_block, stored_size,
};
use super::index_builder::{IndexBuilder, separator};
use super::root::RootBuilder;
use super::{TableMeta, TableOptions};
use crate::error::{Error, Result};
use crate::format::key::EXPIRY_SIZE;
use crate::format::names::FileKind;
use crate::format::{
    DatabaseId, EntryRef, KEY_BYTES_MAX, Properties, SeqNo, TableId, VALUE_BYTES_MAX,
};
use crate::fs::{File, Fs, Sink};
use crate::options::Compression;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Writes a table. Its memory is bounded, whatever the table's size, but for
/// the index, some bytes a block, and the filter, 8 bytes a key, or with [`TableBuilder::expect_keys`] two or three.
///
/// Dropped without [`TableBuilder::finish`] it leaves a file that is no table,
/// for the caller to remove.
#[derive(Debug)]
pub struct TableBuilder {
    sink: Sink,
    database: DatabaseId,
    id: TableId,
    options: TableOptions,
    written_ms: u64,
    block: BlockBuilder,
    /// The separator of the block being filled.
    separator: (Vec<u8>, SeqNo),
    index: IndexBuilder,
    filter: FilterBuilder,
    properties: Properties,
    digest: u64,
    encoder: Compressor,
    /// The first failure; the file is worth nothing after it.
    failed: Option<Error>,
}

impl TableBuilder {
    /// Makes the file of table `id` in `dir`.
    ///
    /// # Errors
    /// [`Error::Io`]; also when the file exists.
    pub fn create(
        fs: &dyn Fs,
        dir: &Path,
        database: DatabaseId,
        id: TableId,
        options: TableOptions,
    ) -> Result<Self> {
        let sink = Sink::create(fs, dir.join(FileKind::Table(id).name()))?;
        Ok(TableBuilder {
            sink,
            database,
            id,
            options,
            written_ms: 0,
            block: BlockBuilder::default(),
            separator: (Vec::new(), SeqNo::MAX),
            index: IndexBuilder::new(options.block_bytes),
            filter: FilterBuilder::default(),
            properties: Properties::default(),
            digest: 0,
            encoder: Compressor::new(),
            failed: None,
        })
    }

    /// When the first of its entries left memory, in milliseconds since the Unix epoch.
    pub fn set_written(&mut self, written_ms: u64) {
        self.written_ms = written_ms;
    }

    /// Says that at most so many keys come: the filter then takes less memory until it is written.
    pub fn expect_keys(&mut self, max: usize) {
        self.filter.expect_keys(max);
    }

    /// Adds an entry, which comes after all others in the order of
    /// `format::key::compare`.
    ///
    /// # Errors
    /// [`Error::Io`]; every call after it fails with the same.
    ///
    /// # Panics
    /// When the entry is out of order (INV-1), malformed or beyond the limits of the
    /// format: what is written here is kept for good.
    pub fn add(&mut self, entry: EntryRef<'_>) -> Result<()> {
        assert!(
            entry.is_well_formed()
                && entry.seq <= SeqNo::MAX
                && entry.key.len() <= KEY_BYTES_MAX
                && entry.payload.len() <= VALUE_BYTES_MAX + EXPIRY_SIZE,
            "an entry of a table is within the limits of the format"
        );
        self.check_usable()?;
        // INV-5: a block is closed before it would grow beyond its size.
        let limit = self.options.block_bytes.min(BLOCK_TARGET_BYTES_MAX);
        if !self.block.is_empty() && self.block.size_with(entry) > limit {
            self.close_block()?;
        }
        if self.block.is_empty() {
            let (key, seq) = separator(self.block.last(), entry.key);
            self.separator = (key.to_vec(), seq);
        }
        let is_shadowed = self.block.last().is_some_and(|(key, _)| key == entry.key);
        self.block.add(entry);
        if !is_shadowed {
            self.filter.add(entry.key);
        }
        if self.properties.entries == 0 {
            self.properties.smallest_key = entry.key.to_vec();
        }
        self.properties.count(entry, is_shadowed);
        Ok(())
    }

    /// How large the file would be if it ended here, nearly, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.sink.offset()
    }

    /// Writes the rest and syncs the file. The caller syncs the directory
    /// before it names the table in the manifest.
    ///
    /// # Errors
    /// [`Error::Io`]; the file is then no table.
    pub fn finish(mut self) -> Result<TableMeta> {
        let digest = self.write_rest()?;
        let size_bytes = self.sink.finish()?;
        let (id, written_ms, properties) = (self.id, self.written_ms, self.properties);
        Ok(TableMeta { id, size_bytes, digest, written_ms, properties })
    }

    /// Writes the rest; the file is still to be synced, by its path for errors.
    ///
    /// # Errors
    /// As [`TableBuilder::finish`].
    pub fn finish_unsynced(mut self) -> Result<(TableMeta, Arc<dyn File>, PathBuf)> {
        let digest = self.write_rest()?;
        let size_bytes = self.sink.offset();
        let (file, path) = self.sink.finish_unsynced()?;
        let (id, written_ms, properties) = (self.id, self.written_ms, self.properties);
        Ok((TableMeta { id, size_bytes, digest, written_ms, properties }, file, path))
    }

    /// Writes what comes behind the entries; returns the digest.
    fn write_rest(&mut self) -> Result<u64> {
        self.check_usable()?;
        if !self.block.is_empty() {
            self.close_block()?;
        }
        if let Some((key, _)) = self.block.last() {
            self.properties.largest_key = key.to_vec();
        }
        let properties_offset = self.sink.offset();
        let mut properties = Vec::new();
        self.properties.encode(&mut properties);
        self.write_block(&properties, Compression::None)?;
        let filter_offset = self.sink.offset();
        let filter = std::mem::take(&mut self.filter).finish();
        let mut root = RootBuilder::new(self.digest, filter.lines());
        for page in filter.pages() {
            let checksum = self.write_block(&page, Compression::None)?;
            root.filter_page(&page, checksum);
        }
        drop(filter);
        let index_offset = self.sink.offset();
        for page in self.index.finish() {
            let checksum = self.write_block(&page.payload, Compression::None)?;
            root.index_page(&page, checksum);
        }
        let root_offset = self.sink.offset();
        let (root, digest) = root.finish();
        let checksum = self.write_block(&root, Compression::None)?;
        let digest = digest_block(digest, checksum, stored_size(&root));
        let footer = Footer { properties_offset, filter_offset, index_offset, root_offset, digest };
        let footer = footer.encode(&self.place(), self.sink.offset());
        self.sink.write(&footer)?;
        Ok(digest)
    }

    fn place(&self) -> Place<'_> {
        Place { database: self.database, table: self.id, path: self.sink.path() }
    }

    fn check_usable(&self) -> Result<()> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Writes the block being filled; the next starts empty.
    fn close_block(&mut self) -> Result<()> {
        let block = self.block.finish();
        let compressed = match self.options.compression {
            Compression::None => None,
            Compression::Snappy => self.encoder.compress(&block),
        };
        let (compression, payload) = match &compressed {
            Some(payload) => (Compression::Snappy, payload),
            None => (Compression::None, &block),
        };
        let checksum = self.write_block(payload, compression)?;
        let size = stored_size(payload);
        self.index.add(&self.separator.0, self.separator.1, size, checksum);
        self.digest = digest_block(self.digest, checksum, size);
        self.block.reuse(block);
        self.encoder.reuse(compressed);
        Ok(())
    }

    /// Writes a block, with its trailer, and gives its checksum.
    fn write_block(&mut self, payload: &[u8], compression: Compression) -> Result<u32> {
        let offset = self.sink.offset();
        let (trailer, checksum) = block_trailer(&self.place(), offset, compression, payload);
        let written = self.sink.write(payload).and_then(|()| self.sink.write(&trailer));
        if let Err(error) = &written {
            self.failed = Some(error.clone());
        }
        written.map(|()| checksum)
    }
}

/// Snappy, with its tables and its output kept from block to block.
struct Compressor {
    encoder: snap::raw::Encoder,
    output: Vec<u8>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressor")
    }
}

impl Compressor {
    fn new() -> Self {
        Compressor { encoder: snap::raw::Encoder::new(), output: Vec::new() }
    }

    /// `block` compressed; `None` where that is not worth it.
    fn compress(&mut self, block: &[u8]) -> Option<Vec<u8>> {
        // A huge value, most often compressed by whoever made it, is not gone
        // through for nothing, with more than its size in memory beside it.
        if let Some(start) = block.get(..BLOCK_TARGET_BYTES_MAX)
            && start.len() < block.len()
        {
            let compressed = self.compress(start)?;
            self.reuse(Some(compressed));
        }
        let mut output = std::mem::take(&mut self.output);
        output.resize(snap::raw::max_compress_len(block.len()).max(output.len()), 0);
        let size = self.encoder.compress(block, &mut output).ok();
        match size {
            Some(size) if size <= block.len() - block.len() / 8 => {
                output.truncate(size);
                Some(output)
            }
            _ => {
                self.reuse(Some(output));
                None
            }
        }
    }

    fn reuse(&mut self, output: Option<Vec<u8>>) {
        self.output = output
            .filter(|output| output.capacity() <= 2 * BLOCK_TARGET_BYTES_MAX)
            .unwrap_or_default();
    }
}
