//! One budget of memory, and how it is shared out.

use super::Options;

/// No memtable is made smaller than this for the budget's sake.
const MEMTABLE_BYTES_MIN: usize = 64 << 10;

/// The least budget: below it nothing would be left for the parts.
pub(super) const MEMORY_BYTES_MIN: usize = 4 << 20;

/// What each part of an open database may take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryShares {
    /// One memtable.
    pub memtable_bytes: usize,
    /// Indexes and filters of tables.
    pub head_bytes: usize,
    /// Where the values of moved segments are.
    pub map_bytes: usize,
    /// Uncompressed blocks.
    pub block_cache_bytes: usize,
    /// Reading and writing tables in a compaction and a flush.
    pub compaction_bytes: usize,
}

impl Options {
    /// How [`Options::memory_bytes_max`] is shared out: memtables get what they ask for, up to three
    /// eighths of it; heads, without which each read of a table reads the disk twice, up to as
    /// much: those of thirteen times the budget in compressed entries of 150 bytes fit. What
    /// compaction takes is not much, and set aside; the cache gets what it asks for of the rest.
    pub(crate) fn memory_shares(&self) -> MemoryShares {
        let all = self.memory_bytes_max;
        let memtable_bytes = self
            .memtable_bytes
            .min(all / 8 * 3 / self.memtables_max.max(1))
            .max(MEMTABLE_BYTES_MIN);
        let head_bytes = all / 8 * 3 - all / 32;
        let map_bytes = all / 32;
        let compaction_bytes = all / 16;
        let taken = memtable_bytes
            .saturating_mul(self.memtables_max)
            .saturating_add(head_bytes + map_bytes + compaction_bytes);
        let block_cache_bytes = self.block_cache_bytes.min(all.saturating_sub(taken));
        MemoryShares { memtable_bytes, head_bytes, map_bytes, block_cache_bytes, compaction_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn shares_add_up_to_the_budget_at_most() {
        let shares = |memory_bytes_max| {
            let options = Options { memory_bytes_max, ..Options::default() };
            let shares = options.memory_shares();
            let MemoryShares { memtable_bytes, head_bytes, map_bytes, .. } = shares;
            let MemoryShares { block_cache_bytes, compaction_bytes, .. } = shares;
            let all = memtable_bytes * options.memtables_max
                + head_bytes
                + map_bytes
                + block_cache_bytes
                + compaction_bytes;
            assert!(all <= memory_bytes_max, "{all} of {memory_bytes_max}");
            [memtable_bytes, head_bytes, block_cache_bytes, compaction_bytes].map(|b| b / MIB)
        };
        // By default everything has what it asks for.
        let default = Options::default();
        assert_eq!(shares(default.memory_bytes_max), [64, 352, 256, 64]);
        assert_eq!(shares(4096 * MIB), [64, 1408, 256, 256]);
        assert_eq!(shares(256 * MIB), [19, 88, 48, 16]);
        assert_eq!(shares(MEMORY_BYTES_MIN), [0, 1, 0, 0]);
    }
}
