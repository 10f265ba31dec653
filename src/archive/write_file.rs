//! A backup gets its name only when it is whole.

use super::output::FileOutput;
use super::verify::verify_file;
use crate::error::{Error, Result};
use crate::format::{DatabaseId, FileKind};
use crate::fs::{Fs, IoContext, OpenMode, create_dir_durably, parent_of};
use log::warn;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The backups that one handle is writing.
#[derive(Debug)]
pub struct Partials {
    /// Part of the names of files that are being written, so that those a crash has left are known.
    database: DatabaseId,
    live: Mutex<BTreeSet<PathBuf>>,
}

impl Partials {
    /// Of the database `database`, or of an engine that has drawn that number.
    #[must_use]
    pub fn new(database: DatabaseId) -> Self {
        Partials { database, live: Mutex::default() }
    }
}

/// Writes a backup to `path`, in place of what was there: `write` puts all of it out. The file is written under
/// another name beside it, `path` with `.partial-` and two numbers, then read back (if `verify` says so), synced
/// and, after `settle`, renamed, and its directory synced. A directory that is missing is made.
///
/// # Errors
/// Those of `write` and `settle`; [`Error::InvalidArgument`] for a name that files of databases have;
/// [`Error::Io`]. What was at `path` is there as before, unless it was the last sync, of the
/// directory, that failed: then it is there or the new one is.
pub fn write_file<T>(
    fs: &dyn Fs,
    partials: &Partials,
    path: &Path,
    verify: bool,
    write: impl FnOnce(FileOutput) -> Result<(FileOutput, T)>,
    settle: impl FnOnce(&T) -> Result<()>,
) -> Result<T> {
    let name = path.file_name().ok_or_else(|| {
        Error::invalid(format!("{} is no name for a backup; name a file", path.display()))
    })?;
    if name.to_str().and_then(FileKind::parse).is_some() {
        return Err(Error::invalid(format!(
            "files of databases are called {}; give the backup another name",
            name.display()
        )));
    }
    let dir = parent_of(path);
    match fs.list(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => create_dir_durably(fs, dir)?,
        // What may not be listed may be written all the same.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {}
        listed => clear_leftovers(fs, partials, path, &listed.during("list", dir)?),
    }
    let live = Live::draw(fs, partials, path);
    let partial = &live.path;
    let file = fs.open(partial, OpenMode::CreateNew).during("create", partial)?;
    let written = FileOutput::new(file, partial, fs.allows_threads()).and_then(write);
    let check = || if verify { verify_file(fs, partial, false).map(drop) } else { Ok(()) };
    let (output, written) = written?;
    output.finish(check)?;
    settle(&written)?;
    fs.rename(partial, path).during("rename", path)?;
    fs.sync_dir(dir).during("sync", dir)?;
    Ok(written)
}

/// The name of a file that is being written. When this goes, so does the file, unless it has another name
/// by then.
struct Live<'a> {
    fs: &'a dyn Fs,
    partials: &'a Partials,
    path: PathBuf,
}

impl<'a> Live<'a> {
    fn draw(fs: &'a dyn Fs, partials: &'a Partials, path: &Path) -> Self {
        let mut live = partials.live.lock();
        loop {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!("{}{:016x}", mark(partials), fs.random()));
            let path = path.with_file_name(name);
            if live.insert(path.clone()) {
                return Live { fs, partials, path };
            }
        }
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        remove(self.fs, &self.path);
        self.partials.live.lock().remove(&self.path);
    }
}

fn mark(partials: &Partials) -> String {
    format!(".partial-{:016x}-", partials.database.0)
}

/// Removes what earlier runs of this database were at when they were killed: it is open here, and so
/// nowhere else.
fn clear_leftovers(fs: &dyn Fs, partials: &Partials, path: &Path, names: &[String]) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
    let prefix = format!("{name}{}", mark(partials));
    let live = partials.live.lock();
    for name in names.iter().filter(|name| name.starts_with(&prefix)) {
        let leftover = path.with_file_name(name);
        if !live.contains(&leftover) {
            remove(fs, &leftover);
        }
    }
}

/// What cannot be removed stays, which is no reason to fail: it is told.
fn remove(fs: &dyn Fs, path: &Path) {
    match fs.remove(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            let path = path.display();
            warn!(target: "esker::backup", "could not remove {path}, of a backup that was not finished: {e}");
        }
        _ => {}
    }
}
