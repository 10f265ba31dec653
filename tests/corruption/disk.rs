//! A disk as a map from names to bytes, from and to a simulated one.

use esker::sim::SimFs;
use esker::{Fs, OpenMode};
use std::collections::BTreeMap;
use std::path::Path;

/// Where the database is.
pub const DIR: &str = "/db";

/// All files of a directory.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The files of the database on `fs`.
pub fn files(fs: &SimFs) -> Files {
    let names = fs.list(Path::new(DIR)).expect("a directory");
    let read = |name: String| {
        let file = fs.open(&Path::new(DIR).join(&name), OpenMode::Read).expect("opens");
        let mut bytes = vec![0; usize::try_from(file.len().expect("len")).expect("small")];
        let mut at = 0;
        while at < bytes.len() {
            at += file.read_at(&mut bytes[at..], at as u64).expect("a read");
        }
        (name, bytes)
    };
    names.into_iter().map(read).collect()
}

/// A file system that holds `files`, durably.
pub fn disk_of(files: &Files) -> SimFs {
    let fs = SimFs::new();
    fs.create_dir_all(Path::new(DIR)).expect("a directory");
    for (name, bytes) in files {
        let file = fs.open(&Path::new(DIR).join(name), OpenMode::CreateNew).expect("a file");
        let mut at = 0;
        while at < bytes.len() {
            at += file.write_at(&bytes[at..], at as u64).expect("a write");
        }
        file.sync_data().expect("a sync");
    }
    fs.sync_dir(Path::new(DIR)).expect("a sync");
    fs
}

/// Waits until a flush that has returned has removed the log that it replaced,
/// which comes after; `kept` log files stay, beside the one that is written.
pub fn wait_for_removal(fs: &SimFs, kept: usize) {
    let logs = |name: &String| name.ends_with(".log");
    while fs.list(Path::new(DIR)).expect("a directory").iter().filter(|n| logs(n)).count()
        > 1 + kept
    {
        std::thread::yield_now();
    }
}
