//! Entries in memory that wait to be sorted.

use std::cmp::Reverse;
use std::mem::size_of;

#[derive(Debug, Clone, Copy)]
struct Slot {
    start: usize,
    key_bytes: usize,
    value_bytes: usize,
}

/// Entries in the order in which they came, or, once sorted, in that of their keys, each once.
#[derive(Debug, Default)]
pub struct Gathered {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

impl Gathered {
    /// Adds an entry.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        let slot = Slot { start: self.bytes.len(), key_bytes: key.len(), value_bytes: value.len() };
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.slots.push(slot);
    }

    /// What it takes of memory.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len() + self.slots.len() * size_of::<Slot>()
    }

    /// Sorts it by key; of those that are alike the one that came last stays.
    pub fn sort(&mut self) {
        let Gathered { bytes, slots } = self;
        let key = |slot: &Slot| bytes.get(slot.start..slot.start + slot.key_bytes);
        slots.sort_unstable_by(|a, b| {
            key(a).cmp(&key(b)).then_with(|| Reverse(a.start).cmp(&Reverse(b.start)))
        });
        slots.dedup_by(|later, first| key(later) == key(first));
    }

    /// The entry at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let Slot { start, key_bytes, value_bytes } = *self.slots.get(index)?;
        self.bytes.get(start..start + key_bytes + value_bytes)?.split_at_checked(key_bytes)
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.slots.len()).filter_map(|index| self.get(index))
    }

    /// Forgets all entries, and gives back memory beyond some `kept_bytes`.
    pub fn clear(&mut self, kept_bytes: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(kept_bytes);
        self.slots.clear();
        self.slots.shrink_to(kept_bytes / size_of::<Slot>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_and_keeps_the_last_of_each_key() {
        let mut gathered = Gathered::default();
        for (key, value) in [("b", "1"), ("", "2"), ("a", "3"), ("b", ""), ("ab", "4"), ("b", "5")]
        {
            gathered.put(key.as_bytes(), value.as_bytes());
        }
        gathered.sort();
        let sorted: Vec<_> = gathered.iter().collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"", b"2"), (b"a", b"3"), (b"ab", b"4"), (b"b", b"5")];
        assert_eq!(sorted, expected);
        assert_eq!(gathered.get(4), None);
        gathered.clear(0);
        assert_eq!((gathered.size_bytes(), gathered.get(0)), (0, None));
    }
}
