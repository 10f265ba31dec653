//! Where writers wait: for a leader to take them along, or to lead themselves.

use super::batch::Batch;
use crate::error::Result;
use crate::format::SeqNo;
use crate::memtable::Memtable;
use crate::store::Ticket;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;

/// A member's part of a group that is in the log.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Where its entries go.
    pub memtable: Arc<Memtable>,
    /// The sequence number of its first operation.
    pub first_seq: SeqNo,
    /// Its group's place in the order of publication.
    pub ticket: Ticket,
}

/// What a waiting writer is told.
#[derive(Debug)]
pub enum Verdict {
    /// You lead; you are no longer in the queue.
    Lead,
    /// A leader took you along.
    Done(Result<Placed>),
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
    },
    /// Seal the active memtable, unless it is empty. Never joins a group.
    Seal,
}

/// A writer in the queue.
#[derive(Debug)]
pub struct Waiter {
    /// What it wants.
    pub request: Request,
    verdict: Mutex<Option<Verdict>>,
    told: Condvar,
}

impl Waiter {
    fn new(request: Request) -> Self {
        Waiter { request, verdict: Mutex::new(None), told: Condvar::new() }
    }

    /// Tells it, once.
    pub fn tell(&self, verdict: Verdict) {
        *self.verdict.lock() = Some(verdict);
        self.told.notify_one();
    }

    /// Waits to be told.
    pub fn wait(&self) -> Verdict {
        let mut verdict = self.verdict.lock();
        loop {
            if let Some(verdict) = verdict.take() {
                return verdict;
            }
            self.told.wait(&mut verdict);
        }
    }
}

#[derive(Debug, Default)]
struct Line {
    /// Somebody leads.
    led: bool,
    waiting: VecDeque<Arc<Waiter>>,
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

    /// For the leader: gives the lead to the next in the queue, or to nobody.
    pub fn hand_over(&self) {
        let mut line = self.line.lock();
        match line.waiting.pop_front() {
            Some(next) => {
                drop(line);
                next.tell(Verdict::Lead);
            }
            None => line.led = false,
        }
    }
}
