//! Tables as a whole.

mod damage;
mod fill;
mod io;
mod looks;
#[cfg(all(target_os = "linux", not(miri)))]
mod memory;
mod model;
mod preload;
mod reads;

use super::*;
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::{DatabaseId, EntryKind, EntryRef, KeyHash, SeqNo, TableId};
use crate::fs::disk::DiskFs;
use crate::fs::{Fs, OpenFiles};
use crate::iter::Cursor;
use crate::options::Compression;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const DATABASE: DatabaseId = DatabaseId(0x0123_4567_89ab_cdef);
const ID: TableId = TableId(7);

/// Entries in the order of a table.
type Model = BTreeMap<Place, Said>;
type Place = (Vec<u8>, Reverse<u64>);
type Said = (EntryKind, Vec<u8>);

type Owned = (Vec<u8>, u64, EntryKind, Vec<u8>);

fn owned(entry: EntryRef<'_>) -> Owned {
    (entry.key.to_vec(), entry.seq.0, entry.kind, entry.payload.to_vec())
}

fn item(((key, seq), (kind, payload)): (&Place, &Said)) -> Owned {
    (key.clone(), seq.0, *kind, payload.clone())
}

fn options(block_bytes: usize, compression: Compression) -> TableOptions {
    TableOptions { block_bytes, compression }
}

fn write_as(
    database: DatabaseId,
    id: TableId,
    dir: &Path,
    model: &Model,
    o: TableOptions,
) -> TableMeta {
    let mut builder = TableBuilder::create(&DiskFs::new(), dir, database, id, o).expect("create");
    for ((key, seq), (kind, payload)) in model {
        builder.add(EntryRef { key, seq: SeqNo(seq.0), kind: *kind, payload }).expect("add");
    }
    builder.finish().expect("finish")
}

fn write(dir: &Path, model: &Model, o: TableOptions) -> TableMeta {
    write_as(DATABASE, ID, dir, model, o)
}

fn open_on(fs: Arc<dyn Fs>, dir: &Path, meta: &TableMeta, cache_bytes: usize) -> Arc<Table> {
    let cache = Arc::new(BlockCache::new(cache_bytes));
    let heads = Arc::new(HeadMemory::new(256 << 20));
    let files = Arc::new(OpenFiles::new(fs));
    Arc::new(Table::open(files, dir, DATABASE, meta, cache, heads))
}

fn open(dir: &Path, meta: &TableMeta, cache_bytes: usize) -> Arc<Table> {
    open_on(Arc::new(DiskFs::new()), dir, meta, cache_bytes)
}

fn get(table: &Arc<Table>, key: &[u8], seq: SeqNo) -> Result<Option<reader::TableEntry>> {
    table.get(key, KeyHash::of(key), seq)
}

/// The same, without the head.
fn look(table: &Arc<Table>, key: &[u8], seq: SeqNo) -> Result<Option<reader::TableEntry>> {
    table.look(key, KeyHash::of(key), seq)
}

fn set(model: &mut Model, key: &[u8], seq: u64, payload: &[u8]) {
    model.insert((key.to_vec(), Reverse(seq)), (EntryKind::Set, payload.to_vec()));
}

fn scan(table: &Arc<Table>) -> Result<Vec<Owned>> {
    collect(table.cursor())
}

fn collect(mut cursor: TableCursor) -> Result<Vec<Owned>> {
    let mut all = Vec::new();
    cursor.seek_first()?;
    while let Some(entry) = cursor.entry() {
        all.push(owned(entry));
        cursor.next()?;
    }
    Ok(all)
}

/// A small table with several blocks, compressed and raw ones, versions of one
/// key across blocks, and all kinds.
fn small_model() -> Model {
    let mut model = Model::new();
    for i in 0..6u8 {
        set(&mut model, &[b'k', i], 50 + u64::from(i), &[i; 40]);
    }
    for seq in 1..6 {
        set(&mut model, b"versions", seq, &[b'v'; 15]);
    }
    set(&mut model, b"", 3, b"empty key");
    model.insert((b"gone".to_vec(), Reverse(9)), (EntryKind::Delete, vec![]));
    model.insert((b"ttl".to_vec(), Reverse(8)), (EntryKind::SetExpiring, vec![1; 9]));
    model
}

/// Once refused: the index held a block to be no smaller than its tail, but
/// Snappy stored this one in 19 bytes.
#[test]
fn a_block_may_be_stored_in_less_than_its_tail() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut model = Model::new();
    model.insert((vec![], Reverse(0)), (EntryKind::Delete, vec![]));
    let meta = write(dir.path(), &model, options(4096, Compression::Snappy));
    let table = open(dir.path(), &meta, 0);
    assert_eq!(scan(&table).expect("sound"), model.iter().map(item).collect::<Vec<_>>());
}

#[test]
fn huge_values_stand_in_blocks_of_their_own() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut model = Model::new();
    let mut noise = 1u64;
    let random: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        noise.to_be_bytes()[0]
    })
    .take(3 << 20)
    .collect();
    set(&mut model, b"a", 1, b"small");
    set(&mut model, b"b", 2, &random);
    set(&mut model, b"c", 3, &vec![b'z'; 20 << 20]);
    set(&mut model, &[0xff; crate::format::KEY_BYTES_MAX], 4, b"small");
    let meta = write(dir.path(), &model, options(4096, Compression::Snappy));
    assert!(meta.size_bytes < 5 << 20, "{}", meta.size_bytes);
    let table = open(dir.path(), &meta, 1 << 20);
    for entry in model.iter().map(item) {
        let found = get(&table, &entry.0, SeqNo::MAX).expect("sound").expect("there");
        assert!(owned(found.entry()) == entry, "{} bytes", entry.3.len());
    }
    assert!(scan(&table).expect("sound") == model.iter().map(item).collect::<Vec<_>>());
}

#[test]
fn a_table_is_not_written_over_another_file() {
    let dir = tempfile::tempdir().expect("tempdir");
    let o = options(100, Compression::None);
    write(dir.path(), &Model::new(), o);
    let error = TableBuilder::create(&DiskFs::new(), dir.path(), DATABASE, ID, o);
    assert!(matches!(error, Err(Error::Io { .. })));
}

#[test]
fn readers_of_many_threads_share_a_table() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut model = Model::new();
    for i in 0..2000u32 {
        set(&mut model, format!("key{i:05}").as_bytes(), 1, &i.to_le_bytes());
    }
    let meta = write(dir.path(), &model, options(256, Compression::Snappy));
    let table = open(dir.path(), &meta, 8 << 10);
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let table = &table;
            scope.spawn(move || {
                for i in (0..2000).map(|i| (i * 7 + thread * 31) % 2000u32) {
                    let key = format!("key{i:05}");
                    let found =
                        get(table, key.as_bytes(), SeqNo(1)).expect("sound").expect("there");
                    assert_eq!(found.entry().payload, i.to_le_bytes());
                }
            });
        }
    });
}
