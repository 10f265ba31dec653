//! The commit pipeline: from a batch to a visible, durable commit.
//!
//! Place on the data's path: where writers meet. Batches queue, a leader
//! writes a group to the log (and syncs it) and puts it into the memtable, but for large batches, which
//! their writers put there, and the visible sequence number moves over the group.
//!
//! INV-1: one leader at a time; sequence numbers, log order and the order of
//! publication are the same order, the commit order.
//! INV-2: nothing is acknowledged as durable before a sync that began after
//! its write has succeeded, for its file, all files before it, and their
//! directory entries.
//! INV-3: a batch is inserted into the memtable only after it is in the log
//! and, if its group syncs, after the sync: what cannot be kept is never shown.
//! INV-4: after a failed sync nothing is written or synced any more.
//! INV-5: a panic of a leader or a member poisons, and leaves nobody waiting.
//! INV-6: what a transaction read is checked by the leader that gives it its numbers, before
//! it does, with no commit in between; who is refused leaves nothing in the log.
//!
//! # Transactions, and commits that fail
//!
//! What [`check`] looks at is what came before in the commit order: groups that were entered for publication,
//! which are in the [`window`] or the store, and earlier members of the same group. A commit that
//! failed is not part of that order, and does not count. If it was refused, nothing of it is in the log. If the
//! write failed halfway, the file ends before it: who is committed later is in a file whose header says
//! so, and of the two at most one is there after a crash. If the sync failed, nobody
//! commits any more. Only within a group does the outcome come too late to be asked for: who
//! read what an earlier member was to write is refused, though it may fail. That is a conflict too
//! many, never one too few. A bulk load of unknown outcome does stay between the numbers of other
//! commits: it has all open transactions fail (`Pipeline::take_in`).
//!
//! Without threads nothing is different: the caller leads, and no group is ever on its way.
//!
//! Concurrency: any number of writers. Locks, in the order in which they may
//! be taken: leader, sync slot, log state, queue. With the lead held a leader may wait for members
//! of earlier groups to be visible; they need none of these locks for that.
//! Not here: the layout of the log (`wal`), writing memtables out (`flush`).

mod batch;
mod check;
mod group;
mod log;
mod pipeline;
mod publish;
mod queue;
mod replace;
mod waits;
mod window;

pub use batch::{Batch, check_key, check_value};
pub use check::Premise;
pub use log::Log;
pub use pipeline::Pipeline;
pub use replace::Turn;
