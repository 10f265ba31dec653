//! Who works for a database in the background, and on which threads.

use crate::commit::Pipeline;
use crate::compaction::Compactor;
use crate::error::{Error, Result};
use crate::flush::Flusher;
use crate::fs::IoContext;
use crate::gc::Collector;
use crate::store::{Catalog, DEAD_MANY, Store};
use crate::verify::{Scrubber, Verifier};
use crate::worker::Worker;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Who does the work, be it on threads of their own or on a caller's.
#[derive(Debug)]
pub struct Hands {
    pub store: Arc<Store>,
    pub pipeline: Arc<Pipeline>,
    pub catalog: Arc<Catalog>,
    /// Taken by the flush worker until it ends.
    pub flusher: Arc<Mutex<Flusher>>,
    pub compactor: Arc<Compactor>,
    pub collector: Arc<Collector>,
    pub verifier: Arc<Verifier>,
}

impl Hands {
    pub fn new(store: &Arc<Store>, pipeline: &Arc<Pipeline>, catalog: &Arc<Catalog>) -> Self {
        let (of_store, of_catalog) = (|| Arc::clone(store), || Arc::clone(catalog));
        let verifier = Verifier::new(of_store(), of_catalog(), Arc::clone(pipeline));
        Hands {
            store: of_store(),
            pipeline: Arc::clone(pipeline),
            catalog: of_catalog(),
            flusher: Arc::new(Mutex::new(Flusher::new(of_store(), of_catalog()))),
            compactor: Arc::new(Compactor::new(of_store(), of_catalog())),
            collector: Arc::new(Collector::new(of_store(), of_catalog())),
            verifier: Arc::new(verifier),
        }
    }

    /// Whether there is no work for them, and will be none until something is written.
    pub fn are_idle(&self) -> bool {
        self.store.options.scrub_interval.is_none()
            && self.compactor.is_settled()
            && self.collector.is_settled()
    }
}

/// The threads of one database; none where there are none.
#[derive(Debug, Default)]
pub struct Workers {
    flush: Option<Worker>,
    compaction: Option<Worker>,
    gc: Option<Worker>,
    scrub: Option<Worker>,
    sync: Option<Worker>,
    /// Dropped to end the sync worker.
    sync_stop: Option<Sender<()>>,
}

impl Workers {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`Error::Io`]: the system gives no more of them. None is left.
    pub fn spawn(hands: &Hands) -> Result<Self> {
        let mut workers = Workers::default();
        match workers.spawn_all(hands) {
            Ok(()) => Ok(workers),
            Err(e) => {
                // They look at it, and at nothing else of what was not begun.
                workers.join(&hands.store);
                Err(e)
            }
        }
    }

    fn spawn_all(&mut self, hands: &Hands) -> Result<()> {
        let Hands { store, pipeline, flusher, compactor, collector, verifier, .. } = hands;
        let dir = &store.home.dir;
        self.flush = Some(spawn_flush_worker(store, flusher, dir)?);
        self.compaction = Some(spawn_compaction_worker(store, pipeline, compactor, dir)?);
        if let Some(interval) = store.options.interval() {
            let (worker, stop) = spawn_sync_worker(store, pipeline, interval, dir)?;
            (self.sync, self.sync_stop) = (Some(worker), Some(stop));
        }
        if store.options.auto_compaction {
            let collector = Arc::clone(collector);
            let worker = Worker::spawn("esker-gc", move || collector.run(), poison_on_panic(store));
            self.gc = Some(worker.during("start a thread for", dir)?);
        }
        if let Some(interval) = store.options.scrub_interval {
            let scrubber = Scrubber::new(Arc::clone(verifier), interval);
            let abandon = poison_on_panic(store);
            let worker = Worker::spawn("esker-scrub", move || scrubber.run(), abandon);
            self.scrub = Some(worker.during("start a thread for", dir)?);
        }
        Ok(())
    }

    /// Ends the threads.
    pub fn join(self, store: &Store) {
        store.views.stop();
        drop(self.sync_stop);
        let workers = [self.sync, self.scrub, self.gc, self.compaction, self.flush];
        workers.into_iter().flatten().for_each(Worker::join);
        store.cache.stop_preloading();
        store.memory_ahead.stop();
    }
}

fn spawn_flush_worker(
    store: &Arc<Store>,
    flusher: &Arc<Mutex<Flusher>>,
    dir: &Path,
) -> Result<Worker> {
    let flusher = Arc::clone(flusher);
    Worker::spawn("esker-flush", move || flusher.lock().run(), poison_on_panic(store))
        .during("start a thread for", dir)
}

fn spawn_compaction_worker(
    store: &Arc<Store>,
    pipeline: &Arc<Pipeline>,
    compactor: &Arc<Compactor>,
    dir: &Path,
) -> Result<Worker> {
    let compactor = Arc::clone(compactor);
    let (pipeline, watched) = (Arc::clone(pipeline), Arc::clone(store));
    let working = Arc::clone(&compactor);
    let tick = move || {
        seal_when_old(&watched, &pipeline);
        // An attempt to make it takes all room for a moment, which a job of a caller of `compact`
        // may need.
        if let Some(_paused) = working.try_pause() {
            watched.tend_reserve();
        }
    };
    let body = move || compactor.run(tick);
    Worker::spawn("esker-compaction", body, poison_on_panic(store))
        .during("start a thread for", dir)
}

/// Sees to it that what is in memory gets to where compaction deals with it, though
/// nobody writes any more: a quarter of the time that deletes are given is spent here. Less, where scans pay for them.
fn seal_when_old(store: &Store, pipeline: &Pipeline) {
    let now = store.home.clock.elapsed();
    let age = now.saturating_sub(store.views.active_since());
    let active = Arc::clone(&store.views.load().active);
    let is_old = age > store.options.reclaim_within / 4 && !active.is_empty();
    let is_paid_for = active.tombstones() >= DEAD_MANY && store.hurry.is_on(now);
    if is_old || is_paid_for {
        // What prevents it is told to whoever writes next; the next tick tries again.
        // It does not wait for a leader: that may be waiting for the compaction of which
        // this is the thread, and then all would wait for ever.
        let _ = pipeline.try_seal();
    }
}

fn spawn_sync_worker(
    store: &Arc<Store>,
    pipeline: &Arc<Pipeline>,
    interval: Duration,
    dir: &Path,
) -> Result<(Worker, Sender<()>)> {
    let (stop, stopped) = bounded(0);
    let pipeline = Arc::clone(pipeline);
    let worker = Worker::spawn(
        "esker-sync",
        move || sync_each(interval, &pipeline, &stopped),
        poison_on_panic(store),
    )
    .during("start a thread for", dir)?;
    Ok((worker, stop))
}

/// Syncs once an interval, so that no commit waits longer for its sync to begin.
fn sync_each(interval: Duration, pipeline: &Pipeline, stopped: &Receiver<()>) {
    while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        // A failure has poisoned the handle: every writer is told from now on.
        if pipeline.persist().is_err() {
            return;
        }
    }
}

pub fn poison_on_panic(store: &Arc<Store>) -> impl FnOnce(Error) + Send + 'static {
    let store = Arc::clone(store);
    move |e| drop(store.poison(e))
}
