//! The value log: large values, outside of the tree.
//!
//! Place on the data's path: beside the tables. A value of `value_threshold` bytes or more is
//! written once, in a record of the log. Memory and tables hold a pointer to it
//! ([`crate::format::ValuePointer`]), and the log file, once its memtable is in a table, stays as a
//! *segment*. Those of a log that an open replays are written
//! into a *value file* ([`ValueWriter`]), and so they are when garbage is collected: then the
//! value file holds segments that were first written in other files, and a
//! map from where a value stood to where it is.
//!
//! INV-1: a pointer never changes. It names the segment, and the place in the file in which that
//! was first written; which file holds the segment now, the manifest says.
//! INV-2: segment and file have numbers of one counter: in a file with the segment's own
//! number the values stand where the pointers say.
//! INV-3: a pointer holds the checksum of its value: other bytes than those are
//! [`crate::Error::Corruption`], whatever file they are read from.
//! INV-4: a record of a value file names key, sequence number and original place of its
//! value, under a checksum bound to its own place: so who asks the index whether it
//! lives, and who salvages, needs no more than the file.
//!
//! Concurrency: a writer belongs to one thread; a [`ValueFile`] is shared, and reads take no lock
//! but that of one shard of the caches.
//! Not here: which segments there are (`manifest`), what lives (`gc`), the layout of log files (`wal`).

mod file;
pub mod format;
mod map;
mod read_ahead;
mod records;
mod verify;
mod writer;

pub use file::ValueFile;
pub use map::MapCache;
pub use read_ahead::ReadAhead;
pub use records::{Record, Records};
pub use writer::ValueWriter;
