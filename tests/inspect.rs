//! `esker::inspect`: every kind of file, sound and with each of its bytes changed.

use esker::inspect::{FileFormat, InspectOptions, Inspection, Item, inspect};
use esker::{Db, Error, Options};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A database with tables, a value file, a log with records and a manifest; and a backup of it beside it.
fn fixture() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("db");
    let options = || Options { block_bytes: 256, disk_reserve_bytes: 0, ..Options::default() };
    let db = Db::open(&path, options()).expect("opens");
    for n in 0..40_u32 {
        db.set(format!("key/{n:03}"), format!("{:032x}", u64::from(n).pow(5))).expect("set");
    }
    db.set(
        "large",
        (0..1500).map(|n: u32| n.wrapping_mul(n).to_le_bytes()[0] ^ 7).collect::<Vec<_>>(),
    )
    .expect("set");
    drop(db); // The large value is in the log, and the next open moves it.
    let db = Db::open(&path, options()).expect("opens");
    db.backup(dir.path().join("backup")).expect("backed up");
    db.set_with_ttl("session", [0xff, 0], std::time::Duration::from_secs(3600)).expect("set");
    db.delete("key/000").expect("deleted");
    dir
}

fn all(path: &Path, values: bool) -> Result<(Vec<Item>, Inspection), Error> {
    let mut items = Vec::new();
    let options = InspectOptions { values, ..InspectOptions::default() };
    let found = inspect(path, &options, &mut |item| {
        items.push(item.clone());
        ControlFlow::Continue(())
    })?;
    assert_eq!(found.items, items.len() as u64);
    Ok((items, found))
}

/// All files that are told of, with their formats.
fn files(dir: &Path) -> Vec<(PathBuf, FileFormat)> {
    let listed = fs::read_dir(dir.join("db")).expect("listed").flatten().map(|file| file.path());
    let mut files: Vec<_> = listed.chain([dir.join("backup")]).collect();
    files.sort();
    let of = |path: PathBuf| {
        let format = all(&path, false).expect("sound").1.format;
        (path, format)
    };
    files.into_iter().map(of).collect()
}

#[test]
fn sound_files_are_told_to_their_end() {
    let dir = fixture();
    let files = files(dir.path());
    for format in [
        FileFormat::Log,
        FileFormat::Table,
        FileFormat::Values,
        FileFormat::Manifest,
        FileFormat::Current,
        FileFormat::Backup,
        FileFormat::Lock,
    ] {
        assert!(files.iter().any(|(_, found)| *found == format), "{format:?}: {files:?}");
    }
    let mut entries = 0;
    for (path, _) in &files {
        let (items, found) = all(path, true).expect("sound");
        assert_eq!((found.damage, found.is_complete), (None, true), "{}", path.display());
        assert_eq!(found.bytes, fs::metadata(path).expect("there").len());
        entries += items.iter().filter(|item| matches!(item, Item::Entry(_))).count();
        for item in &items {
            let json = serde_json::to_value(item).expect("JSON");
            assert!(json["item"].is_string(), "{json}");
        }
    }
    // In the table and in the backup 41 each; in the log two.
    assert_eq!(entries, 41 + 41 + 2);
}

#[test]
fn every_changed_byte_is_told_and_nothing_before_it_is_wrong() {
    let dir = fixture();
    for (path, format) in files(dir.path()) {
        if format == FileFormat::Lock {
            continue;
        }
        let (sound, _) = all(&path, true).expect("sound");
        let bytes = fs::read(&path).expect("read");
        let used = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
        for at in 0..used {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&path, &damaged).expect("written");
            let (items, found) = match all(&path, true) {
                Ok(found) => found,
                Err(Error::UnsupportedFormat { .. }) => continue,
                // How a file without a name of ours begins is all that tells what it is.
                Err(Error::InvalidArgument { .. }) if format == FileFormat::Backup && at < 8 => {
                    continue;
                }
                Err(e) => panic!("{}: byte {at}: {e}", path.display()),
            };
            let damage = found.damage.unwrap_or_else(|| panic!("{}: byte {at}", path.display()));
            assert!(damage.offset <= found.bytes, "{}: byte {at}: {damage:?}", path.display());
            assert!(
                items.len() <= sound.len() && items == sound[..items.len()],
                "{}: byte {at}",
                path.display()
            );
        }
        fs::write(&path, &bytes).expect("put back");
    }
}

#[test]
fn every_cut_is_told_and_nothing_before_it_is_wrong() {
    let dir = fixture();
    for (path, format) in files(dir.path()) {
        if format == FileFormat::Lock {
            continue;
        }
        let (sound, _) = all(&path, false).expect("sound");
        let bytes = fs::read(&path).expect("read");
        let used = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
        let mut most = 0;
        for cut in (0..used).step_by(3) {
            fs::write(&path, &bytes[..cut]).expect("written");
            let Ok((mut items, found)) = all(&path, false) else {
                assert!(format == FileFormat::Backup && cut < 8, "{}: {cut}", path.display());
                continue;
            };
            // What the edits that are left add up to.
            items.pop_if(|last| matches!(last, Item::State(_)));
            most = most.max(items.len());
            assert!(items == sound[..items.len()], "{}: cut at {cut}", path.display());
            // Between two records a log, or a manifest, looks as if it had been written no further.
            let may_end = matches!(format, FileFormat::Log | FileFormat::Manifest);
            assert!(found.damage.is_some() || may_end, "{}: cut at {cut}", path.display());
        }
        // Those that are read from the front show what is left; a table has its index at its end.
        let shows = matches!(format, FileFormat::Log | FileFormat::Values | FileFormat::Backup);
        assert!(!shows || most + 2 >= sound.len(), "{}: {most} of {}", path.display(), sound.len());
        fs::write(&path, &bytes).expect("put back");
    }
}

#[test]
fn who_listens_may_end_it() {
    let dir = fixture();
    for (path, _) in files(dir.path()) {
        let (sound, _) = all(&path, false).expect("sound");
        for stop in 1..=sound.len() {
            let mut count = 0;
            let found = inspect(&path, &InspectOptions::default(), &mut |_| {
                count += 1;
                if count == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let found = found.expect("sound");
            assert_eq!((count, found.is_complete, &found.damage), (stop, false, &None));
        }
    }
}
