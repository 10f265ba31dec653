//! How much of a table is garbage, or makes garbage of what is below it.

use crate::format::{SeqNo, TableMeta};

/// When scans pay for deletes: how many tombstones a table has at least that is merged for it, and which part of its entries.
const HURRIED_TOMBSTONES_MIN: u64 = 1_000;
const HURRIED_PART: u64 = 4;

/// What time and snapshots say about garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// The time, in milliseconds since the Unix epoch, expiry floor included.
    pub now_ms: u64,
    /// How long an expired entry is kept, in milliseconds.
    pub expired_retention_ms: u64,
    /// How soon deletes and expiries are to reach the disk, in milliseconds.
    pub reclaim_within_ms: u64,
    /// Scans pay for deletes: see `store::Hurry`.
    pub is_hurried: bool,
    /// The oldest sequence number at which a snapshot is held.
    pub oldest_snapshot: Option<SeqNo>,
    /// Tombstones of greater numbers stay, see `store::Followed`.
    pub deletes_kept_after: SeqNo,
    /// What an entry takes on the disk on average, in bytes.
    pub entry_bytes: u64,
}

impl Conditions {
    /// Up to when entries have to have expired to be dropped, in milliseconds.
    pub fn expired_until_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.expired_retention_ms)
    }

    /// About how many bytes merging the table down as far as possible would free: its own
    /// garbage, and for each tombstone an entry below.
    pub fn garbage_bytes(&self, table: &TableMeta) -> u64 {
        let properties = &table.properties;
        let gone = properties.tombstones + self.expired(table);
        let shadowed = share(table.size_bytes, properties.shadowed_bytes, properties.raw_bytes);
        shadowed
            .saturating_add(properties.shadowed_value_bytes)
            .saturating_add(gone.saturating_mul(self.entry_bytes))
    }

    /// The same of a table of the last level: there is nothing below it to free.
    pub fn own_garbage_bytes(&self, table: &TableMeta) -> u64 {
        let properties = &table.properties;
        let gone = self.droppable_tombstones(table) + self.expired(table);
        let shadowed = share(table.size_bytes, properties.shadowed_bytes, properties.raw_bytes);
        let bytes = table.size_bytes.saturating_add(properties.value_bytes());
        shadowed.saturating_add(properties.shadowed_value_bytes).saturating_add(share(
            bytes,
            gone,
            properties.entries,
        ))
    }

    /// Whether there is anything at all in it that may go, or may hide what goes.
    pub fn has_garbage(&self, table: &TableMeta) -> bool {
        table.properties.tombstones > 0 || self.has_own_garbage(table)
    }

    /// Whether there is anything in it that may go, with nothing below it.
    pub fn has_own_garbage(&self, table: &TableMeta) -> bool {
        let properties = &table.properties;
        self.droppable_tombstones(table) > 0
            || properties.shadowed_bytes > 0
            || properties.expiring > 0 && properties.smallest_expiry_ms <= self.expired_until_ms()
    }

    /// How many tombstones may go from the last level. Where one of them may be kept, none counts:
    /// else the table would be written anew for nothing, again and again.
    fn droppable_tombstones(&self, table: &TableMeta) -> u64 {
        if self.keeps_deletes_of(table) { 0 } else { table.properties.tombstones }
    }

    /// Whether what is gone of the table may have to leave a trace.
    pub fn keeps_deletes_of(&self, table: &TableMeta) -> bool {
        table.properties.largest_seq > self.deletes_kept_after
    }

    /// Whether nothing that a snapshot sees keeps garbage of the table from being dropped.
    pub fn is_free_of_snapshots(&self, table: &TableMeta) -> bool {
        self.oldest_snapshot.is_none_or(|oldest| oldest >= table.properties.largest_seq)
    }

    /// Whether every entry of the table has expired, and may go.
    pub fn is_all_expired(&self, table: &TableMeta) -> bool {
        let properties = &table.properties;
        properties.expiring > 0
            && properties.expiring == properties.entries
            && properties.largest_expiry_ms <= self.expired_until_ms()
    }

    /// Whether a tombstone or an expired entry of the table may have waited for half the
    /// time that it is given: the other half is for doing it, level by level. Or whether scans pay for them, and there are
    /// many: a table with a few is not what they wait for.
    pub fn is_due(&self, table: &TableMeta) -> bool {
        let properties = &table.properties;
        let limit_ms = self.reclaim_within_ms / 2;
        // A time that is still to come was told by a clock that has been set back since.
        let has_waited = |since_ms: u64| {
            since_ms > self.now_ms || since_ms.saturating_add(limit_ms) <= self.now_ms
        };
        let expired_since = properties.smallest_expiry_ms.max(table.written_ms);
        let is_many = properties.tombstones >= HURRIED_TOMBSTONES_MIN
            && properties.tombstones >= properties.entries / HURRIED_PART;
        self.is_hurried && is_many
            || properties.tombstones > 0 && has_waited(table.written_ms)
            || properties.expiring > 0
                && properties.smallest_expiry_ms <= self.expired_until_ms()
                && has_waited(expired_since.saturating_add(self.expired_retention_ms))
    }

    /// About how many entries have expired and may go, taking expiries for spread evenly.
    fn expired(&self, table: &TableMeta) -> u64 {
        let properties = &table.properties;
        let (first, last) = (properties.smallest_expiry_ms, properties.largest_expiry_ms);
        let until = self.expired_until_ms();
        if properties.expiring == 0 || until < first {
            return 0;
        }
        if until >= last {
            return properties.expiring;
        }
        share(properties.expiring, until - first, last - first)
    }
}

/// `whole * part / of`, without overflow; nothing of nothing.
fn share(whole: u64, part: u64, of: u64) -> u64 {
    if of == 0 {
        return 0;
    }
    let share = u128::from(whole) * u128::from(part) / u128::from(of);
    u64::try_from(share).unwrap_or(u64::MAX)
}
