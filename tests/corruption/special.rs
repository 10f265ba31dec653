//! A directory, a symbolic link or a FIFO where a file belongs, on the real disk.

#![cfg(unix)]

use crate::disk::{DIR, Files};
use crate::fixture::SYNCED;
use esker::sim::SimFs;
use esker::{Db, Error, Fs, OpenMode, Options};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Puts something that is no file at a path.
type Place = fn(&Path, &[u8]);

fn directory(path: &Path, _: &[u8]) {
    fs::create_dir(path).expect("a directory");
}

/// To a file that would do.
fn link(path: &Path, bytes: &[u8]) {
    let target = path.with_file_name("elsewhere");
    fs::write(&target, bytes).expect("a file");
    std::os::unix::fs::symlink(target, path).expect("a link");
}

fn broken_link(path: &Path, _: &[u8]) {
    std::os::unix::fs::symlink("nowhere", path).expect("a link");
}

fn fifo(path: &Path, _: &[u8]) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(made.success() && fs::metadata(path).expect("it").file_type().is_fifo());
}

const PLACES: [(&str, Place); 4] = [
    ("a directory", directory),
    ("a link", link),
    ("a broken link", broken_link),
    ("a FIFO", fifo),
];

/// The regular files of `dir`.
fn regular_files(dir: &Path) -> Files {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry"));
    let regular = entries.filter(|entry| entry.file_type().expect("a type").is_file());
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("UTF-8");
        (name, fs::read(entry.path()).expect("a file"))
    };
    regular.map(read).collect()
}

fn options() -> Options {
    SYNCED.options.clone()
}

/// What is said of the thing at `name`: by the open, or, of a table, whose file is
/// opened when it is first read, by that.
fn told(opened: Result<Db, Error>, name: &str, what: &str) -> Error {
    match opened {
        Err(error) => error,
        Ok(db) => {
            assert!(name.ends_with(".tbl"), "{what} as {name} was opened");
            let scanned: Result<Vec<_>, _> = db.iter().collect();
            scanned.expect_err("a scan of all tables");
            db.verify().expect_err("all tables")
        }
    }
}

#[test]
fn nothing_but_a_file_is_taken_for_one() {
    for name in SYNCED.files.keys() {
        for (what, place) in PLACES {
            let dir = tempfile::tempdir().expect("a directory");
            for (other, bytes) in SYNCED.files.iter().filter(|(other, _)| *other != name) {
                fs::write(dir.path().join(other), bytes).expect("a file");
            }
            place(&dir.path().join(name), &SYNCED.files[name]);
            let before = regular_files(dir.path());
            let opened = Db::open(dir.path(), options());
            let was_opened = opened.is_ok();
            let error = told(opened, name, what);
            let Error::Io { path, .. } = &error else { panic!("{what} as {name}: {error}") };
            assert_eq!(path, &dir.path().join(name), "{what}: {error}");
            if was_opened {
                continue;
            }
            let mut after = regular_files(dir.path());
            if !before.contains_key("LOCK") {
                after.remove("LOCK");
            }
            assert!(after == before, "{what} as {name}: an open that was refused changed files");
        }
    }
}

/// Names that no file has yet: what stands there is in nobody's way, or the
/// open is refused by name.
#[test]
fn nothing_in_the_place_of_a_file_to_come_is_removed_or_followed() {
    for name in ["000019.log", "000099.tbl", "MANIFEST-000020", "CURRENT.tmp"] {
        for (what, place) in PLACES {
            let dir = tempfile::tempdir().expect("a directory");
            for (other, bytes) in &SYNCED.files {
                fs::write(dir.path().join(other), bytes).expect("a file");
            }
            let path = dir.path().join(name);
            place(&path, b"not ours");
            match Db::open(dir.path(), options()) {
                Ok(db) => drop(db.verify().expect("sound")),
                Err(Error::Io { path: named, .. }) => assert_eq!(named, path, "{what} as {name}"),
                Err(e) => panic!("{what} as {name}: {e}"),
            }
            if let Ok(bytes) = fs::read(dir.path().join("elsewhere")) {
                assert_eq!(bytes, b"not ours", "{what} as {name}");
            }
        }
    }
}

/// On the simulated disk too, which has directories.
#[test]
fn a_directory_is_not_taken_for_a_file_in_memory() {
    for name in SYNCED.files.keys() {
        let fs = SimFs::new();
        fs.create_dir_all(&Path::new(DIR).join(name)).expect("a directory");
        for (other, bytes) in SYNCED.files.iter().filter(|(other, _)| *other != name) {
            let file = fs.open(&Path::new(DIR).join(other), OpenMode::CreateNew).expect("a file");
            assert_eq!(file.write_at(bytes, 0).expect("a write"), bytes.len());
        }
        let opened = Db::open_with_fs(Arc::new(fs), DIR, options());
        let error = told(opened, name, "a directory");
        let Error::Io { path, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!(path, &Path::new(DIR).join(name), "{error}");
    }
}
