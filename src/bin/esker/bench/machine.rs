//! What the system tells: on what it runs, how much room there is, what a process and a directory take.

use crate::failure::{Failure, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// On what a run was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: Option<String>,
    pub cores: usize,
    pub memory_bytes: Option<u64>,
    /// With its release, as far as it is told.
    pub system: String,
    pub architecture: String,
    /// Whether there is a hypervisor underneath.
    pub is_virtual: Option<bool>,
    /// Of the directory.
    pub file_system: Option<FileSystem>,
}

/// A file system that is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    pub kind: String,
    pub device: String,
    pub options: String,
}

impl FileSystem {
    /// Whether it is memory, where a sync costs nothing.
    pub fn is_memory(&self) -> bool {
        matches!(self.kind.as_str(), "tmpfs" | "ramfs")
    }
}

impl Machine {
    /// This one, with the file system that `dir` is on.
    pub fn look(dir: &Path) -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_string())
        };
        let release = read("/proc/sys/kernel/osrelease");
        let system = format!("{} {}", std::env::consts::OS, release.trim());
        Machine {
            cpu: field("model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kibibytes(&read("/proc/meminfo"), "MemTotal:"),
            system: system.trim_end().to_string(),
            architecture: std::env::consts::ARCH.to_string(),
            is_virtual: field("flags")
                .map(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            file_system: file_system(dir),
        }
    }
}

fn file_system(dir: &Path) -> Option<FileSystem> {
    let dir = fs::canonicalize(dir).ok()?;
    mounted(&fs::read_to_string("/proc/self/mountinfo").ok()?, &dir)
}

/// The file system of `dir` in the table of what is mounted: of those above it the nearest, of two in one place the later.
/// `36 35 98:0 / /mnt rw,noatime - ext4 /dev/sda rw`, with more fields before the hyphen.
fn mounted(table: &str, dir: &Path) -> Option<FileSystem> {
    let mut found: Option<(PathBuf, FileSystem)> = None;
    for line in table.lines() {
        let Some((before, behind)) = line.split_once(" - ") else { continue };
        let (before, behind): (Vec<_>, Vec<_>) =
            (before.split(' ').collect(), behind.split(' ').collect());
        let (Some(point), Some(options)) = (before.get(4), before.get(5)) else { continue };
        let [kind, device, ..] = behind.as_slice() else { continue };
        // A space in a name is written so.
        let point = PathBuf::from(point.replace("\\040", " "));
        if dir.starts_with(&point)
            && found.as_ref().is_none_or(|(nearest, _)| point.starts_with(nearest))
        {
            let [kind, device, options] = [kind, device, options].map(ToString::to_string);
            found = Some((point, FileSystem { kind, device, options }));
        }
    }
    found.map(|(_, system)| system)
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// What was to do for the processors lately; `None` where the system does not tell.
pub fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// The most memory that this process had resident.
pub fn memory_peak_bytes() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The memory that it has resident.
pub fn resident_bytes() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// What a file, or the files below a directory, take up. A file that goes meanwhile takes nothing.
pub fn disk_bytes(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::read_dir(path)
            .map_or(0, |all| all.flatten().map(|entry| disk_bytes(&entry.path())).sum()),
        Ok(found) => allocated(&found),
        Err(_) => 0,
    }
}

/// Blocks, so that what is allocated counts and a hole does not.
#[cfg(unix)]
fn allocated(found: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(found) * 512
}

#[cfg(not(unix))]
fn allocated(found: &fs::Metadata) -> u64 {
    found.len()
}

/// The room that is left where `dir` is; `None` where the system does not tell.
///
/// # Errors
/// The directory cannot be looked at.
#[cfg(target_os = "linux")]
pub fn free_bytes(dir: &Path) -> Result<Option<u64>> {
    let found = rustix::fs::statvfs(dir).map_err(|e| Failure::io("look at", dir, &e.into()))?;
    Ok(Some(found.f_bavail.saturating_mul(found.f_frsize)))
}

#[cfg(not(target_os = "linux"))]
pub fn free_bytes(dir: &Path) -> Result<Option<u64>> {
    fs::metadata(dir).map_err(|e| Failure::io("look at", dir, &e))?;
    Ok(None)
}

/// Writes out what is still in memory of the file system of `dir`, so that one measurement does not pay for another.
///
/// # Errors
/// The system refused that.
#[cfg(target_os = "linux")]
pub fn settle(dir: &Path) -> Result<()> {
    let synced = fs::File::open(dir).and_then(|handle| Ok(rustix::fs::syncfs(&handle)?));
    synced.map_err(|e| Failure::io("sync the file system of", dir, &e))
}

#[cfg(not(target_os = "linux"))]
pub fn settle(_dir: &Path) -> Result<()> {
    Ok(())
}

/// Puts this process last in the queue for a core; `false`: it is not.
pub fn lower_priority() -> bool {
    #[cfg(target_os = "linux")]
    {
        rustix::process::nice(19).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        false
    }
}

/// Now, as RFC 3339 has it, in UTC.
pub fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    rfc3339(since.as_secs())
}

/// A moment, in seconds since the Unix epoch. Years begin in March here, so that the leap day is their last.
fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_is_found() {
        let table = "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                     2 1 0:5 / /tmp rw - tmpfs tmpfs rw\n\
                     broken\n\
                     3 1 8:2 / /with\\040space rw,noatime - xfs /dev/vdb rw\n\
                     4 1 8:3 / /tmp/over rw - ext4 /dev/vdc rw\n";
        let kind =
            |dir: &str| mounted(table, Path::new(dir)).map(|found| (found.kind, found.device));
        let pair = |kind: &str, device: &str| Some((kind.to_string(), device.to_string()));
        assert_eq!(kind("/home/x"), pair("ext4", "/dev/vda"));
        assert_eq!(kind("/tmp/y"), pair("tmpfs", "tmpfs"));
        assert_eq!(kind("/tmpx"), pair("ext4", "/dev/vda"));
        assert_eq!(kind("/with space/z"), pair("xfs", "/dev/vdb"));
        assert_eq!(kind("/tmp/over/z"), pair("ext4", "/dev/vdc"));
        assert!(mounted(table, Path::new("/tmp")).expect("found").is_memory());
    }

    #[test]
    fn known_moments() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), expected);
        }
    }

    #[test]
    fn what_files_take_up_is_counted_in_depth() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("below")).expect("made");
        fs::write(dir.path().join("below/file"), vec![7; 100_000]).expect("written");
        fs::File::open(dir.path().join("below/file"))
            .and_then(|file| file.sync_all())
            .expect("synced");
        assert!((100_000..200_000).contains(&disk_bytes(dir.path())), "{}", disk_bytes(dir.path()));
        assert_eq!(disk_bytes(&dir.path().join("not there")), 0);
    }
}
