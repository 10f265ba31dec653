//! Damage of any kind is found, and never read as absence.

use super::format::FOOTER_SIZE;
use super::*;

/// The size of all data blocks, as the footer has it.
fn data_size(file: &[u8]) -> usize {
    let footer = file.last_chunk::<FOOTER_SIZE>().expect("a table has a footer");
    let size = u64::from_le_bytes(*footer.first_chunk().expect("8 bytes"));
    usize::try_from(size).expect("a small file")
}

fn is_detected(error: &Error, path: &Path) -> bool {
    match error {
        Error::Corruption { file, .. } | Error::UnsupportedFormat { file, .. } => file == path,
        _ => false,
    }
}

/// Every read of a damaged table gives right bytes or says that it is damaged.
/// Returns how many of the gets were answered: with the head, and without.
fn assert_right_or_detected(dir: &Path, meta: &TableMeta, model: &Model) -> [usize; 2] {
    let path = dir.join("000007.tbl");
    let table = open(dir, meta, 1 << 20);
    let answers = [get, look].map(|get| {
        let mut answered = 0;
        for entry in model.iter().map(item) {
            match get(&table, &entry.0, SeqNo(entry.1)) {
                Ok(found) => {
                    assert_eq!(found.map(|e| owned(e.entry())), Some(entry));
                    answered += 1;
                }
                Err(error) => assert!(is_detected(&error, &path), "{error}"),
            }
        }
        answered
    });
    for all in [scan(&table), collect(table.stream())] {
        match all {
            Ok(all) => assert_eq!(all, model.iter().map(item).collect::<Vec<_>>()),
            Err(error) => assert!(is_detected(&error, &path), "{error}"),
        }
    }
    let error = table.verify().expect_err("damage is found by verify");
    assert!(is_detected(&error, &path), "{error}");
    answers
}

#[test]
fn every_flipped_bit_is_detected_and_leaves_other_blocks_readable() {
    for compression in [Compression::None, Compression::Snappy] {
        let dir = tempfile::tempdir().expect("tempdir");
        let model = small_model();
        let meta = write(dir.path(), &model, options(100, compression));
        let path = dir.path().join("000007.tbl");
        let good = std::fs::read(&path).expect("read");
        let data_size = data_size(&good);
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                std::fs::write(&path, &bytes).expect("write");
                let answers = assert_right_or_detected(dir.path(), &meta, &model);
                // One block of the several is lost.
                assert!(
                    at >= data_size || answers.iter().all(|n| (1..model.len()).contains(n)),
                    "byte {at}, bit {bit}: {answers:?} answered"
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
        assert_eq!(assert_right_or_detected(dir.path(), &meta, &model), [0; 2], "{length}");
        // And where the manifest states the wrong length too.
        let meta = TableMeta { size_bytes: length as u64, ..meta.clone() };
        assert_eq!(assert_right_or_detected(dir.path(), &meta, &model), [0; 2]);
    }
    std::fs::remove_file(&path).expect("remove");
    assert_eq!(assert_right_or_detected(dir.path(), &meta, &model), [0; 2], "missing");
}

#[test]
fn a_file_cut_while_it_is_open_is_damage_and_not_absence() {
    let dir = tempfile::tempdir().expect("tempdir");
    let model = small_model();
    let meta = write(dir.path(), &model, options(100, Compression::None));
    let path = dir.path().join("000007.tbl");
    let table = open(dir.path(), &meta, 0);
    get(&table, b"", SeqNo::MAX).expect("sound");
    std::fs::OpenOptions::new().write(true).open(&path).expect("open").set_len(0).expect("cut");
    let error = get(&table, b"ttl", SeqNo::MAX).expect_err("cut");
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
    assert_eq!(assert_right_or_detected(dir.path(), &meta, &model), [0; 2]);
    write_as(DatabaseId(1), ID, other.path(), &model, o);
    std::fs::copy(other.path().join("000007.tbl"), &path).expect("copy");
    assert_eq!(assert_right_or_detected(dir.path(), &meta, &model), [0; 2]);
    std::fs::remove_file(other.path().join("000007.tbl")).expect("remove");

    // An older state of this database: same number, same length, one byte else.
    let mut older = model.clone();
    set(&mut older, b"", 3, b"Empty key");
    let older_meta = write(other.path(), &older, o);
    assert_eq!(older_meta.size_bytes, meta.size_bytes);
    std::fs::copy(other.path().join("000007.tbl"), &path).expect("copy");
    assert_eq!(assert_right_or_detected(dir.path(), &meta, &model), [0; 2]);
}

/// A table, and in `other` an older state of it, of the same length and with one byte else; what the first holds, and of both what
/// a manifest says.
fn write_two_states(dir: &Path, other: &Path) -> (Model, TableMeta, TableMeta) {
    let model = small_model();
    let mut older = model.clone();
    set(&mut older, b"", 3, b"Empty key");
    let o = options(100, Compression::None);
    let (meta, older_meta) = (write(dir, &model, o), write(other, &older, o));
    assert_eq!(older_meta.size_bytes, meta.size_bytes);
    (model, meta, older_meta)
}

/// A block of an older file of the same number, in its very place, has a
/// checksum that holds; only the index tells it from the one that was written.
#[test]
fn a_stale_block_in_its_own_place_is_detected() {
    let (dir, other) =
        (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
    let (model, meta, _) = write_two_states(dir.path(), other.path());
    let path = dir.path().join("000007.tbl");
    let mut bytes = std::fs::read(&path).expect("read");
    let stale = std::fs::read(other.path().join("000007.tbl")).expect("read");
    let data_size = data_size(&bytes);
    bytes[..data_size].copy_from_slice(&stale[..data_size]);
    std::fs::write(&path, &bytes).expect("write");
    let answers = assert_right_or_detected(dir.path(), &meta, &model);
    let is_of_one = answers.iter().all(|n| (1..model.len()).contains(n));
    assert!(is_of_one, "one block of several is stale: {answers:?}");
}

/// The same of what leads to the blocks: an older page of the index, or an older root, holds by itself.
#[test]
fn a_stale_page_or_root_in_its_own_place_is_detected() {
    let (dir, other) =
        (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
    let (model, meta, older_meta) = write_two_states(dir.path(), other.path());
    let (footer, root) = root::Root::read(&open(dir.path(), &meta, 0)).expect("sound");
    let of_older = root::Root::read(&open(other.path(), &older_meta, 0)).expect("sound");
    assert_eq!(footer.root_offset, of_older.0.root_offset);
    let page = root.pages.block(0).expect("a page");
    assert_ne!(
        page,
        of_older.1.pages.block(0).expect("a page"),
        "the same place, another checksum"
    );
    let path = dir.path().join("000007.tbl");
    let sound = std::fs::read(&path).expect("read");
    let stale = std::fs::read(other.path().join("000007.tbl")).expect("read");
    let footer_offset = meta.size_bytes - to_u64(FOOTER_SIZE);
    for (from, to) in [(page.0, page.1), (footer.root_offset, footer_offset)] {
        let (from, to) =
            (usize::try_from(from).expect("small"), usize::try_from(to).expect("small"));
        let mut bytes = sound.clone();
        bytes[from..to].copy_from_slice(&stale[from..to]);
        std::fs::write(&path, &bytes).expect("write");
        let [with_head, without] = assert_right_or_detected(dir.path(), &meta, &model);
        assert_eq!(with_head, 0, "{from}..{to}");
        assert!(without < model.len(), "{from}..{to}: {without}");
        let told = look(&open(dir.path(), &meta, 0), b"", SeqNo(3));
        let is_there =
            matches!(&told, Err(Error::Corruption { offset, .. }) if *offset == to_u64(from));
        assert!(is_there, "{from}..{to}: {:?}", told.err());
    }
}

/// They are read some at once, and each is checked.
#[test]
fn every_page_of_filter_and_index_is_checked() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut model = Model::new();
    let key = |number: u32| number.to_be_bytes();
    for number in 0..120_000 {
        set(&mut model, &key(number), 1, &[7; 16]);
    }
    let meta = write(dir.path(), &model, options(300, Compression::None));
    let table = open(dir.path(), &meta, 0);
    let (footer, head) = head::Head::read(&table).expect("sound");
    let (_, root) = root::Root::read(&table).expect("sound");
    for number in (0..120_000).step_by(997) {
        assert!(head.filter.may_contain(KeyHash::of(&key(number))), "{number}");
    }
    assert!(footer.index_offset - footer.filter_offset > 2 * (64 << 10), "read at three times");
    assert!(footer.root_offset - footer.index_offset > 64 << 10, "read at two times");
    let path = dir.path().join("000007.tbl");
    let sound = std::fs::read(&path).expect("there");
    let pages: Vec<_> = root.filter_pages().chain(root.index_pages()).collect();
    assert!(pages.windows(2).all(|two| two[0].1 == two[1].0), "no gap");
    for (start, end, _) in pages {
        for at in [start, end - 1] {
            let mut bytes = sound.clone();
            bytes[usize::try_from(at).expect("small")] ^= 4;
            std::fs::write(&path, bytes).expect("written");
            let told = head::Head::read(&open(dir.path(), &meta, 0));
            let is_at_page =
                matches!(&told, Err(Error::Corruption { offset, .. }) if *offset == start);
            assert!(is_at_page, "a flipped bit at {at}: {:?}", told.err());
        }
    }
}
