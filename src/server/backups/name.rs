//! Which file of the backup directory a request means.
//!
//! INV-1: what comes out is one name made of letters, digits and a few signs: no separator of any system, no `..`, nothing hidden,
//! nothing that looks like something else.

use crate::error::{Error, Result};
use crate::format::FileKind;
use std::path::{Component, Path, PathBuf};

/// The longest name, in bytes: while a backup is written its name is some 50 bytes longer.
const NAME_BYTES_MAX: usize = 180;

/// What names of backups made by the schedule begin with. Nobody else may use it: what the schedule made, it removes.
pub const SCHEDULED: &str = "scheduled-";

/// The name in `dir` that `given` means: a name, or the path of an entry of `dir`.
///
/// # Errors
/// [`Error::InvalidArgument`].
pub fn parse(given: &str, dir: &Path) -> Result<String> {
    let wrong = |why: &str| {
        let shown: String = given.chars().take(200).collect();
        Error::invalid(format!(
            "{shown:?} is no name of a backup: {why}; pass a name such as monday.db, which is then in {}",
            dir.display()
        ))
    };
    // Before anything takes it for a path.
    if given.contains(['\0', '\\']) {
        return Err(wrong("it has a character that no name has"));
    }
    let path = Path::new(given);
    let name = match path.strip_prefix("./").unwrap_or(path).to_str() {
        Some(name) if !name.contains('/') && !given.ends_with('/') => name.to_owned(),
        _ => inside(path, dir).ok_or_else(|| wrong("it leads out of the directory of backups"))?,
    };
    check(&name).map_err(wrong)?;
    Ok(name)
}

/// The name of the entry of `dir` that `path` is, by its text alone.
fn inside(path: &Path, dir: &Path) -> Option<String> {
    let has_way_up = path.components().any(|part| part == Component::ParentDir);
    if has_way_up || path.to_str()?.ends_with(['/', '.']) {
        return None;
    }
    let plain = |path: &Path| path.components().filter(|part| *part != Component::CurDir).collect();
    let (path, dir): (PathBuf, PathBuf) = (plain(path), plain(dir));
    let rest = path.strip_prefix(&dir).ok()?;
    let mut rest = rest.components();
    match (rest.next(), rest.next()) {
        (Some(Component::Normal(name)), None) => name.to_str().map(str::to_owned),
        _ => None,
    }
}

/// Whether `name` is one that a backup may have; else why not.
///
/// # Errors
/// Why not.
pub fn check(name: &str) -> std::result::Result<(), &'static str> {
    let is_allowed = |c: char| c.is_alphanumeric() || "._-+=@,~ ".contains(c);
    if name.is_empty() {
        Err("it is empty")
    } else if name.len() > NAME_BYTES_MAX {
        Err("it is too long")
    } else if !name.chars().all(is_allowed) {
        Err("it has a character other than letters, digits, spaces and ._-+=@,~")
    } else if name.starts_with(['.', '-', ' ', '~']) || name.ends_with(['.', ' ']) {
        Err("it begins or ends with a sign")
    } else if name.contains(".partial-") {
        Err("unfinished backups are called so")
    } else if FileKind::parse(name).is_some() {
        Err("files of databases are called so")
    } else {
        Ok(())
    }
}

/// Whether a file of that name in the directory is shown as a backup.
#[must_use]
pub fn is_shown(name: &str) -> bool {
    check(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_of_entries() {
        for (given, dir) in [
            ("x.db", "./backups"),
            ("./x.db", "./backups"),
            ("./backups/x.db", "./backups"),
            ("backups/x.db", "./backups"),
            ("./backups/x.db", "backups"),
            ("././backups/./x.db", "./backups"),
            ("/var/b/x.db", "/var/b"),
            ("/var//b/x.db", "/var/b/"),
        ] {
            assert_eq!(parse(given, Path::new(dir)).expect(given), "x.db", "{given} in {dir}");
        }
        for name in ["Montag früh.db", "a..b", "konsul-20250112-101500.db", "x"] {
            assert_eq!(parse(name, Path::new("b")).expect(name), name);
        }
    }

    #[test]
    fn ways_out() {
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for given in [
            "",
            ".",
            "..",
            "/",
            "//",
            "./",
            "../x.db",
            "backups/../x.db",
            "./backups/../../x.db",
            "/etc/passwd",
            "/var/b/x.db",
            "backups/",
            "x.db/",
            "x.db/.",
            "x/x.db",
            "backups/x/y.db",
            "x\0.db",
            "\0",
            "..\\x.db",
            "C:\\x.db",
            "C:x.db",
            "\\\\host\\x",
            "%2e%2e%2fx.db",
            "..%2fx",
            "~/x.db",
            "~root",
            "-rf",
            ".hidden",
            "x\n.db",
            "x\r.db",
            "x\u{202e}db.exe",
            "\u{ff0e}\u{ff0e}\u{ff0f}x",
            "x\u{2215}y",
            "$HOME",
            "`id`",
            "x;y",
            "x|y",
            "*",
            "?",
            "<x>",
            "x:stream",
            "000001.log",
            "CURRENT",
            "LOCK",
            "MANIFEST-000001",
            "x.db.partial-0",
            "file:///etc/passwd",
            "/proc/self/environ",
            "/dev/null",
            "./backups/./../x",
            " x",
            "x ",
            "x.",
            "....//x",
            "..././x",
            &long,
        ] {
            assert!(parse(given, Path::new("./backups")).is_err(), "{given:?}");
        }
    }
}
