//! The commit pipeline: from a batch to a visible, durable commit.
//!
//! Place on the data's path: where writers meet. Batches queue, a leader
//! writes a group to the log (and syncs it), members put their own batch into
//! the memtable, and the visible sequence number moves over the group.
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
//!
//! Concurrency: any number of writers. Locks, in the order in which they may
//! be taken: leader, sync slot, log state, queue.
//! Not here: the layout of the log (`wal`), writing memtables out (`flush`).

mod batch;
mod log;
mod pipeline;
mod queue;
mod waits;

pub use batch::{Batch, check_key, check_value};
pub use log::Log;
pub use pipeline::Pipeline;
