//! What is in a file of a database, piece by piece: for a person who looks, and for programs, as plain data.
//!
//! Place on the data's path: none; it only reads. Each format is read by the decoders that an open or a read
//! uses, so what is told here is what the engine would make of the file. A file is looked at by itself: that it is
//! the one that the manifest means, and that those of a directory fit together, is for
//! [`Db::verify`](crate::Db::verify).
//!
//! INV-1: nothing here decodes by itself: the layouts stand in the `format.rs` of their owners.
//! INV-2: what was told before a damage had its checksums checked. Where the damage begins the telling ends.
//! INV-3: any bytes come to an end in linear time, with memory of a constant times the file at most.
//!
//! Concurrency: no lock is taken. Of a file that is being written the end may be told as torn.
//! Not here: text for people (the command line), files that belong together.

mod backup;
mod item;
mod kind;
mod log;
mod manifest;
mod table;
mod values;

pub use item::{
    AddedTable, BackupHeader, Block, Bytes, Change, Current, Entry, EntryKind, Followed, Id, Item,
    LogHeader, ManifestHeader, Properties, Record, Segment, State, TableHeader, ValueHeader,
    ValuePlace,
};
pub use kind::FileFormat;

use crate::error::{Error, Result};
use crate::format::codec::to_usize;
use crate::format::{DatabaseId, FileKind};
use crate::fs::{File, Fs, IoContext, OpenMode, disk::DiskFs, parent_of, read_exact_at};
use crate::manifest::read_current;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is looked at.
///
/// See the example of [`crate::inspect::Item`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InspectOptions {
    /// Whether items have the values themselves, and not only their sizes. Default: false.
    pub values: bool,
    /// The identity of the database, which the checksums of a table are bound to and which stands in no table.
    /// `None`: that of the `CURRENT` beside it. Default: `None`.
    pub database_id: Option<u64>,
}

/// Where a file stops being what was written.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// use esker::inspect::{Damage, InspectOptions, Inspection, inspect};
/// use std::ops::ControlFlow;
/// db.set("key", "value")?;
/// db.flush()?;
/// let table = dir.path().join(&db.layout().levels[0].tables[0].file);
/// let look = || inspect(&table, &InspectOptions::default(), &mut |_| ControlFlow::Continue(()));
/// let sound: Inspection = look()?;
/// assert!(sound.damage.is_none() && sound.is_complete && sound.items >= 3);
///
/// let mut bytes = std::fs::read(&table).expect("the table");
/// bytes[0] ^= 1;
/// std::fs::write(&table, bytes).expect("it can be written");
/// let damage: Damage = look()?.damage.expect("a flipped bit");
/// assert!(damage.offset == 0 && !damage.is_torn_tail);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// In bytes from its start.
    pub offset: u64,
    /// What was expected and what was found.
    pub what: String,
    /// It may be a write that was cut off, as by a crash, of what had not been acknowledged as durable. An open cuts such
    /// a tail off the last log file or the manifest, and goes on.
    pub is_torn_tail: bool,
}

/// What a file came to.
///
/// See the example of [`Damage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// What kind of file it is.
    pub format: FileFormat,
    /// Its length.
    pub bytes: u64,
    /// How many items were told.
    pub items: u64,
    /// Where it stops being what was written; `None`: nowhere, as far as was looked.
    pub damage: Option<Damage>,
    /// Whether it was looked at to its end, or to its damage.
    pub is_complete: bool,
}

/// Tells `see` what is in the file at `path`, item by item, up to its end, to damage, or until it says
/// [`ControlFlow::Break`].
///
/// What kind of file it is, its name tells, as the database gives them, or how it begins. Tables and value files
/// need their name: it has the number that their checksums are bound to.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// use esker::inspect::{InspectOptions, Item, inspect};
/// use std::ops::ControlFlow;
/// let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("key", "value")?;
/// drop(db); // What was set is in the log.
///
/// let logs = std::fs::read_dir(dir.path()).expect("it is there").flatten().map(|file| file.path());
/// let log = logs.into_iter().find(|path| path.extension().is_some_and(|e| e == "log")).expect("a log");
/// let mut keys = Vec::new();
/// let found = inspect(&log, &InspectOptions::default(), &mut |item| {
///     if let Item::Entry(entry) = item {
///         keys.push(entry.key.0.clone());
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!(keys, [b"key"]);
/// assert!(found.damage.is_none() && found.is_complete);
/// # Ok(()) }
/// ```
///
/// # Errors
/// - [`Error::InvalidArgument`]: neither its name nor its beginning is that of a file of ours; a table without its
///   name, or the database's identity;
/// - [`Error::UnsupportedFormat`]: a newer version wrote it;
/// - [`Error::Io`]: it cannot be read. Damage is no error, but in what is returned.
pub fn inspect(
    path: impl AsRef<Path>,
    options: &InspectOptions,
    see: &mut dyn FnMut(&Item) -> ControlFlow<()>,
) -> Result<Inspection> {
    inspect_with_fs(&(Arc::new(DiskFs::new()) as Arc<dyn Fs>), path, options, see)
}

/// As [`inspect`], on another file system: a simulated one, say.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::inspect::{FileFormat, Id, InspectOptions, Item, inspect_with_fs};
/// use esker::{Fs, sim::SimFs};
/// use std::{ops::ControlFlow, sync::Arc};
/// let fs: Arc<dyn Fs> = Arc::new(SimFs::new());
/// let db = esker::Db::open_with_fs(fs.clone(), "/db", esker::Options::default())?;
/// let mut current = None;
/// let found = inspect_with_fs(&fs, "/db/CURRENT", &InspectOptions::default(), &mut |item| {
///     if let Item::Current(item) = item {
///         current = Some(item.clone());
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!(found.format, FileFormat::Current);
/// assert!(current.is_some_and(|current| current.database_id != Id(0)));
/// # Ok(()) }
/// ```
///
/// # Errors
/// As there.
pub fn inspect_with_fs(
    fs: &Arc<dyn Fs>,
    path: impl AsRef<Path>,
    options: &InspectOptions,
    see: &mut dyn FnMut(&Item) -> ControlFlow<()>,
) -> Result<Inspection> {
    let path = path.as_ref();
    let file = fs.open(path, OpenMode::Read).during("open", path)?;
    let bytes = file.len().during("stat", path)?;
    let (format, kind) = kind::of(file.as_ref(), path)?;
    let telling = Telling { see, items: 0, is_stopped: false, damage: None };
    let mut subject = Subject {
        fs: Arc::clone(fs),
        path: path.to_path_buf(),
        file,
        bytes,
        kind,
        options,
        telling,
    };
    match format {
        FileFormat::Log => log::tell(&mut subject)?,
        FileFormat::Table => table::tell(&mut subject)?,
        FileFormat::Values => values::tell(&mut subject)?,
        FileFormat::Manifest => manifest::tell(&mut subject)?,
        FileFormat::Current => manifest::tell_current(&mut subject)?,
        FileFormat::Backup => backup::tell(&mut subject)?,
        // Their content does not matter.
        FileFormat::Lock | FileFormat::Reserve => {}
    }
    let Telling { items, is_stopped, damage, .. } = subject.telling;
    Ok(Inspection { format, bytes, items, damage, is_complete: !is_stopped })
}

/// Who is told, and what has been told.
struct Telling<'a> {
    see: &'a mut dyn FnMut(&Item) -> ControlFlow<()>,
    items: u64,
    is_stopped: bool,
    damage: Option<Damage>,
}

impl Telling<'_> {
    /// Tells an item; whether to go on.
    fn item(&mut self, item: &Item) -> ControlFlow<()> {
        self.items += 1;
        let flow = (self.see)(item);
        self.is_stopped |= flow.is_break();
        flow
    }

    /// Notes damage, the first of which counts; other errors go on as such.
    fn damage(&mut self, e: Error) -> Result<()> {
        match e {
            Error::Corruption { offset, detail, .. } => {
                let damage = Damage { offset, what: detail, is_torn_tail: false };
                self.damage.get_or_insert(damage);
                Ok(())
            }
            e => Err(e),
        }
    }
}

/// The file that is looked at.
struct Subject<'a> {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    file: Arc<dyn File>,
    bytes: u64,
    /// What its name says, where it is one of ours.
    kind: Option<FileKind>,
    options: &'a InspectOptions,
    telling: Telling<'a>,
}

impl Subject<'_> {
    /// All of its bytes.
    fn read(&self) -> Result<Vec<u8>> {
        let too_large = || Error::invalid("the file is larger than the address space");
        let mut bytes = vec![0; to_usize(self.bytes).ok_or_else(too_large)?];
        read_exact_at(self.file.as_ref(), &mut bytes, 0).during("read", &self.path)?;
        Ok(bytes)
    }

    /// The directory it is in.
    fn dir(&self) -> &Path {
        parent_of(&self.path)
    }

    /// The identity of the database.
    fn database(&self) -> Result<DatabaseId> {
        if let Some(id) = self.options.database_id {
            return Ok(DatabaseId(id));
        }
        let current = read_current(self.fs.as_ref(), self.dir())?;
        current.map(|current| current.database).ok_or_else(|| {
            Error::invalid(format!(
                "the checksums of {} are bound to the identity of its database, and there is no CURRENT beside it \
                 that tells it; name it",
                self.path.display()
            ))
        })
    }
}
