//! What is asked of the operating system.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Writes back what the page cache holds dirty, so that one measurement does
/// not pay for the writes of the one before it.
pub fn sync_everything() {
    // SAFETY: `sync` takes no argument, touches no memory and cannot fail.
    unsafe { libc::sync() }
}

/// Puts this process last in the queue for a core.
pub fn lower_priority() {
    // SAFETY: `nice` touches no memory; where it fails the priority stays.
    unsafe { libc::nice(19) };
}

/// The most memory this process has had resident so far, in bytes; what it
/// has mapped and read of a file counts.
pub fn memory_peak_bytes() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kibibytes| kibibytes.parse::<u64>().ok())
        .map(|kibibytes| kibibytes * 1024)
        .ok_or_else(|| io::Error::other("no VmHWM in /proc/self/status"))
}

/// Bytes that the files of a folder take up on the disk: blocks that are
/// allocated, so that a preallocated file counts and a hole does not.
pub fn disk_bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // A file may go between the listing and the look at it.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes +=
            if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// Whether a folder is memory and not disk, where a sync costs nothing.
pub fn is_memory(dir: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let Ok(path) = std::ffi::CString::new(dir.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: `statfs` is plain data, for which all zeroes is a valid value.
    let mut stats: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` ends in a NUL and `stats` is a place for one `statfs`;
    // both outlive the call.
    let code = unsafe { libc::statfs(path.as_ptr(), &raw mut stats) };
    code == 0 && stats.f_type == libc::TMPFS_MAGIC
}

/// Ends this process after some seconds, whatever it is at then: an engine
/// that hangs must not hold up the run.
pub fn limit_time(seconds: u32) {
    // SAFETY: `alarm` touches no memory and cannot fail; its signal, which
    // no one handles, ends the process.
    unsafe { libc::alarm(seconds) };
}

/// Ends this process as an outside `kill -9` would: nothing is dropped,
/// flushed or unlocked by it.
pub fn die() -> ! {
    // SAFETY: `raise` touches no memory; the signal cannot be caught.
    unsafe { libc::raise(libc::SIGKILL) };
    std::process::abort()
}
