//! The tables of a database by level, as a job is picked from them.

use super::levels::LevelTargets;
use crate::format::{LEVELS, Level, TableMeta};

/// The tables, as the manifest knows them: level 0 newest first, the others by key.
#[derive(Debug, Default)]
pub struct Tree<'a> {
    levels: [Vec<&'a TableMeta>; LEVELS],
}

impl<'a> Tree<'a> {
    /// Of these tables, in the order of a version.
    pub fn new(tables: impl Iterator<Item = (Level, &'a TableMeta)>) -> Self {
        let mut tree = Tree::default();
        for (level, meta) in tables {
            tree.levels[level.index()].push(meta);
        }
        tree
    }

    /// The tables of a level: of level 0 newest first, of the others by key.
    pub fn level(&self, level: Level) -> &[&'a TableMeta] {
        &self.levels[level.index()]
    }

    /// The bytes in each level.
    pub fn bytes(&self) -> [u64; LEVELS] {
        self.levels.each_ref().map(|tables| tables.iter().map(|t| t.size_bytes).sum())
    }

    /// By how much the levels between 0 and the last exceed their sizes, in bytes.
    pub fn excess_bytes(&self, base_bytes: u64) -> u64 {
        let bytes = self.bytes();
        let targets = LevelTargets::new(&bytes, base_bytes);
        let between = Level::all().filter(|l| *l != Level::ZERO && *l != Level::LAST);
        let over = |l: Level| bytes[l.index()].saturating_sub(targets.bytes_max[l.index()]);
        between.map(over).sum()
    }

    /// Stored bytes of the values to which the tables of `level` point.
    pub fn value_bytes(&self, level: Level) -> u64 {
        self.level(level).iter().map(|t| t.properties.value_bytes()).sum()
    }

    /// What an entry takes on the disk on average, in bytes, its value included.
    pub fn entry_bytes(&self) -> u64 {
        let tables = || self.levels.iter().flatten();
        let entries: u64 = tables().map(|t| t.properties.entries).sum();
        let values: u64 = tables().map(|t| t.properties.value_bytes()).sum();
        (self.bytes().iter().sum::<u64>() + values) / entries.max(1)
    }

    /// The tables of `level` that overlap one of `tables`, or lie between two of them.
    pub fn overlapping(&self, level: Level, tables: &[&TableMeta]) -> Vec<&'a TableMeta> {
        let smallest = tables.iter().map(|t| t.smallest_key()).min();
        let largest = tables.iter().map(|t| t.largest_key()).max();
        let (Some(smallest), Some(largest)) = (smallest, largest) else { return Vec::new() };
        let overlaps = |t: &&&TableMeta| t.smallest_key() <= largest && smallest <= t.largest_key();
        let tables = self.level(level);
        if level == Level::ZERO {
            return tables.iter().filter(overlaps).copied().collect();
        }
        // In order: they are next to each other, and there may be thousands.
        let from = tables.partition_point(|t| t.largest_key() < smallest);
        tables[from..].iter().take_while(overlaps).copied().collect()
    }

    /// Whether no older version of a key of `table` can stand anywhere but in it.
    pub fn is_lowest(&self, level: Level, table: &TableMeta) -> bool {
        let below = Level::all().filter(|l| *l > level);
        let older = |l| self.overlapping(l, &[table]);
        below.flat_map(older).next().is_none()
            && (level != Level::ZERO
                || self.overlapping(level, &[table]).iter().all(|t| {
                    t.id == table.id || t.properties.largest_seq > table.properties.largest_seq
                }))
    }
}
