//! Where the bytes of a backup go.

use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::fs::{File, IoContext, Syncer, write_all_at};
use crate::worker::Worker;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// After so many bytes the disk is told to begin with its part.
const SYNC_EACH_BYTES: u64 = 32 << 20;

/// Who passes on more than this waits until it is written: there is not to be more than one
/// such in memory.
const LARGE_BYTES: usize = 8 << 20;

/// What takes the bytes of a backup.
pub trait Output {
    /// Takes `bytes`; gives back memory for the next, its content being whatever.
    ///
    /// # Errors
    /// [`Error::Io`], and nothing more may be put.
    fn put(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>>;
}

/// A stream.
#[derive(Debug)]
pub struct StreamOutput<W>(pub W);

impl<W: Write> Output for StreamOutput<W> {
    fn put(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        self.0.write_all(&bytes).during("write", "the backup's stream".as_ref())?;
        Ok(bytes)
    }
}

/// A new file, written on a thread of its own where there may be one.
#[derive(Debug)]
pub struct FileOutput {
    writer: Writer,
}

#[derive(Debug)]
enum Writer {
    Inline(Target),
    Thread(Thread),
}

#[derive(Debug)]
struct Target {
    file: Arc<dyn File>,
    path: PathBuf,
    offset: u64,
}

impl Target {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        write_all_at(self.file.as_ref(), bytes, self.offset).during("write", &self.path)?;
        self.offset += to_u64(bytes.len());
        Ok(())
    }
}

#[derive(Debug)]
struct Thread {
    // In this order: the worker ends when nobody sends any more.
    full: Sender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    outcome: Receiver<Result<Syncer>>,
    /// How many buffers are on their way.
    lent: usize,
    _worker: Worker,
}

/// Buffers that are on their way at most.
const LENT_MAX: usize = 2;

impl FileOutput {
    /// Into `file`, which is new, at `path`.
    ///
    /// # Errors
    /// [`Error::Io`]: the system will not give a thread.
    pub fn new(file: Arc<dyn File>, path: &Path, allows_threads: bool) -> Result<Self> {
        let target = Target { file, path: path.to_path_buf(), offset: 0 };
        if !allows_threads {
            return Ok(FileOutput { writer: Writer::Inline(target) });
        }
        let syncer = Syncer::new(true)?;
        let (full, to_write) = bounded(LENT_MAX);
        let (give_back, empty) = bounded(LENT_MAX);
        let (told, outcome) = bounded(1);
        let body = move || {
            // Nobody listens where the backup was given up.
            let _ = told.send(write_each(target, syncer, &to_write, &give_back));
        };
        let worker = Worker::spawn("esker-backup", body, drop);
        let worker = worker.during("start a thread for", path)?;
        let thread = Thread { full, empty, outcome, lent: 0, _worker: worker };
        Ok(FileOutput { writer: Writer::Thread(thread) })
    }

    /// Waits until all is written, then until all is durable; meanwhile `act` runs, which may read
    /// the file.
    ///
    /// # Errors
    /// [`Error::Io`], and those of `act`.
    pub fn finish<T>(self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        match self.writer {
            Writer::Inline(Target { file, path, .. }) => {
                file.sync_data().during("sync", &path)?;
                act()
            }
            Writer::Thread(Thread { full, empty, outcome, _worker, .. }) => {
                drop((full, empty));
                let syncer = outcome.recv().unwrap_or_else(|_| Err(panicked()))?;
                // The last sync is under way by now.
                let acted = act();
                syncer.finish().and(acted)
            }
        }
    }
}

impl Output for FileOutput {
    fn put(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        match &mut self.writer {
            Writer::Inline(target) => {
                target.write(&bytes)?;
                Ok(bytes)
            }
            Writer::Thread(thread) => thread.put(bytes),
        }
    }
}

impl Thread {
    fn put(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        let is_large = bytes.capacity() > LARGE_BYTES;
        let mut spare = Vec::new();
        if self.full.send(bytes).is_err() {
            return Err(self.failure());
        }
        self.lent += 1;
        while self.lent > if is_large { 0 } else { LENT_MAX - 1 } {
            match self.empty.recv() {
                Ok(buffer) => spare = buffer,
                Err(_) => return Err(self.failure()),
            }
            self.lent -= 1;
        }
        // What a huge value took is given back.
        if spare.capacity() > LARGE_BYTES {
            spare = Vec::new();
        }
        Ok(spare)
    }

    /// Why the thread has ended early.
    fn failure(&self) -> Error {
        match self.outcome.recv() {
            Ok(Err(e)) => e,
            _ => panicked(),
        }
    }
}

/// Writes what comes, and has it synced; all of it is written when this returns, and the last sync begun.
fn write_each(
    mut target: Target,
    syncer: Syncer,
    full: &Receiver<Vec<u8>>,
    empty: &Sender<Vec<u8>>,
) -> Result<Syncer> {
    let mut synced_to = 0;
    for bytes in full {
        target.write(&bytes)?;
        // Whoever lent it may have given up.
        let _ = empty.send(bytes);
        if target.offset - synced_to >= SYNC_EACH_BYTES {
            synced_to = target.offset;
            syncer.sync_if_idle(&target.file, target.path.clone());
        }
    }
    syncer.sync(&target.file, target.path)?;
    Ok(syncer)
}

fn panicked() -> Error {
    let message = "it ended without a word".to_owned();
    Error::Panicked { thread: "esker-backup".to_owned(), message }
}
