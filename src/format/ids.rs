//! Newtypes for the numbers that must not be mixed up.

use std::fmt;

/// The number of one operation in the commit order, counted from 1.
///
/// Each operation of a batch has its own; a batch becomes visible at that of
/// its last. 56 bits wide, so that it packs into one word with an entry kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SeqNo(pub u64);

impl SeqNo {
    /// Before every operation.
    pub const ZERO: SeqNo = SeqNo(0);
    /// The largest one: a read at it sees everything.
    pub const MAX: SeqNo = SeqNo((1 << 56) - 1);
    /// The largest that an open counts on from. As no run counts as far as
    /// from here to [`SeqNo::MAX`], none ever reaches that.
    pub const COUNTED_FROM_MAX: SeqNo = SeqNo(1 << 55);
}

impl fmt::Display for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

macro_rules! file_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:06}", self.0)
            }
        }

        impl From<$name> for FileId {
            fn from(id: $name) -> FileId {
                FileId(id.0)
            }
        }
    };
}

/// The number of a file, whatever its kind. All kinds draw from one counter,
/// which never goes back: no two files of a database ever share a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

file_id!(
    /// The number of a log file.
    LogId
);
file_id!(
    /// The number of a table file.
    TableId
);
file_id!(
    /// The number of a manifest file.
    ManifestId
);
