//! The members of one group: a leader's own request, and those that go along.

use super::batch::Batch;
use super::check::Premise;
use super::queue::{Placed, Request, Verdict, Waiter};
use crate::error::Error;
use crate::format::SeqNo;
use crate::format::codec::to_u64;
use crate::format::frame::FRAME_HEADER_SIZE;
use crate::wal::ops;
use std::sync::Arc;

/// A group, and which of its members are refused.
#[derive(Debug)]
pub struct Group<'a> {
    own: &'a Request,
    others: &'a [Arc<Waiter>],
    /// One for each member, or none at all as long as nobody is refused.
    refusals: Vec<Option<Error>>,
}

/// A member that commits.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Its batch.
    pub batch: &'a Batch,
    /// Checksum of its operations.
    pub body_crc: u32,
    /// Whether it asks for a sync.
    pub sync: bool,
}

impl<'a> Group<'a> {
    /// Of these, none of them refused.
    pub fn new(own: &'a Request, others: &'a [Arc<Waiter>]) -> Self {
        Group { own, others, refusals: Vec::new() }
    }

    /// The leader's own request, where it is the only one.
    pub fn lone(&self) -> Option<&'a Request> {
        self.others.is_empty().then_some(self.own)
    }

    /// Requests in it.
    pub fn len(&self) -> usize {
        1 + self.others.len()
    }

    fn request(&self, index: usize) -> &'a Request {
        match index.checked_sub(1) {
            None => self.own,
            Some(index) => &self.others[index].request,
        }
    }

    /// Those that commit and are not refused, in order.
    pub fn members(&self) -> impl Iterator<Item = Member<'a>> + use<'_, 'a> {
        self.members_in_order().map(|(_, member)| member)
    }

    /// What the request at `index` relies upon.
    pub fn premise(&self, index: usize) -> Option<&'a dyn Premise> {
        match self.request(index) {
            Request::Commit { premise, .. } => premise.as_deref(),
            Request::Seal => None,
        }
    }

    /// Whether a member before `index` writes what `premise` depends on.
    pub fn is_touched_before(&self, index: usize, premise: &dyn Premise) -> bool {
        if premise.holds_at().is_none() {
            return false;
        }
        let is_in = |earlier: &usize| self.refusal(*earlier).is_none();
        let earlier = (0..index).filter(is_in).filter_map(|at| as_member(self.request(at)));
        earlier.flat_map(|member| member.batch.keys()).any(|key| premise.depends_on(key))
    }

    /// Why the request at `index` is refused, if it is.
    pub fn refusal(&self, index: usize) -> Option<&Error> {
        self.refusals.get(index)?.as_ref()
    }

    /// Refuses the request at `index`.
    pub fn refuse(&mut self, index: usize, e: Error) {
        self.refusals.resize(self.len(), None);
        self.refusals[index] = Some(e);
    }

    /// Refuses nobody.
    pub fn accept_all(&mut self) {
        self.refusals.clear();
    }

    /// Whether a member sets a key.
    pub fn has_sets(&self) -> bool {
        self.members().any(|member| member.batch.has_sets())
    }

    /// Bytes of keys and values.
    pub fn user_bytes(&self) -> u64 {
        self.members().map(|member| member.batch.user_bytes()).sum()
    }

    /// Of them, what large values take in the log.
    pub fn large_bytes(&self) -> u64 {
        self.members().map(|member| member.batch.large_bytes()).sum()
    }

    /// What the memtable needs at most to take it.
    pub fn memtable_bytes(&self) -> usize {
        self.members().map(|member| member.batch.memtable_bytes()).sum()
    }

    /// What it takes in the log at most, a record of the expiry floor with each included.
    pub fn log_bytes(&self) -> u64 {
        let overhead = 2 * FRAME_HEADER_SIZE + ops::EXPIRY_FLOOR_BYTES_MAX;
        self.members().map(|member| to_u64(member.batch.ops().len() + overhead)).sum()
    }

    /// Those that commit and are not refused, with their place in the group.
    pub fn members_in_order(&self) -> impl Iterator<Item = (usize, Member<'a>)> {
        let is_in = |index: &usize| self.refusal(*index).is_none();
        let member = |index| Some((index, as_member(self.request(index))?));
        (0..self.len()).filter(is_in).filter_map(member)
    }

    /// The same with what they need to get into the memtable. `first`: that of the first of them.
    pub fn places(&self, first: &Placed) -> impl Iterator<Item = (usize, Member<'a>, Placed)> {
        let mut next = first.clone();
        self.members_in_order().map(move |(index, member)| {
            let own = next.clone();
            next.pass(member);
            (index, member, own)
        })
    }

    /// Those that are refused, but for the leader, and why.
    pub fn refused_others(&self) -> impl Iterator<Item = (&'a Waiter, Error)> {
        let refusals = self.refusals.iter().skip(1).zip(self.others);
        refusals.filter_map(|(refusal, other)| Some((&**other, refusal.clone()?)))
    }

    /// Tells the one at `index`, unless it is the leader.
    pub fn tell(&self, index: usize, verdict: impl FnOnce() -> Verdict) {
        if let Some(waiter) = index.checked_sub(1).and_then(|other| self.others.get(other)) {
            waiter.tell(verdict());
        }
    }
}

impl Placed {
    /// The number of the last operation of `member`, whose place it is.
    pub fn last_seq(&self, member: Member<'_>) -> SeqNo {
        SeqNo(self.first_seq.0 + member.batch.entries() - 1)
    }

    /// Goes on to the member that comes after `member`.
    fn pass(&mut self, member: Member<'_>) {
        self.first_seq.0 += member.batch.entries();
        if let Some(place) = &mut self.place {
            place.offset += to_u64(FRAME_HEADER_SIZE + member.batch.ops().len());
        }
    }
}

/// `request` as a member that commits, if it does.
pub fn as_member(request: &Request) -> Option<Member<'_>> {
    match request {
        Request::Commit { batch, body_crc, sync, .. } => {
            Some(Member { batch, body_crc: *body_crc, sync: *sync })
        }
        Request::Seal => None,
    }
}
