//! When a run begins: with files of its own, and with its threads. At the open where there was something to recover,
//! and else before the first write, or a moment after the open where there is work for them.

use super::workers::{Hands, Workers, poison_on_panic};
use crate::error::{Error, Result};
use crate::fs::IoContext;
use crate::manifest::{Manifest, before_the_switch};
use crate::recovery::{Switch, clean_up};
use crate::store::{Catalog, RecoveryReport};
use crate::worker::{Worker, on_panic};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::warn;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long after an open the run begins where nobody writes and something is to be done, now or later: who only looks
/// something up needs none of it, and merges and collections that are due can wait so long.
const BEGIN_AFTER: Duration = Duration::from_millis(100);

/// How long it is not tried again after it failed; whoever writes tries at once.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Phase {
    /// All that is there is of the last run.
    Pending(Switch),
    Begun(Workers),
    /// Closed, or given up.
    Ended,
}

/// One run of a database, from an open to its end.
#[derive(Debug)]
pub struct Run {
    pub hands: Hands,
    has_begun: AtomicBool,
    /// Locks: this, then the catalog's.
    phase: Mutex<Phase>,
    report: Mutex<RecoveryReport>,
    /// Else a caller's thread does all the work, or there is none.
    has_threads: bool,
}

impl Run {
    /// Which has not begun, after a recovery that `report` tells of.
    pub fn new(hands: Hands, report: RecoveryReport, has_threads: bool) -> Arc<Self> {
        Arc::new(Run {
            hands,
            has_begun: AtomicBool::new(false),
            phase: Mutex::new(Phase::Ended),
            report: Mutex::new(report),
            has_threads,
        })
    }

    /// Starts the threads of a run whose files are there.
    ///
    /// # Errors
    /// [`Error::Io`]: the system gives none.
    pub fn begin_at_once(&self) -> Result<()> {
        let workers = self.spawn()?;
        *self.phase.lock() = Phase::Begun(workers);
        self.has_begun.store(true, Ordering::Release);
        Ok(())
    }

    /// Leaves it to the first who writes to do what `switch` stands for; or, where there is work for threads, to the one
    /// that it returns, after a moment. Dropping the sender ends that.
    ///
    /// Where there is none, no thread is started for it: of an open and a `get` in a fresh process it would be a quarter.
    ///
    /// # Errors
    /// [`Error::Io`]: the system gives no thread.
    pub fn begin_later(
        self: &Arc<Self>,
        switch: Switch,
        dir: &Path,
    ) -> Result<Option<(Sender<()>, Worker)>> {
        *self.phase.lock() = Phase::Pending(switch);
        if !self.has_threads || self.hands.are_idle() {
            return Ok(None);
        }
        let (stop, stopped) = bounded(0);
        let run = Arc::clone(self);
        let abandon = poison_on_panic(&self.hands.store);
        let starter = Worker::spawn("esker-start", move || run.begin_after(&stopped), abandon);
        // In this order: the one that is dropped first ends the other.
        Ok(Some((stop, starter.during("start a thread for", dir)?)))
    }

    fn begin_after(&self, stopped: &Receiver<()>) {
        let mut pause = BEGIN_AFTER;
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            // What prevents it is told to whoever writes, and may have passed until the next attempt.
            match self.begin() {
                Err(Error::Io { .. }) => pause = AGAIN_AFTER,
                Ok(()) | Err(_) => return,
            }
        }
    }

    /// Whether it has files of its own, or else needs none because it only reads.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// What was found and done at the open, and since then of what belongs to it.
    pub fn report(&self) -> RecoveryReport {
        self.report.lock().clone()
    }

    /// Sees to it that the run has begun: before anything of the database is written.
    ///
    /// # Errors
    /// [`Error::Io`]: nothing has changed, and it may be tried again. [`Error::Closed`]. [`Error::Poisoned`]: also where the
    /// system gives no threads.
    #[inline]
    pub fn begin(&self) -> Result<()> {
        if self.has_begun() { Ok(()) } else { self.begin_now() }
    }

    #[cold]
    fn begin_now(&self) -> Result<()> {
        let mut phase = self.phase.lock();
        // With the lock: what `close` looks at does not change behind it.
        self.hands.store.health.check_open()?;
        self.begin_in(&mut phase)
    }

    fn begin_in(&self, phase: &mut Phase) -> Result<()> {
        let store = &self.hands.store;
        let switch = match phase {
            Phase::Begun(_) => return Ok(()),
            Phase::Ended => return Err(Error::Closed),
            Phase::Pending(switch) => switch,
        };
        store.health.check_sound()?;
        // A panic would leave it open which files are in force.
        let workers = on_panic(poison_on_panic(store), || {
            self.switch(switch)?;
            // Without them nothing would ever be flushed.
            self.spawn().map_err(|e| store.health.poison(e))
        })?;
        *phase = Phase::Begun(workers);
        self.has_begun.store(true, Ordering::Release);
        Ok(())
    }

    fn spawn(&self) -> Result<Workers> {
        if self.has_threads { Workers::spawn(&self.hands) } else { Ok(Workers::default()) }
    }

    /// Puts files of this run in force.
    fn switch(&self, switch: &Switch) -> Result<()> {
        let Hands { store, pipeline, catalog, .. } = &self.hands;
        catalog.begin(|| {
            let is_refused = |e: &Error| before_the_switch(e);
            let made = switch.run(store).or_else(|e| {
                // It is one of the things for which the reserve is there.
                let is_worth_it = is_refused(&e) && store.give_up_reserve(&e);
                if is_worth_it { switch.run(store) } else { Err(e) }
            });
            // Which of the two is in force after a crash is open.
            let settled = |e| if is_refused(&e) { e } else { store.health.poison(e) };
            let (log, manifest) = made.map_err(settled)?;
            // Before the files of the last run go: who looks at them goes by the view.
            pipeline.begin(log);
            self.clean_up(&manifest);
            Ok(manifest)
        })
    }

    fn clean_up(&self, manifest: &Manifest) {
        let mut found = RecoveryReport::default();
        if let Err(e) = clean_up(&self.hands.store, manifest, &mut found) {
            // They take room until the next open, and nothing else.
            warn!(target: "esker::files", "files of the last run were not removed: {e}");
        }
        // Not while it is at it: a program's logger, which is told, may ask for it.
        let mut report = self.report.lock();
        report.files_removed += found.files_removed;
        report.files_not_removed += found.files_not_removed;
    }

    /// For a `close`, after which nobody else begins: begins, without threads, where `catalog` does not have what a
    /// reader was told of expiry.
    ///
    /// # Errors
    /// As [`Run::begin`].
    pub fn begin_to_close(&self, catalog: &Catalog) -> Result<()> {
        let store = &self.hands.store;
        let mut phase = self.phase.lock();
        let Phase::Pending(switch) = &*phase else { return Ok(()) };
        store.health.check_sound()?;
        if !catalog.has_expiry_floor() {
            on_panic(poison_on_panic(store), || self.switch(switch))?;
            *phase = Phase::Begun(Workers::default());
            self.has_begun.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Ends it; what is returned has still to be joined.
    pub fn end(&self) -> Workers {
        match std::mem::replace(&mut *self.phase.lock(), Phase::Ended) {
            Phase::Begun(workers) => workers,
            Phase::Pending(_) | Phase::Ended => Workers::default(),
        }
    }
}
