//! What is told of a file: an input is any of the formats, as it is. Which one, how it begins or ends says.

use crate::allocation::assert_bounded;
use crate::input::of_file;
use crate::{IDENTITY, backup_restore};
use esker::Error;
use esker::fuzzing::{
    Batch, Edit, Entry, EntryKind, Identity, LogId, Operation, SeqNo, StoredValue, decode_current,
    decode_manifest, fix_backup, fix_current, fix_log, fix_manifest, fix_table, fix_values,
    inspect_bytes, write_current, write_log, write_manifest, write_table, write_values,
};
use esker::inspect::{FileFormat, Inspection, Item};
use esker::{Compression, fuzzing::DatabaseId};
use std::ops::ControlFlow;

/// How a file of each format begins, and what it is called. What begins otherwise is taken for a table.
const NAMES: [(&[u8; 8], &str); 5] = [
    (b"ESKERLOG", "000007.log"),
    (b"ESKERMAN", "MANIFEST-000007"),
    (b"ESKERCUR", "CURRENT"),
    (b"ESKERVAL", "000007.val"),
    (b"ESKERBAK", "backup"),
];

fn name_of(file: &[u8]) -> &'static str {
    NAMES
        .iter()
        .find(|(magic, _)| file.starts_with(&magic[..]))
        .map_or("000007.tbl", |(_, name)| name)
}

/// Asserts that any bytes come to an end in bounded memory, that damage is within the file, and that where an open would take
/// a manifest, or `CURRENT`, no damage is told.
///
/// # Panics
/// When it does not hold.
pub fn check(data: &[u8]) {
    let file = file_of(data);
    let (mut database, mut count) = (None, 0_u64);
    let told = assert_bounded(file.len(), 128, 4 << 20, || {
        inspect_bytes(name_of(&file), &file, IDENTITY.database, &mut |item| {
            count += 1;
            if let Item::ManifestHeader(said) = item {
                database = Some(said.database_id.0);
            }
            ControlFlow::Continue(())
        })
    });
    let found = match told {
        Ok(found) => found,
        Err(Error::UnsupportedFormat { .. }) => return,
        Err(e) => panic!("bytes in memory gave {e}"),
    };
    assert!(found.is_complete && found.items == count);
    if let Some(damage) = &found.damage {
        assert!(damage.offset <= file.len() as u64 && !damage.what.is_empty(), "{damage:?}");
    }
    check_against_decoder(&file, &found, database);
}

fn check_against_decoder(file: &[u8], found: &Inspection, database: Option<u64>) {
    let is_taken = match (found.format, database) {
        (FileFormat::Current, _) => decode_current(file).is_ok(),
        (FileFormat::Manifest, Some(database)) => {
            let identity = Identity { database: DatabaseId(database), ..IDENTITY };
            decode_manifest(file, identity).is_ok()
        }
        _ => return,
    };
    assert_eq!(found.damage.as_ref().is_none_or(|damage| damage.is_torn_tail), is_taken);
}

/// The file that an input stands for.
#[must_use]
pub fn file_of(data: &[u8]) -> Vec<u8> {
    data.get(1..).unwrap_or_default().to_vec()
}

/// Puts the file's checksums right, of whatever format it is.
pub fn fix(file: &mut [u8]) {
    match name_of(file) {
        "000007.log" => fix_log(file, IDENTITY),
        "MANIFEST-000007" => fix_manifest(file, IDENTITY),
        "CURRENT" => fix_current(file),
        "000007.val" => fix_values(file, IDENTITY),
        "backup" => fix_backup(file),
        _ => fix_table(file, IDENTITY),
    }
}

/// A small file of each format.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let entry = |n: u8| Entry {
        key: vec![b'k', n],
        seq: SeqNo(u64::from(n) + 1),
        kind: EntryKind::Set,
        payload: vec![n; 20 * usize::from(n)],
    };
    let batch = |n: u8| Batch {
        offset: 0,
        sequence: SeqNo(u64::from(n) + 1),
        durable: 0,
        operations: vec![Operation::Entry(entry(n)), Operation::ExpiryFloor(u64::from(n))],
    };
    let batches: Vec<Batch> = (0..5).map(batch).collect();
    let entries: Vec<Entry> = (0..40).map(entry).collect();
    let values: Vec<StoredValue> = (1..6)
        .map(|n| StoredValue {
            entry: entry(n),
            moved_from: (n > 3).then_some((2, 9)),
            is_compressed: false,
        })
        .collect();
    let edit = Edit {
        log_min: Some(LogId(4)),
        opens: Some(2),
        next_file: Some(9),
        last_seq: Some(SeqNo(3)),
        ..Edit::default()
    };
    let edits = [edit, Edit { expiry_floor_ms: Some(12), ..Edit::default() }];
    let table =
        |compression| write_table(IDENTITY, 256, compression, &entries).expect("in memory").0;
    let files = [
        write_log(IDENTITY, 10, 10, &batches),
        table(Compression::None),
        table(Compression::Snappy),
        write_manifest(IDENTITY, &edits).expect("in memory").0,
        write_current(IDENTITY),
        write_values(IDENTITY, &values),
    ];
    let backups = backup_restore::seeds().into_iter().filter(|seed| seed.first() == Some(&0));
    files.iter().map(|file| of_file(file)).chain(backups).collect()
}
