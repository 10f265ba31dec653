//! The names of a database's files.

use super::ids::{LogId, ManifestId, TableId, ValueFileId};

/// Names the manifest in force.
pub const CURRENT: &str = "CURRENT";
/// What the next `CURRENT` is written to before it is renamed over the old one.
pub const CURRENT_TEMPORARY: &str = "CURRENT.tmp";
/// Held locked by the handle that has the database open; its content does not matter.
pub const LOCK: &str = "LOCK";

/// Takes up room that is given back when the disk is full; its content does not matter.
pub const RESERVE: &str = "RESERVE";

/// The largest number of a file.
pub const FILE_NUMBER_MAX: u64 = 1 << 56;

/// The largest number of a file that an open counts on from. No run counts as
/// far as from here to [`FILE_NUMBER_MAX`], so the names of all files that are
/// made are known again.
pub const FILE_NUMBER_COUNTED_FROM_MAX: u64 = 1 << 55;

/// A file that belongs to a database, told by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A log file.
    Log(LogId),
    /// A table.
    Table(TableId),
    /// A manifest.
    Manifest(ManifestId),
    /// A value file.
    Values(ValueFileId),
    /// `CURRENT`.
    Current,
    /// `CURRENT.tmp`.
    CurrentTemporary,
    /// `LOCK`.
    Lock,
    /// `RESERVE`.
    Reserve,
}

impl FileKind {
    /// The file's name.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            FileKind::Log(id) => format!("{id}.log"),
            FileKind::Table(id) => format!("{id}.tbl"),
            FileKind::Manifest(id) => format!("MANIFEST-{id}"),
            FileKind::Values(id) => format!("{id}.val"),
            FileKind::Current => CURRENT.to_owned(),
            FileKind::CurrentTemporary => CURRENT_TEMPORARY.to_owned(),
            FileKind::Lock => LOCK.to_owned(),
            FileKind::Reserve => RESERVE.to_owned(),
        }
    }

    /// Its number, for the kinds that have one.
    #[must_use]
    pub fn number(self) -> Option<u64> {
        match self {
            FileKind::Log(LogId(n))
            | FileKind::Table(TableId(n))
            | FileKind::Manifest(ManifestId(n))
            | FileKind::Values(ValueFileId(n)) => Some(n),
            FileKind::Current | FileKind::CurrentTemporary | FileKind::Lock | FileKind::Reserve => {
                None
            }
        }
    }

    /// What `name` names; `None` for a file that is not ours, which is never touched.
    #[must_use]
    pub fn parse(name: &str) -> Option<FileKind> {
        let kind = match name {
            CURRENT => FileKind::Current,
            CURRENT_TEMPORARY => FileKind::CurrentTemporary,
            LOCK => FileKind::Lock,
            RESERVE => FileKind::Reserve,
            _ => {
                if let Some(digits) = name.strip_prefix("MANIFEST-") {
                    FileKind::Manifest(ManifestId(digits.parse().ok()?))
                } else {
                    match name.split_once('.')? {
                        (digits, "log") => FileKind::Log(LogId(digits.parse().ok()?)),
                        (digits, "tbl") => FileKind::Table(TableId(digits.parse().ok()?)),
                        (digits, "val") => FileKind::Values(ValueFileId(digits.parse().ok()?)),
                        _ => return None,
                    }
                }
            }
        };
        // Only the spelling that we write: "1.log" or "+000001.log" is somebody else's.
        let is_ours = kind.number().is_none_or(|n| n <= FILE_NUMBER_MAX) && kind.name() == name;
        is_ours.then_some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_left_alone() {
        for kind in [
            FileKind::Log(LogId(1)),
            FileKind::Table(TableId(1_234_567)),
            FileKind::Manifest(ManifestId(3)),
            FileKind::Values(ValueFileId(4)),
            FileKind::Current,
            FileKind::CurrentTemporary,
            FileKind::Lock,
            FileKind::Reserve,
        ] {
            assert_eq!(FileKind::parse(&kind.name()), Some(kind));
        }
        for name in ["1.log", "+00001.log", "000001.sst", "x.tbl", "MANIFEST-1", "", "notes.txt"] {
            assert_eq!(FileKind::parse(name), None, "{name}");
        }
        let largest = FileKind::Log(LogId(FILE_NUMBER_MAX));
        assert_eq!(FileKind::parse(&largest.name()), Some(largest));
        assert_eq!(FileKind::parse(&FileKind::Log(LogId(FILE_NUMBER_MAX + 1)).name()), None);
    }
}
