//! The files of a database's directory: listed once, and told by their names once.

use crate::format::{FileKind, LogId};
use crate::fs::Fs;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// The files in `dir` that are a database's by their names.
///
/// # Errors
/// What the system says.
pub fn list_files(fs: &dyn Fs, dir: &Path) -> io::Result<BTreeSet<FileKind>> {
    Ok(fs.list(dir)?.iter().filter_map(|name| FileKind::parse(name)).collect())
}

/// The log files of `files` that recovery reads: those from `log_min` on, in order. `next_file`: those from there on are
/// stray ones.
#[must_use]
pub fn logs_to_read(files: &BTreeSet<FileKind>, log_min: LogId, next_file: u64) -> Vec<LogId> {
    let numbers = log_min.0..next_file;
    let logs = files.iter().filter_map(|file| match file {
        FileKind::Log(id) => Some(*id),
        _ => None,
    });
    logs.filter(|id| numbers.contains(&id.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TableId;

    #[test]
    fn logs_are_read_in_order_from_the_first_that_counts() {
        let logs = [9, 2, 7, 12, 3].map(|number| FileKind::Log(LogId(number)));
        let files = BTreeSet::from_iter(logs.into_iter().chain([FileKind::Table(TableId(8))]));
        assert_eq!(logs_to_read(&files, LogId(3), 12), [LogId(3), LogId(7), LogId(9)]);
        assert!(logs_to_read(&files, LogId(13), 12).is_empty());
    }
}
