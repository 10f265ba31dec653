//! The part of esker's `format` that the skiplist needs.

#[path = "../../src/format/checksum.rs"]
pub mod checksum;
#[path = "../../src/format/codec.rs"]
pub mod codec;
#[path = "../../src/format/ids.rs"]
pub mod ids;
#[path = "../../src/format/key.rs"]
pub mod key;
#[path = "../../src/format/pointer.rs"]
pub mod pointer;

pub use ids::{FileId, SeqNo};
pub use key::{EntryKind, EntryRef};
