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
    create_dir(fs, dir, None)?.sync(fs)
}

/// Makes `dir`, with its parents. Their entries are durable after [`DirEntries::sync`]; those of directories
/// that `durable` stands in, or is, are already.
///
/// # Errors
/// [`Error::Io`].
pub fn create_dir<'a>(
    fs: &dyn Fs,
    dir: &'a Path,
    durable: Option<&Path>,
) -> Result<DirEntries<'a>> {
    let is_durable = |path: &Path| durable.is_some_and(|durable| durable.starts_with(path));
    let missing = missing(fs, dir)?;
    if let Some(topmost) = missing.last() {
        let parent = parent_of(topmost);
        fs.sync_dir(parent).during("sync", parent)?;
    }
    fs.create_dir_all(dir).during("create", dir)?;
    let entries = dir.ancestors().take_while(|path| path.parent().is_some() && !is_durable(path));
    let entries = entries.map(|path| (path, missing.contains(&path))).collect();
    Ok(DirEntries { entries })
}

/// A directory and those it stands in, whose entries are to be durable.
#[derive(Debug)]
pub struct DirEntries<'a> {
    /// From the innermost on, and whether it was made now.
    entries: Vec<(&'a Path, bool)>,
}

impl DirEntries<'_> {
    /// Makes them durable.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&self, fs: &dyn Fs) -> Result<()> {
        for &(path, was_made) in &self.entries {
            let parent = parent_of(path);
            match fs.sync_dir(parent) {
                // That what was there before exists is not ours to make durable.
                Err(e) if !was_made && is_refusal(&e) => break,
                synced => synced.during("sync", parent)?,
            }
        }
        Ok(())
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
