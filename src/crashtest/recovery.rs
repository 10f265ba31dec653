//! Crashes of recovery itself.

use super::explore::{Explorer, explain, key_of, same};
use super::history::History;
use super::images::{Breadth, images};
use super::store::{Failure, Seen, Store};
use super::workload::Dice;
use crate::fs::sim::{CrashModel, SimFs};

/// Of a moment in recovery, few outcomes are gone through one and all.
const BREADTH: Breadth = Breadth { exhaustive_max: 16, corners_max: 4, samples: 1 };

impl<S: Store> Explorer<S> {
    /// Cuts the power in each mutating call of opening `pristine`, which shows
    /// `seen` when it is left in peace. What is left must open and show the
    /// same; and so on, as deep as the effort says.
    pub(super) fn crash_recovery(
        &mut self,
        pristine: &SimFs,
        history: &History,
        seen: &Seen,
        salt: u64,
        depth: usize,
    ) {
        self.counts.recoveries[depth] += 1;
        let mut dice = Dice(self.case.seed ^ salt ^ (depth as u64) << 48);
        for nth in 1.. {
            let fs = pristine.crash_image(&CrashModel::Everything);
            fs.set_seed(dice.next());
            fs.crash_at(nth);
            self.at(format!("power cut in call {nth} of a recovery, depth {depth}, salt {salt}"));
            match S::open(&fs, &self.case.options) {
                Ok(store) => drop(store),
                Err(Failure::Wrong(text)) => panic!("recovery without power: {text}"),
                Err(failure) => assert!(fs.is_off(), "with the power on: {failure}"),
            }
            if !fs.is_off() {
                break; // It has fewer calls.
            }
            self.counts.points += 1;
            for image in images(&fs, BREADTH, dice.next()) {
                self.at(format!("{} in call {nth} of a recovery, salt {salt}", image.name));
                self.examine_recovery(pristine, &image.fs, history, seen, salt ^ nth, depth);
            }
        }
    }

    fn examine_recovery(
        &mut self,
        pristine: &SimFs,
        image: &SimFs,
        history: &History,
        promised: &Seen,
        salt: u64,
        depth: usize,
    ) {
        self.counts.images += 1;
        // A disk that has pending operations loses them in a power cut during
        // recovery: nobody was shown them yet.
        let is_settled = pristine.pending_count() == 0;
        let hold = |seen: &Seen| {
            if is_settled {
                same(promised, seen, "a crash in recovery changed its outcome");
            } else {
                explain(history, seen, history.after_power_cut(), image);
            }
        };
        let key = key_of(image);
        if let Some(seen) = self.known(key) {
            return hold(&seen);
        }
        self.count(key, true);
        let deeper = self.nests(depth + 1).then(|| image.crash_image(&CrashModel::Everything));
        let (store, seen) = self.open(image);
        drop(store);
        hold(&seen);
        let seen = self.remember(key, seen);
        if let Some(pristine) = deeper {
            self.crash_recovery(&pristine, history, &seen, salt, depth + 1);
        }
    }
}
