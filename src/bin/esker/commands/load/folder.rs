//! A folder: each file is an entry, its path from the folder on the key.

use super::super::records::Bad;
use super::Record;
use crate::failure::{Failure, Kind, Result};
use crate::progress::Progress;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of the folder at `root` and of those below it, in the order of their names. A link, or what else is neither
/// a file nor a folder, is bad.
///
/// # Errors
/// The folder cannot be read.
pub fn read(root: &Path, progress: Progress) -> Result<Walk> {
    if !root.is_dir() {
        return Err(Failure::new(Kind::Usage, format!("{} is no folder", root.display()))
            .remedy("name one, or say --format jsonl or --format csv"));
    }
    let first = children(root, "").map_err(|bad| bad.failure("nothing was loaded"))?;
    Ok(Walk { folders: vec![first], progress, done: 0 })
}

/// Where a walk is: of each folder on the way what is still to come, with the name that it has from the root on.
pub struct Walk {
    folders: Vec<BTreeMap<PathBuf, String>>,
    progress: Progress,
    done: u64,
}

/// What the folder at `path`, whose name from the root on is `name`, has in it.
fn children(path: &Path, name: &str) -> std::result::Result<BTreeMap<PathBuf, String>, Bad> {
    let unreadable = |e: std::io::Error| Bad { is_final: true, ..bad(path, e.to_string()) };
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        // What is not UTF-8 stays as it is and is refused as a key when it is its turn.
        let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = if name.is_empty() { own } else { format!("{name}/{own}") };
        found.insert(path, name);
    }
    Ok(found)
}

fn bad(path: &Path, what: impl Into<String>) -> Bad {
    Bad { place: path.display().to_string(), what: what.into(), line: None, is_final: false }
}

impl Walk {
    /// The entry that the file at `path` is; of a folder none, which is entered.
    fn visit(&mut self, name: String, path: &Path) -> Option<std::result::Result<Record, Bad>> {
        if path.file_name().and_then(|name| name.to_str()).is_none() {
            return Some(Err(bad(path, "its name is not UTF-8")));
        }
        // Of a link itself, not of what it leads to: that may be anywhere, or above.
        let kind = match fs::symlink_metadata(path) {
            Ok(found) => found.file_type(),
            Err(e) => return Some(Err(Bad { is_final: true, ..bad(path, e.to_string()) })),
        };
        if kind.is_dir() {
            match children(path, &name) {
                Ok(children) => self.folders.push(children),
                Err(bad) => return Some(Err(bad)),
            }
            return None;
        }
        if !kind.is_file() {
            return Some(Err(bad(path, "it is neither a file nor a folder")));
        }
        Some(match fs::read(path) {
            Ok(value) => {
                self.done += value.len() as u64;
                self.progress.set(self.done, None);
                Ok(Record { key: name.into_bytes(), value })
            }
            Err(e) => Err(Bad { is_final: true, ..bad(path, e.to_string()) }),
        })
    }
}

impl Iterator for Walk {
    type Item = std::result::Result<Record, Bad>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(folder) = self.folders.last_mut() {
            match folder.pop_first() {
                None => drop(self.folders.pop()),
                Some((path, name)) => {
                    if let Some(entry) = self.visit(name, &path) {
                        return Some(entry);
                    }
                }
            }
        }
        None
    }
}
