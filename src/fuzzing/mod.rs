//! The decoders of every file format, over bytes: for fuzzers and other tools
//! from outside (feature `sim`).
//!
//! Place on the data's path: none; it stands above the log, the tables, the
//! manifest and recovery, and calls what they call. For each format there is
//!
//! - a function that decodes *everything* in the bytes as the engine would,
//!   and gives what it found or the engine's own [`Error`](crate::Error);
//! - a writer of valid files, which is the engine's own;
//! - a fixer that puts right every checksum of a file whose structure was
//!   changed, so that what comes behind the checksums is reached.
//!
//! | format | decode | write | fix |
//! |---|---|---|---|
//! | log | [`decode_log`], [`decode_log_files`] | [`write_log`] | [`fix_log`] |
//! | table | [`TableBytes::open`] | [`write_table`], [`TableParts::assemble`] | [`fix_table`] |
//! | data block | [`BlockBytes::open`] | [`write_block`], [`store_block`] | [`fix_block`] |
//! | value file | [`decode_values`] | [`write_values`] | [`fix_values`] |
//! | manifest | [`decode_manifest`] | [`write_manifest`] | [`fix_manifest`] |
//! | backup | [`decode_backup`] | [`write_backup`] | [`fix_backup`] |
//! | `CURRENT` | [`decode_current`] | [`write_current`] | [`fix_current`] |
//! | any, as it is shown | [`inspect_bytes`] | | |
//!
//! ```
//! # fn main() -> Result<(), esker::Error> {
//! use esker::fuzzing::{DatabaseId, FileId, Identity, decode_current, fix_current, write_current};
//!
//! let identity = Identity { database: DatabaseId(7), file: FileId(2) };
//! let mut bytes = write_current(identity);
//! bytes[24] = 3; // It names another manifest now, and its checksum fails.
//! assert!(decode_current(&bytes).is_err());
//! fix_current(&mut bytes);
//! assert_eq!(decode_current(&bytes)?.manifest.0, 3);
//! # Ok(()) }
//! ```
//!
//! INV-1: nothing here decodes by itself: a file is accepted or refused by the
//! code that a database is opened and read with.
//! INV-2: a fixer changes no byte of a file whose checksums all hold.
//!
//! Concurrency: none. Not here: opening a whole directory (that is
//! [`Db::open_with_fs`](crate::Db::open_with_fs) on a [`SimFs`]),
//! inputs and assertions (the package `fuzz/`).

mod backup;
mod block;
mod inspect;
mod log;
mod manifest;
mod table;
mod table_parts;
#[cfg(test)]
mod tests;
mod values;

pub use crate::format::{
    BackupRef, DatabaseId, EntryKind, FileId, KEY_BYTES_MAX, Level, LogId, ManifestId, Properties,
    SeqNo, TableId, TableMeta,
};
pub use crate::manifest::read::Current;
pub use crate::manifest::{Edit, State};
pub use backup::{
    BACKUP_NAME, BackedUp, BackedUpValue, BackupHeader, decode_backup, fix_backup, write_backup,
};
pub use block::{BlockBytes, fix_block, store_block, write_block};
pub use inspect::inspect_bytes;
pub use log::{Batch, LogFound, Operation, decode_log, decode_log_files, fix_log, write_log};
pub use manifest::{
    decode_current, decode_manifest, fix_current, fix_manifest, write_current, write_manifest,
};
pub use table::{TableBytes, table_meta_of, write_table};
pub use table_parts::{StoredBlock, TableParts, fix_table, set_table_digest};
pub use values::{StoredValue, decode_values, fix_values, write_values};

use crate::error::Result;
use crate::format::codec::{to_u64, to_usize};
use crate::format::frame::FRAME_HEADER_SIZE;
use crate::format::key::compare;
use crate::format::{EntryRef, FileKind, FrameHeader, FramePlace, crc};
use crate::fs::sim::SimFs;
use crate::fs::{Fs, IoContext, OpenMode, read_exact_at, write_all_at};
use crate::store::log_identity;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// Where the files stand that are made and read here.
const DIR: &str = "/";

/// Which file the bytes are: what their checksums are bound to.
///
/// ```
/// use esker::fuzzing::{DatabaseId, FileId, Identity, LogId, decode_log, write_log};
/// let table = Identity { database: DatabaseId(7), file: FileId(2) };
/// // A log file is bound to the run that wrote it, too.
/// let [first, second] = [1, 2].map(|opens| Identity::of_log(DatabaseId(7), opens, LogId(2)));
/// assert_ne!(first, second);
/// assert_eq!(first.file, table.file);
/// let bytes = write_log(first, 0, 0, &[]);
/// assert!(decode_log(&bytes, first, 0).is_ok());
/// assert!(decode_log(&bytes, second, 0).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The database's random number.
    pub database: DatabaseId,
    /// The file's number, which is also in its name.
    pub file: FileId,
}

impl Identity {
    /// What a log file is bound to: beside the database, which of its `opens`,
    /// as the manifest counts them, it was written in.
    ///
    /// See the example of [`Identity`].
    #[must_use]
    pub fn of_log(database: DatabaseId, opens: u64, id: LogId) -> Self {
        Identity { database: log_identity(database, opens), file: id.into() }
    }

    fn log(self) -> LogId {
        LogId(self.file.0)
    }

    fn table(self) -> TableId {
        TableId(self.file.0)
    }

    fn manifest(self) -> ManifestId {
        ManifestId(self.file.0)
    }
}

/// One entry, with bytes of its own.
///
/// ```
/// use esker::fuzzing::{Entry, EntryKind, SeqNo};
/// let entry = |key: &str, seq| Entry { key: key.into(), seq: SeqNo(seq), kind: EntryKind::Delete, payload: vec![] };
/// let mut entries = [entry("b", 1), entry("a", 1), entry("a", 2)];
/// entries.sort_by(Entry::order);
/// assert_eq!(entries, [entry("a", 2), entry("a", 1), entry("b", 1)]); // The newest first.
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// When it was written, in commit order.
    pub seq: SeqNo,
    /// What it says.
    pub kind: EntryKind,
    /// The value; for [`EntryKind::SetExpiring`] the expiry stands before it, 8
    /// bytes; empty for a tombstone.
    pub payload: Vec<u8>,
}

impl Entry {
    /// The order of all entries: keys ascending, the newest version first.
    ///
    /// See the example of [`Entry`].
    #[must_use]
    pub fn order(&self, other: &Entry) -> Ordering {
        compare(&self.key, self.seq, &other.key, other.seq)
    }

    fn borrowed(&self) -> EntryRef<'_> {
        let Entry { key, seq, kind, payload } = self;
        EntryRef { key, seq: *seq, kind: *kind, payload }
    }
}

impl From<EntryRef<'_>> for Entry {
    fn from(entry: EntryRef<'_>) -> Entry {
        let EntryRef { key, seq, kind, payload } = entry;
        Entry { key: key.to_vec(), seq, kind, payload: payload.to_vec() }
    }
}

fn path_of(kind: FileKind) -> PathBuf {
    Path::new(DIR).join(kind.name())
}

/// A file system that holds `bytes` as the file `kind`.
fn holding(kind: FileKind, bytes: &[u8]) -> Result<SimFs> {
    let (fs, path) = (SimFs::new(), path_of(kind));
    let file = fs.open(&path, OpenMode::CreateNew).during("create", &path)?;
    write_all_at(file.as_ref(), bytes, 0).during("write", &path)?;
    Ok(fs)
}

/// The first `len` bytes of a file.
fn contents(fs: &SimFs, kind: FileKind, len: u64) -> Result<Vec<u8>> {
    let path = path_of(kind);
    let file = fs.open(&path, OpenMode::Read).during("open", &path)?;
    let mut bytes = vec![0; to_usize(len).expect("a file that was just written in memory")];
    read_exact_at(file.as_ref(), &mut bytes, 0).during("read", &path)?;
    Ok(bytes)
}

/// Puts right the checksums of the frames from `start` on: each stands where
/// the one before it says that it ends. Ends at zeros, and behind a frame that
/// says it is longer than the file.
fn fix_frames(bytes: &mut [u8], start: usize, identity: Identity) {
    let mut at = start;
    while let Some(rest) = bytes.get_mut(at..) {
        let Some((_, _, mut header)) = FrameHeader::fields(rest) else { return };
        if rest.iter().take(FRAME_HEADER_SIZE).all(|&b| b == 0) {
            return;
        }
        let body_end =
            to_usize(header.body_bytes).and_then(|len| FRAME_HEADER_SIZE.checked_add(len));
        if let Some(body) = body_end.and_then(|end| rest.get(FRAME_HEADER_SIZE..end)) {
            header.body_crc = crc(body);
        }
        let place =
            FramePlace { database: identity.database, file: identity.file, offset: to_u64(at) };
        let encoded = header.encode(place);
        rest.iter_mut().zip(encoded).for_each(|(to, from)| *to = from);
        let Some(next) = body_end.and_then(|end| at.checked_add(end)) else { return };
        at = next;
    }
}
