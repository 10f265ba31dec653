//! A backup, full or an increment: header, chunks, entries, values, end; and a restore of it over a database that holds
//! something, of an increment with a full backup upon which it follows.

use crate::allocation::assert_bounded;
use crate::assert_located;
use crate::input::{Input, Key, of_file, of_noise};
use crate::mutation::Mutations;
use arbitrary::Arbitrary;
use esker::crashtest::tiny_options;
use esker::fuzzing::{
    BACKUP_NAME, BackedUp, BackedUpValue, BackupHeader, BackupRef, DatabaseId, SeqNo,
    decode_backup, fix_backup, write_backup,
};
use esker::sim::SimFs;
use esker::{BackupOptions, Db, Error, RestoreOptions, SyncPolicy, verify_backup_from};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What errors of a backup that is read from a stream name.
const STREAM: &str = "the backup's stream";
/// Entries of a recipe, at most.
const COUNT_MAX: usize = 200;

/// What the writer is to write, and what is then done to the backup.
#[derive(Debug, Arbitrary)]
pub struct Recipe {
    entries: Vec<(Key, Option<u64>, Value)>,
    seq: u32,
    is_increment: bool,
    expiry_floor_ms: u64,
    mutations: Mutations,
}

#[derive(Debug, Arbitrary)]
enum Value {
    Deleted,
    Inline([u8; 4]),
    /// A byte so many times, as it is.
    Long(u8, u16),
    /// The same, in Snappy.
    Compressed(u8, u16),
    /// What the engine would not write: bytes that say that they are in Snappy.
    NotSnappy([u8; 6]),
}

impl Value {
    fn held(&self, is_increment: bool) -> BackedUpValue {
        let apart = |stored, is_compressed| BackedUpValue::Apart { stored, is_compressed };
        let repeated = |byte: u8, count: u16| vec![byte; usize::from(count % 4000)];
        match *self {
            // What no full backup has.
            Value::Deleted if is_increment => BackedUpValue::Deleted,
            Value::Deleted => BackedUpValue::Inline(Vec::new()),
            Value::Inline(bytes) => BackedUpValue::Inline(bytes.to_vec()),
            Value::Long(byte, count) => apart(repeated(byte, count), false),
            Value::Compressed(byte, count) => {
                let mut encoder = snap::raw::Encoder::new();
                let value = repeated(byte, count);
                apart(encoder.compress_vec(&value).expect("of a short value"), true)
            }
            Value::NotSnappy(bytes) => apart(bytes.to_vec(), true),
        }
    }
}

impl Recipe {
    /// What the backup holds, and the backup as it was and as it was damaged.
    fn files(&self) -> (Vec<BackedUp>, Vec<u8>, Vec<u8>) {
        let made =
            self.entries.iter().take(COUNT_MAX).map(|(key, expires_at_ms, value)| BackedUp {
                key: key.0.clone(),
                expires_at_ms: expires_at_ms.filter(|_| !matches!(value, Value::Deleted)),
                held: value.held(self.is_increment),
            });
        let mut entries: Vec<BackedUp> = made.collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        entries.dedup_by(|a, b| a.key == b.key);
        let header = BackupHeader {
            backup: DatabaseId(11),
            database: DatabaseId(0x5eed),
            seq: SeqNo(u64::from(self.seq)),
            base: self.is_increment.then_some(base(self.seq)),
            created_ms: 1_704_067_200_000,
            expiry_floor_ms: self.expiry_floor_ms,
        };
        let file = write_backup(header, &entries);
        let damaged = self.mutations.apply(vec![file.clone()], fix_backup);
        (entries, file, damaged)
    }
}

/// Upon what an increment of a recipe follows.
fn base(seq: u32) -> BackupRef {
    BackupRef { id: DatabaseId(10), seq: SeqNo(u64::from(seq / 2)) }
}

/// Asserts what must hold of a backup.
///
/// # Panics
/// When it does not.
pub fn check(data: &[u8]) {
    match Input::<Recipe>::read(data) {
        Some(Input::File(file)) => drop(check_file(file)),
        Some(Input::Recipe(recipe)) => {
            let (entries, file, damaged) = recipe.files();
            let found = check_file(&damaged);
            if damaged == file && entries.iter().any(states_what_cannot_be) {
                found.expect_err("Snappy that states what it cannot hold");
            } else if damaged == file {
                assert_eq!(found.expect("a valid backup"), entries);
            } else if !recipe.mutations.fix {
                found.expect_err("a damaged backup");
            }
        }
        None => {}
    }
}

/// Whether the value has no size of Snappy, or one that so few bytes do not make: three make 64 at most. That much is
/// looked at with the entry, and the rest where the value is read.
fn states_what_cannot_be(entry: &BackedUp) -> bool {
    let BackedUpValue::Apart { stored, is_compressed: true } = &entry.held else { return false };
    snap::raw::decompress_len(stored).map_or(true, |stated| stated > 22 * stored.len())
}

/// Holds of any bytes.
fn check_file(file: &[u8]) -> Result<Vec<BackedUp>, Error> {
    // Keys share what others have: each entry of 4 bytes may have a key of 64 KiB, in chunks that Snappy made smaller.
    let all = 64 * (70_000 / 4);
    // What is read is read a mebibyte at a time, even where there is nothing.
    let decoded = assert_bounded(file.len(), all, 2 << 20, || decode_backup(file));
    assert_located(&decoded, BACKUP_NAME, file.len());
    // That it is sound is told with a chunk, a key and a value at a time.
    let info = assert_bounded(file.len(), 64, 4 << 20, || verify_backup_from(file));
    assert_located(&info, STREAM, file.len());
    if let Ok(info) = &info {
        let (header, entries) = decoded.as_ref().expect("what was verified");
        assert_eq!((info.entries, info.sequence_number), (entries.len() as u64, header.seq.0));
    } else if let Ok((_, entries)) = &decoded {
        let is_compressed =
            |e: &BackedUp| matches!(e.held, BackedUpValue::Apart { is_compressed: true, .. });
        assert!(entries.iter().any(is_compressed), "only Snappy is looked into by verify alone");
    }
    check_restore(file, &decoded, info.is_ok());
    check_chain(file, &decoded, info.is_ok());
    decoded.map(|(_, entries)| entries)
}

/// A database in memory that holds something.
fn database() -> Db {
    let disk = SimFs::new();
    disk.set_threads(false);
    let db = Db::open_with_fs(Arc::new(disk), "/db", tiny_options(SyncPolicy::Never))
        .expect("nothing fails");
    db.set("there", "before").expect("nothing fails");
    db.set("k", vec![b'v'; 3000]).expect("nothing fails");
    db.flush().expect("nothing fails");
    db.delete("there, too").expect("nothing fails");
    db
}

type Content = BTreeMap<Vec<u8>, Result<Vec<u8>, String>>;

/// What is in `db`: by key, the value, or why it cannot be had.
fn content(db: &Db) -> Content {
    let keys = db.iter().keys().map(|key| key.expect("in order").to_vec());
    keys.map(|key| {
        let value = match db.get(&key) {
            Ok(Some(value)) => Ok(value.to_vec()),
            Ok(None) => panic!("{key:?} is listed and not there"),
            Err(e @ Error::Corruption { .. }) => Err(e.to_string()),
            Err(e) => panic!("{e}"),
        };
        (key, value)
    })
    .collect()
}

/// A refused restore changes nothing; another leaves exactly what is in the backup, and what is backed up of that is the same.
fn check_restore(
    file: &[u8],
    decoded: &Result<(BackupHeader, Vec<BackedUp>), Error>,
    is_sound: bool,
) {
    let db = database();
    let before = content(&db);
    match db.restore_from(file, RestoreOptions::default()) {
        Ok(report) => {
            let (header, entries) = decoded.as_ref().expect("it was restored");
            assert!(header.base.is_none(), "an increment alone was restored");
            let after = content(&db);
            assert!(after.len() <= entries.len(), "there is more than was in the backup");
            check_content(&after, entries, header.expiry_floor_ms);
            assert!(report.entries >= after.len() as u64);
            let is_whole = after.values().all(Result::is_ok);
            assert!(is_whole || !is_sound, "a sound backup gives values that cannot be read");
            if is_whole {
                check_again(&db, &after);
            }
        }
        Err(e) => {
            let is_increment = matches!(decoded, Ok((header, _)) if header.base.is_some());
            // A value whose Snappy is damaged may be taken on as it is, to be damage when it is read; or be refused,
            // where it has to be looked into because it belongs into a table.
            assert!(decoded.is_err() || is_increment || !is_sound, "{e}");
            assert_eq!(content(&db), before, "{e}");
        }
    }
    db.set("after", "it").expect("it is open");
}

/// An increment comes into force upon the backup that it names, and upon no other; nothing else upon any.
fn check_chain(
    file: &[u8],
    decoded: &Result<(BackupHeader, Vec<BackedUp>), Error>,
    is_sound: bool,
) {
    let own = decoded.as_ref().ok().and_then(|(header, _)| Some((header, header.base?)));
    let (of, base) =
        own.map_or((DatabaseId(0x5eed), base(100)), |(header, base)| (header.database, base));
    let entry = |key: &[u8]| BackedUp {
        key: key.to_vec(),
        expires_at_ms: None,
        held: BackedUpValue::Inline(b"of the base".to_vec()),
    };
    let below: Vec<BackedUp> = [b"" as &[u8], b"key02", b"prefix"].map(entry).into();
    let full = |base: BackupRef| {
        let (backup, seq) = (base.id, base.seq);
        let (created_ms, expiry_floor_ms) = (1_704_067_200_000, 0);
        let header =
            BackupHeader { backup, database: of, seq, base: None, created_ms, expiry_floor_ms };
        write_backup(header, &below)
    };
    let db = database();
    let before = content(&db);
    let other = BackupRef { id: DatabaseId(base.id.0 ^ 1), ..base };
    let refused = db.restore_chain_from([full(other).as_slice(), file], RestoreOptions::default());
    refused.expect_err("upon another backup");
    assert_eq!(content(&db), before);
    let restored = db.restore_chain_from([full(base).as_slice(), file], RestoreOptions::default());
    let (Some((header, _)), Ok((_, entries))) = (own, decoded) else {
        restored.expect_err("no increment");
        assert_eq!(content(&db), before);
        return;
    };
    if let Err(e) = restored {
        assert!(!is_sound, "an increment upon its base: {e}");
        assert_eq!(content(&db), before);
        return;
    }
    let (after, floor_ms) = (content(&db), header.expiry_floor_ms);
    let (gone, set): (Vec<BackedUp>, Vec<BackedUp>) =
        entries.iter().cloned().partition(|entry| entry.held == BackedUpValue::Deleted);
    check_content(&after, &set, floor_ms);
    assert!(gone.iter().all(|entry| !after.contains_key(&entry.key)), "a delete was passed over");
    for BackedUp { key, .. } in &below {
        let is_newer = entries.iter().any(|entry| entry.key == *key);
        let is_as_below =
            matches!(after.get(key), Some(Ok(value)) if value.as_slice() == b"of the base");
        assert!(is_newer || is_as_below, "{key:?} of the base");
    }
    db.set("after", "it").expect("it is open");
}

/// Of the entries, all those are there that do not expire, each with its value.
fn check_content(after: &Content, entries: &[BackedUp], _floor_ms: u64) {
    for entry in entries {
        let BackedUp { key, expires_at_ms, held } = entry;
        let Some(found) = after.get(key) else {
            assert!(expires_at_ms.is_some(), "{key:?} was in the backup");
            continue;
        };
        let expected = match held {
            BackedUpValue::Inline(value) => Some(value.clone()),
            BackedUpValue::Apart { stored, is_compressed: false } => Some(stored.clone()),
            BackedUpValue::Apart { stored, .. } => {
                snap::raw::Decoder::new().decompress_vec(stored).ok()
            }
            BackedUpValue::Deleted => panic!("a delete in a full backup"),
        };
        // What Snappy refuses is damage, and never absence.
        assert_eq!(found.as_ref().ok(), expected.as_ref(), "{key:?}");
    }
}

/// The backup of a restored database gives what it holds to another.
fn check_again(db: &Db, content_of_it: &Content) {
    let mut backup = Vec::new();
    db.backup_to(&mut backup, BackupOptions::default()).expect("nothing is damaged");
    verify_backup_from(backup.as_slice()).expect("it was just written");
    let other = database();
    other.restore_from(backup.as_slice(), RestoreOptions::default()).expect("it is sound");
    assert_eq!(&content(&other), content_of_it);
}

/// The backup that an input stands for.
#[must_use]
pub fn file_of(data: &[u8]) -> Vec<u8> {
    match Input::<Recipe>::read(data) {
        Some(Input::File(file)) => file.to_vec(),
        Some(Input::Recipe(recipe)) => recipe.files().2,
        None => Vec::new(),
    }
}

/// Puts the backup's checksums right.
pub fn fix(file: &mut [u8]) {
    fix_backup(file);
}

/// Small backups, and recipes.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![of_noise(1, 300), of_noise(2, 1200)];
    let mut increments = Vec::new();
    for count in [0, 1, 20_u8] {
        let entry = |n: u8| {
            let value = match n % 4 {
                0 => Value::Inline([n; 4]),
                1 => Value::Long(n, 1200),
                2 => Value::Compressed(n, 3000),
                _ => Value::Long(n, 1),
            };
            BackedUp {
                key: format!("key{n:02}").into_bytes(),
                expires_at_ms: n.is_multiple_of(5).then_some(u64::from(n) << 40),
                held: value.held(false),
            }
        };
        let mut entries: Vec<BackedUp> = (0..count).map(entry).collect();
        let header = BackupHeader {
            backup: DatabaseId(11),
            database: DatabaseId(0x5eed),
            seq: SeqNo(100),
            base: None,
            created_ms: 1_704_067_200_000,
            expiry_floor_ms: 0,
        };
        seeds.push(of_file(&write_backup(header, &entries)));
        // An increment with the same in it, the last but for a delete.
        if count > 0 {
            entries.push(BackedUp {
                key: b"prefix".to_vec(),
                expires_at_ms: None,
                held: BackedUpValue::Deleted,
            });
            let header = BackupHeader { base: Some(base(100)), ..header };
            increments.push(of_file(&write_backup(header, &entries)));
        }
    }
    seeds.extend(increments);
    seeds
}

#[cfg(test)]
mod tests {
    /// In CI, libFuzzer made a recipe of a value of six bytes that says to hold 1.7 MiB in Snappy. The reader refuses that
    /// at the entry; the target took the backup for a valid one, because nothing had been done to it.
    #[test]
    fn snappy_that_states_what_it_cannot_hold_is_refused() {
        let recipe =
            [9, 9, 73, 251, 246, 246, 246, 246, 246, 246, 154, 107, 9, 121, 48, 50, 9, 9, 9];
        super::check(&recipe);
    }
}
