//! A directory held by its handle, for names that come from outside.
//!
//! A path is looked up anew by every call that takes it: whoever may write to a directory above can put
//! another one, or a link, into its place between two calls. A handle means the one directory that it was
//! opened as, whatever becomes of its path. [`HeldDir::path_of`] leads through the handle
//! (`/proc/self/fd/N/NAME` on Linux), so that an [`Fs`] opens, renames and removes in that very directory.
//!
//! INV-1: what is reached is an entry of the held directory itself: a name is one name, without
//! a separator, and neither `.` nor `..`.
//! INV-2: no link is followed at that name: what is created or renamed replaces the link itself, what is
//! read is refused ([`Fs::open`]; where the system has `O_NOFOLLOW`, by the open itself).
//!
//! Where there is no `/proc`, or no Linux, the path is used as it was given: INV-1 and INV-2 hold for the
//! name, but who may replace the directory itself decides where it leads.

use super::{Fs, IoContext, create_dir_durably};
use crate::error::{Error, Result};
use std::io;
use std::path::{Path, PathBuf};

/// One entry of a held directory: a regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldEntry {
    /// Its name.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// When it was last written to, in milliseconds since the Unix epoch.
    pub modified_ms: u64,
}

/// What stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Free,
    /// A regular file.
    File {
        /// Its length.
        size_bytes: u64,
        /// When it was last written to, in milliseconds since the Unix epoch.
        modified_ms: u64,
    },
    /// A link, a directory, a FIFO, a device.
    Special,
}

/// A directory, by its handle.
#[derive(Debug)]
pub struct HeldDir {
    /// As it was given, which is how people know it.
    shown: PathBuf,
    /// What leads to it.
    reached: PathBuf,
    #[cfg(target_os = "linux")]
    handle: rustix::fd::OwnedFd,
}

impl HeldDir {
    /// Opens `path`, a directory, and makes it durably if there is none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open_or_create(fs: &dyn Fs, path: &Path) -> Result<HeldDir> {
        match HeldDir::open(fs, path) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create_dir_durably(fs, path)?;
                HeldDir::open(fs, path)
            }
            opened => opened,
        }
    }

    /// Opens `path`, a directory.
    ///
    /// # Errors
    /// [`Error::Io`].
    #[cfg(target_os = "linux")]
    pub fn open(fs: &dyn Fs, path: &Path) -> Result<HeldDir> {
        use rustix::fd::AsRawFd;
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())
            .map_err(io::Error::from)
            .during("open", path)?;
        let through = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        // Without `/proc` (a bare chroot) there is no path through a handle.
        let reached = if fs.list(&through).is_ok() { through } else { path.to_path_buf() };
        Ok(HeldDir { shown: path.to_path_buf(), reached, handle })
    }

    /// Opens `path`, a directory.
    ///
    /// # Errors
    /// [`Error::Io`].
    #[cfg(not(target_os = "linux"))]
    pub fn open(fs: &dyn Fs, path: &Path) -> Result<HeldDir> {
        fs.list(path).during("open", path)?;
        Ok(HeldDir { shown: path.to_path_buf(), reached: path.to_path_buf() })
    }

    /// Its path, as it was given.
    #[must_use]
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// The path through which an [`Fs`] reaches the entry `name`; `None` for what is not one name (INV-1).
    #[must_use]
    pub fn path_of(&self, name: &str) -> Option<PathBuf> {
        is_one_name(name).then(|| self.reached.join(name))
    }

    /// `path` as people know it, where it leads through the handle.
    #[must_use]
    pub fn shown_path(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.reached).map_or_else(|_| path.into(), |rest| self.shown.join(rest))
    }

    /// The path of the directory itself, through the handle.
    #[must_use]
    pub fn reached(&self) -> &Path {
        &self.reached
    }

    /// Whether the directory has been removed since it was opened: what is written into it goes with it.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn is_removed(&self) -> bool {
        rustix::fs::fstat(&self.handle).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// Whether the directory has been removed since it was opened.
    #[cfg(not(target_os = "linux"))]
    #[must_use]
    pub fn is_removed(&self) -> bool {
        false
    }

    /// What stands at `name`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::InvalidArgument`] for what is not one name.
    pub fn standing(&self, name: &str) -> Result<Standing> {
        let path = self.path_of(name).ok_or_else(|| not_one_name(name))?;
        match self.stat(name, &path) {
            Ok(standing) => Ok(standing),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Standing::Free),
            Err(e) => Err(Error::io("stat", &self.shown.join(name), e)),
        }
    }

    #[cfg(target_os = "linux")]
    fn stat(&self, name: &str, _: &Path) -> io::Result<Standing> {
        use rustix::fs::{AtFlags, FileType};
        let stat = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(Standing::Special);
        }
        let millis = number(stat.st_mtime_nsec) / 1_000_000;
        let modified_ms = number(stat.st_mtime).saturating_mul(1000).saturating_add(millis);
        Ok(Standing::File { size_bytes: number(stat.st_size), modified_ms })
    }

    #[cfg(not(target_os = "linux"))]
    fn stat(&self, _: &str, path: &Path) -> io::Result<Standing> {
        let data = path.symlink_metadata()?;
        if !data.file_type().is_file() {
            return Ok(Standing::Special);
        }
        let since_epoch =
            data.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let modified_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Ok(Standing::File { size_bytes: data.len(), modified_ms })
    }

    /// The regular files in it whose names `wanted` takes, in no order. What goes while it is looked at is left out.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn files(&self, fs: &dyn Fs, wanted: impl Fn(&str) -> bool) -> Result<Vec<HeldEntry>> {
        let names = fs.list(&self.reached).during("list", &self.shown)?;
        let mut files = Vec::new();
        for name in names.into_iter().filter(|name| wanted(name)) {
            if let Standing::File { size_bytes, modified_ms } = self.standing(&name)? {
                files.push(HeldEntry { name, size_bytes, modified_ms });
            }
        }
        Ok(files)
    }
}

/// A number of the system's, whose width differs; what is negative is none.
#[cfg(target_os = "linux")]
fn number(n: impl TryInto<u64>) -> u64 {
    n.try_into().unwrap_or(0)
}

/// Whether `name` is one entry of a directory and no way out of it.
fn is_one_name(name: &str) -> bool {
    let is_way = matches!(name, "" | "." | "..");
    !is_way && !name.contains(['/', '\0']) && (cfg!(unix) || !name.contains(['\\', ':']))
}

fn not_one_name(name: &str) -> Error {
    Error::invalid(format!("{name:?} is no name of a file; pass one name without a directory"))
}

#[cfg(test)]
mod tests;
