//! Garbage collection of the value log.
//!
//! Place on the data's path: beside compaction, which drops pointers; here goes what they pointed to.
//! How much of a segment lives is not guessed: each table says how many bytes of which
//! segment its entries point to, the manifest has that of all tables in force, and so the sum is exact after
//! every edit. A segment to which nothing points goes with the edit that took the last pointer.
//! What is done here is the rest: files that are garbage in part.
//!
//! A collection goes through the records of such files, of a log up to the last value that lives, asks the tables for each by key
//! and sequence number whether an entry still points to it (in a log, for each that is large: the small ones
//! stand in tables and are by far the most), and copies what lives, as it is stored and after
//! its checksum, into a new value file with a map from the old places to the new. One edit of the
//! manifest puts that in the place of the old files. No key is set again, no table is
//! written, no pointer changes: so nothing that writers, compactions or snapshots do can come
//! between. (RocksDB's blob files and WiscKey's log write keys again; Pebble's blob files are like this.)
//!
//! INV-1: the new file is durable, its name included, before the edit.
//! INV-2: what is found alive in a segment is, to the byte, what the tables of the same version say of it;
//! else nothing is done to its file: it is damaged.
//! INV-3: pointers into a segment are only ever dropped once it is one: so whatever points into it in a
//! version that comes later pointed into it before, and was copied.
//! INV-4: readers that have an older version have the old file; it is removed when the last of them is gone.
//!
//! What to collect ([`pick`]) is a pure function of plain data; when, the clock says, the space, or that writers are
//! quiet ([`quiet`]).
//!
//! Concurrency: one collection at a time, on the worker's thread or on that of a caller of
//! `collect_garbage`; reads, commits, flushes and compactions go on.
//! Not here: counting what lives (`store::Segments`), the order of changes (`store::Catalog`).

mod collector;
mod copy;
mod live;
mod pick;
mod quiet;

pub use collector::{Collected, Collector};
