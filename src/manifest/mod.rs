//! The manifest: which files make up the database.
//!
//! Place on the data's path: beside it. Every change of the set of tables is
//! an edit here, durable before it is acted upon. Layout: [`format`].
//!
//! INV-1: an edit is written only after what it names is durable, and what it
//! drops is removed only after the edit is durable.
//! INV-2: after a failed write nothing more goes into the same file; the next
//! edit starts a new one with the whole state.
//! INV-3: `CURRENT` names a manifest only after that is durable.
//!
//! Concurrency: a [`Manifest`] belongs to one thread at a time.
//! Not here: open tables (`store`), logs' content (`wal`).

pub mod format;
pub mod read;
mod state;
mod writer;

pub use read::{Current, ManifestFile, Recorded, read_current, read_manifest, read_origin};
pub use state::{Edit, State};
pub use writer::{Manifest, before_the_switch};
