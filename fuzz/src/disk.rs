//! The files of a database as bytes, and back.

use esker::sim::SimFs;
use esker::{File, Fs, OpenMode};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Where the harness puts the database.
const DIR: &str = "/db";

/// The files of a database, by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// All files of the database on `fs`.
///
/// # Errors
/// What the file system says.
pub fn files(fs: &SimFs) -> io::Result<Files> {
    let mut found = Files::new();
    for name in fs.list(Path::new(DIR))? {
        let file = fs.open(&Path::new(DIR).join(&name), OpenMode::Read)?;
        found.insert(name, contents(file.as_ref())?);
    }
    Ok(found)
}

fn contents(file: &dyn File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    let mut at = 0;
    while at < bytes.len() {
        at += file.read_at(&mut bytes[at..], at as u64)?;
    }
    Ok(bytes)
}

/// A disk that holds `files`, durably, at the time of `like`.
///
/// # Errors
/// What the file system says.
pub fn disk_of(files: &Files, like: &SimFs) -> io::Result<SimFs> {
    let fs = SimFs::new();
    fs.set_threads(false);
    fs.sim_clock().set_ms(like.clock().now_ms());
    fs.create_dir_all(Path::new(DIR))?;
    fs.sync_dir(Path::new("/"))?;
    for (name, bytes) in files {
        let file = fs.open(&Path::new(DIR).join(name), OpenMode::CreateNew)?;
        let mut at = 0;
        while at < bytes.len() {
            at += file.write_at(&bytes[at..], at as u64)?;
        }
        file.sync_data()?;
    }
    fs.sync_dir(Path::new(DIR))?;
    Ok(fs)
}
