//! The log: headers, frames, operations, the chain of files, durable claims.

use crate::allocation::assert_bounded;
use crate::input::{Input, Key, Said, of_file, of_noise};
use crate::mutation::{Mutations, first_difference};
use crate::{IDENTITY, assert_located};
use arbitrary::Arbitrary;
use esker::Error;
use esker::fuzzing::{
    Batch, FileId, Identity, KEY_BYTES_MAX, LogFound, Operation, SeqNo, decode_log,
    decode_log_files, fix_log, write_log,
};

const HEADER_SIZE: usize = 48;
const FRAME_HEADER_SIZE: usize = 32;
const FILES_MAX: usize = 3;

/// One operation of a batch.
#[derive(Debug, Arbitrary)]
enum Step {
    Write(Key, Said),
    Floor(u64),
}

/// What the writer is to write, and what is then done to one of the files.
#[derive(Debug, Arbitrary)]
pub struct Recipe {
    base: u32,
    /// How far the durable claims lag behind, in bytes.
    lag_bytes: u16,
    batches: Vec<(Vec<Step>, u8)>,
    /// So many batches go into each file.
    batches_per_file: u8,
    /// Zeros behind the last frame of each file.
    padding: u8,
    damaged_file: u8,
    mutations: Mutations,
}

/// A valid log file.
#[derive(Clone)]
struct File {
    identity: Identity,
    base: u64,
    /// Header and frames.
    records: Vec<u8>,
    batches: Vec<Batch>,
}

impl Recipe {
    /// The files, one after the other.
    fn write(&self) -> Vec<File> {
        let per_file = usize::from(self.batches_per_file % 16).max(self.batches.len() / FILES_MAX);
        let mut files: Vec<File> = Vec::new();
        let (mut base, mut seq) = (u64::from(self.base), 1);
        let mut chunks: Vec<_> = self.batches.chunks(per_file + 1).take(FILES_MAX).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        for (number, chunk) in (IDENTITY.file.0..).zip(chunks) {
            let identity = Identity { file: FileId(number), ..IDENTITY };
            let mut batches = Vec::new();
            for (steps, skipped) in chunk {
                let batch = batch_of(steps, seq, 0);
                seq += batch.operations.len() as u64 + u64::from(*skipped);
                batches.push(batch);
            }
            // Where the frames stand does not depend on what they claim.
            let claim = |at: u64| at.saturating_sub(u64::from(self.lag_bytes));
            let records = write_log(identity, base, 0, &batches).expect("in memory");
            let found = decode_log(&records, identity, base).expect("a valid file");
            for (batch, found) in batches.iter_mut().zip(&found.batches) {
                batch.offset = found.offset;
                batch.durable = claim(base + found.offset);
            }
            let records = write_log(identity, base, claim(base), &batches).expect("in memory");
            let found = decode_log(&records, identity, base).expect("a valid file");
            assert_eq!((found.cut_at, &found.batches), (None, &batches), "as it was written");
            base += records.len() as u64;
            files.push(File { identity, base: base - records.len() as u64, records, batches });
        }
        files
    }

    /// Which of the files is damaged, and what becomes of it.
    fn damage(&self, files: &[File]) -> (usize, Vec<u8>) {
        let which = usize::from(self.damaged_file) % files.len();
        let file = &files[which];
        let mut parts = Vec::new();
        let mut start = 0;
        let ends = file.batches.iter().map(|batch| batch.offset);
        for end in ends.chain([file.records.len() as u64]) {
            let end = usize::try_from(end).expect("a small file");
            parts.push(file.records[start..end].to_vec());
            start = end;
        }
        parts.push(vec![0; usize::from(self.padding)]);
        let fix = |bytes: &mut [u8]| fix_log(bytes, file.identity);
        (which, self.mutations.apply(parts, fix))
    }
}

fn batch_of(steps: &[Step], first_seq: u64, durable: u64) -> Batch {
    let mut seq = first_seq;
    let mut operation = |step: &Step| match step {
        Step::Floor(floor_ms) => Operation::ExpiryFloor(*floor_ms),
        Step::Write(key, said) => {
            seq += 1;
            Operation::Entry(said.entry(key, seq - 1))
        }
    };
    let mut operations: Vec<Operation> = steps.iter().take(50).map(&mut operation).collect();
    if operations.is_empty() {
        operations.push(Operation::ExpiryFloor(first_seq));
    }
    Batch { offset: 0, sequence: SeqNo(first_seq), durable, operations }
}

/// Asserts what must hold of a log.
///
/// # Panics
/// When it does not.
pub fn check(data: &[u8]) {
    match Input::<Recipe>::read(data) {
        Some(Input::File(file)) => {
            // The manifest says where the first file begins; any that agrees.
            let base = file.get(32..40).and_then(|bytes| bytes.try_into().ok());
            let base = base.map_or(0, u64::from_le_bytes).min(1 << 60);
            drop(check_files(&[(IDENTITY.file, file)], base));
        }
        Some(Input::Recipe(recipe)) => {
            let files = recipe.write();
            let (which, damaged) = recipe.damage(&files);
            let padded: Vec<Vec<u8>> = (0..)
                .zip(&files)
                .map(|(number, file)| match number {
                    n if n == which => damaged.clone(),
                    _ => [&file.records[..], &vec![0; usize::from(recipe.padding)]].concat(),
                })
                .collect();
            let bytes: Vec<(FileId, &[u8])> =
                files.iter().zip(&padded).map(|(f, bytes)| (f.identity.file, &bytes[..])).collect();
            let found = check_files(&bytes, files[0].base);
            if !recipe.mutations.fix {
                check_damaged(&files, which, &damaged, found);
            }
        }
        None => {}
    }
}

/// Holds of any bytes.
fn check_files(files: &[(FileId, &[u8])], base: u64) -> Result<LogFound, Error> {
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let longest = files.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
    // A tombstone of the empty key takes two bytes, and as an operation in
    // memory some forty times that, twice while the list of them grows.
    let found =
        assert_bounded(bytes, 128, 16 << 10, || decode_log_files(files, IDENTITY.database, base));
    assert_located(&found, ".log", longest);
    let Ok(log) = &found else { return found };
    let mut last_seq = SeqNo::ZERO;
    let mut payload_bytes = 0;
    for batch in &log.batches {
        assert!(!batch.operations.is_empty(), "a batch of nothing");
        for operation in &batch.operations {
            let Operation::Entry(entry) = operation else { continue };
            // A memtable has each version once, and a table takes no other keys.
            assert!(entry.seq > last_seq, "{} comes after {last_seq}", entry.seq);
            assert!(entry.key.len() <= KEY_BYTES_MAX, "a key of {} bytes", entry.key.len());
            assert!(entry.seq < SeqNo::MAX, "nothing could be written after it");
            last_seq = entry.seq;
            payload_bytes += entry.key.len() + entry.payload.len();
        }
    }
    assert!(payload_bytes <= bytes && log.dropped_bytes <= bytes as u64);
    // Batches of several files need not rise from frame to frame as those of one.
    if files.len() > 1 {
        return found;
    }
    let again = write_log(IDENTITY, base, 0, &log.batches).expect("in memory");
    let again = decode_log(&again, IDENTITY, base).expect("what was just written");
    let operations = |log: &LogFound| -> Vec<Vec<Operation>> {
        log.batches.iter().map(|batch| batch.operations.clone()).collect()
    };
    assert_eq!(operations(&again), operations(log), "what is read is written, and read again");
    found
}

/// Holds of a valid log of which one file was damaged, checksums and all: what
/// stands before the damage is read and nothing else; and not even that where
/// something behind it claims that the damaged part had been durable.
fn check_damaged(files: &[File], which: usize, damaged: &[u8], found: Result<LogFound, Error>) {
    let file = &files[which];
    let difference = first_difference(&file.records, damaged).unwrap_or(usize::MAX);
    let difference = if difference >= file.records.len() { usize::MAX } else { difference };
    let starts: Vec<usize> =
        file.batches.iter().map(|b| usize::try_from(b.offset).expect("small")).collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([file.records.len()]).collect();
    let intact = ends.iter().take(starts.len()).filter(|&&end| end <= difference).count();
    let before: usize = files[..which].iter().map(|file| file.batches.len()).sum();
    let all: Vec<&Batch> = files.iter().flat_map(|file| &file.batches).collect();
    let expected = if difference == usize::MAX { all.len() } else { before + intact };

    if difference != usize::MAX {
        let broken_at = match starts.get(intact) {
            Some(start) if difference >= HEADER_SIZE => file.base + *start as u64,
            _ => file.base,
        };
        let heads = starts.iter().zip(&file.batches).skip(intact).filter(|(start, _)| {
            let head = **start..**start + FRAME_HEADER_SIZE;
            damaged.get(head.clone()) == file.records.get(head)
        });
        let behind = files[which + 1..].iter().flat_map(|file| &file.batches);
        let claim = heads.map(|(_, batch)| batch).chain(behind).map(|batch| batch.durable).max();
        if claim.is_some_and(|claim| claim > broken_at) {
            let error = found.expect_err("what had been durable is damaged");
            assert!(matches!(error, Error::Corruption { .. }), "{error}");
            return;
        }
    }
    // The claim in the header of a later file may be higher still.
    if let Ok(log) = found {
        let read: Vec<&Batch> = log.batches.iter().collect();
        assert_eq!(read, all[..expected], "{intact} batches of file {which} are intact");
        // Bytes that are dropped are told. A last file that goes on in zeros, or
        // not at all, is one that was written no further.
        let intact_end = match (starts.get(intact), difference) {
            (_, usize::MAX) => damaged.len(),
            (Some(start), HEADER_SIZE..) => *start,
            // A header may be torn before anything stands behind it.
            _ => HEADER_SIZE,
        };
        let rest = damaged.get(intact_end..).unwrap_or_default();
        let is_unwritten = which + 1 == files.len() && rest.iter().all(|&b| b == 0);
        if expected < all.len() && !is_unwritten {
            let lengths: Vec<usize> = files.iter().map(|file| file.records.len()).collect();
            assert!(
                log.cut_at.is_some(),
                "batches are dropped in silence: files of {lengths:?} bytes, number {which} has {} \
                 and is intact up to {intact_end}",
                damaged.len()
            );
        }
    } else {
        assert_ne!(difference, usize::MAX, "nothing that counts was damaged");
    }
}

/// The file that an input stands for; of several, the damaged one.
#[must_use]
pub fn file_of(data: &[u8]) -> Vec<u8> {
    match Input::<Recipe>::read(data) {
        Some(Input::File(file)) => file.to_vec(),
        Some(Input::Recipe(recipe)) => recipe.damage(&recipe.write()).1,
        None => Vec::new(),
    }
}

/// Puts the checksums of the file right.
pub fn fix(file: &mut [u8]) {
    fix_log(file, IDENTITY);
}

/// Small files, and recipes.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let entry = |step: u8| match step % 4 {
        0 => Step::Write(Key(vec![b'k', step]), Said::Delete),
        1 => Step::Write(Key(vec![b'k', step]), Said::Repeated(step, 20)),
        2 => Step::Write(Key(Vec::new()), Said::Expiring(u64::from(step), 3)),
        _ => Step::Floor(u64::from(step)),
    };
    let file = |batches: u8| {
        let batches: Vec<Batch> = (0..batches)
            .map(|n| {
                let steps: Vec<Step> = (n..n + 5).map(entry).collect();
                batch_of(&steps, 1 + 5 * u64::from(n), 0)
            })
            .collect();
        let records = write_log(IDENTITY, 0, 0, &batches).expect("in memory");
        of_file(&[records, vec![0; 40]].concat())
    };
    vec![file(0), file(1), file(8), of_noise(1, 300), of_noise(2, 1200), of_noise(3, 2500)]
}
