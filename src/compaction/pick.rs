//! What to compact next: a pure function of the tables and the conditions.

use super::garbage::Conditions;
use super::levels::LevelTargets;
use super::tree::Tree;
use crate::format::{Level, TableId, TableMeta};
use crate::store::LEVEL_0_TABLES;
use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt;

/// The levels above the last are merged down when what they would free is more
/// than this part of all; a table of the last level is rewritten when it would free this part of itself.
const GARBAGE_PART_ABOVE: u64 = 10;
const GARBAGE_PART_LAST: u64 = 4;

/// Tables of level 0 are merged among themselves when they are smaller than this part
/// of what they would be merged into.
const LEVEL_0_SMALL_PART: u64 = 4;

/// Level 0 may point to this part of the large values below it.
const LARGE_VALUES_PART: u64 = 4;

/// Why a job is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The level has outgrown its size, or level 0 its number of tables.
    Size,
    /// It frees much.
    Garbage,
    /// A tombstone or an expired entry has waited long enough.
    Deadline,
    /// Somebody asked for it.
    Request,
}

/// What is done with the tables of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All of them are merged into new tables.
    Merge,
    /// The one table goes to the other level as it is.
    Move,
    /// The one table goes: all in it has expired.
    Remove,
}

/// Tables to be compacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What is done.
    pub kind: Kind,
    /// Why.
    pub reason: Reason,
    /// The level of the tables `upper`.
    pub from: Level,
    /// Where what comes of it goes, and the level of the tables `lower`.
    pub to: Level,
    /// Newest first, where the level is 0.
    pub upper: Vec<TableId>,
    /// Those of `to` that overlap them.
    pub lower: Vec<TableId>,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Job { kind, reason, from, to, upper, lower } = self;
        let ids = |ids: &[TableId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
        write!(f, "{kind:?} {from} {:?}", ids(upper))?;
        if !lower.is_empty() {
            write!(f, " with {:?}", ids(lower))?;
        }
        write!(f, " to {to} ({reason:?})")
    }
}

/// What is looked at beside the tables.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Up to which size level 0 and the one it is merged into are left alone, in bytes.
    pub base_bytes: u64,
    /// Up to how many bytes of the level below a table should overlap: more is
    /// more than one job should merge.
    pub overlap_bytes_max: u64,
    /// How many bytes of large values level 0 may point to, whatever is below.
    pub value_slack_bytes: u64,
    /// Time and snapshots.
    pub conditions: Conditions,
    /// Tables that are not to be touched: they are damaged.
    pub left_alone: &'a HashSet<TableId>,
}

/// The job to do next; `None`: there is none.
pub fn pick(tree: &Tree<'_>, situation: &Situation<'_>) -> Option<Job> {
    expired(tree, situation)
        .or_else(|| by_size(tree, situation))
        .or_else(|| by_garbage(tree, situation))
        .or_else(|| by_deadline(tree, situation))
}

/// The next job of those that merge all tables that overlap a range down as
/// far as they go; `is_meant` tells them.
pub fn pick_requested(
    tree: &Tree<'_>,
    situation: &Situation<'_>,
    is_meant: impl Fn(&TableMeta) -> bool,
) -> Option<Job> {
    let reason = Reason::Request;
    for level in Level::all().filter(|level| *level != Level::LAST) {
        let tables = tree.level(level).iter().filter(|table| is_meant(table));
        for table in tables {
            let job = down(tree, situation, level, table, reason);
            if job.is_some() {
                return job;
            }
        }
    }
    let has_garbage = |t: &&&TableMeta| is_meant(t) && situation.conditions.has_own_garbage(t);
    tree.level(Level::LAST)
        .iter()
        .filter(has_garbage)
        .find_map(|table| rewrite(situation, table, reason))
}

/// A table of which all has expired, with nothing below that it hides. Not while a snapshot is older: that
/// a key was written since then must leave a trace, for the transaction that may hold the snapshot. Nor while a
/// backup is followed that is older: it may have other versions of the keys.
fn expired(tree: &Tree<'_>, situation: &Situation<'_>) -> Option<Job> {
    let tables = Level::all().flat_map(|l| tree.level(l).iter().map(move |table| (l, *table)));
    tables
        .filter(|(level, table)| {
            situation.conditions.is_all_expired(table)
                && !situation.conditions.keeps_deletes_of(table)
                && situation.conditions.is_free_of_snapshots(table)
                && tree.is_lowest(*level, table)
                && !situation.left_alone.contains(&table.id)
        })
        .map(|(level, table)| Job {
            kind: Kind::Remove,
            reason: Reason::Garbage,
            from: level,
            to: level,
            upper: vec![table.id],
            lower: Vec::new(),
        })
        .next()
}

/// From the level that has outgrown its size the most.
fn by_size(tree: &Tree<'_>, situation: &Situation<'_>) -> Option<Job> {
    let bytes = tree.bytes();
    let targets = LevelTargets::new(&bytes, situation.base_bytes);
    // In thousandths of what it may be; those between 0 and the base are to be empty.
    let score = |level: Level| {
        let (bytes, limit) = (bytes[level.index()], targets.bytes_max[level.index()]);
        let score = if bytes == 0 { 0 } else { bytes.saturating_mul(1000) / limit.max(1) };
        match level {
            Level::ZERO => {
                let tables = u64::try_from(tree.level(level).len()).unwrap_or(u64::MAX);
                let by_values = large_values_score(tree, situation);
                score.max(tables.saturating_mul(1000) / (LEVEL_0_TABLES as u64)).max(by_values)
            }
            _ => score,
        }
    };
    let mut levels: Vec<(u64, Level)> = Level::all()
        .filter(|level| *level != Level::LAST)
        .map(|level| (score(level), level))
        .filter(|(score, _)| *score >= 1000)
        .collect();
    levels.sort_by_key(|(score, level)| (Reverse(*score), *level));
    levels.into_iter().find_map(|(_, level)| match level {
        Level::ZERO => level_0(tree, situation, Reason::Size),
        _ => best(tree, situation, level),
    })
}

/// How much level 0 is due because of the large values to which it points, in thousandths: a quarter
/// of those below may be overwritten there without anybody knowing. Such tables are small
/// beside the values, and cheap to merge.
fn large_values_score(tree: &Tree<'_>, situation: &Situation<'_>) -> u64 {
    let below: u64 = Level::all().skip(1).map(|level| tree.value_bytes(level)).sum();
    let limit = (below / LARGE_VALUES_PART).max(situation.value_slack_bytes).max(1);
    let values = tree.value_bytes(Level::ZERO);
    let tables: u64 = tree.bytes()[0];
    // Where the tables are not small beside the values, they count as all others do.
    if values < tables.saturating_mul(2) { 0 } else { values.saturating_mul(1000) / limit }
}

/// Of a level below 0, the table that costs least for what it is worth.
fn best(tree: &Tree<'_>, situation: &Situation<'_>, level: Level) -> Option<Job> {
    let below = level.below()?;
    let mut tables: Vec<(u64, &TableMeta)> = tree
        .level(level)
        .iter()
        .map(|table| {
            let lower = bytes(&tree.overlapping(below, &[table]));
            let cost = table.size_bytes.saturating_add(lower);
            let worth = table.size_bytes + situation.conditions.garbage_bytes(table);
            (cost.saturating_mul(1000) / worth.max(1), *table)
        })
        .collect();
    tables.sort_by_key(|(cost, table)| (*cost, table.id));
    tables.into_iter().find_map(|(_, table)| down(tree, situation, level, table, Reason::Size))
}

/// What frees most, once it is much.
fn by_garbage(tree: &Tree<'_>, situation: &Situation<'_>) -> Option<Job> {
    let conditions = &situation.conditions;
    let above = || {
        let levels = Level::all().filter(|level| *level != Level::LAST);
        levels.flat_map(|level| tree.level(level).iter().map(move |table| (level, *table)))
    };
    let garbage: u64 = above().map(|(_, table)| conditions.garbage_bytes(table)).sum();
    let values: u64 = Level::all().map(|level| tree.value_bytes(level)).sum();
    let all = tree.bytes().iter().sum::<u64>() + values;
    if garbage > all / GARBAGE_PART_ABOVE {
        let mut tables: Vec<(u64, Level, &TableMeta)> = above()
            .map(|(level, table)| (conditions.garbage_bytes(table), level, table))
            .filter(|(garbage, ..)| *garbage > 0)
            .collect();
        tables.sort_by_key(|(garbage, level, table)| (Reverse(*garbage), *level, table.id));
        let job = tables
            .into_iter()
            .find_map(|(_, level, table)| down(tree, situation, level, table, Reason::Garbage));
        if job.is_some() {
            return job;
        }
    }
    let is_worth = |table: &&&TableMeta| {
        let bytes = table.size_bytes + table.properties.value_bytes();
        conditions.own_garbage_bytes(table) > bytes / GARBAGE_PART_LAST
    };
    let mut last: Vec<_> = tree.level(Level::LAST).iter().filter(is_worth).collect();
    last.sort_by_key(|table| Reverse(conditions.own_garbage_bytes(table)));
    last.into_iter().find_map(|table| rewrite(situation, table, Reason::Garbage))
}

/// What has waited long enough.
fn by_deadline(tree: &Tree<'_>, situation: &Situation<'_>) -> Option<Job> {
    let is_due = |table: &TableMeta| situation.conditions.is_due(table);
    let above = Level::all().filter(|level| *level != Level::LAST).flat_map(|level| {
        tree.level(level).iter().filter(|table| is_due(table)).map(move |table| (level, *table))
    });
    let mut above: Vec<_> = above.collect();
    above.sort_by_key(|(level, table)| (table.written_ms, *level, table.id));
    above
        .into_iter()
        .find_map(|(level, table)| down(tree, situation, level, table, Reason::Deadline))
        .or_else(|| {
            let mut last: Vec<_> =
                tree.level(Level::LAST).iter().filter(|table| is_due(table)).collect();
            last.sort_by_key(|table| table.written_ms);
            last.into_iter().find_map(|table| rewrite(situation, table, Reason::Deadline))
        })
}

/// `table` of `level`, which is not the last, goes to the level below.
fn down(
    tree: &Tree<'_>,
    situation: &Situation<'_>,
    level: Level,
    table: &TableMeta,
    reason: Reason,
) -> Option<Job> {
    if level == Level::ZERO {
        return level_0(tree, situation, reason);
    }
    let to = level.below()?;
    let lower = tree.overlapping(to, &[table]);
    let job = if lower.is_empty() && may_move(tree, situation, table, to) {
        moving(reason, level, to, table)
    } else if lower.len() > 1 && bytes(&lower) > 2 * situation.overlap_bytes_max {
        // In its own level first: written anew it is cut where it overlaps too much
        // (`job::Cuts`), and goes down in parts.
        merge(reason, level, level, &[table], &[])
    } else {
        merge(reason, level, to, &[table], &lower)
    };
    is_allowed(&job, situation).then_some(job)
}

/// Level 0 goes down: its oldest table alone where it can be moved, and else all that may.
fn level_0(tree: &Tree<'_>, situation: &Situation<'_>, reason: Reason) -> Option<Job> {
    let upper = free_of_level_0(tree, situation);
    let oldest = *upper.last()?;
    let base = LevelTargets::new(&tree.bytes(), situation.base_bytes).base;
    let in_use = |level: &Level| *level != Level::ZERO && !tree.level(*level).is_empty();
    // Not past tables that may hold older versions (INV-3).
    let to = Level::all().find(in_use).map_or(base, |level| level.min(base));
    let is_alone = tree.overlapping(Level::ZERO, &[oldest]).len() == 1
        && tree.overlapping(to, &[oldest]).is_empty();
    let lower = tree.overlapping(to, &upper);
    let job = if is_alone && may_move(tree, situation, oldest, to) {
        moving(reason, Level::ZERO, to, oldest)
    } else if reason == Reason::Size
        && upper.len() >= LEVEL_0_TABLES
        && upper.len() == tree.level(Level::ZERO).len()
        && bytes(&upper) < bytes(&lower) / LEVEL_0_SMALL_PART
    {
        merge(reason, Level::ZERO, Level::ZERO, &upper, &[])
    } else {
        merge(reason, Level::ZERO, to, &upper, &lower)
    };
    is_allowed(&job, situation).then_some(job)
}

/// The tables of level 0 that may go down, newest first: not those left alone, nor
/// what overlaps an older one that stays, whose versions it would fall behind.
fn free_of_level_0<'a>(tree: &Tree<'a>, situation: &Situation<'_>) -> Vec<&'a TableMeta> {
    let (mut free, mut stay) = (Vec::new(), Vec::<&TableMeta>::new());
    for &table in tree.level(Level::ZERO).iter().rev() {
        let overlaps = |other: &&TableMeta| {
            table.smallest_key() <= other.largest_key()
                && other.smallest_key() <= table.largest_key()
        };
        if situation.left_alone.contains(&table.id) || stay.iter().any(overlaps) {
            stay.push(table);
        } else {
            free.push(table);
        }
    }
    free.reverse();
    free
}

fn bytes(tables: &[&TableMeta]) -> u64 {
    tables.iter().map(|table| table.size_bytes).sum()
}

/// A table of the last level is written anew, without its garbage.
fn rewrite(situation: &Situation<'_>, table: &TableMeta, reason: Reason) -> Option<Job> {
    // Else it would come out as it is, again and again.
    let conditions = &situation.conditions;
    let frees = conditions.is_free_of_snapshots(table) && conditions.has_own_garbage(table);
    let job = merge(reason, Level::LAST, Level::LAST, &[table], &[]);
    (frees && is_allowed(&job, situation)).then_some(job)
}

/// Whether moving the table misses no chance to drop what is in it, nor one to cut it
/// where the level below would make too large a job of it.
fn may_move(tree: &Tree<'_>, situation: &Situation<'_>, table: &TableMeta, to: Level) -> bool {
    match to.below() {
        None => !situation.conditions.has_garbage(table),
        Some(below) => {
            let overlapped = tree.overlapping(below, &[table]);
            overlapped.len() < 2 || bytes(&overlapped) <= 2 * situation.overlap_bytes_max
        }
    }
}

fn moving(reason: Reason, from: Level, to: Level, table: &TableMeta) -> Job {
    Job { kind: Kind::Move, reason, from, to, upper: vec![table.id], lower: Vec::new() }
}

fn merge(
    reason: Reason,
    from: Level,
    to: Level,
    upper: &[&TableMeta],
    lower: &[&TableMeta],
) -> Job {
    let ids = |tables: &[&TableMeta]| tables.iter().map(|table| table.id).collect();
    Job { kind: Kind::Merge, reason, from, to, upper: ids(upper), lower: ids(lower) }
}

fn is_allowed(job: &Job, situation: &Situation<'_>) -> bool {
    !job.upper.iter().chain(&job.lower).any(|id| situation.left_alone.contains(id))
}

#[cfg(test)]
mod tests;
