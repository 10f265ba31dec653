//! Repair: from a directory that is damaged, all that verifies, into a new one.
//!
//! Place on the data's path: beside it. The damaged database is only read; the new one is written
//! from front to back, of the newest version of each key.
//!
//! INV-1: no byte of the damaged directory is written ([`crate::fs::ReadOnlyFs`]), and nobody writes to it meanwhile.
//! INV-2: **nothing that was deleted or overwritten comes back.** A version is shown only if none that is
//! newer can be among what is lost: see [`lost`]. What cannot be told is withheld, and counted.
//! INV-3: the new directory is refused by every open until it is whole and durable ([`output`]).
//! INV-4: a damaged large value is its key's loss: no older version takes its place.
//!
//! # What the manifest has to do with it
//!
//! Which tables are in force, in which order versions stand, and where the log begins, the manifest says
//! alone. Where it is damaged or missing nothing is repaired ([`crate::Error::Corruption`]): the tables in the directory do not tell
//! which of them had been merged away and were about to be removed. A merge into the last level drops a tombstone
//! together with what it hides; the table with the hidden value may still lie there, and nothing on the disk knows
//! any more that its key was deleted. A torn last edit is another matter, as in an open: then the files that
//! it would have replaced are there. Where only `CURRENT` is lost, the manifest with the largest
//! number is the one in force, or has the same content: nothing is appended to one once the next is there. It
//! counts only if all that it names is there.
//!
//! Concurrency: the lock of the damaged directory is held, shared with readers.
//! Not here: putting damaged bytes right.

mod log;
mod lost;
mod output;
mod report;
mod salvage;
mod source;

pub use report::{Loss, RepairReport};

use crate::error::{Error, Result};
use crate::format::{Content, EntryRef, ValuePointer};
use crate::fs::{Fs, IoContext, create_dir_durably, disk::DiskFs};
use crate::memtable::Memtable;
use crate::options::Options;
use crate::recovery::{self, Opened, Replay};
use crate::store::{Store, Version};
use lost::LostRanges;
use output::Output;
use salvage::{Damage, Sources};
use source::Source;
use std::io::ErrorKind::NotFound;
use std::path::Path;
use std::sync::Arc;

/// Saves what can be saved of the damaged database in `dir` into a new one in `into`, which must be empty
/// or not be there. `dir` is not changed.
///
/// The new database has of each key its newest version, with its expiry. A key of which a newer
/// version, or a delete, may be among what is lost is left out, rather than shown as it once was; so is one whose
/// newest version is a large value that is damaged. The report counts these and lists all
/// that was lost. What comes of each kind of damage:
///
/// - a damaged block of a table: the keys between its neighbours are lost, unless they have a newer version elsewhere;
/// - a damaged filter: nothing; a damaged footer or index, a missing table, another file under its name: the
///   keys of that table;
/// - a damaged or missing part of the log that had been durable: the commits in it. Those before and after it
///   are kept, each whole; of the keys that can still be read in a damaged record no older version is
///   shown, of others there may be;
/// - a torn tail of the log: it is cut off, as by an open;
/// - `CURRENT` damaged or missing: nothing, while the manifest is whole;
/// - the manifest damaged or missing: the repair is refused. Without it nothing tells a table that is in force from one
///   that was merged away and not yet removed, with values in it that have been deleted since.
///
/// On return the new database is durable, and has been opened once. It has its own identity, and no history:
/// sequence numbers go on. `options` says how its files are written. If the repair is interrupted, or fails, `into`
/// is refused by every open (as [`Error::Corruption`] of its missing `CURRENT`) and may be deleted.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// use esker::{Db, Options};
/// let (damaged, repaired) = (dir.path().join("damaged"), dir.path().join("repaired"));
/// let db = Db::open(&damaged, Options::default())?;
/// db.set("key", "value")?;
/// db.close()?;
/// let report = esker::repair(&damaged, &repaired, &Options::default())?;
/// println!("{report}");
/// assert!(report.is_whole() && report.entries == 1);
/// assert!(Db::open(&repaired, Options::default())?.get("key")?.is_some());
/// # Ok(()) }
/// ```
///
/// # Errors
/// - [`Error::InvalidArgument`]: `into` is not empty, or lies within `dir`; there is no database in `dir`; an option is out of its range;
/// - [`Error::Locked`]: a writer has `dir` open;
/// - [`Error::Corruption`]: of the manifest;
/// - [`Error::UnsupportedFormat`]: a newer version wrote a file that is needed;
/// - [`Error::Io`].
pub fn repair(
    dir: impl AsRef<Path>,
    into: impl AsRef<Path>,
    options: &Options,
) -> Result<RepairReport> {
    repair_with_fs(&(Arc::new(DiskFs::new()) as Arc<dyn Fs>), dir, into, options)
}

/// As [`repair`], on another file system: a simulated one, say.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::{Db, Fs, Options, repair_with_fs, sim::SimFs};
/// use std::{path::Path, sync::Arc};
/// let fs: Arc<dyn Fs> = Arc::new(SimFs::new());
/// Db::open_with_fs(fs.clone(), "/db", Options::default())?.set("key", "value")?;
/// fs.remove(Path::new("/db/CURRENT")).expect("it is there");
/// assert!(Db::open_with_fs(fs.clone(), "/db", Options::default()).is_err());
/// let report = repair_with_fs(&fs, "/db", "/repaired", &Options::default())?;
/// assert_eq!(report.entries, 1);
/// assert!(Db::open_with_fs(fs, "/repaired", Options::default())?.get("key")?.is_some());
/// # Ok(()) }
/// ```
///
/// # Errors
/// As there.
pub fn repair_with_fs(
    fs: &Arc<dyn Fs>,
    dir: impl AsRef<Path>,
    into: impl AsRef<Path>,
    options: &Options,
) -> Result<RepairReport> {
    let (dir, into) = (dir.as_ref(), into.as_ref());
    options.validate()?;
    check_into(fs.as_ref(), dir, into)?;
    let mut report = RepairReport::default();
    let mut damage = Damage { lost: LostRanges::default(), report: &mut report };
    let Source { store, state, files, _lock } = Source::open(fs, dir, options)?;
    let mut replay = Replay::new(store, state.last_seq);
    log::replay(&mut replay, &state, &files, &mut damage)?;
    damage.report.batches = replay.batches();
    create_dir_durably(fs.as_ref(), into)?;
    let mut output = Output::create(Arc::clone(fs), into, options)?;
    let version = source::version(&replay.store, &state);
    let log = replay.sealed.iter().map(|sealed| Arc::clone(&sealed.memtable));
    let log: Vec<Arc<Memtable>> = log.collect();
    let mut sources = Sources::new(log.into_iter(), &version, &mut damage)?;
    sources.each(&mut damage, |entry, is_hidden, damage| {
        save(&replay, &version, entry, is_hidden, &mut output, damage)
    })?;
    report.tables = output.finish(replay.last_seq, replay.store.expiry.get())?;
    let opened = recovery::open_read_only(Arc::clone(fs), into, options.clone())?;
    drop::<Opened>(opened);
    Ok(report)
}

/// `into` must be nothing yet, and no part of `dir`.
fn check_into(fs: &dyn Fs, dir: &Path, into: &Path) -> Result<()> {
    if into.starts_with(dir) {
        let detail =
            format!("{} lies within {}, which is not written to", into.display(), dir.display());
        return Err(Error::invalid(detail));
    }
    match fs.list(into) {
        Err(e) if e.kind() == NotFound => Ok(()),
        listed => match &listed.during("list", into)?[..] {
            [] => Ok(()),
            _ => Err(Error::invalid(format!(
                "{} is not empty; a repair goes into a new directory",
                into.display()
            ))),
        },
    }
}

/// Writes `entry`, the newest version of its key, unless it is a delete, or may not be shown.
fn save(
    replay: &Replay,
    version: &Version,
    entry: EntryRef<'_>,
    is_hidden: bool,
    output: &mut Output<'_>,
    damage: &mut Damage<'_>,
) -> Result<()> {
    let Some((expires_at_ms, content)) = entry.value() else { return Ok(()) };
    if is_hidden {
        damage.report.keys_withheld += 1;
        return Ok(());
    }
    match content {
        Content::Inline(_) => output.add(entry)?,
        Content::Pointer(pointer) => {
            let pointer =
                ValuePointer::decode(pointer).expect("an entry was checked when it was read");
            match read_stored(replay, version, &pointer) {
                Ok(stored) => output.add_large(entry, &pointer, &stored)?,
                // A segment goes before its entries where all of them have expired.
                Err(_) if is_over(&replay.store, version, expires_at_ms, &pointer) => return Ok(()),
                Err(e) => {
                    let keys = Some((entry.key.to_vec(), entry.key.to_vec()));
                    damage.lose(&e, Some(pointer.bytes()), keys);
                    damage.report.values_lost += 1;
                    return Ok(());
                }
            }
            damage.report.values += 1;
        }
    }
    damage.report.entries += 1;
    Ok(())
}

/// Whether a value has expired whose segment is gone.
fn is_over(
    store: &Store,
    version: &Version,
    expires_at_ms: Option<u64>,
    pointer: &ValuePointer,
) -> bool {
    version.segments().get(pointer.segment).is_none()
        && expires_at_ms.is_some_and(|ms| store.is_expired(ms))
}

/// The value to which `pointer` leads, as it is stored: in a segment, or in the log.
fn read_stored(replay: &Replay, version: &Version, pointer: &ValuePointer) -> Result<Vec<u8>> {
    if let Some(segment) = version.segments().get(pointer.segment) {
        return segment.file.read_stored(pointer);
    }
    let logs = replay.sealed.iter().map(|sealed| &sealed.values);
    let log = logs.into_iter().find(|log| log.own_segment() == pointer.segment);
    match log {
        Some(log) => log.read_stored(pointer),
        None => Err(replay.store.views.load().missing_segment(pointer)),
    }
}
