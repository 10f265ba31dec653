//! Tables as a whole: against a model, and against damage.

use super::*;
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::{DatabaseId, EntryKind, EntryRef, SeqNo, TableId};
use crate::fs::disk::DiskFs;
use crate::iter::Cursor;
use crate::options::Compression;
use proptest::prelude::*;
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

fn open(dir: &Path, meta: &TableMeta, cache_bytes: usize) -> Result<Arc<Table>> {
    let cache = Arc::new(BlockCache::new(cache_bytes));
    Table::open(&DiskFs::new(), dir, DATABASE, meta, cache).map(Arc::new)
}

fn set(model: &mut Model, key: &[u8], seq: u64, payload: &[u8]) {
    model.insert((key.to_vec(), Reverse(seq)), (EntryKind::Set, payload.to_vec()));
}

fn scan(table: &Arc<Table>) -> Result<Vec<Owned>> {
    let mut cursor = table.cursor();
    let mut all = Vec::new();
    cursor.seek_first()?;
    while let Some(entry) = cursor.entry() {
        all.push(owned(entry));
        cursor.next()?;
    }
    Ok(all)
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => proptest::collection::vec(prop_oneof![Just(0u8), Just(b'a'), Just(0xff)], 0..6),
        2 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => (0..3u8).prop_map(|n| vec![n; 300]),
        1 => Just(vec![0xff; crate::format::KEY_BYTES_MAX]),
    ]
}

fn any_entry() -> impl Strategy<Value = (EntryKind, Vec<u8>)> {
    let bytes = prop_oneof![
        6 => proptest::collection::vec(any::<u8>(), 0..20),
        2 => (0..200usize).prop_map(|n| vec![b'x'; n]),
        1 => Just(vec![b'y'; 70_000]),
    ];
    (0..3u8, bytes).prop_map(|(kind, bytes)| match kind {
        0 => (EntryKind::Delete, vec![]),
        1 => (EntryKind::Set, bytes),
        _ => (EntryKind::SetExpiring, [&[9; 8][..], &bytes].concat()),
    })
}

fn any_model() -> impl Strategy<Value = Model> {
    let seq = prop_oneof![4 => 0..30u64, 1 => Just(SeqNo::MAX.0), 1 => 0..1u64 << 56];
    proptest::collection::btree_map((any_key(), seq.prop_map(Reverse)), any_entry(), 0..80)
}

fn any_options() -> impl Strategy<Value = TableOptions> {
    (
        prop_oneof![Just(1usize), Just(64), Just(256), Just(4096)],
        prop_oneof![Just(Compression::None), Just(Compression::Snappy)],
    )
        .prop_map(|(block_bytes, compression)| options(block_bytes, compression))
}

#[derive(Debug, Clone)]
enum Move {
    First,
    Last,
    Seek(Vec<u8>, u64),
    SeekBefore(Vec<u8>, u64),
    /// To an entry that is there, by number, and how far its seq is missed.
    SeekNear(proptest::sample::Index, i64),
    SeekBeforeNear(proptest::sample::Index, i64),
    Next,
    Prev,
}

fn any_move() -> impl Strategy<Value = Move> {
    let index = || any::<proptest::sample::Index>();
    prop_oneof![
        1 => Just(Move::First),
        1 => Just(Move::Last),
        1 => (any_key(), 0..31u64).prop_map(|(k, s)| Move::Seek(k, s)),
        1 => (any_key(), 0..31u64).prop_map(|(k, s)| Move::SeekBefore(k, s)),
        1 => (index(), -1..2i64).prop_map(|(i, d)| Move::SeekNear(i, d)),
        1 => (index(), -1..2i64).prop_map(|(i, d)| Move::SeekBeforeNear(i, d)),
        4 => Just(Move::Next),
        4 => Just(Move::Prev),
    ]
}

/// Plays one move on a list of all entries; `at` is where the cursor stands.
fn play(cursor: &mut TableCursor, all: &[Owned], at: Option<usize>, step: Move) -> Option<usize> {
    let before = |(key, seq): &(Vec<u8>, u64)| {
        all.partition_point(|e| (&e.0, Reverse(e.1)) < (key, Reverse(*seq)))
    };
    let near = |i: proptest::sample::Index, d: i64| {
        let entry = all.get(i.index(all.len().max(1)));
        entry.map_or((vec![], 0), |e| (e.0.clone(), e.1.saturating_add_signed(d).min(SeqNo::MAX.0)))
    };
    let moved = match step {
        Move::First => (cursor.seek_first(), Some(0)),
        Move::Last => (cursor.seek_last(), all.len().checked_sub(1)),
        Move::Seek(key, seq) => (cursor.seek(&key, SeqNo(seq)), Some(before(&(key, seq)))),
        Move::SeekBefore(key, seq) => {
            (cursor.seek_before(&key, SeqNo(seq)), before(&(key, seq)).checked_sub(1))
        }
        Move::SeekNear(i, d) => {
            let to = near(i, d);
            (cursor.seek(&to.0, SeqNo(to.1)), Some(before(&to)))
        }
        Move::SeekBeforeNear(i, d) => {
            let to = near(i, d);
            (cursor.seek_before(&to.0, SeqNo(to.1)), before(&to).checked_sub(1))
        }
        Move::Next => (cursor.next(), at.map(|at| at + 1)),
        Move::Prev => (cursor.prev(), at.and_then(|at| at.checked_sub(1))),
    };
    moved.0.expect("sound");
    moved.1.filter(|&at| at < all.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_table_answers_as_its_model(
        model in any_model(),
        o in any_options(),
        probes in proptest::collection::vec((any_key(), 0..31u64), 0..20),
        moves in proptest::collection::vec(any_move(), 0..60),
        cache_bytes in prop_oneof![Just(0usize), Just(1 << 20)],
    ) {
        let dir = tempfile::tempdir()?;
        let meta = write(dir.path(), &model, o);
        let table = open(dir.path(), &meta, cache_bytes).expect("sound");
        table.verify().expect("sound");

        let all: Vec<_> = model.iter().map(item).collect();
        prop_assert_eq!(meta.entries, to_u64(all.len()));
        prop_assert_eq!(
            meta.tombstones,
            to_u64(all.iter().filter(|e| e.2 == EntryKind::Delete).count())
        );
        prop_assert_eq!(&meta.smallest_key, &all.first().map_or(vec![], |e| e.0.clone()));
        prop_assert_eq!(&meta.largest_key, &all.last().map_or(vec![], |e| e.0.clone()));
        prop_assert_eq!(meta.smallest_seq.0, all.iter().map(|e| e.1).min().unwrap_or(0));
        prop_assert_eq!(meta.largest_seq.0, all.iter().map(|e| e.1).max().unwrap_or(0));
        prop_assert_eq!(&scan(&table).expect("sound"), &all);

        // Every entry, one below and one above it, and keys at random.
        let near = all.iter().flat_map(|e| {
            [e.1, e.1.saturating_sub(1), (e.1 + 1).min(SeqNo::MAX.0)].map(|s| (e.0.clone(), s))
        });
        for (key, seq) in near.chain(probes) {
            let expected = model.range((key.clone(), Reverse(seq))..).next().map(item);
            let expected = expected.filter(|e| e.0 == key);
            let found = table.get(&key, SeqNo(seq)).expect("sound");
            prop_assert_eq!(found.map(|e| owned(e.entry())), expected);
        }

        let mut cursor = table.cursor();
        prop_assert!(cursor.entry().is_none());
        let mut at = None;
        for step in moves {
            at = play(&mut cursor, &all, at, step.clone());
            let expected = at.map(|at| all[at].clone());
            prop_assert_eq!(cursor.entry().map(owned), expected, "after {:?}", step);
        }
    }
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

fn is_detected(error: &Error, path: &Path) -> bool {
    match error {
        Error::Corruption { file, .. } | Error::UnsupportedFormat { file, .. } => file == path,
        _ => false,
    }
}

/// Every read of a damaged table gives right bytes or says that it is damaged.
/// Returns how many of the gets were answered.
fn assert_right_or_detected(dir: &Path, meta: &TableMeta, model: &Model) -> usize {
    let path = dir.join("000007.tbl");
    let table = match open(dir, meta, 1 << 20) {
        Ok(table) => table,
        Err(error) => {
            assert!(is_detected(&error, &path), "{error}");
            return 0;
        }
    };
    let mut answered = 0;
    for entry in model.iter().map(item) {
        match table.get(&entry.0, SeqNo(entry.1)) {
            Ok(found) => {
                assert_eq!(found.map(|e| owned(e.entry())), Some(entry));
                answered += 1;
            }
            Err(error) => assert!(is_detected(&error, &path), "{error}"),
        }
    }
    match scan(&table) {
        Ok(all) => assert_eq!(all, model.iter().map(item).collect::<Vec<_>>()),
        Err(error) => assert!(is_detected(&error, &path), "{error}"),
    }
    let error = table.verify().expect_err("damage is found by verify");
    assert!(is_detected(&error, &path), "{error}");
    answered
}

#[test]
fn every_flipped_bit_is_detected_and_leaves_other_blocks_readable() {
    for compression in [Compression::None, Compression::Snappy] {
        let dir = tempfile::tempdir().expect("tempdir");
        let model = small_model();
        let meta = write(dir.path(), &model, options(100, compression));
        let path = dir.path().join("000007.tbl");
        let good = std::fs::read(&path).expect("read");
        let data_size = u64::from_le_bytes(good[good.len() - 40..][..8].try_into().expect("8"));
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                std::fs::write(&path, &bytes).expect("write");
                let answered = assert_right_or_detected(dir.path(), &meta, &model);
                // One block of the several is lost.
                assert!(
                    at as u64 >= data_size || (1..model.len()).contains(&answered),
                    "byte {at}, bit {bit}: {answered} answered"
                );
            }
        }
    }
}

#[test]
fn every_other_length_is_detected() {
    let dir = tempfile::tempdir().expect("tempdir");
    let model = small_model();
    let meta = write(dir.path(), &model, options(100, Compression::Snappy));
    let path = dir.path().join("000007.tbl");
    let good = std::fs::read(&path).expect("read");
    for length in 0..good.len() + 50 {
        if length == good.len() {
            continue;
        }
        let mut bytes = good.clone();
        bytes.resize(length, 0);
        std::fs::write(&path, &bytes).expect("write");
        let error = open(dir.path(), &meta, 0).expect_err("another length");
        assert!(is_detected(&error, &path), "{error}");
        // And where the manifest states the wrong length too.
        let meta = TableMeta { size_bytes: length as u64, ..meta.clone() };
        assert_eq!(assert_right_or_detected(dir.path(), &meta, &model), 0);
    }
    std::fs::remove_file(&path).expect("remove");
    let error = open(dir.path(), &meta, 0).expect_err("missing");
    assert!(is_detected(&error, &path), "{error}");
}

#[test]
fn a_file_cut_while_it_is_open_is_damage_and_not_absence() {
    let dir = tempfile::tempdir().expect("tempdir");
    let model = small_model();
    let meta = write(dir.path(), &model, options(100, Compression::None));
    let path = dir.path().join("000007.tbl");
    let table = open(dir.path(), &meta, 0).expect("sound");
    table.get(b"", SeqNo::MAX).expect("sound");
    std::fs::OpenOptions::new().write(true).open(&path).expect("open").set_len(0).expect("cut");
    let error = table.get(b"ttl", SeqNo::MAX).expect_err("cut");
    assert!(is_detected(&error, &path), "{error}");
}

#[test]
fn files_of_another_place_are_detected() {
    let dir = tempfile::tempdir().expect("tempdir");
    let other = tempfile::tempdir().expect("tempdir");
    let model = small_model();
    let o = options(100, Compression::None);
    let meta = write(dir.path(), &model, o);
    let path = dir.path().join("000007.tbl");

    // The same entries under another number, or in another database.
    write_as(DATABASE, TableId(8), other.path(), &model, o);
    std::fs::copy(other.path().join("000008.tbl"), &path).expect("copy");
    assert_eq!(assert_right_or_detected(dir.path(), &meta, &model), 0);
    write_as(DatabaseId(1), ID, other.path(), &model, o);
    std::fs::copy(other.path().join("000007.tbl"), &path).expect("copy");
    assert_eq!(assert_right_or_detected(dir.path(), &meta, &model), 0);
    std::fs::remove_file(other.path().join("000007.tbl")).expect("remove");

    // An older state of this database: same number, same length, one byte else.
    let mut older = model.clone();
    set(&mut older, b"", 3, b"Empty key");
    let older_meta = write(other.path(), &older, o);
    assert_eq!(older_meta.size_bytes, meta.size_bytes);
    std::fs::copy(other.path().join("000007.tbl"), &path).expect("copy");
    assert_eq!(assert_right_or_detected(dir.path(), &meta, &model), 0);
}

/// A block of an older file of the same number, in its very place, has a
/// checksum that holds; only the index tells it from the one that was written.
#[test]
fn a_stale_block_in_its_own_place_is_detected() {
    let (dir, other) =
        (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
    let model = small_model();
    let mut older = model.clone();
    set(&mut older, b"", 3, b"Empty key");
    let o = options(100, Compression::None);
    let meta = write(dir.path(), &model, o);
    write(other.path(), &older, o);
    let path = dir.path().join("000007.tbl");
    let mut bytes = std::fs::read(&path).expect("read");
    let stale = std::fs::read(other.path().join("000007.tbl")).expect("read");
    let first_block = bytes.iter().zip(&stale).take_while(|(a, b)| a == b).count() + 60;
    bytes[..first_block].copy_from_slice(&stale[..first_block]);
    std::fs::write(&path, &bytes).expect("write");
    let answered = assert_right_or_detected(dir.path(), &meta, &model);
    assert!(answered < model.len());
}

/// Once refused: the index held a block to be no smaller than its tail, but
/// Snappy stored this one in 19 bytes.
#[test]
fn a_block_may_be_stored_in_less_than_its_tail() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut model = Model::new();
    model.insert((vec![], Reverse(0)), (EntryKind::Delete, vec![]));
    let meta = write(dir.path(), &model, options(4096, Compression::Snappy));
    let table = open(dir.path(), &meta, 0).expect("sound");
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
    let table = open(dir.path(), &meta, 1 << 20).expect("sound");
    for entry in model.iter().map(item) {
        let found = table.get(&entry.0, SeqNo::MAX).expect("sound").expect("there");
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
    let table = open(dir.path(), &meta, 8 << 10).expect("sound");
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let table = &table;
            scope.spawn(move || {
                for i in (0..2000).map(|i| (i * 7 + thread * 31) % 2000u32) {
                    let key = format!("key{i:05}");
                    let found = table.get(key.as_bytes(), SeqNo(1)).expect("sound").expect("there");
                    assert_eq!(found.entry().payload, i.to_le_bytes());
                }
            });
        }
    });
}
