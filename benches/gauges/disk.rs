//! What a database takes on the disk.

use std::path::Path;

/// The lengths of the files of a directory; one that goes meanwhile has none.
pub fn disk_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).expect("a directory");
    files.map(|file| file.and_then(|f| f.metadata()).map_or(0, |m| m.len())).sum()
}
