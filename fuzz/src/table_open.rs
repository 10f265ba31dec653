//! A table: footer, filter, index, every block, iteration both ways, cached and
//! streamed, searches.

use crate::allocation::assert_bounded;
use crate::input::{Entries, Input, of_file, of_noise};
use crate::mutation::{ByteEdit, Mutations, PartEdit, first_difference};
use crate::{IDENTITY, assert_located};
use arbitrary::Arbitrary;
use esker::fuzzing::{
    Entry, EntryKind, SeqNo, TableBytes, TableMeta, TableParts, fix_block, fix_table,
    set_table_digest, table_meta_of, write_table,
};
use esker::{Compression, Error};

const NAME: &str = "000007.tbl";
const TRAILER_SIZE: usize = 5;
/// So many entries of a table are searched for, each in several ways.
const SEARCHES_MAX: usize = 200;

/// What the writer is to write, and what is then done to the table.
#[derive(Debug, Arbitrary)]
pub struct Recipe {
    entries: Entries,
    block_bytes: u16,
    is_compressed: bool,
    /// With checksums put right: which blocks are where.
    blocks: Vec<PartEdit>,
    /// And what is in them.
    payloads: Vec<(u8, ByteEdit)>,
    /// And what is in the filter.
    filter: Vec<ByteEdit>,
    /// Without: a block that is intact but not the one that the index has, as
    /// an older one would be.
    stale: Option<(u8, u32, u8)>,
    mutations: Mutations,
}

impl Recipe {
    fn write(&self) -> (Vec<Entry>, Vec<u8>, TableMeta) {
        let entries = self.entries.sorted();
        let compression = if self.is_compressed { Compression::Snappy } else { Compression::None };
        let block_bytes = usize::from(self.block_bytes % 2048);
        let (bytes, meta) =
            write_table(IDENTITY, block_bytes, compression, &entries).expect("in memory");
        (entries, bytes, meta)
    }

    fn file(&self, written: &[u8]) -> Vec<u8> {
        let mut bytes = written.to_vec();
        if self.mutations.fix {
            let mut parts = TableParts::of(&bytes, IDENTITY).expect("a valid table");
            self.blocks.iter().take(20).for_each(|edit| edit.apply(&mut parts.blocks));
            for (number, edit) in self.payloads.iter().take(20) {
                let at = usize::from(*number) % parts.blocks.len().max(1);
                if let Some(block) = parts.blocks.get_mut(at) {
                    edit.apply(&mut block.payload);
                }
            }
            self.filter.iter().take(20).for_each(|edit| edit.apply(&mut parts.filter));
            bytes = parts.assemble(IDENTITY);
        } else if let Some((number, at, bit)) = self.stale {
            make_stale(&mut bytes, usize::from(number), at as usize, bit);
        }
        self.mutations.apply(vec![bytes], fix)
    }
}

/// Flips a bit in a block and puts the block's own checksum right.
fn make_stale(bytes: &mut [u8], number: usize, at: usize, bit: u8) {
    let parts = TableParts::of(bytes, IDENTITY).expect("a valid table");
    let mut start = 0;
    for (index, block) in parts.blocks.iter().enumerate() {
        let end = start + block.payload.len() + TRAILER_SIZE;
        if index == number % parts.blocks.len() {
            bytes[start + at % block.payload.len()] ^= 1 << (bit % 8);
            fix_block(&mut bytes[start..end], IDENTITY, start as u64);
        }
        start = end;
    }
}

/// Asserts what must hold of a table.
///
/// # Panics
/// When it does not.
pub fn check(data: &[u8]) {
    match Input::<Recipe>::read(data) {
        Some(Input::File(file)) => check_file(file),
        Some(Input::Recipe(recipe)) => {
            let (entries, written, meta) = recipe.write();
            let file = recipe.file(&written);
            check_file(&file);
            if recipe.mutations.fix {
                check_another(&meta, &file);
            } else {
                check_damaged(&entries, &written, &meta, &file);
            }
        }
        None => {}
    }
}

/// Holds of any bytes, with the manifest that would go with them.
fn check_file(file: &[u8]) {
    let meta = table_meta_of(file, IDENTITY);
    assert_located(&meta, NAME, file.len());
    let Ok(meta) = meta else { return };
    let open = || TableBytes::open(file, IDENTITY, &meta, 0);
    let table = open();
    assert_located(&table, NAME, file.len());
    let table = table.expect("in memory");
    // Before its head is in memory.
    let looked = assert_bounded(file.len(), 64, 256 << 10, || table.look(b"key", SeqNo::MAX));
    assert_located(&looked, NAME, file.len());
    // Filter, index, and one block at a time. Three bytes of Snappy make 64.
    let verified = assert_bounded(file.len(), 128, 256 << 10, || table.verify());
    assert_located(&verified, NAME, file.len());
    let forwards = table.entries();
    assert_located(&forwards, NAME, file.len());
    let backwards = table.entries_backwards();
    assert_located(&backwards, NAME, file.len());
    assert_streamed(&table, &forwards, &backwards, file.len());
    let Ok(forwards) = forwards else {
        backwards.expect_err("a table that cannot be read forwards");
        verified.expect_err("a table that cannot be read");
        return;
    };
    let mut backwards = backwards.expect("a table that can be read forwards");
    backwards.reverse();
    assert_eq!(forwards, backwards, "backwards is forwards, reversed");
    if verified.is_ok() {
        check_verified(&table, &meta, &forwards);
    } else {
        for entry in forwards.iter().take(SEARCHES_MAX) {
            let found = table.get(&entry.key, entry.seq).expect("all blocks can be read");
            assert_eq!(table.look(&entry.key, entry.seq).expect("likewise"), found);
            // Blocks may be where the index does not have them, but a search
            // gives no other key.
            assert!(found.is_none_or(|found| found.key == entry.key));
        }
    }
}

/// A stream gives what a cursor gives, and fails where that does.
fn assert_streamed(
    table: &TableBytes,
    forwards: &Result<Vec<Entry>, Error>,
    backwards: &Result<Vec<Entry>, Error>,
    file_size: usize,
) {
    for (expected, streamed) in [(forwards, table.stream()), (backwards, table.stream_backwards())]
    {
        assert_located(&streamed, NAME, file_size);
        match (expected, streamed) {
            (Ok(expected), Ok(streamed)) => assert_eq!(&streamed, expected),
            (Err(expected), Err(error)) => assert_eq!(error.to_string(), expected.to_string()),
            (expected, streamed) => panic!("a cursor: {expected:?}; a stream: {streamed:?}"),
        }
    }
}

/// Holds of a table that is not the one that the manifest means, as an older
/// one would be: nothing of it is read. Also where its footer says that it is.
fn check_another(meta: &TableMeta, file: &[u8]) {
    let Ok(found) = table_meta_of(file, IDENTITY) else { return };
    if found.digest == meta.digest {
        return;
    }
    assert_refused(meta, file);
    let mut disguised = file.to_vec();
    set_table_digest(&mut disguised, IDENTITY, meta.digest);
    assert_refused(meta, &disguised);
}

fn assert_refused(meta: &TableMeta, file: &[u8]) {
    let Ok(table) = TableBytes::open(file, IDENTITY, meta, 0) else { return };
    let (key, seq) = (b"", SeqNo::MAX);
    let looked = table.look(key, seq).map(drop);
    let read = [table.verify(), table.entries().map(drop), table.get(key, seq).map(drop)];
    for read in read.into_iter().chain([looked]) {
        assert_located(&read, NAME, file.len());
        read.expect_err("a table of another digest than the manifest has");
    }
}

/// A table that agrees with itself: in order, and searches find what a walk
/// over all entries finds.
fn check_verified(table: &TableBytes, meta: &TableMeta, entries: &[Entry]) {
    assert!(entries.is_sorted_by(|a, b| a.order(b).is_lt()), "entries are in order");
    assert_eq!(entries.len() as u64, meta.properties.entries);
    for entry in entries.iter().take(SEARCHES_MAX) {
        for (key, seq) in [
            (entry.key.clone(), entry.seq),
            (entry.key.clone(), SeqNo::MAX),
            (entry.key.clone(), SeqNo(entry.seq.0.saturating_sub(1))),
            ([&entry.key[..], &[0]].concat(), SeqNo(3)),
            (entry.key[..entry.key.len().saturating_sub(1)].to_vec(), SeqNo(3)),
        ] {
            check_search(table, entries, key, seq);
        }
    }
}

fn check_search(table: &TableBytes, entries: &[Entry], key: Vec<u8>, seq: SeqNo) {
    let probe = Entry { key, seq, kind: EntryKind::Delete, payload: Vec::new() };
    let at = entries.partition_point(|entry| entry.order(&probe).is_lt());
    let after = entries.get(at);
    let before = at.checked_sub(1).and_then(|at| entries.get(at));
    let found = table.get(&probe.key, seq).expect("a verified table");
    assert_eq!(table.look(&probe.key, seq).expect("likewise"), found, "look {probe:?}");
    assert_eq!(found.as_ref(), after.filter(|entry| entry.key == probe.key), "get {probe:?}");
    let found = table.seek(&probe.key, seq).expect("a verified table");
    assert_eq!(found.as_ref(), after, "seek {probe:?}");
    let found = table.seek_before(&probe.key, seq).expect("a verified table");
    assert_eq!(found.as_ref(), before, "seek_before {probe:?}");
}

/// Holds of a valid table that was damaged, checksums and all: what it gives
/// is what was written, and the undamaged blocks give all of it.
fn check_damaged(entries: &[Entry], written: &[u8], meta: &TableMeta, file: &[u8]) {
    let table = TableBytes::open(file, IDENTITY, meta, 0);
    assert_located(&table, NAME, file.len().max(written.len()));
    let table = table.expect("in memory");
    let is_damaged = first_difference(written, file).is_some();
    assert_eq!(table.verify().is_err(), is_damaged, "verify finds any damage");
    let all = table.entries();
    assert_located(&all, NAME, file.len());
    assert!(all.is_err() || all.is_ok_and(|all| all == entries), "other entries");

    let parts = TableParts::of(written, IDENTITY).expect("a valid table");
    let data_bytes: usize = parts.blocks.iter().map(|b| b.payload.len() + TRAILER_SIZE).sum();
    let is_index_intact = file.get(data_bytes..) == written.get(data_bytes..);
    for entry in entries {
        for found in [table.look(&entry.key, entry.seq), table.get(&entry.key, entry.seq)] {
            assert_located(&found, NAME, file.len());
            if let Ok(found) = found {
                assert_eq!(found.as_ref(), Some(entry), "damage is read as absence");
            }
        }
    }
    if !is_index_intact {
        return;
    }
    // Entry after entry, block after block.
    let (mut rest, mut start) = (entries, 0);
    for (number, block) in parts.blocks.iter().enumerate() {
        let end = start + block.payload.len() + TRAILER_SIZE;
        let next = parts.blocks.get(number + 1);
        let count = next.map_or(rest.len(), |next| {
            let (key, seq) = next.separator.clone();
            let probe = Entry { key, seq, kind: EntryKind::Delete, payload: Vec::new() };
            rest.partition_point(|entry| entry.order(&probe).is_lt())
        });
        let (mine, others) = rest.split_at(count);
        if file[start..end] == written[start..end] {
            for entry in mine {
                for found in [table.look(&entry.key, entry.seq), table.get(&entry.key, entry.seq)] {
                    assert!(found.is_ok(), "block {number} is intact: {found:?}");
                }
            }
        }
        (rest, start) = (others, end);
    }
}

/// The table that an input stands for.
#[must_use]
pub fn file_of(data: &[u8]) -> Vec<u8> {
    match Input::<Recipe>::read(data) {
        Some(Input::File(file)) => file.to_vec(),
        Some(Input::Recipe(recipe)) => recipe.file(&recipe.write().1),
        None => Vec::new(),
    }
}

/// Puts the checksums of the table right.
pub fn fix(file: &mut [u8]) {
    fix_table(file, IDENTITY);
}

/// So many entries: versions of keys, tombstones, expiries.
#[must_use]
pub(crate) fn seed_entries(count: u8) -> Vec<Entry> {
    let mut entries: Vec<Entry> = (0..count)
        .map(|i| Entry {
            key: [b"key", &[b'0' + i / 3][..]].concat(),
            seq: SeqNo(u64::from(i) + 1),
            kind: if i % 5 == 4 { EntryKind::Delete } else { EntryKind::Set },
            payload: if i % 5 == 4 { Vec::new() } else { vec![i / 8; usize::from(i)] },
        })
        .collect();
    entries.sort_by(Entry::order);
    entries
}

/// Small tables, raw and compressed, and recipes.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![of_noise(1, 300), of_noise(2, 1200)];
    for (count, block_bytes, compression) in [
        (0, 100, Compression::None),
        (40, 150, Compression::None),
        (60, 300, Compression::Snappy),
        (60, 4096, Compression::Snappy),
    ] {
        let (bytes, _) = write_table(IDENTITY, block_bytes, compression, &seed_entries(count))
            .expect("in memory");
        seeds.push(of_file(&bytes));
    }
    seeds
}
