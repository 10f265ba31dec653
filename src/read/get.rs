//! One key.

use super::value::Value;
use crate::error::Result;
use crate::format::{Content, EntryRef, KeyHash, Level, SeqNo};
use crate::store::{Store, View};

/// What a read of one key found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// No entry, or a tombstone.
    Missing,
    /// An entry whose time has passed.
    Expired,
    /// An entry.
    Found(Value),
}

/// Reads from one view at one sequence number.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// For the clock and the expiry floor.
    pub store: &'a Store,
    /// Where to look.
    pub view: &'a View,
    /// What is newer is hidden.
    pub seq: SeqNo,
}

impl Reader<'_> {
    /// Looks `key` up.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::Corruption`].
    pub fn get(&self, key: &[u8]) -> Result<Lookup> {
        if let Some(entry) = self.view.active.get(key, self.seq) {
            return self.interpret(entry);
        }
        for sealed in &self.view.sealed {
            if let Some(entry) = sealed.memtable.get(key, self.seq) {
                return self.interpret(entry);
            }
        }
        let version = &self.view.version;
        // One for the filters of all tables.
        let hash = KeyHash::of(key);
        let newest_first = version.level(Level::ZERO).iter();
        let level_0 = newest_first.filter(|table| table.meta().may_contain(key));
        let below = Level::all().skip(1).filter_map(|level| version.table_of(level, key));
        let mut searched = 0;
        for table in level_0.chain(below) {
            searched += 1;
            if let Some(found) = table.get(key, hash, self.seq)? {
                self.store.reads.count(searched);
                return self.interpret(found.entry());
            }
        }
        self.store.reads.count(searched);
        Ok(Lookup::Missing)
    }

    fn interpret(&self, entry: EntryRef<'_>) -> Result<Lookup> {
        Ok(match entry.value() {
            None => Lookup::Missing,
            Some((Some(expires_at_ms), _)) if self.store.is_expired(expires_at_ms) => {
                Lookup::Expired
            }
            Some((_, Content::Inline(value))) => Lookup::Found(Value::copy(value)),
            Some((_, Content::Pointer(pointer))) => {
                Lookup::Found(Value::from_vec(self.view.read_value(pointer)?))
            }
        })
    }
}
