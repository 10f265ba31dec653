//! Transactions: what one has read, what it is to write, and the view of both.
//!
//! Place on the data's path: above reads, before the commit pipeline. A transaction reads from a
//! snapshot, remembers what it read ([`Reads`]), and keeps its writes to itself ([`Writes`]);
//! iteration shows the one over the other ([`Overlay`]). Its commit is one batch, which the pipeline takes
//! only if what was read still stands ([`ReadSet`]).
//!
//! INV-1: every key that a reader was told of, or told the absence of, is in the read set: a
//! key by itself, a range as far as it was walked, up to the last key that was given out, or its
//! end where that was reached. It is there before the reader has the answer.
//! INV-2: a commit that has its number comes after every commit that the read set allows for, and none
//! before it has touched the read set since the snapshot. So transactions that read and write are
//! serial, in the order of their numbers, and those that only read are as of their snapshot's.
//! INV-3: the snapshot is held until the check is done: what is newer than it leaves a trace
//! in memtables or tables.
//! INV-4: no memory is kept for a transaction but its own, its snapshot's number, and the pipeline's
//! notes of the last commits, which are bounded, however long it lives.
//!
//! # How the check is made
//!
//! The notes hold the keys committed last, while somebody has read and is open. Where they reach
//! back to what the read set is known to hold at, the leader asks them. Where they do not, it asks
//! memtables and tables for versions newer than that ([`crate::read::Newer`]), which is exact, at
//! any age. That would be long under the lead: so [`ReadSet::advance`] does it before, without the lead,
//! up to what is visible then; what is left for the leader is what was committed since. (The
//! two parts of validation are Kung's and Robinson's, too.) Neither finds conflicts that are none: keys
//! are compared, not hashes.
//!
//! What counts is that a key was written, not what: the same value again is a change. That an
//! entry expires is none: no commit did it.
//!
//! Concurrency: a transaction belongs to one thread at a time; its read set is asked by
//! whichever thread leads. Not here: the handle that users hold (`db`), the order of commits
//! (`commit`).

mod overlay;
mod read_set;
mod reads;
mod writes;

pub use overlay::{Entries, Overlay, Row, RowKeys, Stored};
pub use read_set::ReadSet;
pub use reads::Reads;
pub use writes::{Write, Writes};
