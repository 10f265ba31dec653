//! Writing sealed memtables out as tables.
//!
//! Place on the data's path: from memory down to the tables. One worker takes
//! the oldest sealed memtable, writes it as a table, names that in the
//! manifest, installs it in the view and removes the log file that it replaces, unless
//! large values in that live on: then the log file is a segment from then on.
//!
//! INV-1: the table's bytes, the log file where it becomes a segment, then the directory, are
//! synced before the edit that names them; another log file is removed after that edit is durable.
//! The header of the log file that the edit names as the next one is synced
//! before it as well: recovery takes a log without it for damage.
//! INV-2: memtables are written out in the order in which they were sealed.
//! INV-3: a failed sync poisons; any other failed step is tried again, without
//! repeating what has succeeded, while those who wait are told why.
//!
//! Concurrency: one thread; the manifest is its own.
//! Not here: sealing (`commit`), merging tables (`compaction`).

mod worker;

pub use worker::Flusher;
