//! Verifying an open database: every byte of its files against its checksum, and all that
//! files say of each other.
//!
//! Place on the data's path: beside it. Nothing is written and nothing is taken out of use.
//!
//! What is checked, in this order: `CURRENT`, the manifest, and the directory against it
//! (`store::audit`); every table ([`crate::table::Table::inspect`]), and with each pointer in it the value
//! that it leads to; what each segment has for live bytes, counted from scratch; every value
//! file and log file from front to back, be it pointed to or not. Of the log that is being written, what
//! has been written.
//!
//! INV-1: a verification looks at one version, which it pins: what is merged or collected meanwhile stays
//! until it is done. A log file that a flush removes meanwhile is no damage.
//! INV-2: damage ends nothing: what comes behind it is looked at, as far as it can be found.
//! INV-3: memory does not depend on how much there is.
//!
//! Concurrency: any number at a time, beside reads, writes and compaction. The lock of the
//! catalog is held for the manifest alone.
//! Not here: what to do about damage (`repair`).

mod inspection;
mod report;
mod run;
mod scrub;

pub use report::{Finding, FindingKind, VerifyOptions, VerifyProgress, VerifyReport};
pub use run::Verifier;
pub use scrub::Scrubber;
