//! Syncs files on a thread of its own, while the next are written.
//!
//! Whoever writes a gigabyte and then syncs has the disk idle first and the processor
//! idle afterwards. Here the one goes on beside the other.

use super::{File, IoContext};
use crate::error::{Error, Result};
use crate::worker::Worker;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::path::PathBuf;
use std::sync::Arc;

/// How many files may wait to be synced: more than that, and who writes them waits.
const WAITING_MAX: usize = 4;

/// A file to be synced, and its path for errors.
type Target = (Arc<dyn File>, PathBuf);

/// Syncs what it is given. Dropped before [`Syncer::finish`] it ends after the sync at hand.
#[derive(Debug)]
pub struct Syncer {
    /// `None`: there are no threads, each file is synced at once.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    // In this order: the worker ends when nobody sends any more.
    targets: Sender<Target>,
    outcome: Receiver<Result<()>>,
    _worker: Worker,
}

impl Syncer {
    /// With a thread, where `allows_threads`.
    ///
    /// # Errors
    /// [`Error::Io`]: the system will not give a thread.
    pub fn new(allows_threads: bool) -> Result<Self> {
        if !allows_threads {
            return Ok(Syncer { running: None });
        }
        let (targets, received) = bounded::<Target>(WAITING_MAX);
        let (told, outcome) = bounded(1);
        let worker = Worker::spawn("esker-syncer", move || tell(&told, sync_all(&received)), drop)
            .during("start a thread for", "a sync".as_ref())?;
        Ok(Syncer { running: Some(Running { targets, outcome, _worker: worker }) })
    }

    /// Has the bytes that `file` holds now made durable, by the time at which
    /// [`Syncer::finish`] returns.
    ///
    /// # Errors
    /// [`Error::Io`]: this sync failed, or one before it.
    pub fn sync(&self, file: &Arc<dyn File>, path: PathBuf) -> Result<()> {
        match &self.running {
            None => file.sync_data().during("sync", &path),
            Some(running) => match running.targets.send((Arc::clone(file), path)) {
                Ok(()) => Ok(()),
                // It takes no more: one has failed.
                Err(_) => running.outcome.recv().unwrap_or_else(|_| Err(panicked())),
            },
        }
    }

    /// The same, unless it is busy: for a file that is written on, whose bytes are to be on
    /// their way to the disk. What it fails with is told by [`Syncer::finish`].
    pub fn sync_if_idle(&self, file: &Arc<dyn File>, path: PathBuf) {
        if let Some(running) = &self.running
            && running.targets.is_empty()
        {
            // Full or ended: there is another sync to come in any case.
            let _ = running.targets.try_send((Arc::clone(file), path));
        }
    }

    /// Waits until all of it is durable.
    ///
    /// # Errors
    /// [`Error::Io`]: a sync failed.
    pub fn finish(self) -> Result<()> {
        let Some(Running { targets, outcome, _worker }) = self.running else { return Ok(()) };
        drop(targets);
        outcome.recv().unwrap_or_else(|_| Err(panicked()))
    }
}

/// Up to the first that fails.
fn sync_all(targets: &Receiver<Target>) -> Result<()> {
    targets.iter().try_for_each(|(file, path)| file.sync_data().during("sync", &path))
}

fn tell(told: &Sender<Result<()>>, outcome: Result<()>) {
    // Nobody listens where all was given up.
    let _ = told.send(outcome);
}

fn panicked() -> Error {
    let message = "it ended without a word".to_owned();
    Error::Panicked { thread: "esker-syncer".to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::io;
    use std::path::Path;

    #[derive(Debug, Default)]
    struct Counted {
        syncs: Mutex<usize>,
        fails: bool,
    }

    impl File for Counted {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }
        fn write_at(&self, buf: &[u8], _: u64) -> io::Result<usize> {
            Ok(buf.len())
        }
        fn sync_data(&self) -> io::Result<()> {
            *self.syncs.lock() += 1;
            if self.fails { Err(io::Error::other("on purpose")) } else { Ok(()) }
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn len(&self) -> io::Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn all_is_synced_by_the_end_and_the_first_failure_is_told() {
        for allows_threads in [false, true] {
            let file = Arc::new(Counted::default());
            let shared = Arc::clone(&file) as Arc<dyn File>;
            let syncer = Syncer::new(allows_threads).expect("a thread");
            for _ in 0..20 {
                syncer.sync(&shared, "a".into()).expect("synced");
            }
            syncer.finish().expect("synced");
            assert_eq!(*file.syncs.lock(), 20);

            let bad = Arc::new(Counted { fails: true, ..Counted::default() }) as Arc<dyn File>;
            let syncer = Syncer::new(allows_threads).expect("a thread");
            let mut told = Ok(());
            for _ in 0..20 {
                told = told.and_then(|()| syncer.sync(&bad, Path::new("b").into()));
            }
            let e = told.and_then(|()| syncer.finish()).expect_err("it failed");
            assert!(matches!(e, Error::Io { op: "sync", .. }), "{e}");
        }
    }
}
