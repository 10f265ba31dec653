//! A manifest: header, edits, and the state that they add up to.

use crate::allocation::assert_bounded;
use crate::input::{Input, of_file, of_noise};
use crate::mutation::{Mutations, first_difference};
use crate::{IDENTITY, assert_located};
use arbitrary::Arbitrary;
use esker::Error;
use esker::fuzzing::{
    BackupRef, DatabaseId, Edit, Level, LogId, Properties, SeqNo, State, TableId, TableMeta,
    decode_manifest, fix_manifest, write_manifest,
};

const NAME: &str = "MANIFEST-000007";
const HEADER_SIZE: usize = 32;
const FRAME_HEADER_SIZE: usize = 32;

/// An edit to be written.
#[derive(Debug, Arbitrary)]
enum Step {
    Counters {
        log_min: u16,
        log_base: u32,
        opens: u16,
        seqs: u32,
        floor_ms: u64,
    },
    Add {
        level: u8,
        entries: u8,
        key: [u8; 3],
        digest: u64,
    },
    /// Has increments follow upon so many backups.
    Follow {
        count: u8,
        id: u64,
        seq: u16,
    },
    /// Removes one of the tables, and adds another in the same edit.
    Replace {
        which: u8,
        level: u8,
    },
}

/// What the writer is to write, and what is then done to the file.
#[derive(Debug, Arbitrary)]
pub struct Recipe {
    steps: Vec<Step>,
    mutations: Mutations,
}

/// A valid manifest.
struct Written {
    /// Its header, then its frames.
    parts: Vec<Vec<u8>>,
    /// The state after each frame.
    states: Vec<State>,
}

impl Recipe {
    fn write(&self) -> Written {
        let mut state = State::empty();
        let mut edits = Vec::new();
        for step in std::iter::once(None).chain(self.steps.iter().take(60).map(Some)) {
            let edit = edit_of(step, &state);
            state.apply(&edit).expect("an edit that fits");
            edits.push(edit);
        }
        let (bytes, states) = write_manifest(IDENTITY, &edits).expect("in memory");
        assert_eq!(states.last(), Some(&state));
        Written { parts: parts_of(&bytes), states }
    }

    fn file(&self, written: &Written) -> Vec<u8> {
        self.mutations.apply(written.parts.clone(), fix)
    }
}

/// Header and frames of a valid file.
fn parts_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (header, mut rest) = bytes.split_at(HEADER_SIZE);
    let mut parts = vec![header.to_vec()];
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[8..16].try_into().expect("8 bytes"));
        let end = FRAME_HEADER_SIZE + usize::try_from(length).expect("a small frame");
        let (frame, after) = rest.split_at(end);
        parts.push(frame.to_vec());
        rest = after;
    }
    parts
}

/// The edit that a step makes of a state; the first makes the first.
fn edit_of(step: Option<&Step>, state: &State) -> Edit {
    let table = |id: u64, entries: u64, key: &[u8], digest: u64| TableMeta {
        id: TableId(id),
        size_bytes: 100 + entries,
        digest,
        written_ms: 7,
        properties: Properties {
            entries,
            tombstones: entries / 2,
            smallest_key: key.to_vec(),
            largest_key: [key, b"~"].concat(),
            smallest_seq: SeqNo(state.last_seq.0 + 1),
            largest_seq: SeqNo(state.last_seq.0 + 1 + entries),
            ..Properties::default()
        },
    };
    let id = state.next_file;
    let adding = |level, meta: TableMeta, removed| Edit {
        next_file: Some(id + 1),
        last_seq: Some(meta.properties.largest_seq),
        added: vec![(level, meta)],
        removed,
        ..Edit::default()
    };
    match *step.unwrap_or(&Step::Counters {
        log_min: 1,
        log_base: 0,
        opens: 1,
        seqs: 0,
        floor_ms: 0,
    }) {
        Step::Counters { log_min, log_base, opens, seqs, floor_ms } => Edit {
            log_min: Some(LogId(state.log_min.0 + u64::from(log_min))),
            log_base: Some(u64::from(log_base)),
            opens: Some(state.opens + u64::from(opens)),
            next_file: Some(id + u64::from(log_min)),
            last_seq: Some(SeqNo(state.last_seq.0 + u64::from(seqs))),
            expiry_floor_ms: Some(floor_ms),
            ..Edit::default()
        },
        Step::Follow { count, id, seq } => {
            let backup = |n: u8| BackupRef {
                id: DatabaseId(id ^ u64::from(n)),
                seq: SeqNo(u64::from(seq) + u64::from(n)),
            };
            Edit { followed: Some((0..count % 20).map(backup).collect()), ..Edit::default() }
        }
        Step::Add { level, entries, key, digest } => {
            let table = table(id, u64::from(entries), &key, digest);
            adding(free_level(level, &table, state), table, Vec::new())
        }
        Step::Replace { which, level } => {
            let at = usize::from(which) % state.tables.len().max(1);
            let removed = state.tables.keys().nth(at).copied().into_iter().collect();
            let table = table(id, 1, b"", 0);
            adding(free_level(level, &table, state), table, removed)
        }
    }
}

/// A level that takes `table`: the one of that number, or else 0, whose tables may overlap.
fn free_level(number: u8, table: &TableMeta, state: &State) -> Level {
    let level = Level::new(number % 7).unwrap_or(Level::ZERO);
    let (smallest, largest) = (&table.properties.smallest_key, &table.properties.largest_key);
    let is_free = !state.tables.values().any(|(l, meta)| {
        let other = &meta.properties;
        *l == level && other.smallest_key <= *largest && *smallest <= other.largest_key
    });
    if is_free { level } else { Level::ZERO }
}

/// Asserts what must hold of a manifest.
///
/// # Panics
/// When it does not.
pub fn check(data: &[u8]) {
    match Input::<Recipe>::read(data) {
        Some(Input::File(file)) => drop(check_file(file)),
        Some(Input::Recipe(recipe)) => {
            let written = recipe.write();
            let file = recipe.file(&written);
            let state = check_file(&file);
            if !recipe.mutations.fix {
                check_damaged(&written, &file, state);
            }
        }
        None => {}
    }
}

/// Holds of any bytes: errors and memory have their bounds; a state that is
/// accepted is written and read back as it is.
fn check_file(file: &[u8]) -> Result<State, Error> {
    let state = assert_bounded(file.len(), 64, 16 << 10, || decode_manifest(file, IDENTITY));
    assert_located(&state, NAME, file.len());
    if let Ok(state) = &state {
        let (again, _) = write_manifest(IDENTITY, &[state.as_edit()]).expect("in memory");
        let again = decode_manifest(&again, IDENTITY).expect("what was just written");
        assert_eq!(&again, state);
    }
    state
}

/// Holds of a valid manifest that was damaged, checksums and all: it is read up
/// to the damage and no further, and not at all where an intact edit follows.
fn check_damaged(written: &Written, file: &[u8], state: Result<State, Error>) {
    let whole = written.parts.concat();
    let difference = first_difference(&whole, file).unwrap_or(usize::MAX);
    let (mut intact, mut end) = (0, 0);
    let mut follows_intact = false;
    for (number, part) in written.parts.iter().enumerate() {
        let start = end;
        end += part.len();
        if end <= difference {
            intact = number;
        } else if number > intact + 1 {
            // The header of a frame makes its claim without its body.
            let head = start..start + FRAME_HEADER_SIZE;
            follows_intact |= file.get(head.clone()) == whole.get(head);
        }
    }
    if let Ok(state) = state {
        assert!(difference >= written.parts[0].len(), "the header is damaged");
        assert!(!follows_intact, "edit {intact} is damaged, and one behind it is not");
        // Part 0 is the header, so part n is the n-th edit.
        let expected = intact.checked_sub(1).and_then(|before| written.states.get(before));
        assert_eq!(Some(&state), expected, "the state after edit {intact}");
    }
}

/// The file that an input stands for.
#[must_use]
pub fn file_of(data: &[u8]) -> Vec<u8> {
    match Input::<Recipe>::read(data) {
        Some(Input::File(file)) => file.to_vec(),
        Some(Input::Recipe(recipe)) => recipe.file(&recipe.write()),
        None => Vec::new(),
    }
}

/// Puts the checksums of the file right.
pub fn fix(file: &mut [u8]) {
    fix_manifest(file, IDENTITY);
}

/// A new database's, one with tables, and recipes.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let add = |level| Step::Add { level, entries: 9, key: *b"key", digest: 7 };
    let steps = vec![
        add(0),
        add(1),
        Step::Counters { log_min: 3, log_base: 9, opens: 1, seqs: 5, floor_ms: 1 },
        Step::Replace { which: 0, level: 1 },
    ];
    let of = |steps| {
        let mutations = Mutations { parts: Vec::new(), bytes: Vec::new(), fix: false };
        let recipe = Recipe { steps, mutations };
        of_file(&recipe.write().parts.concat())
    };
    vec![of(Vec::new()), of(steps), of_noise(1, 200), of_noise(2, 700)]
}
