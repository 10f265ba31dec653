//! Every outcome of a power cut, and nothing else, is among the choices.

use crate::fs::sim::tests::{all_models, create, durable, path, read};
use crate::fs::sim::{CallKind, CrashModel, Fault, FaultPlan, Picks, SimFs, errno};
use crate::fs::{Fs, write_all_at};
use std::collections::BTreeSet;
use std::io;

/// Every subset of what is unsynced is an outcome, and each model's images are
/// among them.
#[test]
fn choices_cover_what_the_models_show() -> io::Result<()> {
    let fs = SimFs::new();
    let file = durable(&fs, "a", &[1; 600])?;
    write_all_at(file.as_ref(), &[2; 300], 400)?;
    write_all_at(file.as_ref(), &[3; 100], 450)?;
    create(&fs, "b", b"x")?;
    fs.rename(path("b"), path("c"))?;
    let choices = fs.choices(512);
    assert_eq!(choices.alternatives(), [2; 9]);
    let outcomes = |picks: Vec<Picks>| -> BTreeSet<u64> {
        let image = |picks: &Picks| fs.crash_image_of(&choices, picks).content_hash();
        picks.iter().map(image).collect()
    };
    let every = outcomes(choices.every().collect());
    for model in all_models(60).into_iter().filter(|model| *model != CrashModel::Everything) {
        let stale = matches!(model, CrashModel::Stale { .. });
        let hash = fs.crash_image(&model).content_hash();
        assert!(stale || every.contains(&hash), "{model:?}");
    }
    let corners = outcomes(choices.corners());
    assert!(corners.len() > 20 && corners.is_subset(&every), "{}", corners.len());
    let samples = outcomes((0..500).map(|seed| choices.sample(seed)).collect());
    assert!(samples.len() > 50 && samples.is_subset(&every), "{}", samples.len());
    let hash = |model| fs.crash_image(model).content_hash();
    let of = |picks: &[usize]| fs.crash_image_of(&choices, picks).content_hash();
    assert_eq!(of(&[0; 9]), hash(&CrashModel::SyncedOnly));
    assert_eq!(of(&[1; 9]), hash(&CrashModel::Prefix(u64::MAX)));
    Ok(())
}

/// Zeros written ahead leave nothing to choose but the length.
#[test]
fn zeros_over_zeros_are_no_choice() -> io::Result<()> {
    let fs = SimFs::new();
    let file = durable(&fs, "a", b"x")?;
    for at in [1, 5000, 10_000] {
        write_all_at(file.as_ref(), &[0; 5000], at)?;
    }
    assert_eq!(fs.choices(4096).alternatives(), [4]);
    write_all_at(file.as_ref(), b"y", 6000)?;
    write_all_at(file.as_ref(), &[0; 8], 5996)?;
    assert_eq!(fs.choices(4096).alternatives(), [4, 2, 2], "zeros over what was written are one");
    file.set_len(2)?;
    assert_eq!(fs.choices(4096).alternatives(), [2, 2, 5]);
    Ok(())
}

/// The second name of a file is an entry like any other.
#[test]
fn links_are_lost_and_kept() -> io::Result<()> {
    let fs = SimFs::new();
    durable(&fs, "a", b"x")?;
    fs.fail(FaultPlan::once(1, Fault::Errno(errno::EMLINK)).only(CallKind::Link));
    let refused = fs.link(path("a"), path("b")).expect_err("fails");
    assert_eq!((refused.raw_os_error(), fs.pending_count()), (Some(errno::EMLINK), 0));
    fs.link(path("a"), path("b"))?;
    fs.remove(path("a"))?;
    let choices = fs.choices(4096);
    let mut seen = BTreeSet::new();
    for picks in choices.every() {
        let image = fs.crash_image_of(&choices, &picks);
        for name in image.list(path("/"))? {
            assert_eq!(read(&image, &name)?, b"x");
        }
        seen.insert(image.list(path("/"))?.concat());
    }
    assert_eq!(seen, ["", "a", "ab", "b"].map(String::from).into());
    Ok(())
}

#[test]
#[should_panic(expected = "something changed")]
fn choices_are_good_for_one_moment() {
    let fs = SimFs::new();
    let choices = fs.choices(512);
    fs.create_dir_all(path("d")).expect("a directory");
    drop(fs.crash_image_of(&choices, &[]));
}
