//! The lock on a database's directory, for who opens it to write.

use super::create::check_may_create;
use crate::error::{Error, Result};
use crate::format::FileKind;
use crate::fs::{DirLock, Fs, IoContext, create_dir_durably};
use crate::manifest::read_current;
use crate::options::Options;
use std::io::ErrorKind::NotFound;
use std::path::Path;

/// The lock on `dir`, and whether the lock file was there before. Where it is not, and neither is there a database nor is one
/// to be made, none is made either.
///
/// # Errors
/// [`Error::Locked`]; [`Error::InvalidArgument`] where there is no database and none is to be made; [`Error::Corruption`] where one has
/// lost its `CURRENT`; [`Error::Io`].
pub fn alone(fs: &dyn Fs, dir: &Path, options: &Options) -> Result<(Box<dyn DirLock>, bool)> {
    let path = dir.join(FileKind::Lock.name());
    let (locked, was_there) = match fs.lock_existing(&path) {
        Err(e) if e.kind() == NotFound => {
            if read_current(fs, dir)?.is_none() {
                check_may_create(fs, dir, options)?;
                create_dir_durably(fs, dir)?;
            }
            (fs.lock(&path), false)
        }
        locked => (locked, true),
    };
    let lock = locked.during("lock", &path)?;
    Ok((lock.ok_or_else(|| Error::Locked { dir: dir.to_path_buf() })?, was_there))
}
