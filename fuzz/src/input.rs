//! Inputs: the bytes of a file, or a recipe for one.

use arbitrary::{Arbitrary, Result, Unstructured};
use esker::fuzzing::{Entry, EntryKind, SeqNo};

/// What an input is, by the lowest bit of its first byte.
#[derive(Debug)]
pub enum Input<'a, R> {
    /// 0: the rest is a file.
    File(&'a [u8]),
    /// 1: the rest makes a recipe.
    Recipe(R),
}

impl<'a, R: Arbitrary<'a>> Input<'a, R> {
    /// Reads an input; `None` where there is not enough of it.
    #[must_use]
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let (first, rest) = data.split_first()?;
        if first & 1 == 0 {
            return Some(Input::File(rest));
        }
        R::arbitrary_take_rest(Unstructured::new(rest)).ok().map(Input::Recipe)
    }
}

/// The input that is this file.
#[must_use]
pub fn of_file(file: &[u8]) -> Vec<u8> {
    [&[0], file].concat()
}

/// A recipe out of bytes that mean nothing yet, for the seeds.
#[must_use]
pub fn of_noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let noise = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    std::iter::once(1).chain(noise.take(len)).collect()
}

/// A key: mostly short, with much in common with others, at times long.
#[derive(Debug, Clone)]
pub struct Key(pub Vec<u8>);

impl<'a> Arbitrary<'a> for Key {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let shape = u.arbitrary::<u8>()?;
        let last = u.arbitrary::<u8>()?;
        let mut key = match shape % 8 {
            0 => Vec::new(),
            1 => vec![shape; usize::from(last)],
            2 => vec![b'l'; 4 * usize::from(shape)],
            3 => return Ok(Key(vec![0xff; usize::from(last % 4)])),
            n => b"prefix".iter().copied().take(usize::from(n)).collect(),
        };
        key.push(last);
        Ok(Key(key))
    }
}

/// What an entry says, without its key.
#[derive(Debug, Clone, Arbitrary)]
pub enum Said {
    /// A tombstone.
    Delete,
    /// A value of this many times a byte: it compresses.
    Repeated(u8, u16),
    /// A value.
    Value([u8; 5]),
    /// A value with an expiry.
    Expiring(u64, u8),
}

impl Said {
    /// The entry that says so of `key`.
    #[must_use]
    pub fn entry(&self, key: &Key, seq: u64) -> Entry {
        let (kind, payload) = match self {
            Said::Delete => (EntryKind::Delete, Vec::new()),
            Said::Repeated(byte, count) => (EntryKind::Set, vec![*byte; usize::from(count % 600)]),
            Said::Value(bytes) => (EntryKind::Set, bytes.to_vec()),
            Said::Expiring(expiry_ms, len) => {
                let mut payload = expiry_ms.to_le_bytes().to_vec();
                payload.resize(8 + usize::from(len % 16), 0xee);
                (EntryKind::SetExpiring, payload)
            }
        };
        Entry { key: key.0.clone(), seq: SeqNo(seq), kind, payload }
    }
}

/// Entries in the order of a table, each place once.
#[derive(Debug, Clone, Arbitrary)]
pub struct Entries(Vec<(Key, u8, Said)>);

impl Entries {
    /// At most so many of them are made.
    const COUNT_MAX: usize = 400;

    /// The entries, sorted.
    #[must_use]
    pub fn sorted(&self) -> Vec<Entry> {
        let made = self.0.iter().take(Self::COUNT_MAX);
        let mut entries: Vec<Entry> =
            made.map(|(key, seq, said)| said.entry(key, u64::from(*seq))).collect();
        entries.sort_by(Entry::order);
        entries.dedup_by(|a, b| a.order(b).is_eq());
        entries
    }
}
