//! An immutable set of open tables, by level.

use super::segments::Segments;
use crate::format::{LEVELS, Level, TableId, TableMeta};
use crate::table::Table;
use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

/// The tables in force.
///
/// INV-4 of `store`: in level 0 tables stand newest first, and none holds a
/// newer version of a key than one before it; in each other level they stand
/// by key, none overlaps another, and what a level holds of a key is older
/// than what the levels above it hold.
#[derive(Debug, Default)]
pub struct Version {
    levels: [Vec<Arc<Table>>; LEVELS],
    segments: Arc<Segments>,
    /// How many restores came before it.
    restores: u64,
}

impl Version {
    /// Of these tables, in any order.
    #[must_use]
    pub fn new(tables: impl IntoIterator<Item = (Level, Arc<Table>)>) -> Self {
        Version::default().with(tables, &[])
    }

    /// This version with the tables `added` and without those `removed`, in that
    /// sense: a table that is in both is in it, at the level where it was added.
    #[must_use]
    pub fn with(
        &self,
        added: impl IntoIterator<Item = (Level, Arc<Table>)>,
        removed: &[TableId],
    ) -> Self {
        let removed: HashSet<TableId> = removed.iter().copied().collect();
        let mut levels = self.levels.clone();
        for level in &mut levels {
            level.retain(|table| !removed.contains(&table.meta().id));
        }
        for (level, table) in added {
            levels[level.index()].push(table);
        }
        let (zero, below) = levels.split_first_mut().expect("there is a level 0");
        zero.sort_by_key(|table| Reverse(table.meta().properties.largest_seq));
        for level in below {
            level.sort_by(|a, b| a.meta().smallest_key().cmp(b.meta().smallest_key()));
        }
        Version { levels, segments: Arc::clone(&self.segments), restores: self.restores }
    }

    /// This version, as that which a restore puts in the place of `old`.
    #[must_use]
    pub fn in_place_of(mut self, old: &Version) -> Self {
        self.restores = old.restores + 1;
        self
    }

    /// How many restores came before it, since the database was opened: a change that was
    /// worked out on one of another number is of no use any more.
    #[must_use]
    pub fn restores(&self) -> u64 {
        self.restores
    }

    /// This version with other segments: all to which its tables point.
    #[must_use]
    pub fn with_segments(mut self, segments: Segments) -> Self {
        self.segments = Arc::new(segments);
        self
    }

    /// The segments of the value log.
    #[must_use]
    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    /// The tables of a level: of level 0 newest first, of the others by key.
    #[must_use]
    pub fn level(&self, level: Level) -> &[Arc<Table>] {
        &self.levels[level.index()]
    }

    /// All tables, with their level, from level 0 down.
    pub fn tables(&self) -> impl Iterator<Item = (Level, &Arc<Table>)> {
        Level::all().flat_map(|level| self.level(level).iter().map(move |table| (level, table)))
    }

    /// What the manifest knows of them.
    pub fn metas(&self) -> impl Iterator<Item = (Level, &TableMeta)> {
        self.tables().map(|(level, table)| (level, table.meta()))
    }

    /// The one table of a level below 0 that can hold `key`.
    #[must_use]
    pub fn table_of(&self, level: Level, key: &[u8]) -> Option<&Arc<Table>> {
        debug_assert!(level != Level::ZERO, "the tables of level 0 overlap");
        let tables = self.level(level);
        let at = tables.partition_point(|table| table.meta().largest_key() < key);
        tables.get(at).filter(|table| table.meta().smallest_key() <= key)
    }
}
