//! Making a new database.

use super::files::list_files;
use crate::error::{Error, Result};
use crate::format::FileKind;
use crate::fs::{Fs, IoContext};
use crate::manifest::read_origin;
use crate::options::Options;
use crate::store::log_identity;
use crate::wal::holds_records;
use std::collections::BTreeSet;
use std::io::ErrorKind::NotFound;
use std::path::Path;

/// A creation makes a log and a manifest, in a directory without either: they
/// are the first files of the database, and have the numbers 1 and 2.
const CREATED_MAX: u64 = 2;

/// Checks that what is in `dir`, `files` without `CURRENT`, is at most what an interrupted creation left.
///
/// Creation acknowledges nothing before `CURRENT` is durable; so a table,
/// a log with an intact record, a manifest of more than one run or with a
/// table in it, or a file with the number of one made later means that there was
/// a database here whose `CURRENT` is gone.
/// Anything else in a log is what a disk may show of a file that was never synced.
///
/// # Errors
/// [`Error::Corruption`] in that case; [`Error::Io`].
pub fn check_leftovers(fs: &dyn Fs, dir: &Path, files: &BTreeSet<FileKind>) -> Result<()> {
    let mut databases = Vec::new();
    let mut were_in_use = Vec::new();
    for &kind in files {
        if let FileKind::Manifest(id) = kind
            && let Some((database, state)) = read_origin(fs, dir, id)?
        {
            databases.push(log_identity(database, state.opens));
            if state.opens > 1 || !state.tables.is_empty() {
                were_in_use.push(id);
            }
        }
    }
    for &kind in files {
        let holds_data = match kind {
            FileKind::Table(_) | FileKind::Values(_) => true,
            FileKind::Manifest(id) => id.0 > CREATED_MAX || were_in_use.contains(&id),
            FileKind::Log(id) => id.0 > CREATED_MAX || holds_records(fs, dir, id, &databases)?,
            _ => false,
        };
        if holds_data {
            let path = dir.join(FileKind::Current.name());
            let detail = format!("the file is missing, though {} is there", kind.name());
            return Err(Error::corruption(&path, 0, detail));
        }
    }
    Ok(())
}

/// That a database may be made in `dir`, where there is no `CURRENT`.
///
/// # Errors
/// [`Error::InvalidArgument`]: the options say no. As [`check_leftovers`].
pub fn check_may_create(fs: &dyn Fs, dir: &Path, options: &Options) -> Result<()> {
    if options.create_if_missing {
        return Ok(());
    }
    match list_files(fs, dir) {
        Err(e) if e.kind() == NotFound => {}
        listed => check_leftovers(fs, dir, &listed.during("list", dir)?)?,
    }
    let dir = dir.display();
    let detail = format!("there is no database in {dir}; set create_if_missing to make one");
    Err(Error::invalid(detail))
}

/// Clears what an interrupted creation left in `dir`: `files`, without `CURRENT`.
///
/// # Errors
/// As [`check_leftovers`].
pub fn clear_leftovers(fs: &dyn Fs, dir: &Path, files: &BTreeSet<FileKind>) -> Result<u64> {
    check_leftovers(fs, dir, files)?;
    let mut removed = 0;
    for kind in files.iter().filter(|kind| **kind != FileKind::Lock) {
        let path = dir.join(kind.name());
        fs.remove(&path).during("remove", &path)?;
        removed += 1;
    }
    Ok(removed)
}
