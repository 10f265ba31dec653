//! The write-ahead log: what a commit is before it is anything else.
//!
//! Place on the data's path: first. A commit group is one write to a log file;
//! recovery reads the files back. Layout: [`format`].
//!
//! INV-1: positions are continuous: a file begins at the position where the
//! one before it ended, and its header says so.
//! INV-2: a record is written only into space that was claimed before it, by zeros or
//! by asking for it, so a full disk is noticed with no record touched.
//! INV-3: after a failed write nothing more goes into the same file; nor does
//! it where the header of its successor may be on the disk.
//! INV-4: nothing at or above a durable claim was ever acknowledged as durable
//! by the frame that carries the claim: claims lag, never lead.
//! INV-5: syncs of one file come one after the other, and after one that failed
//! all fail: of several at a time the system tells one alone of a failure.
//!
//! Concurrency: a [`LogWriter`] belongs to one thread at a time (the commit
//! leader, under a lock); the file under it may be synced by another meanwhile.
//! Not here: who syncs and when (`commit`), what a broken log means (`recovery`).

pub mod format;
pub mod ops;
mod replay;
mod salvage;
mod stream;
mod values;
mod verify;
mod writer;

pub use ops::{Op, OpReader};
pub use replay::{LogFile, holds_records, read_log, read_log_header};
pub use salvage::Piece;
pub use stream::LogStream;
pub use values::{LogValue, LogValues};
pub use verify::{WrittenLog, inspect_log};
pub use writer::{LogWriter, SyncTarget};
