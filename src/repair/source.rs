//! The damaged database, as its manifest has it.

use crate::error::{Error, Result};
use crate::format::{FileKind, ManifestId};
use crate::fs::{DirLock, Fs, IoContext, ReadOnlyFs};
use crate::manifest::{Current, Recorded, State, read_current, read_manifest, read_origin};
use crate::options::Options;
use crate::recovery::{build_store, list_files, lock_shared, with_segments};
use crate::store::{Store, Version, named_files};
use std::collections::BTreeSet;
use std::io::ErrorKind::NotFound;
use std::path::Path;
use std::sync::Arc;

/// The damaged database.
pub struct Source {
    /// Its state; of the files nothing has been looked at.
    pub store: Box<Store>,
    /// What its manifest says.
    pub state: State,
    /// The files in its directory.
    pub files: BTreeSet<FileKind>,
    /// Held until it is done.
    pub _lock: Box<dyn DirLock>,
}

impl Source {
    /// Opens the database in `dir`, as far as that needs its manifest.
    ///
    /// # Errors
    /// As [`super::repair`].
    pub fn open(fs: &Arc<dyn Fs>, dir: &Path, options: &Options) -> Result<Source> {
        let fs: Arc<dyn Fs> = Arc::new(ReadOnlyFs::new(Arc::clone(fs)));
        let lock = lock_shared(fs.as_ref(), dir)?;
        let files = match list_files(fs.as_ref(), dir) {
            Err(e) if e.kind() == NotFound => return Err(nothing(dir)),
            listed => listed.during("list", dir)?,
        };
        let (current, state) = find_manifest(fs.as_ref(), dir, &files)?;
        let options = options.clone();
        let store = build_store(fs, dir, options, current.database, &state, &files);
        Ok(Source { store, state, files, _lock: lock })
    }
}

/// The tables and segments of `state`.
pub fn version(store: &Store, state: &State) -> Version {
    let version = Arc::clone(&store.views.load().version);
    with_segments(store, version.with([], &[]), state)
}

fn nothing(dir: &Path) -> Error {
    Error::invalid(format!("there is no database in {}", dir.display()))
}

/// The manifest in force: see the header of [`super`].
fn find_manifest(fs: &dyn Fs, dir: &Path, files: &BTreeSet<FileKind>) -> Result<(Current, State)> {
    let manifests = files.iter().filter_map(|file| match file {
        FileKind::Manifest(id) => Some(*id),
        _ => None,
    });
    let newest = manifests.max();
    let current = match read_current(fs, dir) {
        Ok(None) if newest.is_none() && !files.iter().any(is_data) => {
            return Err(nothing(dir));
        }
        Ok(current) => current,
        Err(Error::Corruption { .. }) => None,
        Err(e) => return Err(e),
    };
    let is_newest = |current: Current| newest.is_none_or(|newest| newest <= current.manifest);
    match current {
        Some(current) if is_newest(current) => in_force(fs, dir, current, files),
        // It may be that of an older moment; or the next manifest was being made, which has the same
        // content, if it is whole.
        Some(current) => newest_whole(fs, dir, files, newest, Some(current))
            .or_else(|_| in_force(fs, dir, current, files)),
        None => newest_whole(fs, dir, files, newest, None),
    }
}

/// The manifest with the largest number, if that is whole, and so is all that it names.
fn newest_whole(
    fs: &dyn Fs,
    dir: &Path,
    files: &BTreeSet<FileKind>,
    newest: Option<ManifestId>,
    current: Option<Current>,
) -> Result<(Current, State)> {
    let path = dir.join(newest.map_or(FileKind::Current, FileKind::Manifest).name());
    let damage = |detail: &str| Err(refused(Error::corruption(&path, 0, detail)));
    let Some(newest) = newest else { return damage("no manifest is there") };
    let Some((database, _)) = read_origin(fs, dir, newest)? else {
        return damage("CURRENT is lost, and the manifest with the largest number is damaged");
    };
    if current.is_some_and(|current| current.database != database) {
        return damage("the manifest is that of another database");
    }
    let current = Current { database, manifest: newest };
    let (recorded, _) = read_manifest(fs, dir, current).map_err(refused)?;
    match missing(&recorded.state, files) {
        None => Ok((current, recorded.state)),
        Some(missing) => {
            let missing = missing.name();
            damage(&format!(
                "CURRENT is lost, and {missing}, which this manifest names, is missing: a later one may \
                 have been in force"
            ))
        }
    }
}

/// What the manifest that `current` names says, unless it may be that of an older moment.
fn in_force(
    fs: &dyn Fs,
    dir: &Path,
    current: Current,
    files: &BTreeSet<FileKind>,
) -> Result<(Current, State)> {
    let (recorded, _) = read_manifest(fs, dir, current).map_err(refused)?;
    let Recorded { state, path, cut_at, .. } = recorded;
    let Some(gone) = missing(&state, files).map(FileKind::name) else {
        return Ok((current, state));
    };
    if let Some(offset) = cut_at {
        let detail = format!("an edit is damaged that was in force: {gone} is gone");
        return Err(refused(Error::corruption(&path, offset, detail)));
    }
    // Whatever has changed since would have left tables that it does not know.
    if let Some(unnamed) = unnamed(&state, files).map(FileKind::name) {
        let detail = format!(
            "{gone} is missing, and {unnamed} is there, which this manifest does not name: a later state of \
             it may have been in force"
        );
        return Err(refused(Error::corruption(&path, 0, detail)));
    }
    Ok((current, state))
}

/// A file that `state` names and that is not there.
fn missing(state: &State, files: &BTreeSet<FileKind>) -> Option<FileKind> {
    let log = FileKind::Log(state.log_min);
    named_files(state).into_iter().chain([log]).find(|file| !files.contains(file))
}

/// A table or value file that `state` does not name.
fn unnamed(state: &State, files: &BTreeSet<FileKind>) -> Option<FileKind> {
    let named = named_files(state);
    let is_named = |file: &FileKind| named.contains(file) || matches!(file, FileKind::Log(_));
    files.iter().copied().find(|file| is_data(file) && !is_named(file))
}

fn is_data(file: &FileKind) -> bool {
    matches!(file, FileKind::Table(_) | FileKind::Values(_) | FileKind::Log(_))
}

/// Says of damage of the manifest what it means.
fn refused(e: Error) -> Error {
    match e {
        Error::Corruption { file, offset, detail } => {
            let detail = format!(
                "{detail}; without a whole manifest nothing tells the tables in force from those that were \
                 merged away, with values in them that have been deleted: nothing is repaired"
            );
            Error::Corruption { file, offset, detail }
        }
        e => e,
    }
}
