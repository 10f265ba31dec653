//! Making directories whose entries survive a power cut.

use super::{Fs, IoContext};
use crate::error::{Error, Result};
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
    let missing = missing(fs, dir)?;
    if let Some(topmost) = missing.last() {
        let parent = parent_of(topmost);
        fs.sync_dir(parent).during("sync", parent)?;
    }
    fs.create_dir_all(dir).during("create", dir)?;
    for made in dir.ancestors().take_while(|made| made.parent().is_some()) {
        let parent = parent_of(made);
        match fs.sync_dir(parent) {
            // Directories that were there before may be closed to us, or on a
            // file system without syncs (a read-only one as the root, say);
            // that they exist is not ours to make durable.
            Err(e)
                if !missing.contains(&made)
                    && matches!(e.kind(), PermissionDenied | InvalidInput | ReadOnlyFilesystem) =>
            {
                break;
            }
            synced => synced.during("sync", parent)?,
        }
    }
    Ok(())
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
