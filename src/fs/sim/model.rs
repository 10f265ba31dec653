//! The models of a crash, for the user to choose from.

/// What of the unsynced operations a crash leaves on the disk.
///
/// In all but [`CrashModel::Scattered`], of the pending operations of each
/// directory a prefix is there, each directory for itself: journaling file
/// systems (ext4, xfs, NTFS) keep at least that order, over all directories
/// even. No model ties names to contents: the rename that was to publish a
/// file may be there while the file's own unsynced bytes are not.
///
/// Where single pages are picked, each page is as it was at some moment since
/// the last sync (a page is written back whole, so a later change of it
/// implies the earlier ones), and each page picks its own moment; so does the
/// length of the file.
///
/// ```
/// use esker::sim::{CrashModel, SimFs};
/// use esker::{Fs, OpenMode};
/// use std::path::Path;
/// let fs = SimFs::new();
/// let file = fs.open(Path::new("/a"), OpenMode::CreateNew)?;
/// fs.sync_dir(Path::new("/"))?;
/// file.write_at(b"x", 0)?;
/// let len = |model| fs.crash_image(&model).open(Path::new("/a"), OpenMode::Read)?.len();
/// assert_eq!(len(CrashModel::SyncedOnly)?, 0);
/// assert_eq!(len(CrashModel::Prefix(1))?, 1);
/// assert_eq!(len(CrashModel::Everything)?, 1);
/// // Of what chance decides, the seed tells which.
/// let lens = (0..64).map(|seed| len(CrashModel::Scattered { seed })).collect::<Result<Vec<_>, _>>()?;
/// assert!(lens.contains(&0) && lens.contains(&1));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CrashModel {
    /// Nothing but what was synced.
    SyncedOnly,
    /// The process died and the machine lives: all that was written is there,
    /// and what was unsynced is still unsynced, so that a power cut after the
    /// restart may yet lose it. Locks are free.
    Everything,
    /// The first so many of the pending operations (see
    /// [`SimFs::pending_count`](super::SimFs::pending_count)), in the order in
    /// which they were called.
    Prefix(u64),
    /// Each 4 KiB page, each length and each directory is as it was at some
    /// moment since its last sync.
    Subset {
        /// Decides which moments.
        seed: u64,
    },
    /// As [`CrashModel::Subset`], with sectors of 512 B in place of pages:
    /// pages are torn.
    Torn {
        /// Decides which moments.
        seed: u64,
    },
    /// As [`CrashModel::Subset`], but every file has its final length, and
    /// reads as zeros where its data was lost.
    ZeroFill {
        /// Decides which moments.
        seed: u64,
    },
    /// As [`CrashModel::ZeroFill`], but where data was lost in newly allocated
    /// space the disk's earlier contents show: noise, or pieces of other files
    /// or of removed ones.
    Stale {
        /// Decides which moments and what shows.
        seed: u64,
    },
    /// The weakest disk that the durability contract allows: any subset of
    /// the sectors written, even of one page, and of the directory operations
    /// any subset in which the operations on one name keep their order.
    Scattered {
        /// Decides the subset.
        seed: u64,
    },
}
