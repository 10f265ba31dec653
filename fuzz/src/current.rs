//! `CURRENT`: an input is the file as it is.

use crate::allocation::assert_bounded;
use crate::input::of_file;
use crate::{IDENTITY, assert_located};
use esker::fuzzing::{Identity, ManifestId, decode_current, fix_current, write_current};

/// Asserts that what is accepted is, byte for byte, what would be written.
///
/// # Panics
/// When it is not.
pub fn check(data: &[u8]) {
    let file = file_of(data);
    let current = assert_bounded(file.len(), 1, 1 << 10, || decode_current(&file));
    assert_located(&current, "CURRENT", file.len());
    if let Ok(current) = current {
        let ManifestId(number) = current.manifest;
        let identity =
            Identity { database: current.database, file: esker::fuzzing::FileId(number) };
        assert_eq!(write_current(identity), file);
    }
}

/// The file that an input stands for.
#[must_use]
pub fn file_of(data: &[u8]) -> Vec<u8> {
    data.get(1..).unwrap_or_default().to_vec()
}

/// Puts the file's checksum right.
pub fn fix(file: &mut [u8]) {
    fix_current(file);
}

/// A valid file, and an empty one.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    vec![of_file(&write_current(IDENTITY)), of_file(&[])]
}
