//! Which images of a struck disk are looked at.

use super::workload::Dice;
use crate::fs::sim::{CrashModel, SimFs};

/// An image, and how to come by it again.
pub(super) struct Image {
    pub(super) fs: SimFs,
    pub(super) name: String,
    /// The process died, and the machine lives.
    pub(super) is_kill: bool,
}

/// How thoroughly a moment is gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Breadth {
    /// Up to so many outcomes, every one is looked at.
    pub(super) exhaustive_max: u64,
    /// Else so many of the corners,
    pub(super) corners_max: u64,
    /// so many random ones, and as many of each model.
    pub(super) samples: u64,
}

/// Sizes at which writes are torn: sectors and pages.
const UNITS: [usize; 2] = [4096, 512];

/// The outcomes of a power cut at this moment, then the one of a kill.
pub(super) fn images(fs: &SimFs, breadth: Breadth, seed: u64) -> impl Iterator<Item = Image> {
    let mut dice = Dice(seed);
    let mut units: Vec<_> = UNITS.into_iter().map(|unit| (unit, fs.choices(unit))).collect();
    units.dedup_by(|(_, a), (_, b)| a.alternatives() == b.alternatives());
    let by_choice = units.into_iter().flat_map(move |(unit, choices)| {
        let picks: Vec<_> = if choices.count() <= breadth.exhaustive_max {
            choices.every().collect()
        } else {
            let samples = (0..breadth.samples).map(|_| choices.sample(dice.next()));
            let mut picks: Vec<_> = samples.collect();
            let mut corners = choices.corners();
            for _ in 0..breadth.corners_max.min(corners.len() as u64) {
                picks.push(corners.swap_remove(dice.index(corners.len())));
            }
            picks
        };
        picks.into_iter().map(move |picks| Image {
            fs: fs.crash_image_of(&choices, &picks),
            name: format!("{picks:?} of the choices by {unit} B"),
            is_kill: false,
        })
    });
    let by_model = models(fs, breadth, seed).into_iter().map(move |model| Image {
        fs: fs.crash_image(&model),
        name: format!("{model:?}"),
        is_kill: model == CrashModel::Everything,
    });
    by_choice.chain(by_model)
}

fn models(fs: &SimFs, breadth: Breadth, seed: u64) -> Vec<CrashModel> {
    let mut dice = Dice(!seed);
    let mut models = vec![CrashModel::SyncedOnly];
    let pending = fs.pending_count();
    if pending <= breadth.corners_max {
        models.extend((0..=pending).map(CrashModel::Prefix));
    } else {
        models.extend((0..breadth.samples).map(|_| CrashModel::Prefix(dice.below(pending + 1))));
    }
    if pending > 0 {
        for _ in 0..breadth.samples {
            let seed = dice.next();
            models.extend([
                CrashModel::Subset { seed },
                CrashModel::Torn { seed },
                CrashModel::ZeroFill { seed },
                CrashModel::Stale { seed },
                CrashModel::Scattered { seed },
            ]);
        }
    }
    models.push(CrashModel::Everything);
    models
}
