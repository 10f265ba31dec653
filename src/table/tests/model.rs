//! A table answers as a sorted map does, however it is walked.

use super::*;
use crate::iter::testing::next;
use proptest::prelude::*;

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
    NextAtHand,
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
        2 => Just(Move::Next),
        2 => Just(Move::NextAtHand),
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
        Move::Next | Move::NextAtHand => {
            let both = at.and_then(|at| all.get(at..at + 2));
            let is_version = both.is_some_and(|both| both[0].0 == both[1].0);
            assert_eq!(next(cursor, matches!(step, Move::NextAtHand)), is_version);
            (Ok(()), at.map(|at| at + 1))
        }
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
        let table = open(dir.path(), &meta, cache_bytes);
        table.verify().expect("sound");

        let all: Vec<_> = model.iter().map(item).collect();
        prop_assert_eq!(meta.properties.entries, to_u64(all.len()));
        prop_assert_eq!(
            meta.properties.tombstones,
            to_u64(all.iter().filter(|e| e.2 == EntryKind::Delete).count())
        );
        prop_assert_eq!(&meta.properties.smallest_key, &all.first().map_or(vec![], |e| e.0.clone()));
        prop_assert_eq!(&meta.properties.largest_key, &all.last().map_or(vec![], |e| e.0.clone()));
        prop_assert_eq!(meta.properties.smallest_seq.0, all.iter().map(|e| e.1).min().unwrap_or(0));
        prop_assert_eq!(meta.properties.largest_seq.0, all.iter().map(|e| e.1).max().unwrap_or(0));
        prop_assert_eq!(&scan(&table).expect("sound"), &all);

        // Every entry, one below and one above it, and keys at random.
        let near = all.iter().flat_map(|e| {
            [e.1, e.1.saturating_sub(1), (e.1 + 1).min(SeqNo::MAX.0)].map(|s| (e.0.clone(), s))
        });
        for (key, seq) in near.chain(probes) {
            let expected = model.range((key.clone(), Reverse(seq))..).next().map(item);
            let expected = expected.filter(|e| e.0 == key);
            let found = get(&table, &key, SeqNo(seq)).expect("sound");
            let looked = look(&table, &key, SeqNo(seq)).expect("sound");
            prop_assert_eq!(looked.map(|e| owned(e.entry())), found.as_ref().map(|e| owned(e.entry())));
            prop_assert_eq!(found.map(|e| owned(e.entry())), expected);
        }

        for mut cursor in [table.cursor(), table.stream()] {
            prop_assert!(cursor.entry().is_none());
            let mut at = None;
            for step in &moves {
                at = play(&mut cursor, &all, at, step.clone());
                let expected = at.map(|at| all[at].clone());
                prop_assert_eq!(cursor.entry().map(owned), expected, "after {:?}", step);
            }
        }
    }
}
