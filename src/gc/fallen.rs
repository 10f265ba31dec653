//! Which files have lost most of what lived in them.
//!
//! A log with a few large values among many small ones is garbage for the most part when it becomes a segment, and
//! a collection reads all of it: if that were reason enough, each would be read right behind its flush, for
//! nothing that has died. So what counts is what has: each file is a reason once, and again in the next file.

use crate::format::FileKind;
use crate::store::FileBytes;
use std::collections::{BTreeMap, HashMap};

/// A file is a reason when of what lived in it at most, so much is left: one of so many parts.
const LEFT: u64 = 4;

/// What has lived in each file at most, as far as somebody looked. Of files that are older than this process that is what
/// lived when it began.
#[derive(Debug, Default)]
pub struct Peaks(HashMap<FileKind, u64>);

impl Peaks {
    /// Looks at `files`, which are all that there are; those of them that have lost most of what lived in them.
    pub fn fallen(
        &mut self,
        files: &BTreeMap<FileKind, FileBytes>,
    ) -> BTreeMap<FileKind, FileBytes> {
        self.0.retain(|file, _| files.contains_key(file));
        let mut fallen = BTreeMap::new();
        for (&file, &bytes) in files {
            let peak = self.0.entry(file).or_default();
            *peak = bytes.live_bytes.max(*peak);
            if bytes.live_bytes <= *peak / LEFT {
                fallen.insert(file, bytes);
            }
        }
        fallen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::LogId;

    #[test]
    fn a_file_has_fallen_when_a_quarter_of_the_most_is_left() {
        let mut peaks = Peaks::default();
        // What lives in files numbered from 1, all of 1,000 bytes.
        let mut fallen = |live: &[u64]| -> Vec<u64> {
            let file = |(id, &live_bytes)| {
                (FileKind::Log(LogId(id)), FileBytes { stored_bytes: 1000, live_bytes })
            };
            let files = (1..).zip(live).filter(|(_, live)| **live > 0).map(file).collect();
            peaks.fallen(&files).into_keys().filter_map(FileKind::number).collect()
        };
        assert!(fallen(&[1000, 40]).is_empty(), "little lived in one from the start");
        assert!(fallen(&[251, 11]).is_empty());
        assert_eq!(fallen(&[250, 10]), [1, 2]);
        assert!(fallen(&[0, 80]).is_empty(), "it has more than was seen before");
        assert!(fallen(&[40, 21, 1000]).is_empty(), "the first is another file of that number");
        assert_eq!(fallen(&[10, 20, 1000]), [1, 2]);
    }
}
