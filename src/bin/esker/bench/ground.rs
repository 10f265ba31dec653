//! The directory of a run's own.
//!
//! INV-1: nothing is written, and nothing removed, but below a directory that this run has made itself; where it
//! is there already, the run is refused.

use crate::failure::{Failure, Kind, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What it is called.
const NAME: &str = "esker-bench";
/// Files that every database has.
const DATABASE_FILES: [&str; 2] = ["CURRENT", "LOCK"];

/// The directory, which goes when this is dropped.
#[derive(Debug)]
pub struct Ground {
    dir: PathBuf,
    is_there: bool,
}

impl Ground {
    /// Looks whether it can be made below `below`.
    ///
    /// # Errors
    /// That is no directory, or that of a database; something is there already.
    pub fn check(below: &Path) -> Result<()> {
        let usage = |text: String, remedy: &str| Err(usage(text, remedy));
        match fs::metadata(below) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return usage(
                    format!("{} is no directory", below.display()),
                    "name one with --dir",
                );
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let text = format!("there is no directory {}", below.display());
                return usage(text, "make it, or name another with --dir");
            }
            Err(e) => return Err(Failure::io("look at", below, &e)),
        }
        let has = |name: &str| fs::symlink_metadata(below.join(name)).is_ok();
        if DATABASE_FILES.iter().any(|name| has(name)) {
            let text = format!("{} is the directory of a database", below.display());
            return usage(text, "name another with --dir: one above it, or an empty one");
        }
        if has(NAME) { Err(taken(&below.join(NAME))) } else { Ok(()) }
    }

    /// Makes it below `below`.
    ///
    /// # Errors
    /// As [`Ground::check`].
    pub fn make(below: &Path) -> Result<Ground> {
        Ground::check(below)?;
        let dir = below.join(NAME);
        match fs::create_dir(&dir) {
            Ok(()) => Ok(Ground { dir, is_there: true }),
            // Made meanwhile.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(taken(&dir)),
            Err(e) => Err(Failure::io("make", &dir, &e)),
        }
    }

    /// A fresh directory in it, in place of the one before.
    ///
    /// # Errors
    /// The system refused that.
    pub fn fresh(&self) -> Result<PathBuf> {
        let dir = self.dir.join("measured");
        let removed = match fs::remove_dir_all(&dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        removed.and_then(|()| fs::create_dir(&dir)).map_err(|e| Failure::io("empty", &dir, &e))?;
        Ok(dir)
    }

    /// Removes it.
    ///
    /// # Errors
    /// The system refused that: what is left is named.
    pub fn remove(mut self) -> Result<()> {
        self.is_there = false;
        fs::remove_dir_all(&self.dir).map_err(|e| Failure::io("remove", &self.dir, &e))
    }
}

fn usage(text: String, remedy: &str) -> Failure {
    Failure::new(Kind::Usage, text).remedy(remedy)
}

fn taken(dir: &Path) -> Failure {
    usage(
        format!("{} is there already", dir.display()),
        "another run is at work, or was killed: remove it then, or name another directory with --dir",
    )
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.is_there {
            // Only in a panic, whose message is the one to tell.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("other"), "stays").expect("written");
        let ground = Ground::make(dir.path()).expect("made");
        let fresh = ground.fresh().expect("made");
        fs::write(fresh.join("file"), "goes").expect("written");
        assert_eq!(fs::read_dir(ground.fresh().expect("made anew")).expect("listed").count(), 0);
        let second = Ground::make(dir.path()).expect_err("it is there").sentence();
        assert!(second.contains("is there already"), "{second}");
        ground.remove().expect("removed");
        drop(Ground::make(dir.path()).expect("made again"));
        let left: Vec<_> =
            fs::read_dir(dir.path()).expect("listed").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["other"]);
    }

    #[test]
    fn a_database_is_not_built_in() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("CURRENT"), "").expect("written");
        let said = Ground::make(dir.path()).expect_err("refused").sentence();
        assert!(said.contains("of a database"), "{said}");
        let file = Ground::make(&dir.path().join("CURRENT")).expect_err("refused").sentence();
        assert!(file.contains("is no directory"), "{file}");
        let nowhere = Ground::make(&dir.path().join("nowhere")).expect_err("refused").sentence();
        assert!(nowhere.contains("there is no directory"), "{nowhere}");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }
}
