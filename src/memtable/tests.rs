//! The memtable against a `BTreeMap`, and with many threads at once.

use super::*;
use crate::format::EntryKind;
use crate::iter::Cursor;
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::thread;

/// `cases` natively, fewer under Miri, where no file can be written either.
pub fn proptest_config(cases: u32, cases_miri: u32) -> ProptestConfig {
    if cfg!(miri) {
        ProptestConfig { cases: cases_miri, failure_persistence: None, ..ProptestConfig::default() }
    } else {
        ProptestConfig::with_cases(cases)
    }
}

/// How many entries and operations a case has, at most.
const SIZE_MAX: usize = if cfg!(miri) { 15 } else { 60 };

type Map = BTreeMap<(Vec<u8>, Reverse<SeqNo>), (EntryKind, Vec<u8>)>;

fn insert(memtable: &Memtable, entry: EntryRef<'_>) {
    assert!(memtable.reserve(Memtable::entry_bytes_max(entry.key.len(), entry.payload.len())));
    memtable.insert(entry);
}

fn set<'a>(key: &'a [u8], seq: u64, payload: &'a [u8]) -> EntryRef<'a> {
    EntryRef { key, seq: SeqNo(seq), kind: EntryKind::Set, payload }
}

/// A few keys, so that versions pile up; some a prefix of others.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"\0ab\xff".to_vec()), 0..4)
}

fn kind() -> impl Strategy<Value = EntryKind> {
    prop::sample::select(vec![EntryKind::Delete, EntryKind::Set, EntryKind::SetExpiring])
}

type Written = Vec<(Vec<u8>, EntryKind, Vec<u8>)>;

fn written() -> impl Strategy<Value = Written> {
    prop::collection::vec((key(), kind(), prop::collection::vec(any::<u8>(), 0..20)), 0..SIZE_MAX)
}

/// Both, with sequence numbers from 1 on in the order of `written`.
fn build(written: Written) -> (Arc<Memtable>, Map) {
    let memtable = Arc::new(Memtable::new(1 << 16));
    let mut map = Map::new();
    for ((key, kind, payload), seq) in written.into_iter().zip(1..) {
        let seq = SeqNo(seq);
        insert(&memtable, EntryRef { key: &key, seq, kind, payload: &payload });
        map.insert((key, Reverse(seq)), (kind, payload));
    }
    (memtable, map)
}

/// As [`build`], but for the memtable, which gets all of it at once.
fn build_at_once(written: &Written) -> Arc<Memtable> {
    let memtable = Arc::new(Memtable::new(1 << 16));
    let sizes = written.iter().map(|(key, _, payload)| (key.len(), payload.len()));
    let bytes = sizes.map(|(key, payload)| Memtable::entry_bytes_max(key, payload)).sum();
    assert!(memtable.reserve(bytes));
    memtable.insert_all(|inserter| {
        for ((key, kind, payload), seq) in written.iter().zip(1..) {
            inserter.insert(EntryRef { key, seq: SeqNo(seq), kind: *kind, payload });
        }
    });
    memtable
}

type MapEntry<'a> = (&'a (Vec<u8>, Reverse<SeqNo>), &'a (EntryKind, Vec<u8>));

fn as_entry<'a>(((key, Reverse(seq)), (kind, payload)): MapEntry<'a>) -> EntryRef<'a> {
    EntryRef { key, seq: *seq, kind: *kind, payload }
}

#[derive(Debug, Clone)]
enum Move {
    First,
    Last,
    Seek(Vec<u8>, u64),
    SeekBefore(Vec<u8>, u64),
    Next,
    Prev,
}

fn a_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        1 => Just(Move::First),
        1 => Just(Move::Last),
        2 => (key(), 0..70_u64).prop_map(|(key, seq)| Move::Seek(key, seq)),
        2 => (key(), 0..70_u64).prop_map(|(key, seq)| Move::SeekBefore(key, seq)),
        6 => Just(Move::Next),
        6 => Just(Move::Prev),
    ]
}

/// Where `step` leads in the map from the entry `from`.
fn moved<'m>(map: &'m Map, from: Option<EntryRef<'_>>, step: &Move) -> Option<EntryRef<'m>> {
    let after = |key: &[u8], seq| map.range((key.to_vec(), Reverse(seq))..).next();
    let before = |key: &[u8], seq| map.range(..(key.to_vec(), Reverse(seq))).next_back();
    match step {
        Move::First => map.iter().next(),
        Move::Last => map.iter().next_back(),
        Move::Seek(key, seq) => after(key, SeqNo(*seq)),
        Move::SeekBefore(key, seq) => before(key, SeqNo(*seq)),
        Move::Next => from.and_then(|e| map.range((e.key.to_vec(), Reverse(e.seq))..).nth(1)),
        Move::Prev => from.and_then(|e| before(e.key, e.seq)),
    }
    .map(as_entry)
}

proptest! {
    #![proptest_config(proptest_config(300, 3))]

    #[test]
    fn gets_agree_with_a_map(
        written in written(),
        gets in prop::collection::vec((key(), 0..70_u64), 1..SIZE_MAX),
    ) {
        let at_once = build_at_once(&written);
        let (one_by_one, map) = build(written);
        for memtable in [one_by_one, at_once] {
            prop_assert_eq!(memtable.len(), map.len());
            let deletes = map.values().filter(|(kind, _)| *kind == EntryKind::Delete).count();
            prop_assert_eq!(memtable.tombstones(), deletes);
            prop_assert_eq!(memtable.is_empty(), map.is_empty());
            for (key, seq) in &gets {
                let wanted = map.range((key.clone(), Reverse(SeqNo(*seq)))..).next().map(as_entry);
                let wanted = wanted.filter(|entry| entry.key == key);
                prop_assert_eq!(memtable.get(key, SeqNo(*seq)), wanted);
            }
        }
    }

    #[test]
    fn cursors_agree_with_a_map(
        written in written(),
        moves in prop::collection::vec(a_move(), 1..SIZE_MAX),
    ) {
        let (memtable, map) = build(written);
        let mut cursor = memtable.cursor();
        prop_assert_eq!(cursor.entry(), None, "a new cursor stands on nothing");
        for step in moves {
            let key = cursor.entry().map(|entry| entry.key.to_vec());
            let wanted = moved(&map, cursor.entry(), &step);
            let is_version = wanted.is_some_and(|wanted| Some(wanted.key) == key.as_deref());
            match &step {
                Move::First => cursor.seek_first(),
                Move::Last => cursor.seek_last(),
                Move::Seek(key, seq) => cursor.seek(key, SeqNo(*seq)),
                Move::SeekBefore(key, seq) => cursor.seek_before(key, SeqNo(*seq)),
                Move::Next => cursor.next().map(|told| assert_eq!(told.is_version, is_version)),
                Move::Prev => cursor.prev(),
            }
            .expect("a memtable's cursor does not fail");
            prop_assert_eq!(cursor.entry(), wanted, "after {:?}", step);
        }
    }
}

#[test]
fn a_read_sees_the_newest_version_that_it_may() {
    let memtable = Memtable::new(4096);
    insert(&memtable, set(b"k", 5, b"five"));
    insert(&memtable, set(b"k", 9, b"nine"));
    let payload = |seq| memtable.get(b"k", SeqNo(seq)).map(|entry| entry.payload);
    assert_eq!(payload(4), None);
    assert_eq!(payload(5), Some(&b"five"[..]));
    assert_eq!(payload(8), Some(&b"five"[..]));
    assert_eq!(payload(9), Some(&b"nine"[..]));
    assert_eq!(payload(SeqNo::MAX.0), Some(&b"nine"[..]));
    assert_eq!(memtable.get(b"", SeqNo::MAX), None);
    assert_eq!(memtable.get(b"k\0", SeqNo::MAX), None);
}

#[test]
fn the_largest_keys_are_taken() {
    let longest = vec![0xab; if cfg!(miri) { 1_000 } else { crate::format::KEY_BYTES_MAX }];
    let memtable = Memtable::new(8 * longest.len());
    insert(&memtable, set(&longest, 1, b"1"));
    insert(&memtable, set(&longest[1..], 2, b"2"));
    insert(&memtable, set(&longest, 3, b"3"));
    let payload = |key, seq| memtable.get(key, SeqNo(seq)).map(|entry| entry.payload);
    assert_eq!(payload(&longest, 2), Some(&b"1"[..]));
    assert_eq!(payload(&longest, 3), Some(&b"3"[..]));
    assert_eq!(payload(&longest[1..], 3), Some(&b"2"[..]));
}

#[test]
fn what_was_reserved_can_be_inserted_and_no_more_is_promised() {
    let capacity_bytes = if cfg!(miri) { 4 << 10 } else { 64 << 10 };
    let memtable = Memtable::new(capacity_bytes);
    let bytes_max = Memtable::entry_bytes_max(8, 100);
    let mut seq = 0_u64;
    while memtable.reserve(bytes_max) {
        seq += 1;
        memtable.insert(set(&seq.to_be_bytes(), seq, &[7; 100]));
    }
    assert!(memtable.used_bytes() <= capacity_bytes);
    assert!(memtable.used_bytes() + bytes_max > capacity_bytes, "filled to the brim");
    assert_eq!(memtable.len(), usize::try_from(seq).expect("few"));
}

// From some steps on a walk has nodes ahead of it fetched.
#[test]
fn a_long_walk_comes_by_every_entry() {
    const COUNT: u64 = if cfg!(miri) { 80 } else { 2000 };
    let memtable = Arc::new(Memtable::new(1 << 20));
    let key_of = |number: u64| number.to_be_bytes();
    for number in 0..COUNT {
        insert(&memtable, set(&key_of(number * 2), number + 1, b"v"));
    }
    let mut cursor = memtable.cursor();
    for start in [0, COUNT / 2] {
        cursor.seek(&key_of(start * 2), SeqNo::MAX).expect("it never fails");
        for number in start..COUNT {
            assert_eq!(cursor.entry().map(|entry| entry.key), Some(&key_of(number * 2)[..]));
            // What comes between ahead of it is seen as well.
            if start == 0 && number == COUNT / 4 {
                insert(&memtable, set(&key_of(number * 2 + 1), COUNT + 1, b"w"));
                cursor.next().expect("it never fails");
                assert_eq!(cursor.entry().map(|entry| entry.payload), Some(&b"w"[..]));
            }
            cursor.next().expect("it never fails");
        }
        assert_eq!(cursor.entry(), None);
    }
}

#[test]
fn a_cursor_keeps_the_entries_alive() {
    let memtable = Arc::new(Memtable::new(4096));
    insert(&memtable, set(b"a", 1, b"x"));
    let mut cursor = memtable.cursor();
    cursor.seek_first().expect("does not fail");
    drop(memtable);
    let cursor = thread::spawn(move || cursor).join().expect("no panic");
    assert_eq!(cursor.entry(), Some(set(b"a", 1, b"x")));
}

/// INV-9: whole and at once, also for readers that run beside the writers.
#[test]
fn readers_beside_writers_see_whole_entries() {
    let per_writer: u64 = if cfg!(miri) { 25 } else { 20_000 };
    let keys: u64 = if cfg!(miri) { 5 } else { 500 };
    let memtable = Arc::new(Memtable::new(if cfg!(miri) { 32 << 10 } else { 8 << 20 }));
    let inserted = [AtomicU64::new(0), AtomicU64::new(0)];
    let payload_of = |seq: u64| [seq; 2].map(u64::to_le_bytes).concat();
    let check = |entry: EntryRef<'_>| {
        assert_eq!(entry.payload, payload_of(entry.seq.0));
        assert_eq!(entry.key, (entry.seq.0 % keys).to_be_bytes());
    };
    thread::scope(|scope| {
        for (inserted, writer) in inserted.iter().zip(0..) {
            let memtable = &memtable;
            scope.spawn(move || {
                for i in 0..per_writer {
                    let seq = 1 + i * 2 + writer;
                    let key = (seq % keys).to_be_bytes();
                    insert(memtable, set(&key, seq, &payload_of(seq)));
                    inserted.store(seq, Ordering::Release);
                }
            });
        }
        scope.spawn(|| {
            let is_done =
                || inserted.iter().all(|seq| seq.load(Ordering::Acquire) > 2 * (per_writer - 1));
            while !is_done() {
                for writer in &inserted {
                    let seq = writer.load(Ordering::Acquire);
                    if seq > 0 {
                        let key = (seq % keys).to_be_bytes();
                        let entry = memtable.get(&key, SeqNo(seq)).expect("its insert returned");
                        assert_eq!(entry.seq, SeqNo(seq));
                        check(entry);
                    }
                }
                thread::yield_now();
            }
        });
        scope.spawn(|| {
            let mut cursor = memtable.cursor();
            for round in 0..4 {
                let mut seen = 0;
                cursor.seek_first().expect("does not fail");
                while let Some(entry) = cursor.entry() {
                    check(entry);
                    seen += 1;
                    cursor.next().expect("does not fail");
                }
                assert!(seen <= per_writer * 2, "round {round}");
            }
            cursor.seek_last().expect("does not fail");
            for _ in 0..per_writer {
                let Some(entry) = cursor.entry() else { break };
                check(entry);
                cursor.prev().expect("does not fail");
            }
        });
    });
    assert_eq!(u64::try_from(memtable.len()), Ok(per_writer * 2));
}
