//! A value file: header, records, map, footer, and the values.

use crate::allocation::assert_bounded;
use crate::input::{Entries, Input, of_file, of_noise};
use crate::mutation::Mutations;
use crate::{IDENTITY, assert_located};
use arbitrary::Arbitrary;
use esker::Error;
use esker::fuzzing::{EntryKind, StoredValue, decode_values, fix_values, write_values};

const NAME: &str = "000007.val";

/// What the writer is to write, and what is then done to the file.
#[derive(Debug, Arbitrary)]
pub struct Recipe {
    entries: Entries,
    /// Which of them were first written elsewhere.
    moved: u64,
    mutations: Mutations,
}

impl Recipe {
    /// The values, and the file as it was and as it was damaged.
    fn files(&self) -> (Vec<StoredValue>, Vec<u8>, Vec<u8>) {
        let mut values: Vec<StoredValue> = Vec::new();
        for (n, mut entry) in (0_u64..).zip(self.entries.sorted()) {
            entry.kind = EntryKind::Set;
            let is_moved = self.moved >> (n % 64) & 1 == 1;
            let moved_from = is_moved.then_some((n % 5, n * 1000));
            // Of one byte only: it gets smaller.
            let is_compressed =
                entry.payload.len() > 64 && entry.payload.windows(2).all(|pair| pair[0] == pair[1]);
            values.push(StoredValue { entry, moved_from, is_compressed });
        }
        let file = write_values(IDENTITY, &values);
        let damaged = self.mutations.apply(vec![file.clone()], fix);
        (values, file, damaged)
    }
}

/// Asserts what must hold of a value file.
///
/// # Panics
/// When it does not.
pub fn check(data: &[u8]) {
    match Input::<Recipe>::read(data) {
        Some(Input::File(file)) => drop(check_file(file)),
        Some(Input::Recipe(recipe)) => {
            let (values, file, damaged) = recipe.files();
            let found = check_file(&damaged);
            if damaged == file {
                assert_eq!(found.expect("a valid file"), values);
            } else if !recipe.mutations.fix {
                found.expect_err("a damaged file");
            }
        }
        None => {}
    }
}

/// Holds of any bytes.
fn check_file(file: &[u8]) -> Result<Vec<StoredValue>, Error> {
    // Many records may point to one place, each with a value of its own: only what is in the file
    // bounds their number. Three bytes of Snappy make 64.
    let factor = 64 * (2 + file.len() / 16);
    let decoded = assert_bounded(file.len(), factor, 512 << 10, || decode_values(file, IDENTITY));
    assert_located(&decoded, NAME, file.len());
    decoded
}

/// The file that an input stands for.
#[must_use]
pub fn file_of(data: &[u8]) -> Vec<u8> {
    match Input::<Recipe>::read(data) {
        Some(Input::File(file)) => file.to_vec(),
        Some(Input::Recipe(recipe)) => recipe.files().2,
        None => Vec::new(),
    }
}

/// Puts the file's checksums right.
pub fn fix(file: &mut [u8]) {
    fix_values(file, IDENTITY);
}

/// Small files, and recipes.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![of_noise(1, 300), of_noise(2, 1200)];
    for count in [0, 1, 20] {
        let value = |(n, mut entry): (u64, esker::fuzzing::Entry)| {
            entry.kind = EntryKind::Set;
            let moved_from = (n % 2 == 1).then_some((n % 3, n * 500));
            StoredValue { entry, moved_from, is_compressed: false }
        };
        let entries = crate::table_open::seed_entries(count);
        let values: Vec<StoredValue> = (0..).zip(entries).map(value).collect();
        seeds.push(of_file(&write_values(IDENTITY, &values)));
    }
    seeds
}
