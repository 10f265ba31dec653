//! The memory of this process (Linux).

/// A field of `/proc/self/status`, such as `VmRSS:`, in MiB; 0 where the system does not tell.
pub fn memory_mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) >> 10
}
