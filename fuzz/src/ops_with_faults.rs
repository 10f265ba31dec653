//! A workload in which calls fail: no wrong answer, no panic, nothing lost
//! that was acknowledged; and when the disk is sound again the database works.

use crate::input::of_noise;
use crate::ops::{Plan, read};
use arbitrary::Arbitrary;
use esker::Db;
use esker::crashtest::Explorer;
use esker::sim::{CallKind, Fault, FaultPlan, errno};

/// One fault.
#[derive(Debug, Arbitrary)]
struct Failing {
    fault: u8,
    nth: u16,
    is_lasting: bool,
    only: Option<u8>,
}

impl Failing {
    fn plan(&self) -> FaultPlan {
        let fault = match self.fault % 8 {
            0 => Fault::Errno(errno::EIO),
            1 => Fault::Errno(errno::ENOSPC),
            2 => Fault::Errno(errno::EDQUOT),
            3 => Fault::Errno(errno::EMFILE),
            4 => Fault::Errno(errno::EACCES),
            5 => Fault::Errno(errno::EROFS),
            6 => Fault::Interrupted,
            _ => Fault::Short,
        };
        let nth = 1 + u64::from(self.nth % 1024);
        // A call that is interrupted for ever is made again for ever.
        let plan = if self.is_lasting && fault != Fault::Interrupted {
            FaultPlan::from_on(nth, fault)
        } else {
            FaultPlan::once(nth, fault)
        };
        match self.only {
            None => plan,
            Some(kind) => plan.only(CallKind::ALL[usize::from(kind) % CallKind::ALL.len()]),
        }
    }
}

#[derive(Debug, Arbitrary)]
struct Faulty {
    seed: u16,
    first: Failing,
    more: Vec<Failing>,
    plan: Plan,
}

/// Asserts the contract.
///
/// # Panics
/// When it is broken.
pub fn check(data: &[u8]) {
    let Some(Faulty { seed, first, more, plan }) = read(data) else { return };
    let failing = std::iter::once(&first).chain(more.iter().take(3));
    let plans: Vec<FaultPlan> = failing.map(Failing::plan).collect();
    let counts = Explorer::<Db>::new(plan.case(u64::from(seed))).with_plans(&plans);
    assert!(counts.images > 0, "nothing was looked at");
}

/// Some workloads.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    (11..=16).map(|seed| of_noise(seed, 220)).collect()
}
