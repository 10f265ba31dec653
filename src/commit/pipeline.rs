//! Leading a group: sequence numbers, room, log, sync, and the way out.

use super::batch::{Batch, BodyPlace};
use super::check::Premise;
use super::group::{Group, Member};
use super::log::{Log, Record, Sealed};
use super::queue::{Entry, Placed, Queue, Request, Verdict, Waiter};
use super::window::Window;
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::frame::FRAME_HEADER_SIZE;
use crate::format::{FileKind, LogId, SeqNo, crc};
use crate::memtable::Memtable;
use crate::options::Options;
use crate::store::{Drained, SealedMemtable, Store};
use crate::wal::{LogWriter, ops};
use crate::worker::on_panic;
use parking_lot::Mutex;
use std::sync::Arc;

/// A group takes members until their operations exceed this many bytes: one
/// commit's latency is not another's bulk load.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// A batch larger than this commits alone.
const JOIN_BYTES_MAX: usize = 256 << 10;

/// What only the leader touches.
#[derive(Debug)]
pub(super) struct Leader {
    active: Arc<Memtable>,
    /// The last sequence number given out.
    pub(super) last_seq: SeqNo,
    /// The last one of a group that went to publication.
    pub(super) entered_seq: SeqNo,
    /// The last one that is in a sealed memtable.
    pub(super) sealed_seq: SeqNo,
    /// Nobody leads any more.
    pub(super) ended: bool,
    /// The expiry floor that the log or the manifest already holds.
    logged_floor_ms: u64,
    /// What was committed last, for those that have read.
    pub(super) window: Window,
}

/// The commit pipeline of one database.
#[derive(Debug)]
pub struct Pipeline {
    pub(super) store: Arc<Store>,
    queue: Queue,
    leader: Mutex<Leader>,
    pub(super) log: Log,
}

impl Pipeline {
    /// Commits after `last_seq`, into the active memtable of `store`'s view
    /// and into `log`.
    #[must_use]
    pub fn new(store: Arc<Store>, log: Log, last_seq: SeqNo) -> Self {
        let leader = Leader {
            active: Arc::clone(&store.views.load().active),
            last_seq,
            entered_seq: last_seq,
            sealed_seq: last_seq,
            ended: false,
            logged_floor_ms: store.expiry.get(),
            window: Window::default(),
        };
        Pipeline { store, queue: Queue::default(), leader: Mutex::new(leader), log }
    }

    /// Commits `batch`, if `premise` holds when its turn comes: on return it is visible and, with
    /// `sync`, durable, with all commits before it. Returns the number of its last operation, `None` where
    /// there is none.
    ///
    /// # Errors
    /// [`Error::Io`]: refused, nothing was written. [`Error::Indeterminate`]:
    /// a write or the sync failed. [`Error::Poisoned`], [`Error::Closed`]. [`Error::Conflict`]: the premise
    /// does not hold, and nothing was written; so with what it fails with when it is asked.
    pub fn commit(
        &self,
        mut batch: Batch,
        sync: bool,
        premise: Option<Box<dyn Premise>>,
    ) -> Result<Option<SeqNo>> {
        self.store.health.check_open()?;
        self.store.health.check_sound()?;
        let Options { wal_enabled, value_threshold, compression, .. } = self.store.options;
        if wal_enabled {
            batch.separate(value_threshold, compression);
        }
        batch.check_size()?;
        let sync = sync && wal_enabled;
        if batch.is_empty() {
            return if sync { self.persist().map(|()| None) } else { Ok(None) };
        }
        if batch.has_sets() {
            self.store.check_sets_pass()?;
        }
        let begun = self.store.home.clock.elapsed();
        let body_crc = if self.store.options.wal_enabled { crc(batch.ops()) } else { 0 };
        let last_seq = self.run(Request::Commit { batch, body_crc, sync, premise });
        if matches!(last_seq, Err(Error::Conflict)) {
            // What it conflicts with is in the log, but perhaps not visible yet: whoever begins anew at once would
            // not see it, and so conflict with it again. Never visible: then the handle is poisoned, as the next call says.
            self.store.visible.wait_for_entered();
        }
        let last_seq = last_seq?;
        let latencies = &self.store.latencies;
        let latency = if sync { &latencies.synced_commit } else { &latencies.unsynced_commit };
        latency.record(self.store.since(begun));
        Ok(last_seq)
    }

    /// Writers that wait to be taken along.
    #[cfg(test)]
    pub fn queued(&self) -> usize {
        self.queue.waiting()
    }

    /// The log file that is being written, and where in it its records end.
    pub fn written_log(&self) -> (LogId, u64) {
        self.log.written()
    }

    /// Goes on with `log`, the first file of this run. Nothing has been committed, and nobody leads: whoever will begins first.
    pub fn begin(&self, log: LogWriter) {
        let values = self.store.open_values(FileKind::Log(log.id()));
        let memtable = self.store.new_memtable(self.store.options.memtable_bytes);
        let mut leader = self.leader.lock();
        leader.active = Arc::clone(&memtable);
        self.log.begin(log);
        self.store.views.begin(memtable, values);
    }

    /// Makes every commit that returned before this call durable.
    ///
    /// # Errors
    /// [`Error::Poisoned`]: a sync failed, now or before.
    pub fn persist(&self) -> Result<()> {
        self.store.health.check_sound()?;
        self.log.sync()
    }

    /// Seals the active memtable, unless it is empty, so that it is written
    /// out; returns the last sequence number that was committed before.
    ///
    /// # Errors
    /// As [`Pipeline::commit`].
    pub fn seal(&self) -> Result<SeqNo> {
        self.store.health.check_sound()?;
        self.run(Request::Seal)?;
        Ok(self.leader.lock().entered_seq)
    }

    /// Takes in, as one commit, entries that are in tables already, all of them of the number `seq`:
    /// has what was committed before written out, and `install` put the tables in force. Nobody
    /// commits meanwhile. `flush` does the work of the flush worker, where there is none.
    ///
    /// False: `seq` has been passed, and nothing was done.
    ///
    /// # Errors
    /// As [`Pipeline::seal`] and `Views::wait_until_flushed`; what `install` fails with.
    pub fn take_in(
        &self,
        seq: SeqNo,
        flush: impl FnOnce(),
        install: impl FnOnce() -> Result<()>,
    ) -> Result<bool> {
        self.lead_alone(|leader| self.take_in_leading(leader, seq, flush, install))
    }

    /// Has `act` lead, alone.
    pub(super) fn lead_alone<T>(&self, act: impl FnOnce(&mut Leader) -> Result<T>) -> Result<T> {
        self.store.health.check_sound()?;
        if let Entry::Wait(waiter) = self.queue.enter(Request::Seal) {
            let verdict = waiter.wait();
            assert!(matches!(verdict, Verdict::Lead), "what joins no group leads");
        }
        let abandon = |e| self.abandon_lead(e, &[]);
        let done = on_panic(abandon, || act(&mut self.leader.lock()));
        self.queue.hand_over(1);
        done
    }

    fn take_in_leading(
        &self,
        leader: &mut Leader,
        seq: SeqNo,
        flush: impl FnOnce(),
        install: impl FnOnce() -> Result<()>,
    ) -> Result<bool> {
        let Store { health, views, visible, .. } = &*self.store;
        health.check_open()?;
        if seq <= leader.last_seq {
            return Ok(false);
        }
        self.seal_active(leader)?;
        flush();
        views.wait_until_flushed(leader.entered_seq)?;
        // Also if it fails: it may be in force after a crash, and what is committed
        // from now on must be newer.
        leader.last_seq = seq;
        install().inspect_err(|e| {
            // It may be in force after a crash, before what is committed from now on.
            if matches!(e, Error::Indeterminate { .. }) {
                self.store.transactions.invalidate_all();
            }
        })?;
        leader.window.forget(seq);
        self.store.transactions.set_noted_from(leader.window.noted_from());
        leader.entered_seq = seq;
        leader.sealed_seq = seq;
        let ticket = visible.enter(seq, 1);
        visible.member_done(ticket);
        self.store.counters.commits.add(1);
        if visible.wait(ticket) { Ok(true) } else { health.check_sound().map(|()| true) }
    }

    /// As [`Pipeline::seal`], but only where nobody leads: for the compaction worker, for
    /// which a leader may be waiting.
    ///
    /// # Errors
    /// As [`Pipeline::commit`].
    pub fn try_seal(&self) -> Result<()> {
        self.store.health.check_sound()?;
        if self.queue.try_lead() { self.lead(&Request::Seal).map(|_| ()) } else { Ok(()) }
    }

    /// Waits until whoever writes to the log has done so, and lets nobody do so
    /// afterwards: the log may then be another handle's.
    pub fn end(&self) {
        self.leader.lock().ended = true;
    }

    /// Returns the number of the last operation, where there is one.
    fn run(&self, request: Request) -> Result<Option<SeqNo>> {
        match self.queue.enter(request) {
            Entry::Lead(request) => self.lead(&request),
            Entry::Wait(waiter) => match waiter.wait() {
                Verdict::Lead => self.lead(&waiter.request),
                Verdict::Placed(placed) => self.publish_own(&waiter.request, &placed),
                Verdict::Done(done) => done,
            },
        }
    }

    /// Leads a group of its own request and of those that have queued up.
    fn lead(&self, request: &Request) -> Result<Option<SeqNo>> {
        if matches!(request, Request::Commit { sync: true, .. }) {
            self.queue.await_crowd();
        }
        let others = match request {
            Request::Commit { batch, .. } if batch.ops().len() <= JOIN_BYTES_MAX => {
                let mut bytes = 0;
                let bytes_max = self.group_bytes_max();
                self.queue.gather(|other| match other {
                    Request::Commit { batch, .. } if batch.ops().len() <= JOIN_BYTES_MAX => {
                        bytes += batch.ops().len();
                        bytes <= bytes_max
                    }
                    _ => false,
                })
            }
            _ => Vec::new(),
        };
        let mut group = Group::new(request, &others);
        self.store.pay_for(|| (group.user_bytes(), group.large_bytes()));
        let abandon = |e| self.abandon_lead(e, &others);
        let placed = on_panic(abandon, || {
            let mut leader = self.leader.lock();
            let mut act = |group: &mut Group<'_>| match request {
                Request::Seal => self.seal_active(&mut leader).map(|()| None),
                Request::Commit { .. } => self.place(&mut leader, group),
            };
            let done = act(&mut group);
            done.or_else(|e| if self.has_made_room(&e, &group) { act(&mut group) } else { Err(e) })
        });
        self.queue.hand_over(others.len() + 1);
        self.settle(&group, placed)
    }

    /// The most operations that go along with a leader, in bytes: few enough that the log
    /// of a group is never much of what an open may have to replay.
    fn group_bytes_max(&self) -> usize {
        let part = self.store.options.log_replay_bytes_max / 4;
        usize::try_from(part).unwrap_or(usize::MAX).min(GROUP_BYTES_MAX)
    }

    /// The leader panicked: what it was at is of no more use to anybody.
    fn abandon_lead(&self, e: Error, others: &[Arc<Waiter>]) {
        let poisoned = self.store.health.poison(e);
        for waiter in others {
            waiter.tell(Verdict::Done(Err(poisoned.clone())));
        }
        self.queue.hand_over(others.len() + 1);
    }

    /// Gives up the reserve where `e` says that the disk is full; whether the group may be
    /// tried again, for which no member may set anything.
    fn has_made_room(&self, e: &Error, group: &Group<'_>) -> bool {
        // Refused, not of unknown outcome: nothing of it is in the log.
        let is_refused = matches!(e, Error::Io { .. });
        self.store.give_up_reserve(e) && is_refused && !group.has_sets()
    }

    /// Checks what the members rely upon, then gives the group its numbers and its room, writes it to
    /// the log, syncs it if a member wants that, and enters it for publication. Returns the
    /// place of the first member that is not refused, if there is one; the others follow in order.
    fn place(&self, leader: &mut Leader, group: &mut Group<'_>) -> Result<Option<Placed>> {
        // Again, now that the lead is ours: `close` relies on it.
        self.store.health.check_open()?;
        self.store.health.check_sound()?;
        self.log.hold_back()?;
        group.accept_all();
        self.check_premises(group, &leader.window, leader.entered_seq);
        let count = group.members().count();
        if count == 0 {
            return Ok(None);
        }
        let bytes = group.memtable_bytes();
        self.make_room(leader, bytes, group.log_bytes())?;

        let floor = self.floor_record(leader);
        let first_seq = SeqNo(leader.last_seq.0 + 1);
        leader.last_seq.0 += group.members().map(|member| member.batch.entries()).sum::<u64>();
        assert!(leader.last_seq <= SeqNo::MAX, "2^56 operations");
        let mut place = None;
        if self.store.options.wal_enabled {
            let floor = floor.as_ref().map(|(first_seq, body, body_crc, _)| Record {
                first_seq: *first_seq,
                body,
                body_crc: *body_crc,
            });
            let written = self.write_group(floor, first_seq, group);
            place = Some(written.inspect_err(|_| leader.active.release(bytes))?);
        }
        if let Some((.., floor_ms)) = floor {
            leader.logged_floor_ms = floor_ms;
        }
        self.note(leader, first_seq, group);

        leader.entered_seq = leader.last_seq;
        let ticket = self.store.visible.enter(leader.last_seq, count);
        self.store.counters.commits.add(to_u64(count));
        self.store.counters.commit_groups.add(1);
        self.store.counters.user_bytes.add(group.user_bytes());
        Ok(Some(Placed { memtable: Arc::clone(&leader.active), first_seq, place, ticket }))
    }

    /// Writes `group`, numbered from `first_seq` on, after the record of a `floor`. Returns the
    /// place of its first member.
    fn write_group(
        &self,
        floor: Option<Record<'_>>,
        first_seq: SeqNo,
        group: &Group<'_>,
    ) -> Result<BodyPlace> {
        let mut next = first_seq;
        let records = group.members().map(|Member { batch, body_crc, .. }| {
            let record = Record { first_seq: next, body: batch.ops(), body_crc };
            next.0 += batch.entries();
            record
        });
        let sync = group.members().any(|member| member.sync);
        let floor_bytes = floor.map_or(0, |record| FRAME_HEADER_SIZE + record.body.len());
        let BodyPlace { log, offset } = self.write_log(floor.into_iter().chain(records), sync)?;
        Ok(BodyPlace { log, offset: offset + to_u64(floor_bytes) })
    }

    /// Notes what `group` writes, if an open transaction has read.
    fn note(&self, leader: &mut Leader, first_seq: SeqNo, group: &Group<'_>) {
        let transactions = &self.store.transactions;
        let Leader { window, entered_seq, .. } = leader;
        let before = window.noted_from();
        if window.is_noting(transactions.has_readers(), *entered_seq) {
            let mut next = first_seq;
            for Member { batch, .. } in group.members() {
                next.0 += batch.entries();
                window.note(batch, SeqNo(next.0 - 1));
            }
        }
        if window.noted_from() != before {
            transactions.set_noted_from(window.noted_from());
        }
    }

    fn write_log<'a>(
        &self,
        records: impl Iterator<Item = Record<'a>>,
        sync: bool,
    ) -> Result<BodyPlace> {
        let (end, place) = self.log.append(records, sync)?;
        if sync {
            self.log.sync_to(end).map_err(indeterminate)?;
        }
        Ok(place)
    }

    /// The record of an expiry floor that has risen, with a sequence number of
    /// its own: what a reader was told is expired must stay so after a crash.
    fn floor_record(&self, leader: &mut Leader) -> Option<(SeqNo, Vec<u8>, u32, u64)> {
        let floor_ms = self.store.expiry.get();
        if floor_ms <= leader.logged_floor_ms {
            return None;
        }
        let mut body = Vec::new();
        ops::put_expiry_floor(&mut body, floor_ms);
        let body_crc = crc(&body);
        leader.last_seq.0 += 1;
        Some((leader.last_seq, body, body_crc, floor_ms))
    }

    /// Sees to it that the active memtable has `bytes` to spare and that the
    /// log takes another group, of `log_bytes`.
    fn make_room(&self, leader: &mut Leader, bytes: usize, log_bytes: u64) -> Result<()> {
        if self.log.wants_switch(log_bytes) || !leader.active.reserve(bytes) {
            self.await_level_0();
            self.await_space();
            self.rotate(leader, bytes)?;
            let reserved = leader.active.reserve(bytes);
            assert!(reserved, "a new memtable is made large enough");
        }
        self.await_replay(log_bytes).inspect_err(|_| leader.active.release(bytes))
    }

    fn seal_active(&self, leader: &mut Leader) -> Result<()> {
        self.store.health.check_sound()?;
        if leader.ended {
            return Err(Error::Closed);
        }
        // Not whether the memtable is empty: a batch that belongs into it may
        // still be on its way.
        if leader.entered_seq == leader.sealed_seq && !self.log.wants_switch(0) {
            return Ok(());
        }
        self.rotate(leader, 0).map(drop)
    }

    /// Seals the active memtable with its log file and begins new ones; returns the files.
    pub(super) fn rotate(&self, leader: &mut Leader, bytes_min: usize) -> Result<Sealed> {
        let options = &self.store.options;
        self.await_room(options.memtables_max - 1)?;
        let memtable = self.store.new_memtable(options.memtable_bytes.max(bytes_min));
        let sealed = self.log.switch()?;
        let last_seq = leader.entered_seq;
        leader.active = Arc::clone(&memtable);
        leader.sealed_seq = last_seq;
        let now = self.store.home.clock.elapsed();
        let values = self.store.open_values(FileKind::Log(sealed.next_log));
        self.store.views.rotate(now, memtable, values, |memtable, values| SealedMemtable {
            memtable,
            values,
            log_file: Mutex::new(Some(sealed.file.clone())),
            last_seq,
            log: sealed.log,
            base: sealed.base,
            next_log: sealed.next_log,
            next_base: sealed.next_base,
            next_file: Mutex::new(Some(sealed.next_file.clone())),
        });
        self.store.measure_pressure(Drained::default());
        Ok(sealed)
    }
}

/// What a commit is told whose sync failed.
pub(super) fn indeterminate(e: Error) -> Error {
    match e {
        Error::Poisoned { cause } => Error::Indeterminate { cause },
        other => other,
    }
}
