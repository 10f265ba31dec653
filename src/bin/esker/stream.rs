//! The user's own files, standard input and output, as streams that tell how far they are and end when asked to.
//!
//! `-` is standard input or output.

use crate::failure::{Failure, Kind, Result};
use crate::interrupt;
use crate::progress::Progress;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

/// Whether `path` means standard input or output.
pub fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The one of `paths` that means standard input, if it stands alone.
///
/// # Errors
/// It stands among others.
pub fn standard_alone(paths: &[PathBuf]) -> Result<Option<&Path>> {
    match paths {
        [path] => Ok(Some(path.as_path()).filter(|path| is_standard(path))),
        paths if paths.iter().any(|path| is_standard(path)) => {
            Err(Failure::new(Kind::Usage, "standard input has one file, and - stands among others")
                .remedy("name the files"))
        }
        _ => Ok(None),
    }
}

/// What the file at `path`, or standard input, holds.
///
/// # Errors
/// It cannot be opened.
pub fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>)> {
    if is_standard(path) {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (found, file) = opened.map_err(|e| Failure::io("open", path, &e))?;
    if found.is_dir() {
        return Err(Failure::new(Kind::Usage, format!("{} is a directory", path.display()))
            .remedy("name a file"));
    }
    // Of a pipe the length is not known.
    Ok((Box::new(file), found.is_file().then_some(found.len())))
}

/// All of the file at `path`, or of standard input.
///
/// # Errors
/// It cannot be read.
pub fn read_all(path: &Path) -> Result<Vec<u8>> {
    let (mut from, length) = open(path)?;
    let length = length.and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::with_capacity(length.unwrap_or(0));
    from.read_to_end(&mut bytes).map_err(|e| Failure::io("read", path, &e))?;
    Ok(bytes)
}

/// A stream that is being read.
pub struct Input {
    from: Box<dyn Read>,
    progress: Progress,
    done: u64,
    total: Option<u64>,
}

impl Input {
    /// Of the file at `path`, or standard input.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path, progress: Progress) -> Result<Input> {
        let (from, total) = open(path)?;
        Ok(Input { from, progress, done: 0, total })
    }
}

impl Read for Input {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if interrupt::is_asked() {
            return Err(io::Error::other("interrupted"));
        }
        let count = self.from.read(buf)?;
        if interrupt::is_asked() {
            // Asked while it waited: what came, or that there is no more, does not count.
            return Err(io::Error::other("interrupted"));
        }
        self.done += count as u64;
        self.progress.set(self.done, self.total);
        Ok(count)
    }
}

/// A stream that is being written: a file, which has its name only when it is whole, or standard output.
pub struct Destination {
    to: Box<dyn Write>,
    /// The file being written, its name for now, and what it is to be called.
    file: Option<(File, PathBuf, PathBuf)>,
    progress: Progress,
    done: u64,
    /// Whether Ctrl-C ends it.
    is_interruptible: bool,
}

impl Destination {
    /// To the file at `path`, in place of what is there, or standard output.
    ///
    /// # Errors
    /// It cannot be made; standard output is a terminal, though bytes are to go there that are no text.
    pub fn create(path: &Path, is_text: bool, progress: Progress) -> Result<Destination> {
        if is_standard(path) {
            if !is_text && io::stdout().is_terminal() {
                return Err(Failure::new(Kind::Usage, "standard output is a terminal")
                    .remedy("name a file, or send it into one"));
            }
            let to = Box::new(io::stdout().lock());
            return Ok(Destination { to, file: None, progress, done: 0, is_interruptible: true });
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(format!(".partial-{}", std::process::id()));
        let partial = PathBuf::from(partial);
        let made = File::options().write(true).create_new(true).open(&partial);
        let made = made.and_then(|file| Ok((file.try_clone()?, file)));
        let (to, file) = made.map_err(|e| Failure::io("create", &partial, &e))?;
        let file = Some((file, partial, path.to_path_buf()));
        Ok(Destination { to: Box::new(to), file, progress, done: 0, is_interruptible: true })
    }

    /// For what is to be kept also of work that was interrupted.
    pub fn uninterruptible(mut self) -> Destination {
        self.is_interruptible = false;
        self
    }

    /// Makes what was written durable, and gives the file its name.
    ///
    /// # Errors
    /// The system refused that.
    pub fn finish(mut self) -> Result<()> {
        let Some((file, partial, path)) = self.file.take() else {
            let flushed = self.to.flush();
            return flushed.map_err(|e| Failure::io("write to", Path::new("standard output"), &e));
        };
        let finished = file
            .sync_all()
            .and_then(|()| fs::rename(&partial, &path))
            .and_then(|()| sync_parent(&path));
        finished.map_err(|e| {
            // The first failure is the one to tell of.
            let _ = fs::remove_file(&partial);
            Failure::io("write", &path, &e)
        })
    }
}

/// Makes the name of a file durable.
#[cfg(unix)]
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all())
}

/// Elsewhere a directory cannot be opened as a file.
#[cfg(not(unix))]
fn sync_parent(_path: &Path) -> io::Result<()> {
    Ok(())
}

impl Write for Destination {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.is_interruptible && interrupt::is_asked() {
            return Err(io::Error::other("interrupted"));
        }
        let count = self.to.write(buf)?;
        self.done += count as u64;
        self.progress.set(self.done, None);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Some((_, partial, _)) = self.file.take() {
            // It was not finished: what failed has been told.
            let _ = fs::remove_file(partial);
        }
    }
}
