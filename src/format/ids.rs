//! Newtypes for the numbers that must not be mixed up.

use super::checksum::DatabaseId;
use std::fmt;

/// The number of one operation in the commit order, counted from 1.
///
/// Each operation of a batch has its own; a batch becomes visible at that of
/// its last. 56 bits wide, so that it packs into one word with an entry kind.
///
/// ```
/// use esker::fuzzing::SeqNo;
/// assert!(SeqNo::ZERO < SeqNo(1) && SeqNo(1) < SeqNo::COUNTED_FROM_MAX);
/// assert!(SeqNo::COUNTED_FROM_MAX < SeqNo::MAX);
/// assert_eq!(SeqNo::MAX.0 >> 56, 0); // A byte is left for the kind of an entry.
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SeqNo(pub u64);

impl SeqNo {
    /// Before every operation.
    ///
    /// See the example of [`SeqNo`].
    pub const ZERO: SeqNo = SeqNo(0);
    /// The largest one: a read at it sees everything.
    ///
    /// See the example of [`SeqNo`].
    pub const MAX: SeqNo = SeqNo((1 << 56) - 1);
    /// The largest that an open counts on from. As no run counts as far as
    /// from here to [`SeqNo::MAX`], none ever reaches that.
    ///
    /// See the example of [`SeqNo`].
    pub const COUNTED_FROM_MAX: SeqNo = SeqNo(1 << 55);
}

impl fmt::Display for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A backup, as those that follow upon it name it.
///
/// See the example of [`crate::fuzzing::write_backup`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupRef {
    /// The number that it drew.
    pub id: DatabaseId,
    /// It holds what was visible then.
    pub seq: SeqNo,
}

/// A level of the tree: 0 takes what leaves memory, its tables overlap; in each
/// level below they do not, and what a level holds is older than the same key above it.
///
/// ```
/// use esker::fuzzing::Level;
/// let numbers: Vec<u8> = Level::all().map(Level::number).collect();
/// assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
/// assert_eq!(Level::ZERO.below(), Level::new(1));
/// assert_eq!((Level::LAST.index(), Level::LAST.below()), (6, None));
/// assert_eq!(Level::new(7), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

/// How many levels there are.
pub const LEVELS: usize = 7;
const LEVEL_LAST: u8 = 6;
const _: () = assert!(LEVEL_LAST as usize == LEVELS - 1);

impl Level {
    /// Where tables come out of memory.
    ///
    /// See the example of [`Level`].
    pub const ZERO: Level = Level(0);
    /// The last level, with nothing below it.
    ///
    /// See the example of [`Level`].
    pub const LAST: Level = Level(LEVEL_LAST);

    /// Level `number`; `None` where there is none of that number.
    ///
    /// See the example of [`Level`].
    #[must_use]
    pub fn new(number: u8) -> Option<Level> {
        (number <= LEVEL_LAST).then_some(Level(number))
    }

    /// All levels, from 0 down.
    ///
    /// See the example of [`Level`].
    pub fn all() -> impl DoubleEndedIterator<Item = Level> {
        (0..=LEVEL_LAST).map(Level)
    }

    /// Its number, as in a manifest.
    ///
    /// See the example of [`Level`].
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// Its place in an array of all levels.
    ///
    /// See the example of [`Level`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The level below; `None` below the last.
    ///
    /// See the example of [`Level`].
    #[must_use]
    pub fn below(self) -> Option<Level> {
        Level::new(self.0 + 1)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.0)
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
///
/// See the example of [`crate::fuzzing::Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

file_id!(
    /// The number of a log file.
    ///
    /// See the example of [`crate::fuzzing::Identity`].
    LogId
);
file_id!(
    /// The number of a table file.
    ///
    /// See the example of [`crate::fuzzing::State`].
    TableId
);
file_id!(
    /// The number of a manifest file.
    ///
    /// See the example of [`crate::fuzzing::write_current`].
    ManifestId
);
file_id!(
    /// The number of a value file.
    ValueFileId
);

/// A segment of the value log, which pointers name: a run of values, under the number of the
/// file in which it was first written, wherever it stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u64);

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}
