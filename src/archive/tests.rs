//! Backups that nobody wrote: with every checksum right, and wrong all the same.

use super::format::{
    Apart, END, ENTRIES_BYTES_MAX, End, Header, Held, PLAIN, SNAPPY, put_entry, put_frame,
};
use super::reader::ArchiveReader;
use super::writer::{ArchiveWriter, InMemory};
use super::{StreamOutput, verify};
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::{BackupRef, DatabaseId, SeqNo, ValuePointer, crc};
use proptest::prelude::*;
use std::path::PathBuf;
use xxhash_rust::xxh3::Xxh3;

const HEADER: Header = Header {
    backup: DatabaseId(5),
    database: DatabaseId(6),
    seq: SeqNo(7),
    base: None,
    created_ms: 8,
    expiry_floor_ms: 9,
};

const BASE: BackupRef = BackupRef { id: DatabaseId(4), seq: SeqNo(3) };

/// One chunk: its body, and the values behind it.
type Chunk = (Vec<u8>, Vec<u8>);

/// A backup of `chunks`, with an end that says what `change` makes of the truth.
fn forged(chunks: &[Chunk], entries: u64, change: impl FnOnce(&mut End)) -> Vec<u8> {
    forged_with(HEADER, chunks, entries, change)
}

fn forged_with(
    header: Header,
    chunks: &[Chunk],
    entries: u64,
    change: impl FnOnce(&mut End),
) -> Vec<u8> {
    let mut out = header.encode();
    let mut digest = Xxh3::new();
    digest.update(&out);
    for (number, (body, values)) in (1..).zip(chunks) {
        let at = out.len();
        put_frame(&mut out, header.backup, to_u64(at), number, body);
        digest.update(&out[at..]);
        out.extend_from_slice(values);
    }
    let bytes = to_u64(out.len());
    let mut end = End { entries, deletes: 0, bytes, digest: digest.digest128() };
    change(&mut end);
    let number = to_u64(chunks.len()) + 1;
    put_frame(&mut out, header.backup, bytes, number, &end.encode());
    out
}

/// The body of a chunk of these entries, as they stand.
fn body(entries: &[(&[u8], usize, Held<'_, Apart>)]) -> Vec<u8> {
    let mut out = vec![PLAIN];
    for (key, shared, held) in entries {
        put_entry(&mut out, key, *shared, None, held);
    }
    out
}

fn chunk(keys: &[&[u8]]) -> Chunk {
    let entries: Vec<_> = keys.iter().map(|key| (*key, 0, Held::Inline(&b"v"[..]))).collect();
    (body(&entries), Vec::new())
}

fn reader(bytes: &[u8]) -> Result<ArchiveReader<&[u8]>> {
    ArchiveReader::new(bytes, PathBuf::from("forged"))
}

/// What is wrong with `bytes`; and that no more memory was taken for it than for a chunk.
fn wrong(bytes: &[u8]) -> String {
    let mut reader = reader(bytes).expect("the header is sound");
    let e = loop {
        match reader.next_entry() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("accepted"),
            Err(e) => break e,
        }
    };
    assert!(matches!(&e, Error::Corruption { file, .. } if file.ends_with("forged")), "{e}");
    assert!(reader.memory_bytes() < 4 << 20, "{} bytes", reader.memory_bytes());
    e.to_string()
}

#[test]
fn what_is_forged_right_is_accepted() {
    let bytes = forged(&[chunk(&[b"a", b"b"]), chunk(&[b"c"])], 3, |_| {});
    let info = verify(reader(&bytes).expect("sound"), true).expect("sound");
    assert_eq!((info.entries, info.bytes), (3, to_u64(bytes.len())));
}

#[test]
fn keys_out_of_order_or_twice_are_refused() {
    for chunks in [
        vec![chunk(&[b"a", b"a"])],
        vec![chunk(&[b"b", b"a"])],
        vec![chunk(&[b"a"]), chunk(&[b"a"])],
        vec![chunk(&[b"b"]), chunk(&[b"a", b"c"])],
        vec![chunk(&[b"", b""])],
        // Shares more than there is, or something with an entry of another chunk.
        vec![(body(&[(b"a", 0, Held::Inline(b"")), (b"abc", 2, Held::Inline(b""))]), vec![])],
        vec![chunk(&[b"a"]), (body(&[(b"ab", 1, Held::Inline(b""))]), vec![])],
    ] {
        let text = wrong(&forged(&chunks, 2, |_| {}));
        assert!(text.contains("out of order"), "{text}");
    }
    let long = vec![b'x'; 65_536];
    let text = wrong(&forged(&[chunk(&[&long])], 1, |_| {}));
    assert!(text.contains("too long"), "{text}");
}

#[test]
fn lengths_that_lie_are_refused_and_no_room_is_made_for_them() {
    let apart = |stored_bytes, is_compressed| {
        let held = Held::Apart(Apart { stored_bytes, is_compressed, checksum: 1 });
        (body(&[(b"a", 0, held)]), b"a few bytes".to_vec())
    };
    let text = wrong(&forged(&[apart(1 << 30, false)], 1, |_| {}));
    assert!(text.contains("cut short") && text.contains("1073741824"), "{text}");
    let text = wrong(&forged(&[apart(u32::MAX, false)], 1, |_| {}));
    assert!(text.contains("larger than any"), "{text}");
    let text = wrong(&forged(&[apart(4, false)], 1, |_| {}));
    assert!(text.contains("checksum of a value"), "{text}");
    // Of the value of an entry, and of a key.
    for bytes in [&[PLAIN, 0, 1, b'a', 1, 0xff, 0xff, 0xff, 0xff, 7][..], &[PLAIN, 0, 9, b'a']] {
        let text = wrong(&forged(&[(bytes.to_vec(), vec![])], 1, |_| {}));
        assert!(text.contains("cannot be decoded"), "{text}");
    }
    // Of a chunk.
    let large = (vec![PLAIN; ENTRIES_BYTES_MAX + 2], vec![]);
    let text = wrong(&forged(&[large], 1, |_| {}));
    assert!(text.contains("a chunk of 1048578 bytes"), "{text}");
}

#[test]
fn what_would_swell_is_refused_before_it_does() {
    let varint = |mut n: u64| {
        let mut out = Vec::new();
        crate::format::put_varint(&mut out, n);
        n = to_u64(out.len());
        out.resize(out.len() + usize::try_from(n).expect("few"), 0);
        out
    };
    for claimed in [1 << 30, to_u64(ENTRIES_BYTES_MAX) + 1, 1 << 40] {
        let body = [vec![SNAPPY], varint(claimed)].concat();
        let text = wrong(&forged(&[(body, vec![])], 1, |_| {}));
        assert!(text.contains("uncompressed size") || text.contains("snappy"), "{text}");
    }
    for claimed in [1 << 31, 1 << 29] {
        let stored = varint(claimed);
        let held = Held::Apart(Apart {
            stored_bytes: u32::try_from(stored.len()).expect("few"),
            is_compressed: true,
            checksum: crc(&stored),
        });
        let text = wrong(&forged(&[(body(&[(b"a", 0, held)]), stored)], 1, |_| {}));
        assert!(text.contains("uncompressed size"), "{text}");
    }
}

// Their checksums hold, and their sizes are possible: only who looks inside can tell.
#[test]
fn snappy_that_is_none_is_told_by_a_deep_look() {
    let stored = vec![40, 0xff, 0xff, 0xff];
    let checksum = ValuePointer::checksum(&stored);
    let held = Held::Apart(Apart { stored_bytes: 4, is_compressed: true, checksum });
    let bytes = forged(&[(body(&[(b"a", 0, held)]), stored)], 1, |_| {});
    verify(reader(&bytes).expect("sound"), false).expect("its checksum holds");
    let e = verify(reader(&bytes).expect("sound"), true).expect_err("no Snappy");
    assert!(matches!(e, Error::Corruption { .. }), "{e}");
}

#[test]
fn an_end_that_says_anything_else_is_refused() {
    let chunks = [chunk(&[b"a", b"b"])];
    let changes: [fn(&mut End); 4] = [
        |end| end.entries += 1,
        |end| end.deletes += 1,
        |end| end.bytes -= 1,
        |end| end.digest ^= 1 << 100,
    ];
    for change in changes {
        let text = wrong(&forged(&chunks, 2, change));
        assert!(text.contains("the end states"), "{text}");
    }
    let whole = forged(&chunks, 2, |_| {});
    for more in [&b"\0"[..], &whole] {
        let text = wrong(&[&whole, more].concat());
        assert!(text.contains("follows the end"), "{text}");
    }
    let text = wrong(&forged(&[(vec![END; 41], vec![]), chunks[0].clone()], 2, |_| {}));
    assert!(text.contains("the end states"), "{text}");
    let text = wrong(&forged(&[(vec![END, 1], vec![])], 2, |_| {}));
    assert!(text.contains("the end cannot"), "{text}");
}

#[test]
fn chunks_that_are_moved_dropped_or_anothers_are_refused() {
    let chunks = [chunk(&[b"a"]), chunk(&[b"b"]), chunk(&[b"c"])];
    let whole = forged(&chunks, 3, |_| {});
    let (head, size) = (HEADER.encode().len(), (whole.len() - HEADER.encode().len() - 73) / 3);
    let part = |n: usize| &whole[head + n * size..head + (n + 1) * size];
    let end = &whole[head + 3 * size..];
    assert_eq!([&whole[..head], part(0), part(1), part(2), end].concat(), whole);
    for order in [&[0, 2, 1][..], &[0, 2], &[1, 2], &[0, 1, 1, 2], &[0, 0, 1, 2], &[]] {
        let mut bytes = whole[..head].to_vec();
        order.iter().for_each(|&n| bytes.extend_from_slice(part(n)));
        bytes.extend_from_slice(end);
        let text = wrong(&bytes);
        assert!(text.contains("the head of chunk"), "{text}");
    }
    let other = Header { backup: DatabaseId(50), ..HEADER };
    let other = forged_with(other, &chunks, 3, |_| {});
    let text = wrong(&[&whole[..head], &other[head..]].concat());
    assert!(text.contains("the head of chunk 1"), "{text}");
}

#[test]
fn other_nonsense_is_refused() {
    let text = wrong(&forged(&[(vec![3, 0, 0], vec![])], 0, |_| {}));
    assert!(text.contains("no chunk begins"), "{text}");
    let text = wrong(&forged(&[(vec![PLAIN], vec![])], 0, |_| {}));
    assert!(text.contains("without an entry"), "{text}");
    let delete = body(&[(b"a", 0, Held::Deleted)]);
    let text = wrong(&forged(&[(delete.clone(), vec![])], 1, |end| end.deletes = 1));
    assert!(text.contains("a delete"), "{text}");
    // In an increment it belongs there.
    let increment = Header { base: Some(BASE), ..HEADER };
    let bytes = forged_with(increment, &[(delete, vec![])], 1, |end| end.deletes = 1);
    let info = verify(reader(&bytes).expect("sound"), true).expect("sound");
    assert_eq!((info.deletes, info.since, info.base_id), (1, Some(3), Some(4)));
}

#[test]
fn a_newer_version_is_refused_as_such() {
    let mut bytes = forged(&[], 0, |_| {});
    bytes[8] = 2;
    bytes[12..16].fill(0);
    let checksum = crc(&bytes[..72]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    let e = reader(&bytes).expect_err("newer");
    assert!(matches!(e, Error::UnsupportedFormat { found: 2, supported: 1, .. }), "{e}");
}

type Entries = std::collections::BTreeMap<Vec<u8>, (Option<u64>, u8, Vec<u8>)>;

fn written(entries: &Entries) -> Vec<u8> {
    backup_of(Header { base: Some(BASE), ..HEADER }, entries)
}

/// Entries by key: when they expire, their kind (0 deleted, 1 in the chunk, 2 apart), their value.
pub fn backup_of(header: Header, entries: &Entries) -> Vec<u8> {
    let output = StreamOutput(Vec::new());
    let mut writer = ArchiveWriter::new(output, InMemory, header).expect("in memory");
    for (key, (expires_at_ms, kind, value)) in entries {
        let held = match kind {
            0 => Held::Deleted,
            1 => Held::Inline(value.as_slice()),
            _ => {
                let stored_bytes = u32::try_from(value.len()).expect("small");
                let checksum = crc(value);
                let apart = Apart { stored_bytes, is_compressed: false, checksum };
                Held::Apart((apart, value.clone()))
            }
        };
        let expires_at_ms = expires_at_ms.filter(|_| *kind > 0);
        writer.add(key, expires_at_ms, held).expect("in memory");
    }
    writer.finish().expect("in memory").0.0
}

proptest! {
    #[test]
    fn backups_round_trip(
        entries in proptest::collection::btree_map(
            proptest::collection::vec(0..4_u8, 0..6),
            (any::<Option<u64>>(), 0..3_u8, proptest::collection::vec(any::<u8>(), 0..60)),
            0..60,
        ),
    ) {
        let bytes = written(&entries);
        let mut reader = reader(&bytes).expect("sound");
        let mut expected = entries.iter();
        while let Some(entry) = reader.next_entry().expect("sound") {
            let (key, (expires_at_ms, kind, value)) = expected.next().expect("no more than that");
            prop_assert_eq!(entry.key, key.as_slice());
            prop_assert_eq!(entry.expires_at_ms, expires_at_ms.filter(|_| *kind > 0));
            match entry.held {
                Held::Deleted => prop_assert_eq!(*kind, 0),
                Held::Inline(found) => prop_assert_eq!((*kind, found), (1, value.as_slice())),
                Held::Apart(found) => prop_assert_eq!((*kind, found.bytes), (2, value.as_slice())),
            }
        }
        prop_assert!(expected.next().is_none());
    }

    #[test]
    fn any_bytes_behind_a_header_are_read_without_panic(bytes: Vec<u8>, in_frame: bool) {
        let bytes = if in_frame {
            forged(&[(bytes.clone(), bytes)], 1, |_| {})
        } else {
            [HEADER.encode(), bytes].concat()
        };
        let _ = verify(reader(&bytes).expect("sound"), true);
    }
}

#[test]
fn many_chunks_and_huge_values_round_trip() {
    let noise = |n: usize, size: usize| (0..size).map(|i| (i * n).to_le_bytes()[0]).collect();
    let mut entries = Entries::new();
    for n in 0..3000_usize {
        entries.insert(format!("{n:06}").into_bytes(), (None, 1, noise(n, 300)));
    }
    for n in 3000..3050_usize {
        entries.insert(format!("{n:06}").into_bytes(), (Some(1), 2, noise(n, 100_000)));
    }
    entries.insert(b"huge".to_vec(), (None, 2, noise(1, 20 << 20)));
    entries.insert(b"small again".to_vec(), (None, 2, vec![1]));
    let bytes = written(&entries);
    let mut reader = reader(&bytes).expect("sound");
    let mut count = 0;
    while let Some(entry) = reader.next_entry().expect("sound") {
        let (_, _, value) = &entries[entry.key];
        match entry.held {
            Held::Inline(found) => assert_eq!(found, value),
            Held::Apart(found) => assert_eq!(found.bytes, value),
            Held::Deleted => panic!("nothing was"),
        }
        count += 1;
    }
    assert_eq!(count, entries.len());
}
