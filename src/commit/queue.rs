//! Where writers wait: for a leader to take them along, or to lead themselves.

use super::batch::{Batch, BodyPlace};
use super::check::Premise;
use crate::error::Result;
use crate::format::SeqNo;
use crate::memtable::Memtable;
use crate::spin::spin_until;
use crate::store::Ticket;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// A member's part of a group that is in the log.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Where its entries go.
    pub memtable: Arc<Memtable>,
    /// The sequence number of its first operation.
    pub first_seq: SeqNo,
    /// Where its operations stand in the log; `None` where there is none.
    pub place: Option<BodyPlace>,
    /// Its group's place in the order of publication.
    pub ticket: Ticket,
}

/// What a waiting writer is told.
#[derive(Debug)]
pub enum Verdict {
    /// You lead; you are no longer in the queue.
    Lead,
    /// A leader took you along; what is left to do is yours: your batch is to go there.
    Placed(Placed),
    /// A leader took you along, and this became of it: the number of your last operation, if you have any.
    Done(Result<Option<SeqNo>>),
}

/// What a writer wants.
#[derive(Debug)]
pub enum Request {
    /// Commit this batch.
    Commit {
        /// The batch.
        batch: Batch,
        /// Checksum of its operations.
        body_crc: u32,
        /// Whether the acknowledgement means durable.
        sync: bool,
        /// What it relies upon, if it is that of a transaction.
        premise: Option<Box<dyn Premise>>,
    },
    /// Seal the active memtable, unless it is empty. Never joins a group.
    Seal,
}

/// How often a leader gives way, at most, to writers that are likely to come
/// along: some 20 us in all if they do not, a fifth of a sync.
const YIELDS_MAX: usize = 50;

/// Whether a waiting writer has been told, and if not, what it does meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Watch {
    /// It looks from time to time.
    Looks,
    /// It sleeps, and must be woken.
    Sleeps,
    /// It has been told.
    Told,
}

/// A writer in the queue.
///
/// INV-1: `watch` becomes [`Watch::Told`] once, when the verdict is there and its lock free again: a writer that looks on
/// takes the verdict without waiting for the one who brought it. INV-2: it becomes [`Watch::Sleeps`] under the lock, without a
/// verdict, and the sleeper gives up the lock as it falls asleep: whoever brings one later has somebody to wake.
#[derive(Debug)]
pub struct Waiter {
    /// What it wants.
    pub request: Request,
    /// A [`Watch`].
    watch: AtomicU8,
    verdict: Mutex<Option<Verdict>>,
    woken: Condvar,
}

impl Waiter {
    fn new(request: Request) -> Self {
        let watch = AtomicU8::new(Watch::Looks as u8);
        Waiter { request, watch, verdict: Mutex::new(None), woken: Condvar::new() }
    }

    /// Tells it, once.
    pub fn tell(&self, verdict: Verdict) {
        *self.verdict.lock() = Some(verdict);
        // Release: who sees it sees the verdict, and its lock free (INV-1). That it sleeps we know by the lock (INV-2).
        let before = self.watch.swap(Watch::Told as u8, Ordering::Release);
        if before == Watch::Sleeps as u8 {
            self.woken.notify_one();
        }
    }

    fn is_told(&self) -> bool {
        self.watch.load(Ordering::Acquire) == Watch::Told as u8
    }

    /// Waits to be told.
    pub fn wait(&self) -> Verdict {
        // A sync takes a hundred times longer than it is worth to look on.
        if !matches!(self.request, Request::Commit { sync: true, .. }) {
            spin_until(|| self.is_told());
        }
        let mut verdict = self.verdict.lock();
        loop {
            if let Some(verdict) = verdict.take() {
                return verdict;
            }
            // Relaxed: no verdict yet, so whoever brings it takes this lock first, and then finds this.
            self.watch.store(Watch::Sleeps as u8, Ordering::Relaxed);
            self.woken.wait(&mut verdict);
        }
    }
}

#[derive(Debug, Default)]
struct Line {
    /// Somebody leads.
    led: bool,
    waiting: VecDeque<Arc<Waiter>>,
    /// Writers that were in the last group or waited when it was done: as many
    /// as are likely to come again.
    crowd: usize,
}

/// How a writer entered.
#[derive(Debug)]
pub enum Entry {
    /// Nobody led: it leads, with its own request.
    Lead(Request),
    /// It waits.
    Wait(Arc<Waiter>),
}

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    line: Mutex<Line>,
}

impl Queue {
    /// Enters with a request.
    pub fn enter(&self, request: Request) -> Entry {
        let mut line = self.line.lock();
        if !line.led {
            line.led = true;
            return Entry::Lead(request);
        }
        let waiter = Arc::new(Waiter::new(request));
        line.waiting.push_back(Arc::clone(&waiter));
        Entry::Wait(waiter)
    }

    /// How many wait.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.line.lock().waiting.len()
    }

    /// Enters where nobody leads, and then leads; whether it does.
    pub fn try_lead(&self) -> bool {
        let mut line = self.line.lock();
        !std::mem::replace(&mut line.led, true)
    }

    /// For a leader that will sync: gives way to the writers of the last group,
    /// which are just being woken, so that they come along. Without it they
    /// find the sync already under way, and groups are half as large as they
    /// could be: 26,000 synced sets a second of 8 threads against 40,000.
    /// One writer alone does not wait.
    pub fn await_crowd(&self) {
        for _ in 0..YIELDS_MAX {
            let line = self.line.lock();
            if line.waiting.len() + 1 >= line.crowd {
                return;
            }
            drop(line);
            std::thread::yield_now();
        }
    }

    /// For the leader: takes those from the front of the queue that go along,
    /// as long as `joins` says so.
    pub fn gather(&self, mut joins: impl FnMut(&Request) -> bool) -> Vec<Arc<Waiter>> {
        let mut line = self.line.lock();
        let mut taken = Vec::new();
        while let Some(waiter) = line.waiting.pop_front_if(|waiter| joins(&waiter.request)) {
            taken.push(waiter);
        }
        taken
    }

    /// For the leader of a group of `members`: gives the lead to the next in
    /// the queue, or to nobody.
    pub fn hand_over(&self, members: usize) {
        let mut line = self.line.lock();
        line.crowd = members + line.waiting.len();
        match line.waiting.pop_front() {
            Some(next) => {
                drop(line);
                next.tell(Verdict::Lead);
            }
            None => line.led = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    fn request(sync: bool) -> Request {
        Request::Commit { batch: Batch::default(), body_crc: 0, sync, premise: None }
    }

    #[test]
    fn a_writer_is_told_whether_it_looks_on_or_sleeps() {
        for round in 0..400 {
            // Who waits for a sync sleeps at once, another looks on first.
            let waiter = Arc::new(Waiter::new(request(round % 2 == 0)));
            let (sender, receiver) = mpsc::channel();
            let waiting = Arc::clone(&waiter);
            let thread =
                thread::spawn(move || sender.send(matches!(waiting.wait(), Verdict::Lead)));
            // From before it waits to long after it has fallen asleep.
            (0..round * 10).for_each(|_| std::hint::spin_loop());
            waiter.tell(Verdict::Lead);
            assert_eq!(receiver.recv_timeout(Duration::from_secs(60)), Ok(true), "{round}");
            thread.join().expect("no panic").expect("we listened");
        }
    }
}
