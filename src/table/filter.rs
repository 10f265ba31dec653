//! The filter: which keys a table does not hold, for one cache miss.
//!
//! A Bloom filter in lines of 64 bytes, the processor's own: all bits of a key are in
//! one line (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom
//! Filters, 2007). Keys spread over lines unevenly, so it takes a little more than an even
//! Bloom filter would: 11 bits a key for 0.6% that pass though they are not there.
//!
//! A key is in it if one of its versions is in the table, a tombstone too.

use crate::format::KeyHash;
use crate::format::codec::to_u64;

/// Size of a line, in bytes.
pub const LINE_SIZE: usize = 64;
const LINE_WORDS: usize = LINE_SIZE / 8;
const LINE_BITS: usize = LINE_SIZE * 8;
/// Lines of a page of the filter, 2 KiB: a look for one key reads one.
pub const PAGE_LINES: usize = 32;
/// Bits of the filter for each key.
pub const KEY_BITS: usize = 11;
/// Bits that are set for a key. With 9 bits for the place of each, they take 54 bits of a hash.
const PROBES: u32 = 6;
const PLACE_BITS: u32 = 9;
const _: () = assert!(1 << PLACE_BITS == LINE_BITS && PROBES * PLACE_BITS <= 64);

/// On its own in a cache line, so that a probe waits for memory once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(align(64))]
struct Line([u64; LINE_WORDS]);

const _: () = assert!(size_of::<Line>() == LINE_SIZE);

impl Line {
    fn decode(bytes: &[u8; LINE_SIZE]) -> Line {
        let mut words = [0; LINE_WORDS];
        let (chunks, _) = bytes.as_chunks();
        words.iter_mut().zip(chunks).for_each(|(to, from)| *to = u64::from_le_bytes(*from));
        Line(words)
    }

    #[inline]
    fn may_contain(&self, hash: KeyHash) -> bool {
        let Line(words) = self;
        // No early end: the line has been waited for, and a branch taken wrongly costs
        // more than all the rest.
        places(hash).fold(1, |all, (word, bit)| all & (words[word] >> bit)) & 1 == 1
    }
}

/// A filter in memory.
#[derive(Debug, Default)]
pub struct Filter {
    lines: Vec<Line>,
}

impl Filter {
    fn of(hashes: &[KeyHash]) -> Filter {
        let mut filter = Filter::empty(lines_for(hashes.len()));
        hashes.iter().for_each(|&hash| filter.insert(hash));
        filter
    }

    /// Of so many lines and no key.
    fn empty(lines: usize) -> Filter {
        Filter { lines: vec![Line::default(); lines] }
    }

    #[inline]
    fn insert(&mut self, hash: KeyHash) {
        let line = line_of(hash, self.lines.len());
        if let Some(Line(words)) = self.lines.get_mut(line) {
            for (word, bit) in places(hash) {
                words[word] |= 1 << bit;
            }
        }
    }

    /// The same keys in half of the lines: as a key's line is chosen by the upper bits of its hash, it is then the one of half the number.
    fn fold(&mut self) {
        let folded = self.lines.chunks(2).map(|two| {
            let words = |line: usize| two.get(line).map_or([0; LINE_WORDS], |line| line.0);
            let (first, second) = (words(0), words(1));
            Line(std::array::from_fn(|word| first[word] | second[word]))
        });
        self.lines = folded.collect();
    }

    /// Without a line yet, and with room for so many.
    pub fn with_room(lines: usize) -> Filter {
        Filter { lines: Vec::with_capacity(lines) }
    }

    /// Adds the lines of a page, in order.
    ///
    /// # Errors
    /// What was expected and found.
    pub fn extend(&mut self, page: &[u8]) -> Result<(), String> {
        let (lines, rest) = page.as_chunks::<LINE_SIZE>();
        if !rest.is_empty() {
            let found = page.len();
            return Err(format!("filter: expected lines of {LINE_SIZE} B, found {found} B"));
        }
        self.lines.extend(lines.iter().map(Line::decode));
        Ok(())
    }

    /// The count of lines.
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// The payloads of its pages, in order.
    pub fn pages(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let encode = |lines: &[Line]| {
            lines.iter().flat_map(|line| line.0).flat_map(u64::to_le_bytes).collect()
        };
        self.lines.chunks(PAGE_LINES).map(encode)
    }

    /// Bytes of memory.
    pub fn weight(&self) -> usize {
        self.lines.capacity() * LINE_SIZE
    }

    /// False: no entry of the table has a key of this hash.
    #[inline]
    pub fn may_contain(&self, hash: KeyHash) -> bool {
        let line = self.lines.get(line_of(hash, self.lines.len()));
        line.is_some_and(|line| line.may_contain(hash))
    }
}

/// The line of a key in a filter of so many: the upper bits of its hash choose.
#[inline]
pub fn line_of(hash: KeyHash, lines: usize) -> usize {
    let product = u128::from(hash.0) * to_u64(lines) as u128;
    usize::try_from(product >> 64).expect("less than the count of lines")
}

/// As [`Filter::may_contain`], by one page alone, in which the key has that line. `None`: the page has no such line.
pub fn page_may_contain(page: &[u8], line: usize, hash: KeyHash) -> Option<bool> {
    let (page, _) = page.as_chunks();
    page.get(line).map(|line| Line::decode(line).may_contain(hash))
}

/// Where in its line a key has its bits: word and bit. The multiplication spreads
/// the lower bits of the hash, which the choice of the line left over, over all.
#[inline]
fn places(hash: KeyHash) -> impl Iterator<Item = (usize, u32)> {
    let spread = hash.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (1..=PROBES).map(move |probe| {
        let [low, high, ..] = (spread >> (64 - PLACE_BITS * probe)).to_le_bytes();
        (usize::from(low >> 6 | (high & 1) << 2), u32::from(low & 63))
    })
}

/// How many lines a filter of so many keys has.
fn lines_for(keys: usize) -> usize {
    (keys * KEY_BITS).div_ceil(LINE_BITS)
}

/// The filter of a table being written. How many lines it has its last key tells, so it holds 8 bytes for each key until
/// the end. Where it is known how many there are at most, it is made of that size when a part of them has come, and
/// folded at the end as long as it has room for twice the keys that it got.
#[derive(Debug, Default)]
pub struct FilterBuilder {
    hashes: Vec<KeyHash>,
    /// At most so many keys come. 0: who knows.
    keys_max: usize,
    /// That of all keys so far, and their count, once it has been made.
    filter: Option<(Filter, usize)>,
}

impl FilterBuilder {
    /// With this part of the keys the filter is made: with fewer it would have to be folded too often.
    const PART: usize = 16;
    /// Below so many keys it is not worth it.
    const KEYS_MANY: usize = 16 << 10;

    /// Says that at most so many keys come.
    pub fn expect_keys(&mut self, max: usize) {
        self.keys_max = if max >= Self::KEYS_MANY { max } else { 0 };
    }

    /// Adds a key, once, whatever the count of its versions.
    pub fn add(&mut self, key: &[u8]) {
        self.add_hash(KeyHash::of(key));
    }

    fn add_hash(&mut self, hash: KeyHash) {
        if let Some((filter, keys)) = &mut self.filter {
            filter.insert(hash);
            *keys += 1;
            return;
        }
        self.hashes.push(hash);
        if self.keys_max > 0 && self.hashes.len() == self.keys_max / Self::PART {
            let mut filter = Filter::empty(lines_for(self.keys_max).next_multiple_of(Self::PART));
            let hashes = std::mem::take(&mut self.hashes);
            hashes.iter().for_each(|&hash| filter.insert(hash));
            self.filter = Some((filter, hashes.len()));
        }
    }

    /// The filter.
    pub fn finish(self) -> Filter {
        let Some((mut filter, keys)) = self.filter else { return Filter::of(&self.hashes) };
        while filter.lines().is_multiple_of(2) && filter.lines() / 2 >= lines_for(keys) {
            filter.fold();
        }
        filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As a reader has it.
    fn decode(written: &Filter) -> Filter {
        let mut filter = Filter::with_room(written.lines());
        written.pages().for_each(|page| filter.extend(&page).expect("valid"));
        filter
    }

    fn filter_of(keys: impl Iterator<Item = Vec<u8>>) -> Filter {
        let mut builder = FilterBuilder::default();
        keys.for_each(|key| builder.add(&key));
        decode(&builder.finish())
    }

    /// The format, in bits: the lines and places of keys are on disk.
    #[test]
    fn example_bytes() {
        let mut builder = FilterBuilder::default();
        builder.hashes.push(KeyHash(0x0123_4567_89ab_cdef));
        let payload: Vec<u8> = builder.finish().pages().flatten().collect();
        assert_eq!(payload.len(), LINE_SIZE);
        let set: Vec<usize> =
            (0..LINE_BITS).filter(|bit| payload[bit / 8] >> (bit % 8) & 1 == 1).collect();
        // 0x0123456789abcdef * 0x9e3779b97f4a7c15, in pieces of nine bits from the top.
        let spread: u64 = 0x0123_4567_89ab_cdef_u64.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut expected: Vec<usize> = format!("{spread:064b}").as_bytes()[..54]
            .chunks(9)
            .map(|digits| digits.iter().fold(0, |n, d| n * 2 + usize::from(d - b'0')))
            .collect();
        expected.sort_unstable();
        assert_eq!(set, expected);
        assert_eq!(set.len(), 6, "of this hash all are different");
    }

    #[test]
    fn at_most_one_in_a_hundred_passes_that_is_not_there() {
        const COUNT: u64 = 300_000;
        let scattered = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i >> 7;
        type Shape<'a> = (&'a str, &'a dyn Fn(u64) -> Vec<u8>);
        let shapes: [Shape<'_>; 5] = [
            ("numbers in order", &|i| i.to_be_bytes().to_vec()),
            ("decimal, a long prefix", &|i| format!("tenant/eu-west/user:{i:012}").into_bytes()),
            ("scattered, in hex", &|i| format!("config/{:016x}", scattered(i)).into_bytes()),
            ("of many lengths", &|i| format!("{i}{}", "x".repeat((i % 300) as usize)).into_bytes()),
            ("a byte that differs in front", &|i| {
                [&i.to_le_bytes()[..], b"/the/same/for/all"].concat()
            }),
        ];
        for (name, key) in shapes {
            let filter = filter_of((0..COUNT).map(key));
            assert!((0..COUNT).all(|i| filter.may_contain(KeyHash::of(&key(i)))), "{name}");
            let passed = (COUNT..2 * COUNT).filter(|&i| filter.may_contain(KeyHash::of(&key(i))));
            let passed = passed.count();
            // Far fewer would mean that it is larger than it says.
            assert!((1200..2400).contains(&passed), "{name}: {passed} of {COUNT} passed");
            assert!(filter.weight() <= 300_000 * KEY_BITS / 8 + LINE_SIZE, "{}", filter.weight());
        }
    }

    #[test]
    fn an_empty_filter_has_no_lines_and_passes_nothing() {
        let filter = filter_of(std::iter::empty());
        assert!(filter.lines() == 0 && !filter.may_contain(KeyHash(0)));
        Filter::default().extend(&[0; LINE_SIZE - 1]).expect_err("not a whole line");
        Filter::default().extend(&[0; LINE_SIZE + 1]).expect_err("not a whole line");
    }

    /// Foretold or not, the keys are in it, and few others; it has fewer lines than for twice as many.
    #[test]
    fn a_filter_of_keys_foretold_is_folded_to_their_count() {
        let hash = |i: usize| KeyHash::of(&i.to_be_bytes());
        for (foretold, came) in [
            (100_000, 100_000),
            (100_000, 70_000),
            (100_000, 49_000),
            (100_000, 6_300),
            (100_000, 100),
            (16_384, 1),
        ] {
            let mut builder = FilterBuilder::default();
            builder.expect_keys(foretold);
            (0..came).for_each(|i| builder.add_hash(hash(i)));
            assert!(
                builder.hashes.capacity() * 8 <= foretold,
                "{foretold}, {came}: a part of them"
            );
            let filter = builder.finish();
            assert!((0..came).all(|i| filter.may_contain(hash(i))), "{foretold}, {came}");
            let passed = (came..came + 100_000).filter(|&i| filter.may_contain(hash(i))).count();
            assert!(passed < 900, "{foretold}, {came}: {passed} passed");
            let needed = lines_for(came);
            assert!(
                (needed..2 * needed + 1).contains(&filter.lines()),
                "{foretold}, {came}: {}",
                filter.lines()
            );
            // What is on disk does not depend on the way.
            if came == 100 {
                assert_eq!(
                    filter.lines,
                    Filter::of(&(0..came).map(hash).collect::<Vec<_>>()).lines
                );
            }
        }
    }

    #[test]
    fn a_folded_filter_is_the_one_of_half_the_lines() {
        let hashes: Vec<_> = (0..5_000_u32).map(|i| KeyHash::of(&i.to_be_bytes())).collect();
        let of = |lines| {
            let mut filter = Filter::empty(lines);
            hashes.iter().for_each(|&hash| filter.insert(hash));
            filter
        };
        let mut folded = of(246);
        folded.fold();
        assert_eq!(folded.lines, of(123).lines);
    }

    /// For the same answer, also where it says yes though the key is not there.
    #[test]
    fn a_page_alone_says_what_the_filter_says() {
        let filter = filter_of((0..9_000_u32).map(|i| i.to_be_bytes().to_vec()));
        let pages: Vec<Vec<u8>> = filter.pages().collect();
        assert_eq!(
            pages.iter().map(Vec::len).collect::<Vec<_>>(),
            [2048, 2048, 2048, 2048, 2048, 2048, 2 * 64]
        );
        for i in 0..200_000_u32 {
            let hash = KeyHash::of(&i.to_be_bytes());
            let line = line_of(hash, filter.lines());
            let said = page_may_contain(&pages[line / PAGE_LINES], line % PAGE_LINES, hash);
            assert_eq!(said, Some(filter.may_contain(hash)), "{i}");
        }
        assert_eq!(page_may_contain(&pages[6], 2, KeyHash(0)), None, "it has two lines");
    }

    proptest! {
        #[test]
        fn what_was_added_passes(keys in proptest::collection::vec(any::<Vec<u8>>(), 1..200)) {
            let filter = filter_of(keys.iter().cloned());
            for key in &keys {
                prop_assert!(filter.may_contain(KeyHash::of(key)));
            }
        }
    }
}
