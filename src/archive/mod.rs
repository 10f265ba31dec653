//! A backup as a file: one format for every engine.
//!
//! Place on the data's path: beside it. Entries in the order of their keys, in chunks, with large values
//! as they are stored: [`format`]. Nothing of the store's inside is in it, so that an
//! engine in memory writes and reads the same file; what it is made of, and what comes of it, is
//! the affair of `backup` and `engine`.
//!
//! INV-1: what was read of a backup counts only when its end has been read: count, length and digest
//! are there.
//! INV-2: a reader's memory is that of one chunk's entries and of one value, whatever a length says.
//! INV-3: a file has the name of a backup only when it is whole, read back and synced; what
//! had the name before stands until then ([`write_file`]).
//! INV-4: an increment counts only upon the very backup that it names ([`Chain`]).
//!
//! Concurrency: a writer and a reader belong to one thread each. Writing a file may take two more
//! threads, for its writes and its syncs, so that the disk works while the next chunk is
//! put together; both have ended when the call returns.
//! Not here: which entries a backup has.

mod chain;
pub mod format;
mod options;
mod output;
mod reader;
mod source;
#[cfg(test)]
mod tests;
mod verify;
mod write_file;
mod writer;

pub use chain::Chain;
pub use format::{Apart, Header, Held};
pub use options::{
    BackupInfo, BackupOptions, BackupProgress, BackupReport, FollowedBackup, RestoreOptions,
    RestoreReport,
};
pub use output::{FileOutput, Output, StreamOutput};
pub use reader::{ArchiveReader, Entry, Stored};
pub use verify::{open_chain, open_file, verify, verify_chain, verify_file};
pub use write_file::{Partials, write_file};
pub use writer::{ArchiveWriter, Feed, InMemory};
