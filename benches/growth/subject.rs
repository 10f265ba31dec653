//! The database that is measured, and when it is at rest.

use crate::disk::disk_bytes;
use esker::{Db, Event, Listener, Options, SyncPolicy};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Between two looks at whether merges are over.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What is being merged, as events tell.
struct Merging {
    jobs: usize,
    last_event: Instant,
}

/// An open database.
pub struct Subject {
    pub db: Db,
    dir: PathBuf,
    merging: Arc<Mutex<Merging>>,
}

impl Subject {
    /// With its defaults, but for the policy and for `change`.
    pub fn open(
        dir: &Path,
        sync_policy: SyncPolicy,
        change: impl FnOnce(Options) -> Options,
    ) -> Self {
        let merging = Arc::new(Mutex::new(Merging { jobs: 0, last_event: Instant::now() }));
        let told = Arc::clone(&merging);
        let listener = Listener::new(move |event| {
            let mut merging = told.lock().expect("no panic");
            match event {
                Event::CompactionBegan { .. } => merging.jobs += 1,
                Event::CompactionDone { .. } => merging.jobs -= 1,
                Event::CompactionFailed { error, .. }
                | Event::CollectionFailed { error, .. }
                | Event::FlushFailed { error, .. } => panic!("{error}"),
                _ => {}
            }
            merging.last_event = Instant::now();
        });
        let options = Options {
            sync_policy,
            disk_reserve_bytes: 0,
            listener: Some(listener),
            ..Options::default()
        };
        let db = Db::open(dir, change(options)).expect("opens");
        Subject { db, dir: dir.to_path_buf(), merging }
    }

    /// Writes memtables out and waits until for `quiet` nothing has been merged, and no file has come, grown or gone; how
    /// long that took, without the quiet.
    pub fn settle(&self, quiet: Duration) -> Duration {
        let begun = Instant::now();
        self.db.flush().expect("a flush");
        let (mut bytes, mut last_change) = (self.disk_bytes(), Instant::now());
        loop {
            std::thread::sleep(LOOK_EVERY);
            assert_eq!(self.db.metrics().listener_panics, 0, "something failed in the background");
            let now = self.disk_bytes();
            if now != bytes {
                (bytes, last_change) = (now, Instant::now());
            }
            let merging = self.merging.lock().expect("no panic");
            last_change = last_change.max(merging.last_event);
            if merging.jobs == 0 && last_change.elapsed() > quiet {
                return last_change - begun;
            }
        }
    }

    /// Merges everything, and collects all garbage; the database has `count` entries then.
    pub fn merge_all(&self, count: u64, quiet: Duration) {
        self.db.flush().expect("a flush");
        self.db.compact().expect("a merge");
        self.db.collect_garbage().expect("a collection");
        // Files that nobody needs go in the background.
        self.settle(quiet);
        let entries: u64 = self.db.metrics().levels.iter().map(|level| level.entries).sum();
        assert_eq!(entries, count, "entries when all is merged");
    }

    pub fn disk_bytes(&self) -> u64 {
        disk_bytes(&self.dir)
    }
}
