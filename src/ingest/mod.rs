//! Bulk load: sorted entries straight into tables, as one commit.
//!
//! Place on the data's path: beside log and memtable. A [`Writer`] takes entries in
//! order and writes them into tables, large values into value files as a commit separates them;
//! [`Ingester::finish`] puts those in force.
//!
//! INV-1: tables and value files are durable, names included, before the one edit that names them
//! all: after a crash there are all of an ingest's entries or none.
//! INV-2: all entries of an ingest have one sequence number, N, which is greater than
//! that of every commit before it and less than that of every commit after it.
//! INV-3: when the tables come into force, no memtable has an entry, and no log
//! file that counts has a record, of a number below N.
//! INV-4: where the tables go, no table of the same level or of one above overlaps them,
//! or it is level 0. So the order of versions holds (INV-4 of `store`).
//! INV-5: once the database is closed, no file is made or removed.
//!
//! # The number
//!
//! An entry's number stands in the tables' bytes, and those are written before it is known
//! which commits come before. So N is drawn ahead: [`AHEAD`] above what is visible when
//! writing begins. Commits made meanwhile count on below it. Under the lead (INV-1 of `commit`)
//! N is compared with the last number given out:
//!
//! - N is greater: it is given out now. What was given out before is smaller, what will be
//!   is greater, and the numbers between are never used. That is INV-2.
//! - It is not, because 2^28 operations or another ingest came between: the lead is
//!   let go, the tables are written once more with a number further ahead, and so on; the values as well,
//!   since a value file says of each of which entry it is, by which a collection tells what lives.
//!
//! Numbers end at 2^55, which leaves 2^27 ingests to a database; one more is refused.
//!
//! # The order against memtables and log
//!
//! Reads look into memtables before tables, and take the first version at or below their number.
//! So an older entry in a memtable would hide the ingested one. And recovery refuses a
//! record that is not newer than the tables. Therefore, with the lead held, so that nothing can be
//! committed: the active memtable is sealed and everything sealed is flushed. The edit of the last
//! flush names a log file without records. What is committed after the lead was
//! let go is in memtables and records of larger numbers. That is INV-3. Before the lead is
//! taken, everything is flushed once, so that writers wait for little.
//!
//! Then the edit is applied, which also raises the last sequence number to N, then readers get
//! the view with the tables, then N becomes visible. A reader at a smaller number sees no
//! entry of the ingest. One at N or above that takes its number first, as snapshots and
//! iterators do, gets a view that has them all. From before the edit until N is visible the ingest
//! holds a snapshot itself: a merge that begins meanwhile keeps what a reader below N
//! needs, though such a reader may enter only after the merge has looked who reads.
//!
//! # Crashes and failures
//!
//! - Before the edit: tables and value files are files that no manifest names; the next open removes them.
//!   The log replays as ever: its records are newer than the tables that are named.
//! - After it: the manifest's last number is N, and the log that it names has only larger ones.
//! - The edit is refused (no space, say): its bytes may stand in the manifest all the same. The
//!   manifest is then written anew without it, and the files are removed: nothing has changed.
//!   Is that refused as well, the outcome is open (`Indeterminate`), and the files stay; N
//!   counts as given out, so that what is committed later is newer in either outcome.
//! - A sync fails: poisoned, as everywhere.
//!
//! # Where the tables go
//!
//! Each goes to the lowest level of which INV-4 holds, by its range of keys. A merge
//! under way may put a table into a gap between its inputs, of which the version in force tells
//! nothing; while there is one, all go to level 0. One that has begun is waited for before
//! the lead is taken.
//!
//! # What comes in any order
//!
//! [`Sorter`] takes entries as they come and gives them out in order, each key once, in bounded memory: what
//! does not fit is written out as *runs*, which are files of a writer that never come into force.
//!
//! Concurrency: a writer belongs to one thread; any number of ingests at a time. Locks: the
//! gate, then the lead, then the compactor's work (only tried) or the catalog's.
//! Not here: the public types (`db`).

mod gathered;
mod ingester;
mod sorter;
mod writer;
mod written;

pub use ingester::{Done, Ingester};
pub use sorter::{Sorted, Sorter};
pub use writer::Writer;

/// How far ahead of the visible number that of an ingest is drawn: more operations than
/// are committed while its tables are written.
const AHEAD: u64 = 1 << 28;
