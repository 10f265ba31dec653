//! The invariants of the simulation, each under every model.

use super::*;
use crate::fs::{File, Fs, OpenMode, read_exact_at, write_all_at};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

pub(super) fn path(name: &str) -> &Path {
    Path::new(name)
}

pub(super) fn create(fs: &SimFs, name: &str, bytes: &[u8]) -> io::Result<Arc<dyn File>> {
    let file = fs.open(path(name), OpenMode::CreateNew)?;
    write_all_at(file.as_ref(), bytes, 0)?;
    Ok(file)
}

/// A file of which name and bytes are durable.
pub(super) fn durable(fs: &SimFs, name: &str, bytes: &[u8]) -> io::Result<Arc<dyn File>> {
    let file = create(fs, name, bytes)?;
    file.sync_data()?;
    fs.sync_dir(path("/"))?;
    Ok(file)
}

pub(super) fn read(fs: &SimFs, name: &str) -> io::Result<Vec<u8>> {
    let file = fs.open(path(name), OpenMode::Read)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    read_exact_at(file.as_ref(), &mut bytes, 0)?;
    Ok(bytes)
}

fn seeded(seed: u64) -> [CrashModel; 5] {
    [
        CrashModel::Subset { seed },
        CrashModel::Torn { seed },
        CrashModel::ZeroFill { seed },
        CrashModel::Stale { seed },
        CrashModel::Scattered { seed },
    ]
}

pub(super) fn all_models(seeds: u64) -> Vec<CrashModel> {
    let mut models = vec![CrashModel::SyncedOnly, CrashModel::Everything];
    models.extend((0..4).map(CrashModel::Prefix));
    models.extend((0..seeds).flat_map(seeded));
    models
}

/// INV-1.
#[test]
fn what_was_synced_is_in_every_image() -> io::Result<()> {
    let fs = SimFs::new();
    let synced = vec![7; 10_000];
    let file = durable(&fs, "a", &synced)?;
    write_all_at(file.as_ref(), &[8; 10_000], 10_000)?;
    create(&fs, "b", b"unsynced")?;
    for model in all_models(50) {
        let bytes = read(&fs.crash_image(&model), "a")?;
        assert!(bytes.starts_with(&synced), "{model:?}");
    }
    Ok(())
}

#[test]
fn the_plain_models() -> io::Result<()> {
    let fs = SimFs::new();
    let file = durable(&fs, "a", b"1")?;
    write_all_at(file.as_ref(), b"2", 1)?;
    create(&fs, "b", b"x")?;
    file.set_len(1)?;
    assert_eq!(fs.pending_count(), 4);
    let at = |n| fs.crash_image(&CrashModel::Prefix(n));
    assert_eq!(read(&at(0), "a")?, b"1");
    assert_eq!(read(&at(1), "a")?, b"12");
    assert!(read(&at(1), "b").is_err());
    assert_eq!(read(&at(2), "b")?, b"");
    assert_eq!(read(&at(3), "b")?, b"x");
    assert_eq!(read(&at(3), "a")?, b"12");
    assert_eq!(read(&at(9), "a")?, b"1");
    assert_eq!(at(9).content_hash(), at(4).content_hash());
    assert_eq!(at(0).content_hash(), fs.crash_image(&CrashModel::SyncedOnly).content_hash());
    assert_ne!(at(0).content_hash(), at(1).content_hash());
    assert_eq!(at(4).pending_count(), 0, "after a power cut the disk is all there is");
    Ok(())
}

/// A killed process leaves its unsynced writes in the page cache, where a
/// power cut may yet find them.
#[test]
fn a_kill_makes_nothing_durable() -> io::Result<()> {
    let fs = SimFs::new();
    let file = durable(&fs, "a", b"1")?;
    write_all_at(file.as_ref(), b"2", 1)?;
    let killed = fs.crash_image(&CrashModel::Everything);
    assert_eq!(killed.content_hash(), fs.content_hash());
    assert_eq!((read(&killed, "a")?, killed.pending_count()), (b"12".to_vec(), 1));
    assert_eq!(read(&killed.crash_image(&CrashModel::SyncedOnly), "a")?, b"1");
    killed.open(path("a"), OpenMode::Read)?.sync_data()?;
    assert_eq!(read(&killed.crash_image(&CrashModel::SyncedOnly), "a")?, b"12");
    assert_eq!(read(&fs.crash_image(&CrashModel::SyncedOnly), "a")?, b"1", "INV-2");
    Ok(())
}

/// INV-2.
#[test]
fn images_are_apart() -> io::Result<()> {
    let fs = SimFs::new();
    let lock = fs.lock(path("LOCK"))?;
    assert!(lock.is_some());
    fs.sync_dir(path("/"))?;
    let hash = fs.content_hash();
    for model in all_models(1) {
        let image = fs.crash_image(&model);
        assert!(image.lock(path("LOCK"))?.is_some(), "{model:?}: locks die with the process");
        create(&image, "more", b"of the image")?;
        image.remove(path("LOCK"))?;
        assert_eq!(image.faults_hit(), 0);
    }
    assert_eq!(fs.content_hash(), hash);
    assert!(fs.lock(path("LOCK"))?.is_none());
    Ok(())
}

/// INV-3: of a rename over a file, old and new are both possible, and nothing else.
#[test]
fn a_rename_is_whole() -> io::Result<()> {
    let fs = SimFs::new();
    durable(&fs, "CURRENT", b"old")?;
    durable(&fs, "tmp", b"new")?;
    fs.rename(path("tmp"), path("CURRENT"))?;
    let mut seen = BTreeSet::new();
    for model in all_models(30) {
        let image = fs.crash_image(&model);
        let state = (read(&image, "CURRENT")?, read(&image, "tmp").ok());
        assert!(
            state == (b"old".to_vec(), Some(b"new".to_vec())) || state == (b"new".to_vec(), None),
            "{model:?}: {state:?}"
        );
        seen.insert(state);
    }
    assert_eq!(seen.len(), 2);
    fs.sync_dir(path("/"))?;
    for model in all_models(10) {
        assert_eq!(read(&fs.crash_image(&model), "CURRENT")?, b"new");
    }
    Ok(())
}

#[test]
fn a_rename_over_two_directories_is_whole() -> io::Result<()> {
    let fs = SimFs::new();
    fs.create_dir_all(path("/d"))?;
    durable(&fs, "a", b"a")?;
    create(&fs, "d/first", b"")?;
    fs.rename(path("a"), path("d/a"))?;
    create(&fs, "d/last", b"")?;
    for seed in 0..100 {
        for model in seeded(seed) {
            let image = fs.crash_image(&model);
            let (here, there) = (read(&image, "a").is_ok(), read(&image, "d/a").is_ok());
            assert!(here != there, "{model:?}");
            let (first, last) = (read(&image, "d/first").is_ok(), read(&image, "d/last").is_ok());
            if !matches!(model, CrashModel::Scattered { .. }) {
                assert!(first || !there, "{model:?}: in order within a directory");
                assert!(there || !last, "{model:?}: in order within a directory");
            }
        }
    }
    fs.sync_dir(path("/"))?;
    let image = fs.crash_image(&CrashModel::SyncedOnly);
    assert!(read(&image, "a").is_err() && read(&image, "d/a").is_ok(), "durable in both");
    assert!(read(&image, "d/first").is_ok(), "and so is what came before it");
    assert!(read(&image, "d/last").is_err());
    Ok(())
}

#[test]
fn names_are_lost_in_order_or_scattered() -> io::Result<()> {
    let fs = SimFs::new();
    for name in ["1", "2", "3"] {
        create(&fs, name, b"")?;
    }
    let mut orderly = BTreeSet::new();
    let mut scattered = BTreeSet::new();
    for seed in 0..200 {
        let names = |model| fs.crash_image(&model).list(path("/"));
        orderly.insert(names(CrashModel::Subset { seed })?);
        scattered.insert(names(CrashModel::Scattered { seed })?);
    }
    assert_eq!(orderly.len(), 4, "the prefixes: {orderly:?}");
    assert_eq!(scattered.len(), 8, "the subsets: {scattered:?}");
    Ok(())
}

/// A directory is durable once its parent was synced.
#[test]
fn directories_are_lost_with_all_in_them() -> io::Result<()> {
    let fs = SimFs::new();
    fs.create_dir_all(path("/d"))?;
    create(&fs, "d/a", b"x")?.sync_data()?;
    fs.sync_dir(path("d"))?;
    assert!(fs.crash_image(&CrashModel::SyncedOnly).list(path("/"))?.is_empty());
    fs.sync_dir(path("/"))?;
    assert_eq!(read(&fs.crash_image(&CrashModel::SyncedOnly), "d/a")?, b"x");
    Ok(())
}

/// Five pages in three writes, of which the second overlaps the first.
fn paged() -> io::Result<SimFs> {
    let fs = SimFs::new();
    let file = durable(&fs, "a", &[1; 100])?;
    write_all_at(file.as_ref(), &[2; 8092], 100)?;
    write_all_at(file.as_ref(), &[3; 8192], 6000)?;
    write_all_at(file.as_ref(), &[4; 8192], 12_288)?;
    Ok(fs)
}

#[test]
fn pages_are_picked_whole_and_sectors_torn() -> io::Result<()> {
    let fs = paged()?;
    let (mut pages_torn, mut sectors_torn, mut holes) = (0, 0, 0);
    for seed in 0..100 {
        let pages = read(&fs.crash_image(&CrashModel::Subset { seed }), "a")?;
        let sectors = read(&fs.crash_image(&CrashModel::Torn { seed }), "a")?;
        for (bytes, torn) in [(&pages, &mut pages_torn), (&sectors, &mut sectors_torn)] {
            assert!([100, 8192, 14_192, 20_480].contains(&bytes.len()), "seed {seed}");
            // The last page belongs to the last write alone.
            let last = bytes.get(16_384..).unwrap_or_default();
            *torn += usize::from(last.contains(&0) && last.contains(&4));
            for sector in last.chunks(512) {
                assert!(sector.iter().all(|b| *b == sector[0]), "seed {seed}: sectors are whole");
            }
        }
        let lost = pages.chunks(4096).any(|page| page.iter().all(|b| *b == 0));
        holes += usize::from(lost && pages.len() == 20_480 && pages[20_479] == 4);
    }
    assert_eq!(pages_torn, 0);
    assert!(sectors_torn > 10, "{sectors_torn}");
    assert!(holes > 5, "later pages without earlier ones: {holes}");
    Ok(())
}

#[test]
fn lost_data_reads_as_zeros_or_as_what_was_there() -> io::Result<()> {
    let fs = paged()?;
    create(&fs, "removed", &[0xEE; 20_480])?;
    fs.remove(path("removed"))?;
    let mut ghosts = 0;
    for seed in 0..100 {
        let zeros = read(&fs.crash_image(&CrashModel::ZeroFill { seed }), "a")?;
        let stale = read(&fs.crash_image(&CrashModel::Stale { seed }), "a")?;
        assert_eq!((zeros.len(), stale.len()), (20_480, 20_480));
        assert!(zeros.iter().all(|b| *b <= 4));
        assert_eq!((&zeros[..100], &stale[..100]), (&[1; 100][..], &[1; 100][..]));
        ghosts += usize::from(stale.contains(&0xEE));
    }
    assert!(ghosts > 10, "removed files show: {ghosts}");
    Ok(())
}

/// The blocks of a file whose creation a power cut has undone are free, and
/// hold what they held.
#[test]
fn what_a_power_cut_undid_shows_in_later_files() -> io::Result<()> {
    let fs = SimFs::new();
    create(&fs, "undone", &[0xEE; 20_480])?.sync_data()?;
    let image = fs.crash_image(&CrashModel::SyncedOnly);
    assert!(image.list(path("/"))?.is_empty());
    let file = durable(&image, "later", b"")?;
    write_all_at(file.as_ref(), &[1; 20_480], 0)?;
    let shows = |seed| read(&image.crash_image(&CrashModel::Stale { seed }), "later");
    let ghosts = (0..100).filter(|seed| shows(*seed).is_ok_and(|bytes| bytes.contains(&0xEE)));
    assert!(ghosts.count() > 10);
    Ok(())
}

/// What was cut off does not come back with the length.
#[test]
fn a_cut_tail_stays_cut() -> io::Result<()> {
    let fs = SimFs::new();
    let file = durable(&fs, "a", &[1; 1000])?;
    file.set_len(0)?;
    write_all_at(file.as_ref(), &[2; 600], 0)?;
    for seed in 0..100 {
        for model in [CrashModel::ZeroFill { seed }, CrashModel::Subset { seed }] {
            let bytes = read(&fs.crash_image(&model), "a")?;
            assert!([1000, 0, 600].contains(&bytes.len()));
            assert!(bytes.len() == 1000 || !bytes.contains(&1), "{model:?}");
        }
    }
    Ok(())
}

/// INV-4.
#[test]
fn a_failed_sync_drops_what_it_had() -> io::Result<()> {
    let fs = SimFs::new();
    let file = durable(&fs, "a", b"old")?;
    write_all_at(file.as_ref(), b"new", 0)?;
    fs.fail(FaultPlan::once(1, Fault::Errno(5)).only(CallKind::SyncData));
    assert_eq!(file.sync_data().expect_err("fails").raw_os_error(), Some(5));
    file.sync_data()?;
    assert_eq!(read(&fs, "a")?, b"new");
    assert_eq!(read(&fs.crash_image(&CrashModel::Everything), "a")?, b"new");
    create(&fs, "b", b"")?;
    fs.fail(FaultPlan::once(1, Fault::Kind(io::ErrorKind::StorageFull)).only(CallKind::SyncDir));
    assert!(fs.sync_dir(path("/")).is_err());
    assert_eq!(fs.pending_count(), 1, "a name stays pending");
    for model in all_models(10).into_iter().filter(|m| *m != CrashModel::Everything) {
        let image = fs.crash_image(&model);
        assert_eq!(read(&image, "a")?, b"old", "{model:?}");
    }
    assert_eq!(fs.faults_hit(), 2);
    Ok(())
}

#[test]
fn short_and_interrupted_calls_are_completed() -> io::Result<()> {
    let fs = SimFs::new();
    fs.fail(FaultPlan::from_on(1, Fault::Short));
    fs.fail(FaultPlan::once(4, Fault::Interrupted));
    let file = create(&fs, "a", b"hello world")?;
    assert_eq!(read(&fs, "a")?, b"hello world");
    assert!(fs.calls() > 8, "one byte more each time: {}", fs.calls());
    fs.clear_faults();
    assert_eq!(file.write_at(b"xyz", 0)?, 3);
    Ok(())
}

#[test]
fn a_failed_write_leaves_a_beginning() -> io::Result<()> {
    let mut lens = BTreeSet::new();
    for seed in 0..40 {
        let fs = SimFs::with_seed(seed);
        let file = fs.open(path("a"), OpenMode::CreateNew)?;
        fs.fail(FaultPlan::from_on(1, Fault::Errno(28)));
        assert!(file.write_at(b"12345678", 0).is_err());
        fs.clear_faults();
        let bytes = read(&fs, "a")?;
        assert!(b"12345678".starts_with(&bytes));
        lens.insert(bytes.len());
    }
    assert!(lens.contains(&0) && lens.contains(&8) && lens.len() > 4, "{lens:?}");
    Ok(())
}

/// INV-5, and that the call in which the power goes may or may not have happened.
#[test]
fn the_power_goes() -> io::Result<()> {
    let mut outcomes = BTreeSet::new();
    for seed in 0..20 {
        let fs = SimFs::with_seed(seed);
        let file = durable(&fs, "a", b"1")?;
        fs.crash_at(2);
        file.write_at(b"2", 1)?;
        assert!(!fs.is_off());
        assert!(file.sync_data().is_err());
        assert!(fs.is_off());
        let hash = fs.content_hash();
        assert!(file.sync_data().is_err() && file.write_at(b"3", 0).is_err());
        assert!(file.len().is_err() && file.read_at(&mut [0], 0).is_err());
        assert!(fs.list(path("/")).is_err() && fs.remove(path("a")).is_err());
        assert!(fs.open(path("a"), OpenMode::Read).is_err());
        assert_eq!(fs.content_hash(), hash);
        outcomes.insert(read(&fs.crash_image(&CrashModel::SyncedOnly), "a")?);
    }
    assert_eq!(outcomes, BTreeSet::from([b"1".to_vec(), b"12".to_vec()]));
    Ok(())
}

/// INV-6.
#[test]
fn one_seed_one_run() -> io::Result<()> {
    let run = || -> io::Result<Vec<u64>> {
        let fs = SimFs::with_seed(3);
        fs.fail(FaultPlan::once(5, Fault::Errno(5)).only(CallKind::Write));
        for index in 0..8_u8 {
            let made = create(&fs, &format!("f{index}"), &[index; 9000]);
            assert_eq!(made.is_err(), index == 4);
        }
        fs.remove(path("f1"))?;
        Ok(all_models(20).iter().map(|m| fs.crash_image(m).content_hash()).collect())
    };
    let hashes = run()?;
    assert_eq!(hashes, run()?);
    let different: BTreeSet<u64> = hashes.iter().copied().collect();
    assert!(different.len() > 60, "{}", different.len());
    Ok(())
}

#[test]
fn calls_are_counted_and_written_down() -> io::Result<()> {
    let fs = SimFs::new();
    fs.set_trace(true);
    let file = create(&fs, "a", b"xy")?;
    assert!(fs.open(path("b"), OpenMode::Read).is_err());
    file.len()?;
    assert_eq!((fs.calls(), fs.mutating_calls()), (4, 2));
    let trace = fs.trace();
    assert_eq!(trace.len(), 4);
    assert_eq!(trace[1], "2 Write a 2 B at 0: ok");
    assert!(trace[2].starts_with("3 Open b: failed: "), "{}", trace[2]);
    fs.set_trace(false);
    assert!(fs.trace().is_empty());
    Ok(())
}

#[test]
fn the_clock_of_an_image_shows_the_same_time() {
    let fs = SimFs::new();
    fs.sim_clock().set_ms(5_000);
    fs.sim_clock().advance(Duration::from_secs(1));
    let image = fs.crash_image(&CrashModel::SyncedOnly);
    assert_eq!(image.clock().now_ms(), 6_000);
    assert_eq!(image.clock().elapsed(), Duration::ZERO);
    image.sim_clock().step_back(Duration::from_secs(2));
    assert_eq!(fs.clock().now_ms(), 6_000);
}

#[test]
fn clones_are_one_and_cross_threads() -> io::Result<()> {
    let fs = SimFs::new();
    std::thread::scope(|scope| {
        for index in 0..4 {
            let fs = fs.clone();
            scope.spawn(move || create(&fs, &index.to_string(), b"x").map(drop));
        }
    });
    assert_eq!(fs.list(path("/"))?, ["0", "1", "2", "3"]);
    Ok(())
}
