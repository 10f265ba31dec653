//! Who has a directory open, as far as the system tells.
//!
//! The lock is on the file `LOCK`, whose content does not matter, and which nobody writes: a holder that died
//! would leave its name there. Linux lists who holds which lock (`/proc/locks`), by process and by the
//! file's number. Elsewhere nobody is named.

use crate::failure::{Failure, Kind};
use std::fs;
use std::path::Path;

/// A process that holds the lock.
#[derive(Debug, PartialEq, Eq)]
struct Holder {
    pid: u32,
    is_reader: bool,
}

/// The failure to open `dir` because another process has it open.
pub fn locked(dir: &Path) -> Failure {
    let holders = holders(&dir.join("LOCK"));
    let begin = format!("failed to open {}: Cannot acquire directory lock:", dir.display());
    let Some(holder) = holders.first() else {
        return Failure::new(
            Kind::Locked,
            format!("{begin} another process is using this database"),
        )
        .remedy("stop the other instance, or close the other handle");
    };
    let Holder { pid, is_reader } = holder;
    let program = program(*pid);
    let named = program.as_ref().map_or(String::new(), |program| format!(" ({program})"));
    let how = if *is_reader { "is reading" } else { "is using" };
    Failure::new(Kind::Locked, format!("{begin} process {pid}{named} {how} this database"))
        .remedy("stop it, or wait until it is done")
        .detail("pid", *pid)
        .detail("program", program)
}

#[cfg(target_os = "linux")]
fn holders(lock: &Path) -> Vec<Holder> {
    use std::os::unix::fs::MetadataExt;
    // Whatever is not told leaves the holder unnamed; that it is locked is known without.
    let Ok(inode) = fs::metadata(lock).map(|found| found.ino()) else { return Vec::new() };
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    locks
        .lines()
        .filter_map(|line| parse(line, inode))
        .filter(|held| holds(held.pid, lock))
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn holders(_lock: &Path) -> Vec<Holder> {
    Vec::new()
}

/// Who holds the lock that a `line` of `/proc/locks` tells of, if it is one on the file with this number.
/// `1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF`; one that waits has `->` behind its number.
#[cfg(any(target_os = "linux", test))]
fn parse(line: &str, inode: u64) -> Option<Holder> {
    let mut words = line.split_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let is_reader = words.nth(1)? == "READ";
    // One of another container has the number 0, which names nobody.
    let pid = words.next()?.parse().ok().filter(|&pid| pid > 0)?;
    let found = words.next()?.rsplit(':').next()?.parse::<u64>().ok()?;
    (found == inode).then_some(Holder { pid, is_reader })
}

/// Whether the process has this very file open: on another file system one may have the same number. Of another
/// user's process that is not told.
#[cfg(target_os = "linux")]
fn holds(pid: u32, lock: &Path) -> bool {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return true };
    let Ok(lock) = fs::canonicalize(lock) else { return false };
    open.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target == lock))
}

/// What the process runs, as far as it is told.
fn program(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_string()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_lock_table_are_read() {
        let line = "1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF";
        assert_eq!(parse(line, 131), Some(Holder { pid: 4711, is_reader: false }));
        assert_eq!(parse(line, 31), None);
        let reader = "12: FLOCK  ADVISORY  READ 1 00:2c:9 0 EOF";
        assert_eq!(parse(reader, 9), Some(Holder { pid: 1, is_reader: true }));
        for other in [
            "",
            "1:",
            "1: POSIX  ADVISORY  WRITE 4711 08:01:131 0 EOF",
            "1: -> FLOCK  ADVISORY  WRITE 2 08:01:131 0 EOF",
            "1: FLOCK ADVISORY WRITE x 08:01:131 0 EOF",
            "1: FLOCK ADVISORY WRITE 0 08:01:131 0 EOF",
        ] {
            assert_eq!(parse(other, 131), None, "{other}");
        }
    }
}
