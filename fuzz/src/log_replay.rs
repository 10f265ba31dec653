//! The log: headers, frames, operations, the chain of files, durable claims.
//!
//! A recipe writes a log of one to three files and damages one of them. What
//! recovery must make of it is worked out from the recipe, not from the bytes:
//! [`Expected`].

use crate::allocation::assert_bounded;
use crate::input::{Input, Key, Said, of_file, of_noise};
use crate::mutation::{Mutations, first_difference};
use crate::{IDENTITY, assert_located};
use arbitrary::{Arbitrary, Unstructured};
use esker::Error;
use esker::fuzzing::{
    Batch, DatabaseId, FileId, Identity, KEY_BYTES_MAX, LogFound, Operation, SeqNo, decode_log,
    decode_log_files, fix_log, write_log,
};

const HEADER_SIZE: usize = 48;
const FRAME_HEADER_SIZE: usize = 32;
const FILES_MAX: u8 = 3;
const BATCHES_MAX: u8 = 6;
const STEPS_MAX: u8 = 4;

/// One operation of a batch.
#[derive(Debug, Arbitrary)]
enum Step {
    Write(Key, Said),
    Floor(u64),
}

/// Up to where a header or a frame says that the log was durable.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Claim {
    /// Up to itself: no record can say more.
    Itself,
    /// So many bytes less.
    Behind(u8),
    Nothing,
}

impl Claim {
    fn of(self, position: u64) -> u64 {
        match self {
            Claim::Itself => position,
            Claim::Behind(bytes) => position.saturating_sub(u64::from(bytes)),
            Claim::Nothing => 0,
        }
    }
}

#[derive(Debug)]
struct PlannedBatch {
    claim: Claim,
    /// Sequence numbers left out behind it.
    skipped: u8,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct PlannedFile {
    claim: Claim,
    batches: Vec<PlannedBatch>,
}

/// So many of something as the next byte says, from `least` to `most`. A `Vec`
/// of `arbitrary` has one element on average.
fn several<'a, T: Arbitrary<'a>>(
    u: &mut Unstructured<'a>,
    least: u8,
    most: u8,
) -> arbitrary::Result<Vec<T>> {
    let count = least + u.arbitrary::<u8>()? % (most - least + 1);
    (0..count).map(|_| u.arbitrary()).collect()
}

impl<'a> Arbitrary<'a> for PlannedBatch {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let (claim, skipped) = (u.arbitrary()?, u.arbitrary()?);
        Ok(PlannedBatch { claim, skipped, steps: several(u, 1, STEPS_MAX)? })
    }
}

impl<'a> Arbitrary<'a> for PlannedFile {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(PlannedFile { claim: u.arbitrary()?, batches: several(u, 0, BATCHES_MAX)? })
    }
}

/// What becomes of the damaged file.
#[derive(Debug, Arbitrary)]
enum Fate {
    Mutated,
    Cut(u16),
    Lost,
    /// By another file of the log.
    Replaced(u8),
    /// By the same file of another database.
    Foreign,
}

/// What is to be written, and what is then done to one of the files.
#[derive(Debug)]
pub struct Recipe {
    base: u32,
    damaged_file: u8,
    fate: Fate,
    /// Zeros behind the last frame of each file.
    padding: u8,
    mutations: Mutations,
    files: Vec<PlannedFile>,
}

impl<'a> Arbitrary<'a> for Recipe {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Recipe {
            base: u.arbitrary()?,
            damaged_file: u.arbitrary()?,
            // Mostly its bytes are.
            fate: if u.ratio(3, 4)? { Fate::Mutated } else { u.arbitrary()? },
            padding: u.arbitrary()?,
            mutations: u.arbitrary()?,
            files: several(u, 1, FILES_MAX)?,
        })
    }
}

/// A valid log file.
#[derive(Clone)]
struct File {
    identity: Identity,
    base: u64,
    /// What its header claims.
    claim: u64,
    /// Header and frames.
    records: Vec<u8>,
    batches: Vec<Batch>,
}

impl File {
    fn write(identity: Identity, base: u64, plan: &PlannedFile, seq: &mut u64) -> Self {
        let mut batches: Vec<Batch> = Vec::new();
        for planned in &plan.batches {
            let batch = batch_of(&planned.steps, *seq, 0);
            *seq += batch.operations.len() as u64 + u64::from(planned.skipped);
            batches.push(batch);
        }
        // Where the frames stand does not depend on what they claim.
        let mut offset = HEADER_SIZE;
        let records = write_log(identity, base, 0, &batches);
        for (batch, planned) in batches.iter_mut().zip(&plan.batches) {
            batch.offset = offset as u64;
            batch.durable = planned.claim.of(base + batch.offset);
            let length = records[offset + 8..offset + 16].try_into().expect("8 bytes");
            let length = usize::try_from(u64::from_le_bytes(length)).expect("a small frame");
            offset += FRAME_HEADER_SIZE + length;
        }
        assert_eq!(offset, records.len());
        let claim = plan.claim.of(base);
        let records = write_log(identity, base, claim, &batches);
        File { identity, base, claim, records, batches }
    }

    fn starts(&self) -> Vec<usize> {
        self.batches.iter().map(|b| usize::try_from(b.offset).expect("small")).collect()
    }

    /// The largest claim in it.
    fn claim_max(&self) -> u64 {
        self.batches.iter().map(|batch| batch.durable).fold(self.claim, u64::max)
    }

    fn as_of(&self, database: DatabaseId) -> Vec<u8> {
        let identity = Identity { database, ..self.identity };
        write_log(identity, self.base, self.claim, &self.batches)
    }
}

impl Recipe {
    /// The files, one after the other.
    fn write(&self) -> Vec<File> {
        let mut files: Vec<File> = Vec::new();
        let (mut base, mut seq) = (u64::from(self.base), 1);
        for (number, plan) in (IDENTITY.file.0..).zip(&self.files) {
            let identity = Identity { file: FileId(number), ..IDENTITY };
            let file = File::write(identity, base, plan, &mut seq);
            base += file.records.len() as u64;
            files.push(file);
        }
        files
    }

    /// Which of the files is damaged, and what becomes of it; `None`: it is gone.
    fn damage(&self, files: &[File]) -> (usize, Option<Vec<u8>>) {
        let which = usize::from(self.damaged_file) % files.len();
        let file = &files[which];
        let damaged = match self.fate {
            Fate::Lost if files.len() > 1 => return (which, None),
            Fate::Mutated | Fate::Lost => self.mutated(file),
            Fate::Cut(at) => file.records[..usize::from(at) % (file.records.len() + 1)].to_vec(),
            Fate::Replaced(by) => files[usize::from(by) % files.len()].records.clone(),
            Fate::Foreign => file.as_of(DatabaseId(IDENTITY.database.0 + 1)),
        };
        (which, Some(damaged))
    }

    fn mutated(&self, file: &File) -> Vec<u8> {
        let starts = file.starts().into_iter().chain([file.records.len()]);
        let mut parts = Vec::new();
        starts.fold(0, |start, end| {
            parts.push(file.records[start..end].to_vec());
            end
        });
        parts.push(vec![0; usize::from(self.padding)]);
        self.mutations.apply(parts, |bytes| fix_log(bytes, file.identity))
    }
}

fn batch_of(steps: &[Step], first_seq: u64, durable: u64) -> Batch {
    let mut seq = first_seq;
    let operation = |step: &Step| match step {
        Step::Floor(floor_ms) => Operation::ExpiryFloor(*floor_ms),
        Step::Write(key, said) => {
            seq += 1;
            Operation::Entry(said.entry(key, seq - 1))
        }
    };
    let operations = steps.iter().map(operation).collect();
    Batch { offset: 0, sequence: SeqNo(first_seq), durable, operations }
}

/// What a log of which one file is damaged, checksums and all, must come to.
#[derive(Debug)]
enum Expected {
    /// `Corruption` at this offset of this file.
    Refused { file: usize, offset: usize },
    /// This.
    Read(LogFound),
}

impl Expected {
    /// The log ends exactly before the damage, and what is dropped is told;
    /// unless something that is intact claims that it had been durable.
    fn of(files: &[File], which: usize, damaged: Option<&[u8]>) -> Self {
        let (file, is_last) = (&files[which], which + 1 == files.len());
        let bytes = damaged.unwrap_or_default();
        let difference = first_difference(&file.records, bytes).unwrap_or(usize::MAX);
        let is_whole = damaged.is_some() && difference >= file.records.len();
        let is_headless = !is_whole && difference < HEADER_SIZE;
        let starts = file.starts();
        let ends = starts.iter().skip(1).copied().chain([file.records.len()]);
        let intact = ends.zip(&starts).filter(|&(end, _)| end <= difference).count();
        let intact = if is_headless { 0 } else { intact };
        let offset = starts.get(intact).copied().unwrap_or(file.records.len());
        let offset = if is_headless { 0 } else { offset };
        let dropped = record_end(bytes).saturating_sub(offset.max(HEADER_SIZE));

        let before = files[..which].iter().flat_map(|file| &file.batches);
        let batches = before.chain(&file.batches[..intact]).cloned().collect();
        let whole = |batches| Expected::Read(LogFound { batches, cut_at: None, dropped_bytes: 0 });
        if is_whole && !is_last {
            // The next file says where this one ended, whatever stands behind that.
            let after = files[which + 1..].iter().flat_map(|file| &file.batches);
            return whole([batches, after.cloned().collect()].concat());
        }
        if is_headless && which == 0 {
            // The manifest names it; when it is gone, the next is taken for it.
            return Expected::Refused { file: usize::from(damaged.is_none()), offset: 0 };
        }
        if is_last && dropped == 0 {
            // It goes on in zeros or not at all, as one that was written no
            // further or never begun: nothing that could be told.
            return whole(batches);
        }
        let position = file.base + offset as u64;
        let heads = starts.iter().zip(&file.batches).skip(intact).filter(|(start, _)| {
            let head = **start..**start + FRAME_HEADER_SIZE;
            bytes.get(head.clone()) == file.records.get(head)
        });
        let later = &files[which + 1..];
        let claims = heads.map(|(_, batch)| batch.durable).chain(later.iter().map(File::claim_max));
        if claims.max().is_some_and(|claim| claim > position) {
            if damaged.is_none() {
                // What is known to be missing is missing behind the file before.
                return Expected::Refused {
                    file: which - 1,
                    offset: files[which - 1].records.len(),
                };
            }
            // A file without anything in it is passed over until the next
            // shows that it begins too late.
            let file = which + usize::from(is_headless && dropped == 0);
            return Expected::Refused { file, offset };
        }
        let behind = later.iter().map(|file| record_end(&file.records).saturating_sub(HEADER_SIZE));
        let dropped_bytes = (dropped + behind.sum::<usize>()) as u64;
        Expected::Read(LogFound { batches, cut_at: Some(position), dropped_bytes })
    }

    fn assert_is(&self, found: &Result<LogFound, Error>, files: &[File]) {
        match (self, found) {
            (Expected::Read(expected), Ok(log)) => assert_eq!(log, expected),
            (Expected::Refused { file, offset }, Err(e)) => {
                let Error::Corruption { file: path, offset: at, .. } = e else { panic!("{e:?}") };
                let name = format!("{:06}.log", files[*file].identity.file.0);
                assert!(path.ends_with(&name), "{} is damaged, not {name}", path.display());
                assert_eq!(*at, *offset as u64, "{e}");
            }
            (expected, found) => panic!("{found:?} instead of {expected:?}"),
        }
    }
}

/// Where the last byte that is not zero ends.
fn record_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1)
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
            let mut bytes: Vec<Option<Vec<u8>>> = files
                .iter()
                .map(|file| [&file.records[..], &vec![0; usize::from(recipe.padding)]].concat())
                .map(Some)
                .collect();
            bytes[which].clone_from(&damaged);
            let present: Vec<(FileId, &[u8])> = files
                .iter()
                .zip(&bytes)
                .filter_map(|(file, bytes)| Some((file.identity.file, bytes.as_deref()?)))
                .collect();
            let found = check_files(&present, files[0].base);
            let is_mended = matches!(recipe.fate, Fate::Mutated | Fate::Lost)
                && damaged.is_some()
                && recipe.mutations.fix;
            if !is_mended {
                Expected::of(&files, which, damaged.as_deref()).assert_is(&found, &files);
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
    let mut before: Option<&Batch> = None;
    for batch in &log.batches {
        assert!(!batch.operations.is_empty(), "a batch of nothing");
        // Within a file, where offsets rise; floors take no number.
        let is_same_file = before.is_some_and(|before| before.offset < batch.offset);
        let rises = before.is_none_or(|before| before.sequence < batch.sequence);
        assert!(rises || !is_same_file, "{batch:?} comes after {before:?}");
        before = Some(batch);
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
    let again = write_log(IDENTITY, base, 0, &log.batches);
    let again = decode_log(&again, IDENTITY, base).expect("what was just written");
    let operations = |log: &LogFound| -> Vec<Vec<Operation>> {
        log.batches.iter().map(|batch| batch.operations.clone()).collect()
    };
    assert_eq!(operations(&again), operations(log), "what is read is written, and read again");
    found
}

/// The file that an input stands for; of several, the damaged one.
#[must_use]
pub fn file_of(data: &[u8]) -> Vec<u8> {
    match Input::<Recipe>::read(data) {
        Some(Input::File(file)) => file.to_vec(),
        Some(Input::Recipe(recipe)) => recipe.damage(&recipe.write()).1.unwrap_or_default(),
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
        let records = write_log(IDENTITY, 0, 0, &batches);
        of_file(&[records, vec![0; 40]].concat())
    };
    let recipes = (1..=6).map(|seed| of_noise(seed, 300));
    [file(0), file(1), file(8)].into_iter().chain(recipes).collect()
}
