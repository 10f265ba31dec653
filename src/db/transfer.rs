//! What exports and imports of an engine need beyond what users get.

use super::{Db, Snapshot};
use crate::error::Result;
use crate::ingest::{Sorter, Writer};
use crate::read::{Bounds, Scan};

/// Entries of one prefix in order, each with its expiry, as of one moment: of two walks at the same
/// one, the second passes what the first has passed, however long that took.
#[derive(Debug)]
pub(crate) struct Entries {
    scan: Scan,
    now_ms: u64,
}

impl Entries {
    /// What `see` makes of the next key, of when it expires in milliseconds since the Unix epoch
    /// (`None`: never), and of its value.
    ///
    /// # Errors
    /// As of an item of [`super::Range`].
    pub fn next_with<R>(
        &mut self,
        see: impl FnOnce(&[u8], Option<u64>, &[u8]) -> R,
    ) -> Option<Result<R>> {
        self.scan.next_as_of(self.now_ms, see)
    }

    /// The same without the value, which is not read.
    ///
    /// # Errors
    /// As [`Entries::next_with`].
    pub fn next_key_with<R>(
        &mut self,
        see: impl FnOnce(&[u8], Option<u64>) -> R,
    ) -> Option<Result<R>> {
        self.scan.next_key_as_of(self.now_ms, see)
    }
}

impl Snapshot {
    /// The entries whose key starts with `prefix` that are alive at `now_ms`. From here on nothing of them
    /// goes, though it may expire meanwhile. They are read past the cache.
    pub(crate) fn entries(&self, prefix: &str, now_ms: u64) -> Entries {
        Entries { scan: self.scan(Bounds::prefix(prefix.as_bytes())).past_cache(), now_ms }
    }
}

impl Db {
    /// Now, for what expires: the clock, or what was already seen expired where it has stepped back.
    pub(crate) fn now_ms(&self) -> u64 {
        let store = &self.inner.store;
        store.home.clock.now_ms().max(store.expiry.get())
    }

    /// Sorts entries in files beside those of the database.
    ///
    /// # Errors
    /// As [`Db::set`], where nothing was written before.
    pub(crate) fn sorter(&self) -> Result<Sorter> {
        self.inner.begin()?;
        Ok(self.inner.ingester.sorter())
    }

    /// Makes all that `writer` took visible and durable, as [`super::Ingest::finish`].
    pub(crate) fn finish_load(&self, writer: Writer) -> Result<()> {
        self.inner.finish_ingest(writer).map(|_| ())
    }
}
