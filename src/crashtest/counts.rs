//! How much was looked at.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

/// What tells one image from another: the hash of all its bytes, and the time.
pub(super) type ImageKey = (u64, u64);

/// What an exploration did.
///
/// ```
/// use esker::crashtest::{Case, Counts, Explorer, tiny_options, workload};
/// use esker::{Db, SyncPolicy};
/// let look = |seed| {
///     let case = Case::new::<Db>(tiny_options(SyncPolicy::Always), workload::random(seed, 2));
///     Explorer::<Db>::new(case).power_cut(5)
/// };
/// let (first, mut all): (Counts, Counts) = (look(1), look(1));
/// assert_eq!(all, first); // A seed replays.
/// all += look(2);
/// assert!(all.points > first.points && all.distinct > first.distinct);
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Runs of the workload that were struck.
    pub points: u64,
    /// Images that were made, repetitions included.
    pub images: u64,
    /// Images recovered and checked, each counted once.
    pub distinct: u64,
    /// Of these, how many were left by a crash in recovery.
    pub in_recovery: u64,
    /// How often a recovery was crashed from end to end: of an image of the
    /// workload, of one that this left, and of one that that left.
    pub recoveries: [u64; 3],
    /// How often the store was opened.
    pub opens: u64,
    /// Calls that a fault struck.
    pub faults: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.points += other.points;
        self.images += other.images;
        self.distinct += other.distinct;
        self.in_recovery += other.in_recovery;
        self.recoveries.iter_mut().zip(other.recoveries).for_each(|(own, n)| *own += n);
        self.opens += other.opens;
        self.faults += other.faults;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} runs struck, {} faults, {} images, {} distinct ({} in recovery, {:?} deep), {} opens",
            self.points,
            self.faults,
            self.images,
            self.distinct,
            self.in_recovery,
            self.recoveries,
            self.opens
        )
    }
}

/// The images that several explorations have counted together: one that an
/// earlier exploration met is not counted again, though it is checked again,
/// since there it may have been promised less.
///
/// ```
/// use esker::crashtest::{Case, Explorer, Tally, tiny_options, workload};
/// use esker::{Db, SyncPolicy};
/// let tally = Tally::default();
/// let look = || {
///     let case = Case::new::<Db>(tiny_options(SyncPolicy::Always), workload::random(7, 2));
///     Explorer::<Db>::with_tally(case, tally.clone()).power_cut(5)
/// };
/// assert!(look().distinct > 0);
/// assert_eq!(look().distinct, 0); // All of them had been counted.
/// ```
#[derive(Debug, Default, Clone)]
pub struct Tally {
    counted: Arc<Mutex<HashSet<ImageKey>>>,
}

impl Tally {
    /// True when the image had not been counted.
    pub(super) fn count(&self, key: ImageKey) -> bool {
        self.counted.lock().insert(key)
    }
}
