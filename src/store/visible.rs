//! The visible sequence number: which commits reads see.

use crate::format::SeqNo;
use crate::spin::spin_until;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// A group's place in the order of publication.
#[derive(Debug, Clone, Copy)]
pub struct Ticket {
    index: u64,
    last_seq: SeqNo,
}

#[derive(Debug)]
struct Group {
    last_seq: SeqNo,
    /// Members whose batch is not in the memtable yet.
    remaining: usize,
}

#[derive(Debug, Default)]
struct Order {
    /// Index of the front group.
    front: u64,
    groups: VecDeque<Group>,
    /// From here on nothing becomes visible any more.
    abandoned_at: Option<SeqNo>,
}

/// Up to where commits are visible. Rises over whole groups, in order (INV-2).
#[derive(Debug)]
pub struct VisibleSeq {
    seq: AtomicU64,
    order: Mutex<Order>,
    risen: Condvar,
}

impl VisibleSeq {
    /// Everything up to `seq` is visible.
    #[must_use]
    pub fn new(seq: SeqNo) -> Self {
        VisibleSeq { seq: AtomicU64::new(seq.0), order: Mutex::default(), risen: Condvar::new() }
    }

    /// The newest visible operation. What it names has happened before.
    #[inline]
    pub fn load(&self) -> SeqNo {
        SeqNo(self.seq.load(Ordering::Acquire))
    }

    /// Queues a group of `members` whose last operation is `last_seq`. Called
    /// in commit order.
    pub fn enter(&self, last_seq: SeqNo, members: usize) -> Ticket {
        let mut order = self.order.lock();
        let index = order.front + crate::format::codec::to_u64(order.groups.len());
        order.groups.push_back(Group { last_seq, remaining: members });
        Ticket { index, last_seq }
    }

    /// A member's batch is in the memtable.
    pub fn member_done(&self, ticket: Ticket) {
        self.members_done(ticket, 1);
    }

    /// The batches of `count` members are in the memtable.
    pub fn members_done(&self, ticket: Ticket, count: usize) {
        let mut order = self.order.lock();
        let place = usize::try_from(ticket.index - order.front).expect("fits: it is in memory");
        order.groups[place].remaining -= count;
        let mut risen = None;
        while order.groups.front().is_some_and(|group| group.remaining == 0) {
            risen = order.groups.pop_front().map(|group| group.last_seq);
            order.front += 1;
        }
        if let Some(seq) = risen {
            // Release: whoever loads it sees the entries. Monotonic, since
            // groups leave in order and under the lock.
            self.seq.store(seq.0, Ordering::Release);
            self.risen.notify_all();
        }
    }

    /// A member's batch will never be in the memtable: neither its group nor
    /// any after it becomes visible. Nobody is left waiting for them.
    pub fn abandon(&self, ticket: Ticket) {
        let mut order = self.order.lock();
        let at = order.abandoned_at.map_or(ticket.last_seq, |at| at.min(ticket.last_seq));
        order.abandoned_at = Some(at);
        self.risen.notify_all();
    }

    /// Waits until the group of `ticket` is visible; false: it never will be.
    #[must_use]
    pub fn wait(&self, ticket: Ticket) -> bool {
        self.wait_for(ticket.last_seq)
    }

    /// Waits until every group that has entered so far is visible; false: one never will be.
    pub fn wait_for_entered(&self) -> bool {
        let entered = self.order.lock().groups.back().map(|group| group.last_seq);
        entered.is_none_or(|seq| self.wait_for(seq))
    }

    /// Waits until `seq` is visible; false: it never will be.
    #[must_use]
    pub fn wait_for(&self, seq: SeqNo) -> bool {
        // Groups before it are mostly in the memtable within a microsecond.
        if spin_until(|| self.load() >= seq) {
            return true;
        }
        let mut order = self.order.lock();
        while self.load() < seq {
            if order.abandoned_at.is_some_and(|at| at <= seq) {
                return false;
            }
            self.risen.wait(&mut order);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_become_visible_in_order_and_whole() {
        let visible = VisibleSeq::new(SeqNo(10));
        let first = visible.enter(SeqNo(12), 2);
        let second = visible.enter(SeqNo(13), 1);
        visible.member_done(second);
        assert_eq!(visible.load(), SeqNo(10));
        visible.member_done(first);
        assert_eq!(visible.load(), SeqNo(10), "one member is still on its way");
        visible.member_done(first);
        assert_eq!(visible.load(), SeqNo(13));
        assert!(visible.wait(second));
    }

    #[test]
    fn who_waits_for_what_has_entered_sees_all_of_it_and_no_more() {
        let visible = &VisibleSeq::new(SeqNo(10));
        assert!(visible.wait_for_entered(), "nothing has");
        let groups = [11, 12].map(|seq| visible.enter(SeqNo(seq), 1));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| (visible.wait_for_entered(), visible.load()));
            visible.member_done(groups[1]);
            std::thread::yield_now();
            visible.member_done(groups[0]);
            assert_eq!(waiting.join().expect("no panic"), (true, SeqNo(12)));
        });
        let last = visible.enter(SeqNo(13), 1);
        visible.abandon(last);
        assert!(!visible.wait_for_entered());
    }

    // A writer that panicked with its batch half inserted left everyone waiting
    // who committed after it, the flush worker too.
    #[test]
    fn nobody_waits_for_a_group_that_was_abandoned() {
        let visible = &VisibleSeq::new(SeqNo(10));
        let groups = [11, 12, 13].map(|seq| visible.enter(SeqNo(seq), 1));
        std::thread::scope(|scope| {
            let waiting = groups.map(|group| scope.spawn(move || visible.wait(group)));
            visible.abandon(groups[1]);
            visible.member_done(groups[2]);
            visible.member_done(groups[0]);
            let told = waiting.map(|thread| thread.join().expect("no panic"));
            assert_eq!(told, [true, false, false]);
        });
        assert_eq!(visible.load(), SeqNo(11));
        assert!(!visible.wait_for(SeqNo(14)));
    }
}
