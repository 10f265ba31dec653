//! Which call fails, and how: single faults, lasting ones, and the power cut.

use super::errno;
use std::io;

/// The kinds of call that a [`SimFs`](super::SimFs) counts and can fail.
///
/// ```
/// use esker::sim::{CallKind, Fault, FaultPlan, SimFs};
/// use esker::{Fs, OpenMode};
/// use std::path::Path;
/// assert!(CallKind::Rename.is_mutating() && !CallKind::Read.is_mutating());
/// // Each kind of call can be struck; here, one after the other, the creation of a file.
/// for kind in CallKind::ALL {
///     let fs = SimFs::new();
///     fs.fail(FaultPlan::once(1, Fault::Errno(5)).only(kind));
///     let created = fs.open(Path::new("/a"), OpenMode::CreateNew);
///     assert_eq!(created.is_err(), kind == CallKind::Create);
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallKind {
    /// `Fs::open` of an existing file.
    Open,
    /// `Fs::open` that makes a new file.
    Create,
    /// `File::read_at`.
    Read,
    /// `File::write_at`.
    Write,
    /// `File::sync_data`.
    SyncData,
    /// `File::set_len`.
    SetLen,
    /// `File::len`.
    Len,
    /// `Fs::create_dir_all`.
    CreateDir,
    /// `Fs::list`.
    List,
    /// `Fs::rename`.
    Rename,
    /// `Fs::link`.
    Link,
    /// `Fs::remove`.
    Remove,
    /// `Fs::sync_dir`.
    SyncDir,
    /// `Fs::lock`.
    Lock,
}

impl CallKind {
    /// Every kind.
    ///
    /// See the example of [`CallKind`].
    pub const ALL: [CallKind; 14] = [
        CallKind::Open,
        CallKind::Create,
        CallKind::Read,
        CallKind::Write,
        CallKind::SyncData,
        CallKind::SetLen,
        CallKind::Len,
        CallKind::CreateDir,
        CallKind::List,
        CallKind::Rename,
        CallKind::Link,
        CallKind::Remove,
        CallKind::SyncDir,
        CallKind::Lock,
    ];

    /// True when the call can change what a crash leaves behind: all but
    /// opening an existing file, reading, asking for a length and listing.
    ///
    /// See the example of [`CallKind`].
    #[must_use]
    pub fn is_mutating(self) -> bool {
        !matches!(self, CallKind::Open | CallKind::Read | CallKind::Len | CallKind::List)
    }
}

/// What goes wrong in a call.
///
/// ```
/// use esker::sim::{Fault, FaultPlan, SimFs, errno};
/// use esker::{Fs, OpenMode};
/// use std::io::ErrorKind;
/// use std::path::Path;
/// let fs = SimFs::new();
/// let file = fs.open(Path::new("/a"), OpenMode::CreateNew)?;
/// fs.fail(FaultPlan::once(1, Fault::Errno(errno::ENOSPC)));
/// assert_eq!(file.write_at(b"bytes", 0).unwrap_err().raw_os_error(), Some(errno::ENOSPC));
/// fs.fail(FaultPlan::once(1, Fault::Interrupted));
/// assert_eq!(file.write_at(b"bytes", 0).unwrap_err().kind(), ErrorKind::Interrupted);
/// fs.fail(FaultPlan::once(1, Fault::Short));
/// assert_eq!(file.write_at(b"1234", 0)?, 2);
/// fs.fail(FaultPlan::once(1, Fault::Kind(ErrorKind::Other)));
/// assert_eq!(file.sync_data().unwrap_err().kind(), ErrorKind::Other);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The call fails with this kind of error.
    Kind(io::ErrorKind),
    /// The call fails with this error number of the operating system: one of
    /// [`errno`](super::errno), say. EINTR is [`Fault::Interrupted`].
    Errno(i32),
    /// A read or write does about half of what was asked, at least one byte.
    /// Other calls go through.
    Short,
    /// A read or write fails with [`io::ErrorKind::Interrupted`], nothing
    /// done; made again, it is a new call. Other calls go through, as with the
    /// disk: the standard library makes those again itself.
    Interrupted,
}

/// Which calls fail, and how.
///
/// ```
/// use esker::sim::{CallKind, Fault, FaultPlan, SimFs};
/// let fs = SimFs::new();
/// // The third sync of a file from now on, and none other, gives EIO.
/// fs.fail(FaultPlan::once(3, Fault::Errno(5)).only(CallKind::SyncData));
/// // Every write from the tenth on finds the disk full.
/// fs.fail(FaultPlan::from_on(10, Fault::Errno(28)).only(CallKind::Write));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultPlan {
    nth: u64,
    lasting: bool,
    only: Option<CallKind>,
    fault: Fault,
}

impl FaultPlan {
    /// The `nth` matching call after [`SimFs::fail`](super::SimFs::fail),
    /// counted from 1, and no other.
    ///
    /// ```
    /// use esker::sim::{CallKind, Fault, FaultPlan, SimFs, errno};
    /// use esker::{Fs, OpenMode};
    /// use std::path::Path;
    /// let fs = SimFs::new();
    /// let file = fs.open(Path::new("/a"), OpenMode::CreateNew)?;
    /// fs.fail(FaultPlan::once(2, Fault::Errno(errno::EIO)).only(CallKind::Write));
    /// file.sync_data()?; // Not counted.
    /// file.write_at(b"first", 0)?;
    /// assert!(file.write_at(b"second", 0).is_err());
    /// file.write_at(b"third", 0)?;
    ///
    /// fs.fail(FaultPlan::from_on(2, Fault::Errno(errno::EIO)).only(CallKind::Write));
    /// file.write_at(b"first", 0)?;
    /// assert!(file.write_at(b"second", 0).is_err());
    /// assert!(file.write_at(b"third", 0).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn once(nth: u64, fault: Fault) -> Self {
        FaultPlan { nth, lasting: false, only: None, fault }
    }

    /// Every matching call from the `nth` on, until
    /// [`SimFs::clear_faults`](super::SimFs::clear_faults).
    ///
    /// See the example of [`FaultPlan::once`].
    #[must_use]
    pub fn from_on(nth: u64, fault: Fault) -> Self {
        FaultPlan { nth, lasting: true, only: None, fault }
    }

    /// The same, with calls of this kind alone counted and failed.
    ///
    /// See the example of [`FaultPlan::once`].
    #[must_use]
    pub fn only(self, kind: CallKind) -> Self {
        FaultPlan { only: Some(kind), ..self }
    }
}

/// What is to become of one call.
#[derive(Debug)]
pub(super) enum Verdict {
    Go,
    /// Do about half.
    Short,
    /// Fail; a write may leave a part behind, a sync drops what it had.
    Fail(io::Error),
    /// Fail as if never made.
    Refuse(io::Error),
    /// The power goes in the midst of this call.
    Cut,
}

/// The counters and the plans of one file system.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) calls: u64,
    pub(super) mutating_calls: u64,
    pub(super) hits: u64,
    pub(super) is_off: bool,
    plans: Vec<(FaultPlan, u64)>,
    cut_at: Option<u64>,
}

impl Faults {
    pub(super) fn add(&mut self, plan: FaultPlan) {
        self.plans.push((plan, 0));
    }

    pub(super) fn clear(&mut self) {
        self.plans.clear();
    }

    /// Whether a call may still fail.
    pub(super) fn are_left(&self) -> bool {
        self.plans.iter().any(|(plan, seen)| plan.lasting || *seen < plan.nth)
    }

    /// Cuts the power in the `nth` mutating call from now, counted from 1.
    pub(super) fn cut_at(&mut self, nth: u64) {
        if nth == 0 {
            self.is_off = true;
        }
        self.cut_at = Some(self.mutating_calls.saturating_add(nth));
    }

    /// Counts a call and says what is to become of it.
    pub(super) fn next(&mut self, kind: CallKind) -> Verdict {
        self.calls += 1;
        if kind.is_mutating() {
            self.mutating_calls += 1;
        }
        if self.is_off {
            return Verdict::Refuse(power_is_off());
        }
        if kind.is_mutating() && self.cut_at == Some(self.mutating_calls) {
            self.is_off = true;
            return Verdict::Cut;
        }
        let mut verdict = Verdict::Go;
        for (plan, seen) in &mut self.plans {
            if plan.only.is_some_and(|only| only != kind) {
                continue;
            }
            *seen += 1;
            if *seen == plan.nth || (plan.lasting && *seen > plan.nth) {
                self.hits += 1;
                verdict = verdict_of(plan.fault, kind);
            }
        }
        verdict
    }
}

fn verdict_of(fault: Fault, kind: CallKind) -> Verdict {
    match fault {
        Fault::Short | Fault::Interrupted if !matches!(kind, CallKind::Read | CallKind::Write) => {
            Verdict::Go
        }
        Fault::Errno(errno::EINTR) => verdict_of(Fault::Interrupted, kind),
        Fault::Kind(kind) => Verdict::Fail(kind.into()),
        Fault::Errno(errno) => Verdict::Fail(io::Error::from_raw_os_error(errno)),
        Fault::Short => Verdict::Short,
        Fault::Interrupted => Verdict::Refuse(io::ErrorKind::Interrupted.into()),
    }
}

/// What every call answers after the power cut.
pub(super) fn power_is_off() -> io::Error {
    io::Error::other("the simulated power is off; take a crash image to go on")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(faults: &mut Faults, kind: CallKind) -> bool {
        !matches!(faults.next(kind), Verdict::Go)
    }

    #[test]
    fn plans_count_their_own_kind_from_where_they_begin() {
        let mut faults = Faults::default();
        assert!(!fails(&mut faults, CallKind::Write));
        faults.add(FaultPlan::once(2, Fault::Errno(5)).only(CallKind::Write));
        assert!(!fails(&mut faults, CallKind::Write));
        assert!(!fails(&mut faults, CallKind::Read));
        assert!(faults.are_left());
        assert!(fails(&mut faults, CallKind::Write));
        assert!(!faults.are_left());
        assert!(!fails(&mut faults, CallKind::Write));
        faults.add(FaultPlan::from_on(2, Fault::Kind(io::ErrorKind::StorageFull)));
        assert!(!fails(&mut faults, CallKind::Read));
        assert!(fails(&mut faults, CallKind::Read) && fails(&mut faults, CallKind::Lock));
        assert!(faults.are_left(), "it lasts");
        assert_eq!((faults.calls, faults.mutating_calls, faults.hits), (8, 5, 3));
        faults.clear();
        assert!(!fails(&mut faults, CallKind::Read));
    }

    #[test]
    fn the_power_goes_in_a_mutating_call_and_stays_off() {
        let mut faults = Faults::default();
        faults.cut_at(2);
        assert!(!fails(&mut faults, CallKind::Write));
        assert!(!fails(&mut faults, CallKind::Read));
        assert!(matches!(faults.next(CallKind::SyncDir), Verdict::Cut));
        for kind in CallKind::ALL {
            assert!(matches!(faults.next(kind), Verdict::Refuse(_)));
        }
    }
}
