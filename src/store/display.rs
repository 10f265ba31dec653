//! The metrics as a table that a person reads.

use super::metrics::{Metrics, PressureMetrics, SnapshotMetrics};
use std::fmt;

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "level  tables       bytes     entries  tombstones")?;
        for level in self.levels.iter().filter(|level| level.tables > 0) {
            let bytes = Bytes(level.bytes).to_string();
            writeln!(
                f,
                "{:>5}  {:>6}  {bytes:>10}  {:>10}  {:>10}",
                level.level, level.tables, level.entries, level.tombstones
            )?;
        }
        let total = Bytes(self.table_bytes).to_string();
        writeln!(f, "  all  {:>6}  {total:>10}", self.tables)?;
        let memtable_bytes = crate::format::codec::to_u64(self.memory.memtable_bytes);
        writeln!(
            f,
            "memory       {} memtables {}, block cache {}, heads of tables {}, of {}",
            self.memtables,
            Bytes(memtable_bytes),
            Bytes(self.memory.block_cache_bytes),
            Bytes(crate::format::codec::to_u64(self.memory.head_bytes)),
            Bytes(crate::format::codec::to_u64(self.memory.budget_bytes))
        )?;
        let (commits, groups) = (self.commits, self.commit_groups);
        let user = Bytes(self.user_bytes);
        writeln!(f, "commits      {commits} in {groups} groups, {user} of keys and values")?;
        let (log, flushed) = (Bytes(self.log_written_bytes), Bytes(self.flush_written_bytes));
        let (flushes, merged) = (self.flushes, Bytes(self.compaction.written_bytes));
        writeln!(f, "written      log {log}, {flushes} flushes {flushed}, compaction {merged}")?;
        writeln!(
            f,
            "per byte     {} written; per get {} tables; block cache {} hits",
            Figure(self.write_amplification()),
            Figure(self.reads.tables_per_get()),
            Figure(self.block_cache.hit_rate())
        )?;
        writeln!(f, "stalls       {}, {:.1?} in all", self.stalls, self.stall_time)?;
        write_pressure(&self.pressure, f)?;
        if self.is_reserve_given_up {
            writeln!(f, "disk full    sets are refused until the reserve can be made again")?;
        }
        write_snapshots(&self.snapshots, f)?;
        if let Some(seq) = self.followed.oldest_seq {
            let count = self.followed.count;
            writeln!(f, "followed     {count} backups, deletes after {seq} keep a tombstone")?;
        }
        let latencies = [
            ("synced", &self.latencies.synced_commit),
            ("unsynced", &self.latencies.unsynced_commit),
            ("log sync", &self.latencies.log_sync),
            ("flush", &self.latencies.flush),
            ("compaction", &self.latencies.compaction),
            ("collection", &self.latencies.collection),
            ("stall", &self.latencies.stall),
            ("delay", &self.latencies.delay),
        ];
        for (name, latency) in latencies.into_iter().filter(|(_, latency)| latency.count > 0) {
            writeln!(f, "{name:<12} {latency}")?;
        }
        for (what, e) in [("flush fails", &self.flush_failure), ("poisoned", &self.poisoned_by)] {
            if let Some(e) = e {
                writeln!(f, "{what:<12} {e}")?;
            }
        }
        Ok(())
    }
}

fn write_pressure(pressure: &PressureMetrics, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let debt = pressure.debt_percent;
    if let Some(rate) = pressure.allowed_bytes_per_second.map(Bytes) {
        writeln!(f, "slowed       to {rate} a second, debt {debt} %")?;
    }
    if let Some(rate) = pressure.allowed_value_bytes_per_second.map(Bytes) {
        writeln!(f, "slowed       to {rate} of large values a second, debt {debt} %")?;
    }
    Ok(())
}

fn write_snapshots(snapshots: &SnapshotMetrics, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "snapshots    {}", snapshots.count)?;
    if let (Some(seq), Some(age)) = (snapshots.oldest_seq, snapshots.oldest_age) {
        let held = Bytes(snapshots.held_bytes_max);
        write!(f, ", the oldest at {seq} for {age:.1?}, up to {held} held")?;
    }
    writeln!(f)
}

struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["KiB", "MiB", "GiB", "TiB"];
        let Some((unit, shift)) =
            units.into_iter().zip([10, 20, 30, 40]).rfind(|(_, shift)| self.0 >> shift > 0)
        else {
            return write!(f, "{} B", self.0);
        };
        write!(f, "{:.1} {unit}", self.0 as f64 / (1_u64 << shift) as f64)
    }
}

struct Figure(Option<f64>);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(figure) => write!(f, "{figure:.2}"),
            None => f.write_str("-"),
        }
    }
}
