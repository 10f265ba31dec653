//! Compaction: merging tables, level by level, and dropping what nobody sees.
//!
//! Place on the data's path: under the flush. A flush puts tables into level
//! 0; compaction merges them into the levels below, each ten times as large
//! as the one above, so that a read looks into few tables and what was
//! overwritten, deleted or has expired gives its space back.
//!
//! INV-1: the tables that a job writes are durable, names included, before
//! the one edit that puts them in the place of the tables that were merged.
//! INV-2: what a job drops no reader can see: see [`crate::iter::Retention`].
//! INV-3: a key's versions of one level below 0 stand in one table, and those of a
//! lower level are older: a table goes down only together with all older
//! tables of its level that overlap it.
//! INV-4: a job's memory does not depend on how much it merges.
//! INV-5: damage in a table stops the job; its input stays as it is, and is
//! left alone from then on.
//!
//! What to compact ([`pick`]) and what to drop are pure functions of plain data.
//!
//! Concurrency: one job at a time, on the compaction worker's thread or on that of
//! a caller of `compact`; reads, commits and flushes go on.
//! Not here: the order of changes of the set of tables (`store::Catalog`), removing the files
//! of tables (`store`, once the last reader has gone).

mod compactor;
mod garbage;
mod job;
mod levels;
mod pick;
mod report;
mod tree;

pub use compactor::{Compactor, KeyRange};
