//! Gets of a table whose head is not in memory.

use super::super::root::TAIL_BYTES;
use super::io::FailingFs;
use super::*;
use crate::format::Properties;
use std::sync::atomic::Ordering;

const KEYS: u32 = 120_000;

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// Even numbers below [`KEYS`], of one version but every hundredth, which has as many as take several blocks.
fn large_model() -> Model {
    let mut model = Model::new();
    for number in (0..KEYS).step_by(2) {
        let versions = if number % 100 == 0 { 40 } else { 1 };
        for seq in 1..=versions {
            set(&mut model, &key(number), 2 * seq, &[7; 16]);
        }
    }
    model
}

fn expected(model: &Model, key: &[u8], seq: u64) -> Option<Owned> {
    let first = (key.to_vec(), Reverse(seq));
    model.range(first..).next().filter(|((found, _), _)| found == key).map(item)
}

#[test]
fn a_look_finds_what_a_get_finds() {
    let dir = tempfile::tempdir().expect("a directory");
    let model = large_model();
    let meta = write(dir.path(), &model, options(400, Compression::Snappy));
    let table = open(dir.path(), &meta, 0);
    for number in (0..KEYS + 50).step_by(37).chain([0, 100, KEYS - 100, KEYS - 2]) {
        for seq in [0, 1, 2, 41, 79, 80, SeqNo::MAX.0] {
            let found = look(&table, &key(number), SeqNo(seq)).expect("sound");
            let found = found.map(|found| owned(found.entry()));
            assert_eq!(found, expected(&model, &key(number), seq), "{number} at {seq}");
        }
    }
    let empty =
        write_as(DATABASE, TableId(8), dir.path(), &Model::new(), options(400, Compression::None));
    assert!(look(&open(dir.path(), &empty, 0), b"k", SeqNo::MAX).expect("sound").is_none());
}

/// The first gets read little; after a while the head is in memory, and they read blocks alone.
#[test]
fn a_head_is_read_when_as_much_was_read_without() {
    let dir = tempfile::tempdir().expect("a directory");
    let model = large_model();
    let meta = write(dir.path(), &model, options(4096, Compression::None));
    let fs = Arc::new(FailingFs::default());
    fs.fail.whole.store(true, Ordering::Relaxed);
    let (files, heads) = (Arc::new(OpenFiles::new(fs.clone())), Arc::new(HeadMemory::new(1)));
    let cache = Arc::new(BlockCache::new(0));
    let table = |meta: &TableMeta| {
        let (files, heads) = (files.clone(), heads.clone());
        Arc::new(Table::open(files, dir.path(), DATABASE, meta, cache.clone(), heads))
    };
    let large = table(&meta);
    let read_bytes = |number: u32| {
        let before = fs.fail.read_bytes.load(Ordering::Relaxed);
        let found = get(&large, &key(number), SeqNo::MAX).expect("sound");
        assert_eq!(found.is_some(), number.is_multiple_of(2));
        fs.fail.read_bytes.load(Ordering::Relaxed) - before
    };
    let looks = u32::try_from(cold::looks_max(&meta)).expect("few");
    assert!((4..40).contains(&looks), "{looks}");
    for number in 0..looks {
        let read = read_bytes(number * 11);
        assert!((1 << 10..16 << 10).contains(&read), "look {number}: {read} bytes");
        assert_eq!(heads.used_bytes(), 0);
    }
    let head_bytes = usize::try_from(head::Head::expected_bytes(&meta)).expect("small");
    let read = read_bytes(2);
    assert!(
        (head_bytes / 2..head_bytes).contains(&read), // Its keys are short.
        "{read} of {head_bytes} bytes"
    );
    assert!(heads.used_bytes() >= head_bytes / 2);
    assert!((1..=4096 + 5).contains(&read_bytes(4)), "the block alone");

    // The head of another table takes its place. Then it is asked without again.
    let o = options(4096, Compression::None);
    let other = write_as(DATABASE, TableId(9), dir.path(), &small_model(), o);
    let other = table(&other);
    get(&other, b"ttl", SeqNo::MAX).expect("sound");
    assert!(heads.used_bytes() < head_bytes / 10);
    assert!((1 << 10..16 << 10).contains(&read_bytes(6)), "a look again");
}

/// Blocks may stay when the head goes.
#[test]
fn a_look_takes_a_block_that_is_in_the_cache() {
    let dir = tempfile::tempdir().expect("a directory");
    let meta = write(dir.path(), &small_model(), options(100, Compression::None));
    let fs = Arc::new(FailingFs::default());
    fs.fail.whole.store(true, Ordering::Relaxed);
    let table = open_on(fs.clone(), dir.path(), &meta, 1 << 20);
    let calls = || {
        let before = fs.fail.read_calls.load(Ordering::Relaxed);
        assert!(look(&table, b"ttl", SeqNo::MAX).expect("sound").is_some());
        fs.fail.read_calls.load(Ordering::Relaxed) - before
    };
    assert_eq!(
        [calls(), calls()],
        [4, 4],
        "footer with root, two pages, and the block, which is not kept"
    );
    get(&table, b"ttl", SeqNo::MAX).expect("sound");
    assert_eq!(calls(), 3, "not the block");
}

/// The end of the file was read in one piece, with what stands before the root, and where that could not be read no key
/// could. Found by a reader.
#[test]
fn a_page_before_the_root_that_cannot_be_read_costs_its_own_keys_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let meta = write(dir.path(), &large_model(), options(4096, Compression::None));
    let fs = Arc::new(FailingFs::default());
    fs.fail.whole.store(true, Ordering::Relaxed);
    let table = open_on(fs.clone(), dir.path(), &meta, 1 << 20);
    let start = meta.size_bytes - to_u64(TAIL_BYTES);
    *fs.fail.unreadable.lock() = start..start + 1;
    assert!(look(&table, &key(0), SeqNo::MAX).expect("its pages are sound").is_some());
    let is_lost = |number| matches!(look(&table, &key(number), SeqNo::MAX), Err(Error::Io { .. }));
    assert!((0..KEYS).step_by(500).any(is_lost), "it is a page of the index");
}

/// For it the head is read at once.
#[test]
fn a_small_table_has_no_looks() {
    let dir = tempfile::tempdir().expect("a directory");
    let meta = write(dir.path(), &small_model(), options(100, Compression::None));
    assert_eq!(cold::looks_max(&meta), 0);
    let properties = Properties { entries: 40_000, ..Properties::default() };
    let meta =
        |size_bytes| TableMeta { size_bytes, properties: properties.clone(), ..meta.clone() };
    assert_eq!(cold::looks_max(&meta(1 << 20)), 0, "61 KB");
    assert_eq!(cold::looks_max(&meta(3 << 20)), 4, "73 KB");
}
