//! Where the values of segments stand that were first written in another file.

use super::format::{FOOTER_SIZE, Footer, Place};
use crate::error::Result;
use crate::format::codec::{to_u64, to_usize};
use crate::format::{Decoder, SegmentId, ValueFileId, ValuePointer, crc, put_varint};
use crate::fs::{File, IoContext, read_exact_at};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use std::fmt;
use std::hash::RandomState;
use std::sync::Arc;

/// The fewest bytes that an entry takes in a file.
const ENTRY_BYTES_MIN: u64 = 3;

/// The map of one value file, in memory.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct OffsetMap {
    /// Segment, offset in it, offset in the file; in order.
    entries: Vec<(SegmentId, u64, u64)>,
}

impl OffsetMap {
    /// Adds a value, in any order.
    pub fn insert(&mut self, pointer: ValuePointer, offset: u64) {
        self.entries.push((pointer.segment, pointer.offset, offset));
    }

    /// Its bytes, and the count of its entries.
    pub fn encode(mut self) -> (Vec<u8>, u32) {
        self.entries.sort_unstable();
        let mut out = Vec::with_capacity(self.entries.len() * 6);
        let mut last = (SegmentId(0), 0);
        for &(segment, at, offset) in &self.entries {
            put_varint(&mut out, segment.0 - last.0.0);
            put_varint(&mut out, if segment == last.0 { at - last.1 } else { at });
            put_varint(&mut out, offset);
            last = (segment, at);
        }
        (out, u32::try_from(self.entries.len()).expect("a file of fewer values than 2^32"))
    }

    /// The inverse of [`OffsetMap::encode`]; `None` where `bytes` are none of `count` entries, of
    /// values that stand before `map_offset`, where an empty one may be.
    pub fn decode(bytes: &[u8], count: u32, map_offset: u64) -> Option<Self> {
        if u64::from(count).checked_mul(ENTRY_BYTES_MIN)? > to_u64(bytes.len()) {
            return None;
        }
        let mut d = Decoder::new(bytes);
        let mut entries = Vec::with_capacity(to_usize(u64::from(count))?);
        let mut last = (SegmentId(0), 0_u64);
        for _ in 0..count {
            let segment = SegmentId(last.0.0.checked_add(d.varint()?)?);
            let at = d.varint()?;
            let at = if segment == last.0 { last.1.checked_add(at)? } else { at };
            entries.push((segment, at, d.varint().filter(|&offset| offset <= map_offset)?));
            last = (segment, at);
        }
        (d.is_empty() && entries.is_sorted()).then_some(OffsetMap { entries })
    }

    /// Where the value of `pointer` stands in the file.
    pub fn find(&self, pointer: &ValuePointer) -> Option<u64> {
        let wanted = (pointer.segment, pointer.offset);
        let at = self.entries.partition_point(|&(segment, at, _)| (segment, at) < wanted);
        let &(segment, at, offset) = self.entries.get(at)?;
        ((segment, at) == wanted).then_some(offset)
    }

    fn weight(&self) -> usize {
        size_of_val(self.entries.as_slice())
    }

    /// Reads and checks the map of the value file at `place`, and the footer before it.
    pub fn read(file: &dyn File, place: &Place<'_>) -> Result<(Footer, OffsetMap)> {
        let len = file.len().during("stat", place.path)?;
        let footer_offset = len
            .checked_sub(to_u64(FOOTER_SIZE))
            .ok_or_else(|| place.damage(0, "the file is shorter than its footer"))?;
        let mut bytes = [0; FOOTER_SIZE];
        read_exact_at(file, &mut bytes, footer_offset).during("read", place.path)?;
        let footer = Footer::decode(place, footer_offset, &bytes)?;
        let damaged = || place.damage(footer.map_offset, "the map of the file is damaged");
        let size = to_usize(footer_offset - footer.map_offset).ok_or_else(damaged)?;
        let mut bytes = vec![0; size];
        read_exact_at(file, &mut bytes, footer.map_offset).during("read", place.path)?;
        if crc(&bytes) != footer.map_crc {
            return Err(damaged());
        }
        let map =
            OffsetMap::decode(&bytes, footer.entries, footer.map_offset).ok_or_else(damaged)?;
        Ok((footer, map))
    }
}

/// The maps of the value files of one database that are used most, within a budget.
pub struct MapCache(Cache<ValueFileId, Arc<OffsetMap>, Weight, RandomState>);

impl MapCache {
    /// Of up to `capacity_bytes`.
    #[must_use]
    pub fn new(capacity_bytes: usize) -> Self {
        // One shard: a map larger than the share of one would not be kept.
        let options = OptionsBuilder::new()
            .weight_capacity(to_u64(capacity_bytes.max(1)))
            .estimated_items_capacity(64)
            .shards(1)
            .build()
            .expect("all that it asks for is given");
        let (hasher, lifecycle) = (RandomState::new(), DefaultLifecycle::default());
        MapCache(Cache::with_options(options, Weight, hasher, lifecycle))
    }

    /// The map of `file`; where it is not there, the one that `read` reads.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) fn get(
        &self,
        file: ValueFileId,
        read: impl FnOnce() -> Result<OffsetMap>,
    ) -> Result<Arc<OffsetMap>> {
        if let Some(map) = self.0.get(&file) {
            return Ok(map);
        }
        let map = Arc::new(read()?);
        self.0.insert(file, Arc::clone(&map));
        Ok(map)
    }

    /// What the maps in memory take, in bytes.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.0.weight()
    }
}

impl fmt::Debug for MapCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapCache").field("used_bytes", &self.used_bytes()).finish()
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<ValueFileId, Arc<OffsetMap>> for Weight {
    fn weight(&self, _: &ValueFileId, map: &Arc<OffsetMap>) -> u64 {
        to_u64(map.weight()).max(1)
    }
}
