//! What becomes of a group that its leader has dealt with: into the memtable, shown, and told.

use super::group::{Group, Member, as_member};
use super::pipeline::{Pipeline, indeterminate};
use super::queue::{Placed, Request, Verdict};
use crate::error::{Error, Result};
use crate::format::SeqNo;
use crate::store::{Store, Ticket};
use crate::worker::on_panic;

/// A member with more entries puts them into the memtable itself. Fewer are there before it has
/// woken, and it is woken once in place of twice: 18,000 synced sets a second of 8 threads on two cores, 20,000 with it;
/// of 32 threads 28,500 and 42,000.
const ENTRIES_BY_LEADER_MAX: u64 = 8;

impl Pipeline {
    /// For the leader, when the lead is another's: publishes `group`, from `placed` on, the place of the
    /// first member that is not refused, and tells the others what became of them. Returns what became
    /// of the leader's own request: the number of its last operation, where there is one.
    pub(super) fn settle(
        &self,
        group: &Group<'_>,
        placed: Result<Option<Placed>>,
    ) -> Result<Option<SeqNo>> {
        for (other, refusal) in group.refused_others() {
            other.tell(Verdict::Done(Err(refusal)));
        }
        let published = match placed {
            Ok(Some(first)) => self.publish(group, &first),
            Ok(None) => Ok(None),
            Err(e) => {
                for (index, _) in group.members_in_order() {
                    group.tell(index, || Verdict::Done(Err(e.clone())));
                }
                Err(e)
            }
        };
        group.refusal(0).map_or(published, |refusal| Err(refusal.clone()))
    }

    /// Has all members put into the memtable, waits until they are visible and tells the
    /// others. Returns the leader's own last number, unless it is refused.
    fn publish(&self, group: &Group<'_>, first: &Placed) -> Result<Option<SeqNo>> {
        if let Some(request) = group.lone() {
            return self.publish_own(request, first);
        }
        let by_itself = |index: usize, member: Member<'_>| {
            index > 0 && member.batch.entries() > ENTRIES_BY_LEADER_MAX
        };
        for (index, member, placed) in group.places(first) {
            if by_itself(index, member) {
                group.tell(index, || Verdict::Placed(placed));
            }
        }
        let rest = || group.places(first).filter(|(index, member, _)| !by_itself(*index, *member));
        let abandon = |e| {
            let poisoned = indeterminate(self.abandon(e, first.ticket));
            for (index, ..) in rest() {
                group.tell(index, || Verdict::Done(Err(poisoned.clone())));
            }
        };
        let count = on_panic(abandon, || {
            let insert =
                |(_, member, Placed { memtable, first_seq, place, .. }): (_, Member<'_>, _)| {
                    member.batch.insert_into(&memtable, first_seq, place);
                };
            rest().map(insert).count()
        });
        if count == 0 {
            return Ok(None);
        }
        let shown = self.show(first.ticket, count);
        let mut own = Ok(None);
        for (index, member, placed) in rest() {
            let last = shown.clone().map(|()| Some(placed.last_seq(member)));
            if index == 0 {
                own = last;
            } else {
                group.tell(index, || Verdict::Done(last));
            }
        }
        own
    }

    /// For a member that puts its batch into the memtable itself: does so, and waits until it is
    /// visible. Returns the number of its last operation.
    pub(super) fn publish_own(&self, request: &Request, placed: &Placed) -> Result<Option<SeqNo>> {
        let Some(member) = as_member(request) else { return Ok(None) };
        let Placed { memtable, first_seq, place, ticket } = placed;
        let abandon = |e| drop(self.abandon(e, *ticket));
        on_panic(abandon, || member.batch.insert_into(memtable, *first_seq, *place));
        self.show(*ticket, 1)?;
        Ok(Some(placed.last_seq(member)))
    }

    /// `count` more members of the group of `ticket` are in the memtable: waits until all are visible.
    fn show(&self, ticket: Ticket, count: usize) -> Result<()> {
        let Store { health, visible, .. } = &*self.store;
        visible.members_done(ticket, count);
        if visible.wait(ticket) { Ok(()) } else { health.check_sound().map_err(indeterminate) }
    }

    /// A member's batch will never be in the memtable. Returns what everybody is told.
    fn abandon(&self, e: Error, ticket: Ticket) -> Error {
        // Poisoned first: whoever is woken looks there for the cause.
        let poisoned = self.store.health.poison(e);
        self.store.visible.abandon(ticket);
        poisoned
    }
}
