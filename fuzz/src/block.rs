//! A data block of a table: checksum, compression, entries, search.

use crate::allocation::assert_bounded;
use crate::input::{Entries, Input, of_file, of_noise};
use crate::mutation::Mutations;
use crate::{IDENTITY, assert_located};
use arbitrary::Arbitrary;
use esker::fuzzing::{BlockBytes, Entry, SeqNo, fix_block, store_block, write_block};
use esker::{Compression, Error};

const NAME: &str = "000007.tbl";
/// Where in its table the block stands.
const OFFSET: u64 = 0;

/// What the writer is to write, and what is then done to the block.
#[derive(Debug, Arbitrary)]
pub struct Recipe {
    entries: Entries,
    is_compressed: bool,
    /// The mutations are those of the payload, before it is compressed.
    is_payload_mutated: bool,
    mutations: Mutations,
}

impl Recipe {
    fn compression(&self) -> Compression {
        if self.is_compressed { Compression::Snappy } else { Compression::None }
    }

    /// The entries, and the block as it was and as it was damaged; `None`: no
    /// block has no entry.
    fn blocks(&self) -> Option<(Vec<Entry>, Vec<u8>, Vec<u8>)> {
        let entries = self.entries.sorted();
        if entries.is_empty() {
            return None;
        }
        let payload = write_block(&entries);
        let stored = store_block(&payload, self.compression(), IDENTITY, OFFSET);
        let damaged = if self.is_payload_mutated {
            let payload = self.mutations.apply(vec![payload], |_| {});
            store_block(&payload, self.compression(), IDENTITY, OFFSET)
        } else {
            self.mutations.apply(vec![stored.clone()], fix)
        };
        Some((entries, stored, damaged))
    }
}

/// Asserts what must hold of a block.
///
/// # Panics
/// When it does not.
pub fn check(data: &[u8]) {
    match Input::<Recipe>::read(data) {
        Some(Input::File(file)) => drop(check_stored(file)),
        Some(Input::Recipe(recipe)) => {
            let Some((entries, stored, damaged)) = recipe.blocks() else { return };
            let found = check_stored(&damaged);
            if damaged == stored {
                assert_eq!(found.expect("a valid block"), entries);
            } else if !recipe.mutations.fix && !recipe.is_payload_mutated {
                found.expect_err("a damaged block");
            }
        }
        None => {}
    }
}

/// Holds of any bytes.
fn check_stored(stored: &[u8]) -> Result<Vec<Entry>, Error> {
    // Three bytes of Snappy make 64.
    let block =
        assert_bounded(stored.len(), 64, 128 << 10, || BlockBytes::open(stored, IDENTITY, OFFSET));
    assert_located(&block, NAME, stored.len());
    let block = block?;
    let entries = block.entries();
    assert_eq!(entries.len(), block.entries_count());
    let mut backwards = block.entries_backwards();
    backwards.reverse();
    assert_eq!(entries, backwards, "backwards is forwards, reversed");
    assert!(entries.is_sorted_by(|a, b| a.order(b).is_lt()), "entries are in order");
    for entry in &entries {
        check_search(&block, &entries, &entry.key, entry.seq);
        check_search(&block, &entries, &entry.key, SeqNo(entry.seq.0.saturating_sub(1)));
        check_search(&block, &entries, &[&entry.key[..], &[0]].concat(), SeqNo::MAX);
        let shorter = entry.key.len().saturating_sub(1);
        check_search(&block, &entries, &entry.key[..shorter], SeqNo(1));
    }
    // What is read is written, and read again.
    let again = store_block(&write_block(&entries), Compression::None, IDENTITY, OFFSET);
    let again = BlockBytes::open(&again, IDENTITY, OFFSET).expect("what was just written");
    assert_eq!(again.entries(), entries);
    Ok(entries)
}

/// A search finds what a walk over all entries finds.
fn check_search(block: &BlockBytes, entries: &[Entry], key: &[u8], seq: SeqNo) {
    let probe = Entry {
        key: key.to_vec(),
        seq,
        kind: esker::fuzzing::EntryKind::Delete,
        payload: Vec::new(),
    };
    let expected = entries.partition_point(|entry| entry.order(&probe).is_lt());
    let is_key = entries.get(expected).is_some_and(|entry| entry.key == key);
    assert_eq!(block.lower_bound(key, seq), (expected, is_key), "{key:?} at {seq}");
}

/// The block that an input stands for.
#[must_use]
pub fn file_of(data: &[u8]) -> Vec<u8> {
    match Input::<Recipe>::read(data) {
        Some(Input::File(file)) => file.to_vec(),
        Some(Input::Recipe(recipe)) => {
            recipe.blocks().map_or_else(Vec::new, |(.., damaged)| damaged)
        }
        None => Vec::new(),
    }
}

/// Puts the block's checksum right.
pub fn fix(stored: &mut [u8]) {
    fix_block(stored, IDENTITY, OFFSET);
}

/// Small blocks, raw and compressed, and recipes.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![of_noise(1, 300), of_noise(2, 1200)];
    for compression in [Compression::None, Compression::Snappy] {
        for count in [1, 40] {
            let payload = write_block(&crate::table_open::seed_entries(count));
            seeds.push(of_file(&store_block(&payload, compression, IDENTITY, OFFSET)));
        }
    }
    seeds
}
