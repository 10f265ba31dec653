//! Sorted tables: files of entries in order that never change once written.
//!
//! Place on the data's path: a flush or a compaction writes one through
//! [`TableBuilder`]; reads ask it through [`Table::get`] and [`TableCursor`].
//! The layout of the bytes stands in [`format`].
//!
//! INV-1: entries stand strictly ascending in the order of `format::key::compare`,
//! in a block, from block to block, and therefore in the file.
//! INV-2: a [`block::Block`] in memory has been checked as a whole: every
//! length, kind and order in it holds. What reads it afterwards may rely on it.
//! INV-3: every byte of the file is covered by a checksum that also covers its
//! place (database, table, offset); blocks, filter, index, root and footer leave no gap.
//! INV-4: the digest in [`TableMeta`] pins the content: it is a function of
//! the checksum of every block, of every page of filter and index, and of the root. What names a
//! block or a page holds its checksum too, up to the footer, which has the digest.
//! INV-5: a block is no larger than `block_bytes` unless it holds one entry only.
//! INV-6: the separator of a block is greater than every entry before the block and
//! at most its first; inside the versions of one key it is the place just after the
//! last entry before. So one block answers a `get`.
//! INV-7: every key of the table is in its filter, if only with a tombstone.
//!
//! Damage is an [`crate::Error::Corruption`] naming file and offset, found
//! when the damaged part is first read; it is never "not there", and a damaged
//! block leaves the others readable. A file that is missing or of another length is
//! found by the first use of the table: opening a table does nothing.
//!
//! Concurrency: a builder belongs to one thread. A [`Table`] is shared; reads
//! take no lock but that of one cache shard, and, where the head is not in
//! memory, that of the one who reads it.
//!
//! Memory: a block is read whole. The head is kept whole: 30 to 40 bytes and a
//! separator for each block, 11 to 22 bits for each key. Both are bounded by the file's size,
//! whatever is in it; the heads of all tables by [`HeadMemory`]. A cursor pins a head. A `get` reads it only
//! when it has done without for a while ([`cold`]).
//!
//! Not here: which tables there are (`manifest`), visibility and expiry
//! (`read`), the directory's sync and the removal of files (the caller), repair.

pub mod block;
pub mod block_builder;
mod block_bytes;
mod block_check;
mod builder;
mod cache;
mod cold;
mod cursor;
mod fill;
pub mod filter;
pub mod format;
mod head;
mod head_memory;
pub mod index;
pub mod index_builder;
mod key_buffer;
pub mod position;
mod preload;
mod read_ahead;
mod reader;
pub mod root;
mod salvage;
mod stated;
mod streams;
#[cfg(test)]
mod tests;
mod verify;

pub use builder::TableBuilder;
pub use cache::BlockCache;
pub use cursor::TableCursor;
pub use head_memory::HeadMemory;
pub use reader::Table;
pub use salvage::{LostBlock, Salvage};
pub use stated::stated_meta;
pub use streams::Streams;
pub use verify::TableInspector;

use crate::format::TableMeta;
use crate::options::{Compression, Options};

/// How a table is written. How it is read depends on its file alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableOptions {
    /// Size of a block before compression, in bytes; above 1 MiB it counts as 1 MiB.
    pub block_bytes: usize,
    /// How blocks are compressed.
    pub compression: Compression,
}

impl From<&Options> for TableOptions {
    fn from(options: &Options) -> Self {
        TableOptions { block_bytes: options.block_bytes, compression: options.compression }
    }
}
