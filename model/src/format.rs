//! The part of esker's `format` that the skiplist needs.

#[path = "../../src/format/ids.rs"]
pub mod ids;
#[path = "../../src/format/key.rs"]
pub mod key;

pub use ids::{FileId, SeqNo};
pub use key::{EntryKind, EntryRef};
