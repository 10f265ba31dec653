//! The bytes that every file is made of: numbers, checksums, keys, names.
//!
//! Place on the data's path: under all of it. The log, the tables and the
//! manifest own their layouts (each has a `format.rs`); what they share stands
//! here.
//!
//! INV-1: all numbers on disk are little-endian.
//! INV-2: a decoder never panics, never reads past its input and never
//! allocates more than a constant times it.
//!
//! Nothing here does I/O.

pub mod checksum;
pub mod codec;
pub mod frame;
pub mod hash;
pub mod ids;
pub mod key;
pub mod names;
pub mod pointer;
pub mod segment;
pub mod snappy;
pub mod table_meta;

pub use checksum::{Crc, DatabaseId, crc, crc_parts};
pub use codec::{Decoder, put_u32, put_u64, put_varint};
pub use frame::{Frame, FrameHeader, FramePlace, FrameReader, put_frame};
pub use hash::KeyHash;
pub use ids::{
    BackupRef, FileId, LEVELS, Level, LogId, ManifestId, SegmentId, SeqNo, TableId, ValueFileId,
};
pub use key::{Content, EntryKind, EntryRef, KEY_BYTES_MAX, VALUE_BYTES_MAX};
pub use names::FileKind;
pub use pointer::ValuePointer;
pub use segment::SegmentMeta;
pub use table_meta::{Properties, TableMeta};
