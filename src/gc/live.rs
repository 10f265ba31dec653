//! Whether a value lives: whether a table has the very entry that points to it.

use crate::error::Result;
use crate::format::{KeyHash, Level, SegmentId, SeqNo, TableMeta, ValuePointer};
use crate::store::Version;

/// A place in a segment, and under which entry a value was written there.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The entry's key.
    pub key: Vec<u8>,
    /// Its sequence number.
    pub seq: SeqNo,
    /// The segment.
    pub segment: SegmentId,
    /// The offset in it, as in a pointer.
    pub offset: u64,
}

/// The pointer that an entry of `version` holds to the place of `candidate`, if one does.
///
/// # Errors
/// [`crate::Error::Corruption`], [`crate::Error::Io`] of the tables that may have it.
pub fn live_pointer(version: &Version, candidate: &Candidate) -> Result<Option<ValuePointer>> {
    let Candidate { key, seq, segment, offset } = candidate;
    // Entries may point to a segment that is gone because all in it had expired.
    if version.segments().get(*segment).is_none() {
        return Ok(None);
    }
    let hash = KeyHash::of(key);
    let may_have = |meta: &TableMeta| {
        let properties = &meta.properties;
        meta.may_contain(key)
            && (properties.smallest_seq..=properties.largest_seq).contains(seq)
            && properties.references.binary_search_by_key(segment, |(id, _)| *id).is_ok()
    };
    let level_0 = version.level(Level::ZERO).iter();
    let below = Level::all().skip(1).filter_map(|level| version.table_of(level, key));
    for table in level_0.chain(below).filter(|table| may_have(table.meta())) {
        let Some(found) = table.get_unnoted(key, hash, *seq)? else { continue };
        let entry = found.entry();
        let pointer = entry.pointer().filter(|pointer| {
            entry.seq == *seq && pointer.segment == *segment && pointer.offset == *offset
        });
        if pointer.is_some() {
            return Ok(pointer);
        }
    }
    Ok(None)
}
