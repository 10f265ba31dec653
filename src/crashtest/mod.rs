//! Crash tests by contract, for this engine and for stores built upon it.
//!
//! Place on the data's path: around it. A [`Store`] is run through a workload
//! ([`Step`]s) on a simulated disk ([`crate::sim`]); the power is cut in each
//! call that it makes, or calls fail; what is left must open, and must show
//! the state after a prefix of the commits with every promised one in it
//! ([`History`]). Then its recovery is crashed, too.
//!
//! ```
//! use esker::crashtest::{Case, Explorer, tiny_options, workload};
//! use esker::{Db, SyncPolicy};
//!
//! let steps = workload::random(7, 6);
//! let case = Case::new::<Db>(tiny_options(SyncPolicy::Always), steps);
//! let counts = Explorer::<Db>::new(case).power_cuts();
//! assert!(counts.images > 50);
//! ```
//!
//! To test a program of your own, implement [`Store`] for it; to test a new
//! part of a store, add a workload that exercises it ([`Step::Maintain`] runs
//! what changes nothing that readers see).
//!
//! What is wrong is a panic, as in any test, with the case, the call and the
//! image named in what is printed; the same case replays it: without threads
//! ([`Case::threads`]) byte for byte.
//!
//! INV-1: an image is counted once, however often it comes up: by the hash of
//! all its bytes and the time.
//! INV-2: what an image showed once it shows always: a second look is a
//! comparison with the first.
//!
//! Concurrency: an [`Explorer`] belongs to one thread; several may share one
//! [`Tally`].
//! Not here: damage (bits that flip without a crash), real disks.

mod counts;
mod db;
mod driver;
mod explore;
mod history;
mod images;
mod others;
mod recovery;
mod store;
mod watch;
pub mod workload;

pub use counts::{Counts, Tally};
pub use db::tiny_options;
pub use driver::{Mode, read, run};
pub use explore::{Case, Effort, Explorer};
pub use history::{History, State, difference};
pub use store::{Failure, Seen, Store, Transacted};
pub use workload::{Op, Step};
