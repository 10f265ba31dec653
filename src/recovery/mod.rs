//! From a directory to an open database: creating, replaying, cleaning up.
//!
//! Place on the data's path: the way back. `DESIGN.md` lists the states that
//! a crash can leave and what happens in each.
//!
//! INV-1: until `CURRENT` names the new manifest, nothing that was there is
//! changed or removed, so that recovery can be interrupted at any call and
//! starts over from the same files.
//! INV-2: on return, everything that recovery found is in files that were
//! written and synced by this run, or that say themselves that they were synced before
//! the last one ended (`switch`): what was only in a page cache cannot be lost any more.
//! INV-3: a record at or above damage is dropped only if no record anywhere
//! after it claims that the log was durable there.
//!
//! Concurrency: none; the directory lock is held by the caller.

mod assemble;
pub mod batch;
pub mod chain;
mod create;
mod files;
mod gathering;
mod lock;
mod open;
mod read_only;
mod switch;

pub use assemble::{build_store, with_segments};
pub use chain::Chain;
pub use files::{list_files, logs_to_read};
pub use open::{Filled, Opened, create_filled, open};
pub use read_only::{Replay, lock_shared, open_read_only};
pub use switch::{Switch, clean_up};
