//! Making directories whose entries survive a power cut.

use super::{Fs, IoContext};
use crate::error::{Error, Result};
use std::io;
use std::io::ErrorKind::{InvalidInput, NotFound, PermissionDenied, ReadOnlyFilesystem};
use std::path::Path;

/// Makes `dir`, with its parents, and their entries durable.
///
/// Where a directory has to be made, the one that it is made in must let its
/// entries be made durable: that is tried first, so that a refusal leaves
/// nothing behind that the next attempt would take for a directory of old.
///
/// # Errors
/// [`Error::Io`].
pub fn create_dir_durably(fs: &dyn Fs, dir: &Path) -> Result<()> {
    create_dir(fs, dir)?.iter().try_for_each(|entry| entry.sync(fs))
}

/// Makes `dir`, with its parents. Their entries, the innermost first, are durable when each of them was synced.
///
/// # Errors
/// [`Error::Io`].
pub fn create_dir<'a>(fs: &dyn Fs, dir: &'a Path) -> Result<Vec<DirEntry<'a>>> {
    let missing = missing(fs, dir)?;
    if let Some(topmost) = missing.last() {
        let parent = parent_of(topmost);
        fs.sync_dir(parent).during("sync", parent)?;
    }
    fs.create_dir_all(dir).during("create", dir)?;
    let entries = dir.ancestors().take_while(|path| path.parent().is_some());
    Ok(entries.map(|path| DirEntry { path, was_made: missing.contains(&path) }).collect())
}

/// The entry of a directory in the one that it is in.
#[derive(Debug)]
pub struct DirEntry<'a> {
    path: &'a Path,
    /// It was not there before.
    was_made: bool,
}

impl DirEntry<'_> {
    /// Makes it durable.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&self, fs: &dyn Fs) -> Result<()> {
        let parent = parent_of(self.path);
        match fs.sync_dir(parent) {
            // That what was there before exists is not ours to make durable.
            Err(e) if !self.was_made && is_refusal(&e) => Ok(()),
            synced => synced.during("sync", parent),
        }
    }
}

/// Whether a directory cannot be synced at all: it is closed to us, or on a file system without syncs (a
/// read-only one as the root, say).
fn is_refusal(e: &io::Error) -> bool {
    matches!(e.kind(), PermissionDenied | InvalidInput | ReadOnlyFilesystem)
}

/// Which of `dir` and its parents are not there, the topmost last.
fn missing<'a>(fs: &dyn Fs, dir: &'a Path) -> Result<Vec<&'a Path>> {
    let mut missing = Vec::new();
    for path in dir.ancestors().filter(|path| !path.as_os_str().is_empty()) {
        match fs.list(path) {
            Err(e) if e.kind() == NotFound => missing.push(path),
            // It is there. What it holds, and whether we may know, does not matter.
            Ok(_) => break,
            Err(e) if e.kind() == PermissionDenied => break,
            Err(e) => return Err(Error::io("list", path, e)),
        }
    }
    Ok(missing)
}

/// The directory that `path` is in: that of a relative path's first part is
/// the working directory.
#[must_use]
pub fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
