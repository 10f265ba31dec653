//! Backups of the store, and what is made of them; checkpoints.
//!
//! Place on the data's path: beside it. A backup reads one view, as an iterator does; a restore
//! writes tables and value files past log and memtable, as a bulk load does, and puts them in the place of
//! everything there is.
//!
//! INV-1: a backup holds what one sequence number saw, and nothing else; an increment what of that has been written
//! since its base, and every key that is gone since.
//! INV-2: a value that stands in the value log is copied as it is stored, with its checksum, which was
//! checked; damage never gets a fresh one.
//! INV-3: a restore changes nothing before it has read the end of the backup. Its tables and value files are
//! durable then, names included, and come into force by one edit of the manifest, which drops all others
//! and the log: after a crash there is all of the old state or all of the new.
//! INV-4: who read before a restore goes on reading the old state: see `store::Generation`.
//! INV-5: no file that a checkpoint links is ever written again, by either of the two databases.
//! INV-6: once the database is closed, no file is made or removed in its directory.
//!
//! INV-7: an increment follows upon a backup of which the manifest says so, and it says so only while all
//! that was deleted since that backup has left a trace, and while what the backup holds is part of what came
//! before: see `store::Followed`.
//!
//! # A restore in the commit order
//!
//! The entries of a restore have a number that was visible when it began. So whoever reads what it
//! puts in force, at whichever number, sees all of them; that they have smaller numbers than what they replace
//! does not matter, as nothing of that is left to be compared with. The restore itself draws a
//! number of its own, under the lead of the commit queue: commits before it are replaced, those after it
//! come on top. The log goes on in a new file, the first whose records count from then on.
//!
//! Jobs of compaction and garbage collection that were begun before, and flushes, find that what they
//! change is gone (`store::Applied::Superseded`), and remove what they wrote.
//!
//! # Crashes and failures of a restore
//!
//! - Before the edit: the files are named by no manifest, and the next open removes them.
//! - After it: they are all that is named, with a log that has only what was committed later.
//! - The edit is refused (no space, say): its bytes may stand in the manifest all the same. The
//!   manifest is then written anew without it, and the files are removed: nothing has changed.
//!   Is that refused as well, the outcome is open (`Indeterminate`), and the files stay.
//! - A sync of a file of the database fails: poisoned, as everywhere.
//!
//! Concurrency: any number of backups, restores and checkpoints at a time; restores take turns in
//! the order of commits. Locks: the gate, then the lead, then the catalog's.
//! Not here: the bytes of a backup (`archive`), the public calls (`db`).

mod builder;
mod checkpoint;
mod feed;
mod make;
mod restorer;

pub use builder::build;
pub use checkpoint::{check_empty, checkpoint};
pub use make::{Scope, write_backup};
pub use restorer::Restorer;
