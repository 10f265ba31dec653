//! Writers, decoders and fixers agree with one another.

use super::*;
use crate::error::Error;
use crate::options::Compression;
use crate::wal::LogWriter;
use std::ops::ControlFlow;

const IDENTITY: Identity = Identity { database: DatabaseId(0x5eed), file: FileId(7) };

fn entry(key: &[u8], seq: u64, payload: &[u8]) -> Entry {
    Entry { key: key.to_vec(), seq: SeqNo(seq), kind: EntryKind::Set, payload: payload.to_vec() }
}

fn sorted_entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> =
        (0..40).map(|i| entry(&[b'k', i % 20], 100 + u64::from(i), &[i; 9])).collect();
    entries.push(Entry { kind: EntryKind::Delete, ..entry(b"gone", 5, b"") });
    entries.push(Entry { kind: EntryKind::SetExpiring, ..entry(b"soon", 6, &[1; 11]) });
    entries.sort_by(Entry::order);
    entries
}

fn batches() -> Vec<Batch> {
    let expiring = Entry { kind: EntryKind::SetExpiring, ..entry(b"t", 4, &[2; 12]) };
    let gone = Entry { kind: EntryKind::Delete, ..entry(b"a", 3, b"") };
    let entries = [vec![entry(b"a", 1, b"one"), entry(b"", 2, b"")], vec![gone], vec![expiring]];
    let batch = |entries: Vec<Entry>| Batch {
        offset: 0,
        sequence: entries[0].seq,
        durable: 0,
        operations: entries.into_iter().map(Operation::Entry).collect(),
    };
    let mut batches: Vec<Batch> = entries.map(batch).into();
    batches[1].operations.push(Operation::ExpiryFloor(77));
    batches
}

fn edits() -> Vec<Edit> {
    let meta = |id| TableMeta {
        id: TableId(id),
        size_bytes: 500,
        digest: 99,
        written_ms: 1,
        properties: Properties {
            entries: 3,
            tombstones: 1,
            raw_bytes: 70,
            smallest_key: b"a".to_vec(),
            largest_key: b"z".to_vec(),
            smallest_seq: SeqNo(1),
            largest_seq: SeqNo(3),
            ..Properties::default()
        },
    };
    let numbers = Edit {
        log_min: Some(LogId(4)),
        log_base: Some(1000),
        opens: Some(2),
        next_file: Some(9),
        last_seq: Some(SeqNo(3)),
        ..Edit::default()
    };
    vec![
        Edit { added: vec![(Level::ZERO, meta(5)), (Level::LAST, meta(6))], ..numbers },
        Edit { removed: vec![TableId(5)], expiry_floor_ms: Some(12), ..Edit::default() },
        Edit {
            followed: Some(vec![BackupRef { id: DatabaseId(8), seq: SeqNo(2) }]),
            ..Edit::default()
        },
    ]
}

/// A file of each kind, with its fixer and a decoder that says only whether it
/// is accepted.
type Format = (&'static str, Vec<u8>, fn(&mut [u8]), fn(&[u8]) -> Result<()>);

fn open_table(bytes: &[u8]) -> Result<()> {
    let table = TableBytes::open(bytes, IDENTITY, &table_meta_of(bytes, IDENTITY)?, 0)?;
    table.entries()?;
    table.verify()
}

fn formats() -> Vec<Format> {
    let table = write_table(IDENTITY, 60, Compression::None, &sorted_entries());
    let block = store_block(&write_block(&sorted_entries()), Compression::None, IDENTITY, 3);
    vec![
        (
            "log",
            write_log(IDENTITY, 10, 10, &batches()),
            |bytes| fix_log(bytes, IDENTITY),
            |bytes| match decode_log(bytes, IDENTITY, 10)?.cut_at {
                Some(at) => Err(Error::corruption(Path::new("log"), at, "cut")),
                None => Ok(()),
            },
        ),
        ("table", table.expect("written").0, |bytes| fix_table(bytes, IDENTITY), open_table),
        (
            "block",
            block,
            |bytes| fix_block(bytes, IDENTITY, 3),
            |bytes| BlockBytes::open(bytes, IDENTITY, 3).map(drop),
        ),
        (
            "manifest",
            write_manifest(IDENTITY, &edits()).expect("written").0,
            |bytes| fix_manifest(bytes, IDENTITY),
            |bytes| decode_manifest(bytes, IDENTITY).map(drop),
        ),
        ("CURRENT", write_current(IDENTITY), fix_current, |bytes| decode_current(bytes).map(drop)),
    ]
}

#[test]
fn what_is_written_is_decoded() {
    let log = write_log(IDENTITY, 10, 10, &batches());
    let mut found = decode_log(&log, IDENTITY, 10).expect("sound");
    found.batches.iter_mut().for_each(|batch| batch.offset = 0);
    assert_eq!((found.batches, found.cut_at, found.dropped_bytes), (batches(), None, 0));

    let entries = sorted_entries();
    let backwards: Vec<Entry> = entries.iter().rev().cloned().collect();
    for compression in [Compression::None, Compression::Snappy] {
        let (bytes, meta) = write_table(IDENTITY, 120, compression, &entries).expect("written");
        assert_eq!(table_meta_of(&bytes, IDENTITY).expect("sound"), meta);
        let parts = TableParts::of(&bytes, IDENTITY).expect("sound");
        assert!(parts.blocks.len() > 3);
        assert_eq!(parts.assemble(IDENTITY), bytes);
        let table = TableBytes::open(&bytes, IDENTITY, &meta, 1 << 20).expect("sound");
        assert_eq!(table.entries().expect("sound"), entries);
        assert_eq!(table.entries_backwards().expect("sound"), backwards);
        table.verify().expect("sound");
        let stored = store_block(&write_block(&entries), compression, IDENTITY, 3);
        let block = BlockBytes::open(&stored, IDENTITY, 3).expect("sound");
        assert_eq!(
            (block.entries(), block.entries_backwards()),
            (entries.clone(), backwards.clone())
        );
    }

    let (manifest, states) = write_manifest(IDENTITY, &edits()).expect("written");
    assert_eq!(states.len(), 3);
    assert_eq!(decode_manifest(&manifest, IDENTITY).expect("sound"), states[2]);
    assert_eq!(states[2].followed.len(), 1);
}

/// Byte for byte what the writer of the log leaves, but for the zeros ahead.
#[test]
fn a_log_is_encoded_as_the_engine_writes_it() {
    let fs = SimFs::new();
    let id = IDENTITY.log();
    let mut writer =
        LogWriter::create(&fs, Path::new(DIR), IDENTITY.database, id, 10, 7).expect("created");
    for batch in batches() {
        let body = log::body_of(&batch);
        writer.add(batch.sequence.0, batch.durable, &body, crc(&body)).expect("added");
    }
    writer.write().expect("written");
    let written = contents(&fs, FileKind::Log(id), writer.file_bytes()).expect("read");
    assert_eq!(write_log(IDENTITY, 10, 7, &batches()), written);
}

#[test]
fn a_fixer_changes_nothing_where_all_checksums_hold() {
    for (name, bytes, fix, decode) in formats() {
        decode(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut fixed = bytes.clone();
        fix(&mut fixed);
        assert!(fixed == bytes, "{name}");
    }
}

/// Whatever bit of a checksum is flipped, the fixer mends it.
#[test]
fn a_fixer_mends_every_checksum() {
    for (name, bytes, fix, decode) in formats() {
        let mut mended = 0_usize;
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fix(&mut damaged);
            mended += usize::from(damaged == bytes);
            if decode(&damaged).is_err() {
                continue;
            }
            // Accepted with other content: no checksum was in the way.
            let mut again = damaged.clone();
            fix(&mut again);
            assert!(again == damaged, "{name}, bit {bit}");
        }
        let checksums = match name {
            // The header's, and two for each frame.
            "log" => 1 + 3 * 2,
            "manifest" => 1 + 3 * 2,
            "block" | "CURRENT" => 1,
            // Two for each data block and each page, of which the filter has one; one each for
            // properties, root and footer; and the digests.
            _ => {
                let blocks = TableParts::of(&bytes, IDENTITY).expect("sound").blocks;
                let pages = 1 + blocks.iter().filter(|block| block.begins_page).count();
                assert!(pages > 2, "more than one of the index");
                2 * (blocks.len() + pages) + 3 + 2 * 2
            }
        };
        assert_eq!(mended, checksums * 32, "{name}");
    }
}

/// What comes behind the checksums is reached: a payload changed and fixed is
/// decoded as another.
#[test]
fn a_changed_value_is_read_once_its_checksums_are_fixed() {
    let mut log = write_log(IDENTITY, 10, 10, &batches());
    let at = log.windows(3).position(|w| w == b"one").expect("there");
    log[at] = b'O';
    fix_log(&mut log, IDENTITY);
    let found = decode_log(&log, IDENTITY, 10).expect("sound");
    assert_eq!(found.batches[0].operations[0], Operation::Entry(entry(b"a", 1, b"One")));
    assert_eq!(found.batches.len(), 3);
}

fn damage_of<T>(result: Result<T>) -> String {
    match result {
        Err(Error::Corruption { detail, .. }) => detail,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("no damage was seen"),
    }
}

/// No writer makes such a file, and no read of another key can tell.
#[test]
fn a_key_that_is_not_in_the_filter_is_found_by_verify() {
    let (bytes, _) =
        write_table(IDENTITY, 120, Compression::None, &sorted_entries()).expect("in memory");
    let mut parts = TableParts::of(&bytes, IDENTITY).expect("valid");
    assert_eq!(parts.filter.len(), 64, "22 keys of 11 bits");
    assert!(open_table(&parts.assemble(IDENTITY)).is_ok());
    for byte in 0..parts.filter.len() {
        for bit in (0..8).filter(|bit| parts.filter[byte] >> bit & 1 == 1) {
            let mut parts = parts.clone();
            parts.filter[byte] ^= 1 << bit;
            let detail = damage_of(open_table(&parts.assemble(IDENTITY)));
            assert!(detail.contains("is not in the filter"), "{detail}");
        }
    }
    // One that has no room for a key would say of all that they are not there.
    for size in [0, 63, 65] {
        parts.filter.resize(size, 0xff);
        let bytes = parts.assemble(IDENTITY);
        let meta = table_meta_of(&bytes, IDENTITY).expect("a footer");
        let table = TableBytes::open(&bytes, IDENTITY, &meta, 0).expect("in memory");
        damage_of(table.get(b"gone", SeqNo(9)));
    }
}

/// What is told of a file agrees with what an open makes of it, also where the checksums are right and the content
/// is not; and no bytes bring it down.
#[test]
fn what_is_told_of_a_file_is_what_its_decoder_says() {
    for (format, bytes, fix, decode) in formats() {
        let name = match format {
            "log" => "000007.log",
            "table" => "000007.tbl",
            "manifest" => "MANIFEST-000007",
            "CURRENT" => "CURRENT",
            _ => continue, // A block is no file.
        };
        let look = |bytes: &[u8]| {
            let database = IDENTITY.database;
            inspect_bytes(name, bytes, database, &mut |_| ControlFlow::Continue(()))
        };
        assert_eq!(look(&bytes).expect("sound").damage, None);
        for at in 0..bytes.len() {
            for (change, is_fixed) in [(0x01, true), (0xff, true), (0x10, false)] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                if is_fixed {
                    fix(&mut changed);
                }
                let (told, decoded) = (look(&changed), decode(&changed));
                let is_sound = match &told {
                    // The last edit was being written: for an open that is no damage.
                    Ok(found) if format == "manifest" => {
                        found.damage.as_ref().is_none_or(|damage| damage.is_torn_tail)
                    }
                    Ok(found) => found.damage.is_none(),
                    Err(_) => false,
                };
                // A log is not alone in an open, which knows where it begins.
                let is_base = format == "log" && (32..40).contains(&at);
                assert!(
                    is_sound == decoded.is_ok() || is_base,
                    "{name}, byte {at}: {told:?}, {decoded:?}"
                );
            }
        }
    }
}
