//! The order of the nodes: searches and the insertion.
//!
//! Level 0 links all nodes in the order of [`compare`]; each level above links
//! about half of the nodes of the level below.
//!
//! INV-5: on each level, nodes come in order, and no two are equal.
//! INV-6: a node on a level is on all levels below it: an insertion links from
//! the bottom up, and nothing is ever unlinked.
//! INV-7: the hint in a link says how many bytes the keys of the two nodes that
//! it connects have in common, and which three bytes come next in the second
//! ([`Hint`]).
//!
//! **Why hints.** In a list larger than the processor's caches a search costs
//! what its cache misses cost: one for every node whose key it looks at. With
//! hints it looks at next to none. It knows how many bytes the key sought has in
//! common with the node where it stands, and the link tells the same of the next
//! node ([`Target::look`]); so most steps are decided before the next node is
//! touched, and a node that the search does not step on is not touched at all.
//! The trick is that of Patricia tries and string B-trees (Ferragina and
//! Grossi 1999). Long common prefixes, as in `config/...`, cost nothing.
//!
//! With keys that cheap, half of the nodes go one level up, not a quarter: the
//! search then steps on one node a level, and 16 bytes of links an entry are
//! little.
//!
//! All of it is safe code. What a reader that meets an insertion half done
//! sees: the node, whole, on the levels where it is linked already; the list
//! without it on the others, which only costs it some steps.

use super::arena::{Arena, Link, NodeRef};
use super::sync::HEIGHT_MAX;
use crate::format::key::compare;
use crate::format::{EntryRef, SeqNo};

/// The height of the node with this sequence number: at least 1, and each level
/// more with a probability of a half.
///
/// A function of the number, which is unique: no random state to share between
/// threads, and the same list from the same entries. The multiplications (the
/// finaliser of MurmurHash3) keep regular patterns of keys from meeting a
/// pattern of heights.
fn height_of(seq: SeqNo) -> usize {
    let mut hash = seq.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    let levels_more = hash.trailing_zeros() as usize;
    HEIGHT_MAX.min(1 + levels_more)
}

/// Lengths from this one on look alike in a hint.
const SHARED_LEN_MAX: usize = 0xff;

/// What a link says of the node that it leads to (INV-7), as one word: the high
/// byte is how many bytes its key has in common with the key that the link is
/// from, [`SHARED_LEN_MAX`] for that and more; the rest are the bytes of its key
/// behind those, as [`bytes_at`].
#[derive(Debug, Clone, Copy)]
struct Hint(u32);

impl Hint {
    /// Where the bytes are.
    const BYTES: u32 = 0xff_ffff;

    /// Of a node with `key`.
    #[inline]
    fn new(shared_len: usize, key: &[u8]) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "at most 255")]
        let capped = shared_len.min(SHARED_LEN_MAX) as u32;
        Hint(capped << 24 | bytes_at(key, shared_len))
    }

    #[inline]
    fn shared_len(self) -> usize {
        (self.0 >> 24) as usize
    }
}

/// The three bytes of `key` from `index` on, the first as the highest, 0 for
/// what is beyond its end. The order of such triples is that of the keys, unless
/// they are equal.
#[inline]
fn bytes_at(key: &[u8], index: usize) -> u32 {
    let rest = key.get(index..).unwrap_or_default();
    if let Some(four) = rest.first_chunk::<4>() {
        return u32::from_be_bytes(*four) >> 8;
    }
    let mut three = [0; 4];
    for (to, from) in three[1..].iter_mut().zip(rest) {
        *to = *from;
    }
    u32::from_be_bytes(three)
}

/// How many bytes `a` and `b` have in common at their front.
fn shared_len(a: &[u8], b: &[u8]) -> usize {
    let (a_words, b_words) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let words_len = 8 * a_words.iter().zip(b_words).take_while(|(a, b)| a == b).count();
    let rest = a[words_len..].iter().zip(&b[words_len..]);
    words_len + rest.take_while(|(a, b)| a == b).count()
}

/// What is searched for.
#[derive(Debug, Clone, Copy)]
struct Target<'k> {
    key: &'k [u8],
    seq: SeqNo,
}

/// A node before a target.
#[derive(Debug, Clone, Copy)]
struct Before<'a> {
    node: NodeRef<'a>,
    /// The hint that a link from the node to the target would carry.
    hint: Hint,
}

/// Where a target belongs on one level: between `prev` and `next`.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    prev: Before<'a>,
    /// The link from `prev`.
    next: Option<Link<'a>>,
    /// How many bytes the keys of the target and of `next` share; from
    /// [`SHARED_LEN_MAX`] on not exact.
    next_shared_len: usize,
}

/// On which side of a target a node is, and how many bytes their keys share.
enum Side {
    /// Before it, and it shares just as many bytes as the node before.
    BeforeLikewise,
    Before(usize),
    NotBefore(usize),
}

impl<'k> Target<'k> {
    /// Where `node` belongs.
    fn of(node: NodeRef<'k>) -> Self {
        Target { key: node.key(), seq: node.seq() }
    }

    /// Where the node of `link` is, which was found in a node before the target;
    /// `hint` is of that node.
    #[inline(always)]
    fn side_of(&self, link: Link<'_>, hint: Hint) -> Side {
        let differing = link.hint ^ hint.0;
        if differing > Hint::BYTES {
            return if link.hint > hint.0 {
                // The two nodes still agree where the target differs from them.
                Side::BeforeLikewise
            } else {
                // The target still agrees with the node before, where the next
                // node is greater than that.
                Side::NotBefore(Hint(link.hint).shared_len())
            };
        }
        // Both differ from the node before at the same byte: compare from there.
        let shared_len = hint.shared_len();
        let more = (differing.leading_zeros() / 8).wrapping_sub(1);
        // Equal as far as the hint goes; or equal up to a zero, which may stand
        // for a key's end; or the hint counts no further.
        let is_unsure = more == 3
            || more > 0 && (hint.0 >> (24 - 8 * more)) & 0xff == 0
            || shared_len == SHARED_LEN_MAX;
        if is_unsure {
            return self.side_of_node(link.node, shared_len);
        }
        let shared_len = shared_len + more as usize;
        if link.hint < hint.0 { Side::Before(shared_len) } else { Side::NotBefore(shared_len) }
    }

    /// The same, by the node's key, of which `known_len` bytes are known to agree.
    #[inline(never)]
    fn side_of_node(&self, node: NodeRef<'_>, known_len: usize) -> Side {
        let key = node.key();
        let shared_len = known_len + shared_len(&self.key[known_len..], &key[known_len..]);
        // `compare`, but for the bytes that are known to be equal.
        let by_key = key.get(shared_len).cmp(&self.key.get(shared_len));
        let order = by_key.then_with(|| self.seq.cmp(&node.seq()));
        debug_assert_eq!(order, compare(key, node.seq(), self.key, self.seq));
        if order.is_lt() { Side::Before(shared_len) } else { Side::NotBefore(shared_len) }
    }

    /// Finds the place on `level`, from `prev` on.
    fn advance<'a>(&self, prev: Before<'a>, level: usize) -> Place<'a> {
        let mut search = Search { target: *self, prev, beyond: None, level };
        loop {
            if let Stepped::Found(place) = search.step() {
                return place;
            }
        }
    }

    /// The head as a place. It counts as an empty key that is before all others.
    #[inline]
    fn at_head<'a>(&self, arena: &'a Arena) -> Place<'a> {
        let prev = Before { node: arena.head(), hint: Hint::new(0, self.key) };
        Place { prev, next: None, next_shared_len: 0 }
    }

    /// Finds the target's place on every level, from the top down, and answers
    /// that on level 0. Levels where nothing is yet are left out.
    #[inline]
    fn descend<'a>(
        &self,
        arena: &'a Arena,
        mut at_level: impl FnMut(usize, Place<'a>),
    ) -> Place<'a> {
        let Some(mut search) = Search::new(arena, *self) else { return self.at_head(arena) };
        loop {
            if let Stepped::Found(place) = search.step() {
                at_level(search.level, place);
                if !search.go_down(place) {
                    return place;
                }
            }
        }
    }
}

/// A search under way: it stands at a node before the target, on one level.
#[derive(Debug, Clone, Copy)]
struct Search<'a, 'k> {
    target: Target<'k>,
    prev: Before<'a>,
    /// A node known not to be before the target, and how many bytes it shares.
    beyond: Option<(NodeRef<'a>, usize)>,
    level: usize,
}

/// What a step came to.
enum Stepped<'a> {
    /// The next node on the level.
    On,
    /// The target's place on the level.
    Found(Place<'a>),
}

impl<'a, 'k> Search<'a, 'k> {
    /// At the head, on the highest level where anything is; `None`: nothing is anywhere.
    #[inline]
    fn new(arena: &'a Arena, target: Target<'k>) -> Option<Self> {
        let level = (0..HEIGHT_MAX).rev().find(|level| arena.head().next(*level).is_some())?;
        Some(Search { target, prev: target.at_head(arena).prev, beyond: None, level })
    }

    #[inline(always)]
    fn step(&mut self) -> Stepped<'a> {
        let prev = self.prev;
        let found = |next, next_shared_len| Stepped::Found(Place { prev, next, next_shared_len });
        let Some(link) = prev.node.next(self.level) else { return found(None, 0) };
        if let Some((node, shared_len)) = self.beyond
            && node == link.node
        {
            return found(Some(link), shared_len);
        }
        match self.target.side_of(link, prev.hint) {
            Side::BeforeLikewise => self.prev.node = link.node,
            Side::Before(shared_len) => {
                let hint = Hint::new(shared_len, self.target.key);
                self.prev = Before { node: link.node, hint };
            }
            Side::NotBefore(shared_len) => return found(Some(link), shared_len),
        }
        Stepped::On
    }

    /// From its place on this level to the next one; false: this is the lowest.
    #[inline(always)]
    fn go_down(&mut self, place: Place<'a>) -> bool {
        let Some(level) = self.level.checked_sub(1) else { return false };
        self.level = level;
        self.beyond = place.next.map(|link| (link.node, place.next_shared_len));
        true
    }
}

/// The newest version of `key` at or before `seq`.
pub fn get<'a>(arena: &'a Arena, key: &[u8], seq: SeqNo) -> Option<NodeRef<'a>> {
    // As the active one mostly is where little is written.
    first(arena)?;
    let place = Target { key, seq }.descend(arena, |_, _| ());
    // An absent key mostly shows without a look at the node.
    let node = place.next?.node;
    let may_be_equal = place.next_shared_len >= key.len().min(SHARED_LEN_MAX);
    (may_be_equal && node.key() == key).then_some(node)
}

/// The first node at or after `(key, seq)`.
pub fn first_at_or_after<'a>(arena: &'a Arena, key: &[u8], seq: SeqNo) -> Option<NodeRef<'a>> {
    Target { key, seq }.descend(arena, |_, _| ()).next.map(|link| link.node)
}

/// The last node before `(key, seq)`.
pub fn last_before<'a>(arena: &'a Arena, key: &[u8], seq: SeqNo) -> Option<NodeRef<'a>> {
    let found = Target { key, seq }.descend(arena, |_, _| ()).prev.node;
    (found != arena.head()).then_some(found)
}

/// The first node of all.
pub fn first(arena: &Arena) -> Option<NodeRef<'_>> {
    next(arena.head())
}

/// The node after `node`.
#[inline]
pub fn next(node: NodeRef<'_>) -> Option<NodeRef<'_>> {
    node.next(0).map(|link| link.node)
}

/// The last node of all.
pub fn last(arena: &Arena) -> Option<NodeRef<'_>> {
    let mut found = arena.head();
    for level in (0..HEIGHT_MAX).rev() {
        while let Some(link) = found.next(level) {
            found = link.node;
        }
    }
    (found != arena.head()).then_some(found)
}

/// Puts `entry` in its place.
///
/// REQUIRES: room for it is reserved, and no node has its key and number.
///
/// # Panics
/// As [`Arena::allocate`].
pub fn insert(arena: &Arena, entry: EntryRef<'_>) {
    let height = height_of(entry.seq);
    let node = arena.allocate(entry, height);
    let target = Target { key: entry.key, seq: entry.seq };
    // Most nodes are low: a short array for them is cheaper to set up.
    if height <= LOW {
        link_all::<LOW>(arena, node, &target, height);
    } else {
        link_all::<HEIGHT_MAX>(arena, node, &target, height);
    }
}

/// An [`insert`] in steps, between which others go on while memory is fetched for this one.
#[derive(Debug)]
pub struct Insertion<'a> {
    arena: &'a Arena,
    node: NodeRef<'a>,
    height: usize,
    /// `None`: it has come to the end, or there was nothing to search in.
    search: Option<Search<'a, 'a>>,
    places: [Place<'a>; LOW],
}

/// Nodes of up to so many levels, fifteen of sixteen, are linked in where an [`Insertion`] found them; taller ones search again, through
/// nodes that are in the caches by then.
const LOW: usize = 4;

impl<'a> Insertion<'a> {
    /// Makes the node; nobody sees it yet.
    ///
    /// REQUIRES and panics: as [`insert`].
    pub fn new(arena: &'a Arena, entry: EntryRef<'_>) -> Self {
        let height = height_of(entry.seq);
        let node = arena.allocate(entry, height);
        let target = Target::of(node);
        let search = Search::new(arena, target);
        Insertion { arena, node, height, search, places: [target.at_head(arena); LOW] }
    }

    /// Goes on to the next node of the search, and has it fetched; false: it has come to the end.
    #[inline]
    pub fn go_on(&mut self) -> bool {
        let Some(search) = &mut self.search else { return false };
        loop {
            let Stepped::Found(place) = search.step() else {
                search.prev.node.prefetch_link(search.level);
                return true;
            };
            if search.level < self.height.min(LOW) {
                self.places[search.level] = place;
                if let Some(next) = place.next {
                    next.node.prefetch_key();
                }
            }
            if !search.go_down(place) {
                self.search = None;
                return false;
            }
        }
    }

    /// Puts the node where the search has found that it belongs. Called once.
    pub fn link_in(&self) {
        let Insertion { arena, node, height, ref places, .. } = *self;
        let target = Target::of(node);
        if height <= LOW {
            link_at(node, &target, &places[..height]);
        } else {
            link_all::<HEIGHT_MAX>(arena, node, &target, height);
        }
    }
}

/// Finds the places of `node`, which is at `target`, on its `height` levels, at
/// most `LEVELS`, and links it in.
fn link_all<const LEVELS: usize>(
    arena: &Arena,
    node: NodeRef<'_>,
    target: &Target<'_>,
    height: usize,
) {
    let mut places = [target.at_head(arena); LEVELS];
    target.descend(arena, |level, place| {
        if level < height {
            places[level] = place;
        }
    });
    link_at(node, target, &places[..height]);
}

/// Links `node`, which is at `target`, in at `places`, one for each of its levels.
fn link_at<'a>(node: NodeRef<'a>, target: &Target<'_>, places: &[Place<'a>]) {
    for (level, &(mut place)) in places.iter().enumerate() {
        // Another insertion may have come between: then the place is found
        // anew on this level alone, from `prev` on, which still is before it.
        while !link_in(node, place, level) {
            place = target.advance(place.prev, level);
        }
    }
}

/// Links `node` in at `place`, if nothing has come between there.
fn link_in<'a>(node: NodeRef<'a>, place: Place<'a>, level: usize) -> bool {
    let next_hint = place.next.map_or(0, |link| {
        let shared_len = place.next_shared_len;
        if Hint(link.hint).shared_len() == shared_len && shared_len < SHARED_LEN_MAX {
            // What comes next in its key has been noted already.
            return link.hint;
        }
        Hint::new(shared_len, link.node.key()).0
    });
    node.link_between(place.prev.node, place.prev.hint.0, place.next, next_hint, level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::EntryKind;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::thread;

    const KEYS_MAX: usize = if cfg!(miri) { 10 } else { 60 };
    const SOUGHT_MAX: usize = if cfg!(miri) { 5 } else { 20 };

    fn arena_with(entries: &[(Vec<u8>, u64)]) -> Arena {
        let arena = Arena::new(entries.len() * 1024);
        for (key, seq) in entries {
            insert_reserved(&arena, key, *seq);
        }
        arena
    }

    fn insert_reserved(arena: &Arena, key: &[u8], seq: u64) {
        assert!(arena.reserve(super::super::arena::node_bytes_max(key.len(), 0)));
        insert(arena, deletion(key, seq));
    }

    fn deletion(key: &[u8], seq: u64) -> EntryRef<'_> {
        EntryRef { key, seq: SeqNo(seq), kind: EntryKind::Delete, payload: b"" }
    }

    /// The same entries, so many of them on their way at a time, in any order of their steps.
    fn arena_by_many(entries: &[(Vec<u8>, u64)], at_once: usize, mut steps: u64) -> Arena {
        let arena = Arena::new(entries.len() * 1024);
        for some in entries.chunks(at_once) {
            let mut insertions = Vec::new();
            for (key, seq) in some {
                assert!(arena.reserve(super::super::arena::node_bytes_max(key.len(), 0)));
                insertions.push(Insertion::new(&arena, deletion(key, *seq)));
            }
            while insertions.iter().any(|insertion| insertion.search.is_some()) {
                for insertion in &mut insertions {
                    steps = steps.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    if steps >> 63 == 0 {
                        insertion.go_on();
                    }
                }
            }
            insertions.iter().for_each(Insertion::link_in);
        }
        arena
    }

    /// Every node of `level`, after a look at INV-5 and INV-7.
    fn checked_level(arena: &Arena, level: usize) -> Vec<(Vec<u8>, u64)> {
        let mut found = Vec::new();
        let mut prev = arena.head();
        while let Some(link) = prev.next(level) {
            let (a, b) = (prev.key(), link.node.key());
            if prev != arena.head() {
                assert!(is_before(prev, b, link.node.seq()), "INV-5 at {level}: {prev:?} {link:?}");
            }
            assert_eq!(link.hint, Hint::new(shared_len(a, b), b).0, "INV-7: {prev:?} {link:?}");
            found.push((b.to_vec(), link.node.seq().0));
            prev = link.node;
        }
        found
    }

    /// All nodes, in order, after a look at INV-5 to INV-7.
    fn checked(arena: &Arena) -> Vec<(Vec<u8>, u64)> {
        let all = checked_level(arena, 0);
        for level in 1..HEIGHT_MAX {
            let tall: Vec<_> =
                all.iter().filter(|(_, seq)| height_of(SeqNo(*seq)) > level).cloned().collect();
            assert_eq!(checked_level(arena, level), tall, "INV-6 at {level}");
        }
        all
    }

    fn is_before(node: NodeRef<'_>, key: &[u8], seq: SeqNo) -> bool {
        compare(node.key(), node.seq(), key, seq).is_lt()
    }

    /// Keys in which a hint has every chance to be wrong: zeros beside ends,
    /// shared prefixes on either side of what a hint can count.
    fn hard_key() -> impl Strategy<Value = Vec<u8>> {
        let prefix_len = prop_oneof![Just(0_usize), Just(7), 250..260_usize];
        let tail = prop::collection::vec(prop::sample::select(vec![0_u8, 0, 1, 0xff]), 0..7);
        (prefix_len, tail).prop_map(|(n, tail)| [vec![0; n], tail].concat())
    }

    proptest! {
        #![proptest_config(crate::memtable::tests::proptest_config(500, 3))]

        #[test]
        fn any_keys_come_in_order_with_true_hints(
            keys in prop::collection::vec(hard_key(), 0..KEYS_MAX),
            first_seq in 1..1_000_000_u64,
        ) {
            let entries: Vec<_> = keys.into_iter().zip(first_seq..).collect();
            let found = checked(&arena_with(&entries));
            let mut wanted = entries;
            wanted.sort_by(|(a, x), (b, y)| compare(a, SeqNo(*x), b, SeqNo(*y)));
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn insertions_that_go_on_side_by_side_come_to_the_same(
            keys in prop::collection::vec(hard_key(), 0..KEYS_MAX),
            first_seq in 1..1_000_000_u64,
            at_once in 1..20_usize,
            steps in any::<u64>(),
        ) {
            let entries: Vec<_> = keys.into_iter().zip(first_seq..).collect();
            let found = checked(&arena_by_many(&entries, at_once, steps));
            prop_assert_eq!(found, checked(&arena_with(&entries)));
        }

        #[test]
        fn searches_agree_with_a_walk(
            keys in prop::collection::vec(hard_key(), 0..KEYS_MAX),
            sought in prop::collection::vec((hard_key(), 0..50_u64), 1..SOUGHT_MAX),
        ) {
            let entries: Vec<_> = keys.into_iter().zip(1..).collect();
            let arena = arena_with(&entries);
            for (key, seq) in &sought {
                let seq = SeqNo(*seq);
                let (mut before, mut after) = (None, first(&arena));
                while let Some(node) = after.filter(|node| is_before(*node, key, seq)) {
                    (before, after) = (after, next(node));
                }
                prop_assert_eq!(last_before(&arena, key, seq), before);
                prop_assert_eq!(first_at_or_after(&arena, key, seq), after);
                prop_assert_eq!(get(&arena, key, seq), after.filter(|node| node.key() == key));
            }
        }
    }

    #[test]
    fn threads_that_insert_neighbours_leave_a_list_in_order() {
        const THREADS: u64 = 3;
        let per_thread: u64 = if cfg!(miri) { 15 } else { 10_000 };
        let arena = Arena::new(if cfg!(miri) { 16 << 10 } else { 4 << 20 });
        thread::scope(|scope| {
            for t in 0..THREADS {
                let arena = &arena;
                scope.spawn(move || {
                    let mut under_way = Vec::new();
                    for i in 0..per_thread {
                        // Next to what the other threads insert just now.
                        let n = i * THREADS + t;
                        if t == 0 {
                            // One of them some at a time.
                            assert!(arena.reserve(super::super::arena::node_bytes_max(8, 0)));
                            let key = n.to_be_bytes();
                            under_way.push(Insertion::new(arena, deletion(&key, n + 1)));
                            if under_way.len() == 5 || i + 1 == per_thread {
                                under_way
                                    .iter_mut()
                                    .for_each(|insertion| while insertion.go_on() {});
                                under_way.iter().for_each(Insertion::link_in);
                                under_way.clear();
                            }
                        } else {
                            insert_reserved(arena, &n.to_be_bytes(), n + 1);
                        }
                    }
                });
            }
        });
        let found: BTreeSet<_> = checked(&arena).into_iter().collect();
        let wanted: BTreeSet<_> =
            (0..per_thread * THREADS).map(|n| (n.to_be_bytes().to_vec(), n + 1)).collect();
        assert!(found == wanted);
    }

    #[test]
    fn half_of_the_nodes_are_taller_on_each_level() {
        const COUNT: usize = if cfg!(miri) { 1 << 8 } else { 1 << 14 };
        for level in 1..8 {
            let taller = (0..).take(COUNT).filter(|seq| height_of(SeqNo(*seq)) > level).count();
            let wanted = COUNT >> level;
            assert!(taller.abs_diff(wanted) < wanted / 4 + 8, "{level}: {taller} not {wanted}");
        }
    }
}
