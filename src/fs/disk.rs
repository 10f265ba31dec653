//! The operating system's file system.

use super::{DirLock, File, Fs, OpenMode};
use crate::clock::{Clock, SystemClock};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The operating system's file system.
///
/// ```
/// use esker::{DiskFs, Fs, OpenMode};
/// # let dir = tempfile::tempdir()?;
/// let fs = DiskFs::new();
/// let file = fs.open(&dir.path().join("a"), OpenMode::CreateNew)?;
/// file.write_at(b"bytes", 0)?;
/// assert_eq!(std::fs::read(dir.path().join("a"))?, b"bytes");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct DiskFs {
    clock: Arc<SystemClock>,
}

impl DiskFs {
    /// The file system of this process.
    ///
    /// See the example of [`DiskFs`].
    #[must_use]
    pub fn new() -> Self {
        DiskFs::default()
    }
}

impl Fs for DiskFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        let file = match mode {
            OpenMode::Read => open_regular(options.read(true), path),
            // `create_new` follows no link and takes no existing file of any kind.
            OpenMode::CreateNew => options.read(true).write(true).create_new(true).open(path),
        };
        Ok(Arc::new(DiskFile { file: file? }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    #[cfg(unix)]
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    // Elsewhere a directory cannot be opened as a file; the file system's own
    // journal orders the entries (NTFS does).
    #[cfg(not(unix))]
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        match refuse_special(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        // Locks of the open file description: a second handle of this very
        // process is refused like one of another, and the lock dies with us.
        held(file.try_lock(), file)
    }

    fn lock_existing(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        let file = open_regular(fs::OpenOptions::new().read(true).write(true), path)?;
        held(file.try_lock(), file)
    }

    fn lock_shared(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        let file = open_regular(fs::OpenOptions::new().read(true), path)?;
        held(file.try_lock_shared(), file)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }
}

/// The lock on `file`, if it was got.
fn held(
    locked: Result<(), fs::TryLockError>,
    file: fs::File,
) -> io::Result<Option<Box<dyn DirLock>>> {
    match locked {
        Ok(()) => Ok(Some(Box::new(DiskLock { file }))),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(e)) => Err(e),
    }
}

/// Opens what exists at `path`, if it is a regular file.
fn open_regular(options: &mut fs::OpenOptions, path: &Path) -> io::Result<fs::File> {
    refuse_on_the_way(options, path)?;
    let file = match options.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(e),
        // Another has a lease on it, which the system asks back: worth the wait, where it is none for a FIFO.
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
            refuse_special(path)?;
            wait_on_the_way(options).open(path)?
        }
        // It may be because of what stands there, which says more.
        Err(e) => return Err(refuse_special(path).err().unwrap_or(e)),
    };
    if cfg!(target_os = "linux") && !file.metadata()?.is_file() {
        refuse_special(path)?;
        return Err(special("a special file"));
    }
    Ok(file)
}

/// Refuses a link, a FIFO (which would hang the open) or a directory where a
/// file of ours belongs.
fn refuse_special(path: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else {
        "a special file"
    };
    Err(special(what))
}

fn special(what: &str) -> io::Error {
    let detail = format!("{what} stands where a regular file belongs");
    io::Error::new(io::ErrorKind::InvalidInput, detail)
}

/// The open itself is one that follows no link, and does not wait for who writes into a FIFO: a look before would cost
/// another walk along the path, and miss what comes there between the two. Without it what stands there is opened before it
/// is refused, be it a device.
#[cfg(target_os = "linux")]
fn refuse_on_the_way(options: &mut fs::OpenOptions, _: &Path) -> io::Result<()> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    Ok(())
}

/// The same for a file that is known to be one: an open that waits.
#[cfg(target_os = "linux")]
fn wait_on_the_way(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
}

/// Where the flags are not known, a look before.
#[cfg(not(target_os = "linux"))]
fn refuse_on_the_way(_: &mut fs::OpenOptions, path: &Path) -> io::Result<()> {
    refuse_special(path)
}

#[cfg(not(target_os = "linux"))]
fn wait_on_the_way(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    options
}

#[derive(Debug)]
struct DiskFile {
    file: fs::File,
}

impl File for DiskFile {
    #[cfg(unix)]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.file, buf, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&self.file, buf, offset)
    }

    #[cfg(unix)]
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(&self.file, buf, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_write(&self.file, buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    #[cfg(target_os = "linux")]
    fn allocate(&self, offset: u64, bytes: u64) -> io::Result<bool> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        loop {
            match fallocate(&self.file, FallocateFlags::empty(), offset, bytes) {
                Ok(()) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
                Err(e) => return Err(e.into()),
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn will_need(&self, offset: u64, bytes: u64) {
        // A hint: where it is refused, the read comes to the disk later.
        let _ = rustix::fs::fadvise(
            &self.file,
            offset,
            std::num::NonZeroU64::new(bytes),
            rustix::fs::Advice::WillNeed,
        );
    }
}

#[derive(Debug)]
struct DiskLock {
    file: fs::File,
}

impl DirLock for DiskLock {}

impl Drop for DiskLock {
    fn drop(&mut self) {
        // Closing the file would do, but for a child that another thread is
        // just starting: until it executes its program it has a copy of the
        // descriptor, and with it the lock. Should this fail, closing is left.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{read_exact_at, write_all_at};
    use super::*;

    #[test]
    fn what_is_written_is_read() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let fs = DiskFs::new();
        let path = dir.path().join("a");
        let file = fs.open(&path, OpenMode::CreateNew)?;
        write_all_at(file.as_ref(), b"hello", 3)?;
        file.sync_data()?;
        fs.sync_dir(dir.path())?;
        assert_eq!(file.len()?, 8);
        let again = fs.open(&path, OpenMode::Read)?;
        let mut buf = [1; 8];
        read_exact_at(again.as_ref(), &mut buf, 0)?;
        assert_eq!(&buf, b"\0\0\0hello");
        let past = read_exact_at(again.as_ref(), &mut buf, 1).expect_err("past the end");
        assert_eq!(past.kind(), io::ErrorKind::UnexpectedEof);
        let twice = fs.open(&path, OpenMode::CreateNew).expect_err("exists");
        assert_eq!(twice.kind(), io::ErrorKind::AlreadyExists);
        Ok(())
    }

    #[test]
    fn a_lock_is_for_one_handle() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("LOCK");
        let fs = DiskFs::new();
        let first = fs.lock(&path)?;
        assert!(first.is_some());
        assert!(DiskFs::new().lock(&path)?.is_none());
        drop(first);
        assert!(fs.lock(&path)?.is_some());
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn links_and_directories_are_refused() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let target = dir.path().join("target");
        std::fs::write(&target, b"x")?;
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&target, &link)?;
        let fs = DiskFs::new();
        for path in [&link, &dir.path().to_path_buf()] {
            assert!(fs.open(path, OpenMode::Read).is_err());
            assert!(fs.lock(path).is_err());
            assert!(fs.lock_existing(path).is_err());
            assert!(fs.lock_shared(path).is_err());
        }
        assert!(fs.open(&link, OpenMode::CreateNew).is_err());
        Ok(())
    }
}
