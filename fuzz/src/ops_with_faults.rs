//! A workload in which calls fail: no wrong answer, no panic, nothing lost
//! that was acknowledged; and when the disk is sound again the database works.

use crate::input::of_noise;
use crate::ops::{NOTHING, Plan, listed, read};
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

impl Faulty {
    fn plans(&self) -> Vec<FaultPlan> {
        let failing = std::iter::once(&self.first).chain(self.more.iter().take(3));
        failing.map(Failing::plan).collect()
    }
}

/// Asserts the contract.
///
/// # Panics
/// When it is broken.
pub fn check(data: &[u8]) {
    let Some(faulty) = read::<Faulty>(data) else { return };
    let case = faulty.plan.case(u64::from(faulty.seed));
    let counts = Explorer::<Db>::new(case).with_plans(&faulty.plans());
    assert!(counts.images > 0, "nothing was looked at");
}

/// The run that an input stands for.
#[must_use]
pub fn describe(data: &[u8]) -> String {
    let Some(faulty) = read::<Faulty>(data) else { return NOTHING.into() };
    let plans = listed(&faulty.plans());
    format!("seed: {}\nwith_plans:\n{plans}{}", faulty.seed, faulty.plan.describe())
}

/// Some workloads.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    (11..=16).map(|seed| of_noise(seed, 220)).collect()
}
