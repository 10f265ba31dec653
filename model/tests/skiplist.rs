//! Small programs of two and three threads, in every interleaving.
//!
//! How loom finds the interleavings shapes them. It starts from a run in which
//! each thread goes on until it waits, the first one first, and turns round what
//! depends on each other; of earlier accesses to an atomic it knows the last
//! only. A thread that loads a link before it swaps it hides from loom that
//! another thread had loaded it, too. So writers come first and readers are
//! spawned: with the reader first, loom would see one single interleaving.
//! Models with a reader therefore also count what the reader saw.

use esker_model::format::{EntryKind, EntryRef, SeqNo};
use esker_model::memtable::arena::{Arena, node_bytes_max};
use esker_model::memtable::skiplist;
use loom::thread;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Sequence numbers whose nodes have one level, and whose have two.
const LOW: [u64; 3] = [1, 2, 4];
const TALL: [u64; 3] = [6, 9, 11];

/// What stands with every key: a torn or missing write would show.
fn payload_of(seq: u64) -> [u8; 8] {
    (!seq).to_le_bytes()
}

/// An arena with room for the nodes of one model. The room is reserved here, as
/// the commit leader does it before any member inserts.
fn arena() -> Arc<Arena> {
    let bytes = 3 * node_bytes_max(2, 8);
    let arena = Arena::new(bytes);
    assert!(arena.reserve(bytes));
    Arc::new(arena)
}

fn insert(arena: &Arena, key: &[u8], seq: u64) {
    let payload = &payload_of(seq);
    skiplist::insert(arena, EntryRef { key, seq: SeqNo(seq), kind: EntryKind::Set, payload });
}

/// A thread that inserts.
fn inserter(arena: &Arc<Arena>, key: &'static [u8], seq: u64) -> thread::JoinHandle<()> {
    let arena = Arc::clone(arena);
    thread::spawn(move || insert(&arena, key, seq))
}

/// The sequence number of what a read of `key` finds, which must be whole.
fn get(arena: &Arena, key: &[u8]) -> Option<u64> {
    let entry = skiplist::get(arena, key, SeqNo::MAX)?.entry();
    assert_eq!(entry.key, key);
    assert_eq!(entry.payload, payload_of(entry.seq.0));
    Some(entry.seq.0)
}

/// The keys on `level`, each of which must be whole.
fn keys(arena: &Arena, level: usize) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut node = arena.head();
    while let Some(link) = node.next(level) {
        node = link.node;
        assert_eq!(node.entry().payload, payload_of(node.seq().0));
        found.push(node.key().to_vec());
    }
    found
}

/// What a reader saw, over all interleavings.
#[derive(Clone, Default)]
struct Outcomes(Arc<Mutex<BTreeSet<Vec<usize>>>>);

impl Outcomes {
    fn note<const N: usize>(&self, outcome: [usize; N]) {
        self.0.lock().unwrap().insert(outcome.to_vec());
    }

    fn expect<const N: usize>(&self, all: &[[usize; N]]) {
        let seen = self.0.lock().unwrap();
        assert!(seen.iter().eq(all), "{seen:?} of {all:?}");
    }
}

#[test]
fn two_inserters_of_neighbouring_keys() {
    loom::model(|| {
        let arena = arena();
        let other = inserter(&arena, b"kb", TALL[0]);
        insert(&arena, b"ka", LOW[0]);
        other.join().unwrap();
        assert_eq!(keys(&arena, 0), [b"ka", b"kb"]);
        assert_eq!(keys(&arena, 1), [b"kb"]);
        assert_eq!(get(&arena, b"ka"), Some(LOW[0]));
        assert_eq!(get(&arena, b"kb"), Some(TALL[0]));
    });
}

#[test]
fn a_reader_sees_nothing_or_the_whole_node() {
    let seen = Outcomes::default();
    loom::model({
        let seen = seen.clone();
        move || {
            let arena = arena();
            let reader = {
                let (arena, seen) = (Arc::clone(&arena), seen.clone());
                thread::spawn(move || {
                    let found = get(&arena, b"k");
                    assert!(found.is_none_or(|seq| seq == TALL[0]));
                    // What was seen once stays, and the levels agree.
                    let tall = keys(&arena, 1);
                    let all = keys(&arena, 0);
                    assert!(all.len() >= tall.len().max(usize::from(found.is_some())), "INV-6");
                    seen.note([usize::from(found.is_some()), tall.len(), all.len()]);
                })
            };
            insert(&arena, b"k", TALL[0]);
            reader.join().unwrap();
            assert_eq!(get(&arena, b"k"), Some(TALL[0]));
        }
    });
    // Found by `get`, on level 1, on level 0.
    seen.expect(&[[0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]]);
}

#[test]
fn two_inserters_after_the_same_node_on_both_levels() {
    loom::model(|| {
        let arena = arena();
        insert(&arena, b"a", TALL[0]);
        let other = inserter(&arena, b"b", TALL[1]);
        insert(&arena, b"bb", TALL[2]);
        other.join().unwrap();
        assert_eq!(keys(&arena, 0), [&b"a"[..], b"b", b"bb"]);
        assert_eq!(keys(&arena, 1), [&b"a"[..], b"b", b"bb"]);
        for (key, seq) in [(&b"a"[..], TALL[0]), (b"b", TALL[1]), (b"bb", TALL[2])] {
            assert_eq!(get(&arena, key), Some(seq));
        }
    });
}

// As the scout of a walk does: it comes to a node by level 0, and from there goes on a level on which the node may not be yet.
#[test]
fn a_reader_goes_on_from_a_node_on_a_level_where_it_is_just_being_linked() {
    let seen = Outcomes::default();
    loom::model({
        let seen = seen.clone();
        move || {
            let arena = arena();
            let writer = inserter(&arena, b"b", TALL[1]);
            let reader = {
                let (arena, seen) = (Arc::clone(&arena), seen.clone());
                thread::spawn(move || {
                    let node = arena.head().next(0).map(|link| link.node.of_known_height());
                    let tall = node.filter(|node| node.height_min() > 1);
                    let beyond = tall.and_then(|node| node.next(1)).map(|link| link.node);
                    if let Some(beyond) = beyond {
                        assert_eq!(beyond.entry().payload, payload_of(beyond.seq().0));
                        assert_eq!(beyond.key(), b"b");
                    }
                    seen.note([usize::from(tall.is_some()), usize::from(beyond.is_some())]);
                })
            };
            insert(&arena, b"a", TALL[0]);
            writer.join().unwrap();
            reader.join().unwrap();
            assert_eq!(keys(&arena, 1), [b"a", b"b"]);
        }
    });
    // A tall node found, and one beyond it.
    seen.expect(&[[0, 0], [1, 0], [1, 1]]);
}

#[test]
fn insertions_side_by_side_beside_another_inserter() {
    loom::model(|| {
        let arena = arena();
        let other = inserter(&arena, b"b", TALL[0]);
        // Either finds its place before the other is in the list.
        let new = [(&b"a"[..], LOW[0]), (b"c", TALL[1])].map(|(key, seq)| {
            let payload = &payload_of(seq);
            let entry = EntryRef { key, seq: SeqNo(seq), kind: EntryKind::Set, payload };
            let mut insertion = skiplist::Insertion::new(&arena, entry);
            while insertion.go_on() {}
            insertion
        });
        new.iter().for_each(skiplist::Insertion::link_in);
        other.join().unwrap();
        assert_eq!(keys(&arena, 0), [b"a", b"b", b"c"]);
        assert_eq!(keys(&arena, 1), [b"b", b"c"]);
        for (key, seq) in [(&b"a"[..], LOW[0]), (b"b", TALL[0]), (b"c", TALL[1])] {
            assert_eq!(get(&arena, key), Some(seq));
        }
    });
}

#[test]
fn two_inserters_of_versions_and_a_reader() {
    let seen = Outcomes::default();
    loom::model({
        let seen = seen.clone();
        move || {
            let arena = arena();
            let writer = inserter(&arena, b"k", LOW[0]);
            let reader = {
                let (arena, seen) = (Arc::clone(&arena), seen.clone());
                thread::spawn(move || {
                    // Through one writer's node to what the other put behind it.
                    let all = keys(&arena, 0).len();
                    let newest = get(&arena, b"k");
                    assert!(newest.is_some() || all == 0, "what was seen once stays");
                    seen.note([all, usize::from(newest.is_some())]);
                })
            };
            insert(&arena, b"k", LOW[1]);
            writer.join().unwrap();
            reader.join().unwrap();
            assert_eq!(get(&arena, b"k"), Some(LOW[1]));
            assert_eq!(keys(&arena, 0).len(), 2);
        }
    });
    // On level 0, found by `get`.
    seen.expect(&[[0, 0], [0, 1], [1, 1], [2, 1]]);
}

#[test]
fn reservations_of_two_threads_never_exceed_the_room() {
    loom::model(|| {
        let bytes = node_bytes_max(2, 8);
        let arena = Arc::new(Arena::new(bytes + 8));
        let other = {
            let arena = Arc::clone(&arena);
            thread::spawn(move || arena.reserve(bytes))
        };
        let mine = arena.reserve(bytes);
        let others = other.join().unwrap();
        assert!(mine != others, "there is room for one");
        insert(&arena, b"k", LOW[0]);
        assert_eq!(get(&arena, b"k"), Some(LOW[0]));
    });
}
