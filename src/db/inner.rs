//! One open database: its state, its pipeline, its workers, its end.

use super::run::Run;
use super::workers::{Hands, poison_on_panic};
use crate::archive::{Chain, RestoreOptions, RestoreReport};
use crate::backup::{Restorer, check_empty, checkpoint};
use crate::commit::{Batch, Log, Pipeline, Premise};
use crate::compaction::KeyRange;
use crate::error::{Error, Result};
use crate::format::{BackupRef, DatabaseId, SeqNo};
use crate::fs::{DirLock, Fs};
use crate::gc::Collected;
use crate::ingest::{self, Ingester};
use crate::options::Options;
use crate::recovery::{self, Opened};
use crate::store::{Catalog, Metrics, Store};
use crate::verify::Verifier;
use crate::worker::{Worker, on_panic};
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// What ends with the database.
#[derive(Debug)]
struct Running {
    /// Makes what a run needs, where nobody writes for a while; behind what ends it.
    starter: Option<(Sender<()>, Worker)>,
    lock: Box<dyn DirLock>,
}

impl Running {
    /// Ends what makes the run begin; what is left is the lock.
    fn join(self) -> Box<dyn DirLock> {
        if let Some((stop, starter)) = self.starter {
            drop(stop);
            starter.join();
        }
        self.lock
    }
}

/// The lock of a database that is being closed: whatever happens, its threads end before the directory may be another
/// handle's.
#[derive(Debug)]
struct Closing<'a> {
    inner: &'a Inner,
    _lock: Box<dyn DirLock>,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.inner.run.end().join(&self.inner.store);
    }
}

/// One open database.
#[derive(Debug)]
pub struct Inner {
    pub store: Arc<Store>,
    pub pipeline: Arc<Pipeline>,
    catalog: Arc<Catalog>,
    run: Arc<Run>,
    pub ingester: Ingester,
    pub verifier: Arc<Verifier>,
    restorer: Restorer,
    /// Whose turn it is among transactions that were refused again and again.
    pub turn: Mutex<()>,
    /// The file system allows no threads.
    is_inline: bool,
    /// `None` once closed.
    running: Mutex<Option<Running>>,
}

impl Inner {
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Result<Self> {
        Inner::start(recovery::open(fs, dir, options)?, dir)
    }

    /// For reading only: nothing works in the background, and no write passes.
    pub fn open_read_only(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Result<Self> {
        Inner::new(recovery::open_read_only(fs, dir, options)?, dir, false)
    }

    /// Goes on with a database that is open, in `dir`, and has no threads yet.
    pub fn start(opened: Opened, dir: &Path) -> Result<Self> {
        Inner::new(opened, dir, true)
    }

    fn new(opened: Opened, dir: &Path, writes: bool) -> Result<Self> {
        let Opened { store, log, manifest, switch, last_seq, report, lock } = opened;
        let log = Log::new(Arc::clone(&store), log);
        let pipeline = Arc::new(Pipeline::new(Arc::clone(&store), log, last_seq));
        let catalog = Arc::new(Catalog::new(Arc::clone(&store), manifest));
        let hands = Hands::new(&store, &pipeline, &catalog);
        let ingester = Ingester::new(
            Arc::clone(&store),
            Arc::clone(&pipeline),
            Arc::clone(&catalog),
            Arc::clone(&hands.compactor),
        );
        let verifier = Arc::clone(&hands.verifier);
        let restorer =
            Restorer::new(Arc::clone(&store), Arc::clone(&pipeline), Arc::clone(&catalog));
        let is_inline = writes && !store.home.fs.allows_threads();
        let run = Run::new(hands, report, writes && !is_inline);
        let starter = match switch {
            Some(switch) => run.begin_later(switch, dir)?,
            None => run.begin_at_once().map(|()| None)?,
        };
        store.log_opened(&run.report());
        let running = Mutex::new(Some(Running { starter, lock }));
        Ok(Inner {
            store,
            pipeline,
            catalog,
            run,
            ingester,
            verifier,
            restorer,
            turn: Mutex::default(),
            is_inline,
            running,
        })
    }

    /// Sees to it that this run has files of its own: before anything is written.
    pub fn begin(&self) -> Result<()> {
        self.run.begin()
    }

    /// Commits `batch`, if `premise` holds.
    pub fn commit(
        &self,
        batch: Batch,
        sync: bool,
        premise: Option<Box<dyn Premise>>,
    ) -> Result<Option<SeqNo>> {
        if !batch.is_empty() {
            self.begin()?;
        }
        let has_failed =
            || self.store.views.failure().is_some() || self.store.reserve.is_given_up();
        if self.is_inline && has_failed() {
            self.work(); // What failed is tried again: it may be what keeps room from us.
        }
        let committed = self.pipeline.commit(batch, sync, premise);
        self.work();
        committed
    }

    /// Does what the flush and compaction workers would have to do now, where there are none.
    /// (What the sync worker would do is left to the commit that finds itself overdue.)
    fn work(&self) {
        if self.is_inline && self.run.has_begun() {
            let abandon = poison_on_panic(&self.store);
            on_panic(abandon, || {
                let Hands { flusher, compactor, collector, .. } = &self.run.hands;
                flusher.lock().run_inline();
                compactor.run_inline();
                collector.run_inline();
                self.store.tend_reserve();
            });
        }
    }

    /// Merges all tables with keys in `range` down as far as they go, memtables included.
    pub fn compact(&self, range: KeyRange<'_>) -> Result<()> {
        self.flush()?;
        let abandon = poison_on_panic(&self.store);
        let compactor = &self.run.hands.compactor;
        on_panic(abandon, || compactor.compact(range, self.store.visible.load()))
    }

    /// Gives back the space of large values that nothing points to.
    pub fn collect_garbage(&self) -> Result<Collected> {
        self.begin()?;
        let abandon = poison_on_panic(&self.store);
        on_panic(abandon, || self.run.hands.collector.collect())
    }

    /// Puts an ingest in force.
    pub fn finish_ingest(&self, writer: ingest::Writer) -> Result<ingest::Done> {
        self.begin()?;
        let flush = || {
            if self.is_inline {
                self.run.hands.flusher.lock().run_inline();
            }
        };
        let abandon = poison_on_panic(&self.store);
        let done = on_panic(abandon, || self.ingester.finish(writer, flush));
        self.work();
        done
    }

    /// Puts what `chain` comes to in the place of everything.
    pub fn restore<R: Read>(
        &self,
        chain: Chain<R>,
        bytes_total: Option<u64>,
        options: RestoreOptions<'_>,
    ) -> Result<RestoreReport> {
        self.begin()?;
        // Not `on_panic`: until it leads nobody relies on it, and it runs code of the caller.
        let restored = self.restorer.restore(chain, bytes_total, options);
        self.work();
        restored
    }

    /// Has increments follow upon `backup`, which follows upon `base`, if upon any, and was made of a version after
    /// so many `restores`; durably.
    pub fn follow(&self, backup: BackupRef, base: Option<DatabaseId>, restores: u64) -> Result<()> {
        self.begin()?;
        // Else other commits might come after a power cut, with the numbers of those in the backup.
        if self.store.options.wal_enabled {
            self.pipeline.persist()?;
        } else {
            self.flush()?;
        }
        let _gate = self.store.gate.enter()?;
        self.catalog.follow(backup, base, restores).map_err(|e| self.store.poison_after_sync(e))
    }

    /// Has increments follow upon none of the backups made so far; durably.
    pub fn follow_none(&self) -> Result<()> {
        self.begin()?;
        let _gate = self.store.gate.enter()?;
        self.catalog.follow_none().map_err(|e| self.store.poison_after_sync(e))?;
        self.work();
        Ok(())
    }

    /// Makes a second database of the same files in `dir`.
    pub fn checkpoint(&self, dir: &Path) -> Result<()> {
        check_empty(self.store.home.fs.as_ref(), dir)?;
        self.flush()?;
        let made = checkpoint(&self.store, &self.catalog, dir).inspect_err(|e| {
            // What a failed sync of the database's own directory has dropped may be its files' names.
            if matches!(e, Error::Io { op: "sync", path, .. } if *path == self.store.home.dir) {
                self.store.poison(e.clone());
            }
        });
        // With the database closed its directory may be another handle's.
        made.map_err(|e| self.store.health.check_open().err().unwrap_or(e))
    }

    pub fn flush(&self) -> Result<()> {
        self.begin()?;
        self.flush_begun()
    }

    fn flush_begun(&self) -> Result<()> {
        let sealed = self.pipeline.seal();
        self.work();
        let flushed = sealed.and_then(|last_seq| self.store.views.wait_until_flushed(last_seq));
        // What was committed meanwhile by others is in the log; and, if there is
        // no room for a table, all the rest.
        let persisted =
            if self.store.options.wal_enabled { self.pipeline.persist() } else { Ok(()) };
        flushed.and(persisted)
    }

    pub fn close(&self) -> Result<()> {
        let mut running = self.running.lock();
        let Some(ending) = running.take() else { return Ok(()) };
        // From here on nobody commits: the pipeline looks at this under the
        // lead, and `end` waits for whoever had it before. Nor does the run begin.
        self.store.health.close();
        let lock = Closing { inner: self, _lock: ending.join() };
        if self.store.health.is_read_only() {
            drop(lock);
            self.store.log_closed(&Ok(()));
            return Ok(());
        }
        // What has not begun has nothing to flush.
        let begun = self.run.begin_to_close(&self.catalog);
        let flushed =
            begun.and_then(|()| if self.run.has_begun() { self.flush_begun() } else { Ok(()) });
        self.pipeline.end();
        let recorded = self.end(lock, flushed.is_ok());
        let closed = flushed.and(recorded);
        self.store.log_closed(&closed);
        closed
    }

    /// Ends the threads, records what is left to record, unlocks. `is_flushed`: nothing is in the log alone.
    fn end(&self, lock: Closing<'_>, is_flushed: bool) -> Result<()> {
        self.run.end().join(&self.store);
        let Hands { flusher, compactor, collector, .. } = &self.run.hands;
        // Also when nothing is recorded: where there are no threads, a caller's
        // may be at a flush, and must not be when the lock is another handle's.
        let _flusher = flusher.lock();
        self.store.gate.end();
        // Nor at a compaction, which looks every now and then whether to go on.
        compactor.wait_for_job();
        collector.wait();
        let sound = self.store.health.check_sound();
        // What has not begun has nothing to record, or could not begin, which is told.
        let recorded = sound.and_then(|()| {
            if self.run.has_begun() { self.catalog.record_expiry_floor() } else { Ok(()) }
        });
        if is_flushed && recorded.is_ok() {
            self.catalog.mark_closed();
        }
        self.store.remove_discarded();
        drop(lock);
        recorded
    }

    pub fn metrics(&self) -> Metrics {
        self.store.metrics(&self.run.report())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut().take() {
            let _lock = running.join();
            self.run.end().join(&self.store);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::Batch;
    use crate::format::Content;
    use crate::fs::disk::DiskFs;
    use crate::options::SyncPolicy;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    fn batch(key: &[u8]) -> Batch {
        let mut batch = Batch::default();
        batch.set(key, b"v");
        batch
    }

    // A reader that has loaded its view, and then is told of a number that a large value of this run has, finds the entry in
    // the view's memtable, but no file for what it points to: damage that is none. (Found by reading.)
    #[test]
    fn a_view_from_before_the_run_began_shows_nothing_of_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || Inner::open(Arc::new(DiskFs::new()), dir.path(), Options::default());
        open().expect("opens").close().expect("closed");
        let inner = open().expect("opens");
        let before = inner.store.views.pin();
        let mut large = Batch::default();
        large.set(b"large", &[1; 20_000]);
        inner.commit(large, false, None).expect("a commit");
        assert!(before.active.is_empty());
        assert!(!inner.store.views.pin().active.is_empty());
    }

    // A writer may panic when its batch is in the log and not in the memtable
    // yet: what comes after it will never be visible, and nobody may wait for it.
    #[test]
    fn a_panic_between_log_and_memtable_leaves_nobody_waiting() {
        let dir = tempfile::tempdir().expect("a directory");
        let inner =
            Inner::open(Arc::new(DiskFs::new()), dir.path(), Options::default()).expect("opens");
        let inner = Arc::new(inner);
        inner.pipeline.commit(batch(b"before"), false, None).expect("a commit");
        let panicking = {
            let inner = Arc::clone(&inner);
            thread::spawn(move || inner.pipeline.commit(batch(b"lost").without_room(), false, None))
        };
        panicking.join().expect_err("the panic goes on in its own thread");
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let later = inner.pipeline.commit(batch(b"later"), false, None).map(|_| ());
            let flushed = inner.flush();
            let seen = inner.store.visible.load();
            sender.send((later, flushed, inner.close(), seen.0)).expect("the test listens");
        });
        let told = receiver.recv_timeout(Duration::from_secs(60));
        let (later, flushed, closed, seen) = told.expect("nobody waits");
        for answer in [later, flushed, closed] {
            assert!(matches!(answer, Err(Error::Poisoned { .. })), "{answer:?}");
        }
        assert_eq!(seen, 1, "nothing after it is shown");
    }

    fn opened(dir: &Path) -> Arc<Inner> {
        let options = Options { sync_policy: SyncPolicy::Never, ..Options::default() };
        Arc::new(Inner::open(Arc::new(DiskFs::new()), dir, options).expect("opens"))
    }

    /// Commits `batches` as one group, the first of them leading; returns what each was told, or that it
    /// panicked.
    fn commit_as_group(
        inner: &Arc<Inner>,
        batches: Vec<Batch>,
    ) -> Vec<thread::Result<Result<Option<SeqNo>>>> {
        let mut threads = Vec::new();
        let queue_up = || {
            for (index, batch) in batches.into_iter().enumerate() {
                let writer = Arc::clone(inner);
                threads.push(thread::spawn(move || {
                    let told = writer.pipeline.commit(batch, false, None)?;
                    // What a writer is told is there is there.
                    assert!(writer.store.visible.load() >= told.expect("a number"));
                    Ok(told)
                }));
                while inner.pipeline.queued() <= index {
                    thread::yield_now();
                }
            }
            Ok(())
        };
        inner.pipeline.take_in(SeqNo(100), || (), queue_up).expect("leads");
        threads.into_iter().map(thread::JoinHandle::join).collect()
    }

    // The leader puts what is small into the memtable for its members, who are told when all is
    // visible; what is large its own writer puts there.
    #[test]
    fn a_group_of_small_and_large_batches_is_shown_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let inner = opened(dir.path());
        let sizes = [1, 1, 300, 2, 9, 1];
        let batches = sizes.iter().enumerate().map(|(index, size)| {
            let mut batch = Batch::default();
            for n in 0..*size {
                batch.set(format!("{index}/{n}").as_bytes(), &[u8::try_from(index).expect("few")]);
            }
            batch
        });
        let told = commit_as_group(&inner, batches.collect());
        let mut last = 100;
        for (size, told) in sizes.iter().zip(told) {
            last += size;
            assert_eq!(told.expect("no panic").expect("committed"), Some(SeqNo(last)));
        }
        let counters = &inner.store.counters;
        // The one that came before them, which leads alone, is no group.
        assert_eq!((counters.commit_groups.get(), counters.commits.get()), (1, 7));
        let memtable = Arc::clone(&inner.store.views.load().active);
        for (index, size) in sizes.iter().enumerate() {
            for n in 0..*size {
                let key = format!("{index}/{n}");
                let found =
                    memtable.get(key.as_bytes(), SeqNo(last)).and_then(|entry| entry.value());
                let value = [u8::try_from(index).expect("few")];
                assert_eq!(found, Some((None, Content::Inline(&value))), "{key}");
            }
        }
        inner.close().expect("closes");
    }

    // A leader that panics over the batch of a member has others who wait for its word.
    #[test]
    fn a_panic_over_a_members_batch_leaves_nobody_waiting() {
        let dir = tempfile::tempdir().expect("a directory");
        let inner = opened(dir.path());
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let batches = [b"a", b"b", b"c"].map(|key| batch(key).without_room());
            let told = commit_as_group(&inner, batches.into());
            sender.send((told, inner.store.visible.load(), inner.close())).expect("listens");
        });
        let told = receiver.recv_timeout(Duration::from_secs(60));
        let (mut told, seen, closed) = told.expect("nobody waits");
        told.remove(0).expect_err("the panic goes on in the leader's thread");
        for told in told {
            let told = told.expect("no panic here");
            assert!(matches!(told, Err(Error::Indeterminate { .. })), "{told:?}");
        }
        assert_eq!(seen, SeqNo(100), "nothing of it is shown");
        assert!(matches!(closed, Err(Error::Poisoned { .. })), "{closed:?}");
    }
}
