//! What to collect: a pure function of what is in each file.

use crate::format::FileKind;
use crate::store::FileBytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

/// What is looked at beside the files.
#[derive(Debug, Clone, Copy)]
pub struct Aim<'a> {
    /// From which part of garbage on a file is worth it, in percent.
    pub garbage_percent: u64,
    /// About how many bytes one collection writes at most.
    pub live_bytes_max: u64,
    /// Files that are not to be touched: they are damaged.
    pub left_alone: &'a HashSet<FileKind>,
}

/// The files to collect next: those with the largest part of garbage, as many as one new file is to
/// take. Empty: none is worth it.
pub fn pick(files: &BTreeMap<FileKind, FileBytes>, aim: &Aim<'_>) -> Vec<FileKind> {
    let garbage = |bytes: &FileBytes| bytes.stored_bytes.saturating_sub(bytes.live_bytes);
    // In thousandths of the file.
    let part = |bytes: &FileBytes| garbage(bytes).saturating_mul(1000) / bytes.stored_bytes.max(1);
    let mut worth: Vec<(&FileKind, &FileBytes)> = files
        .iter()
        .filter(|(file, bytes)| {
            garbage(bytes) > 0
                && part(bytes) >= aim.garbage_percent * 10
                && !aim.left_alone.contains(file)
        })
        .collect();
    worth.sort_by_key(|(file, bytes)| (Reverse(part(bytes)), **file));
    let mut live_bytes = 0_u64;
    let mut picked = Vec::new();
    for (file, bytes) in worth {
        live_bytes = live_bytes.saturating_add(bytes.live_bytes);
        if !picked.is_empty() && live_bytes > aim.live_bytes_max {
            break;
        }
        picked.push(*file);
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::LogId;

    /// Files numbered from 1, of `live/stored` bytes each.
    fn files(text: &str) -> BTreeMap<FileKind, FileBytes> {
        let file = |(number, text): (u64, &str)| {
            let (live, stored) = text.split_once('/').expect("live/stored");
            let number_of = |text: &str| text.parse().expect("a number");
            let (live_bytes, stored_bytes) = (number_of(live), number_of(stored));
            (FileKind::Log(LogId(number)), FileBytes { stored_bytes, live_bytes })
        };
        (1..).zip(text.split_whitespace()).map(file).collect()
    }

    fn picked(text: &str, garbage_percent: u64, left_alone: &[u64]) -> Vec<u64> {
        let left_alone = left_alone.iter().map(|&id| FileKind::Log(LogId(id))).collect();
        let aim = Aim { garbage_percent, live_bytes_max: 100, left_alone: &left_alone };
        pick(&files(text), &aim).into_iter().filter_map(FileKind::number).collect()
    }

    #[test]
    fn the_worst_come_first_and_only_those_that_are_bad_enough() {
        assert!(picked("51/100 100/100 7/0", 50, &[]).is_empty());
        assert_eq!(picked("50/100 49/100 10/100", 50, &[]), [3, 2]);
        assert_eq!(picked("50/100 49/100 10/100", 50, &[3]), [2, 1]);
        assert_eq!(picked("99/100 100/100", 1, &[]), [1]);
    }

    #[test]
    fn one_new_file_takes_what_it_can_and_at_least_one() {
        assert_eq!(picked("400/1000 30/1000 30/1000", 50, &[]), [2, 3]);
        assert_eq!(picked("400/1000 900/1000", 50, &[]), [1]);
    }
}
