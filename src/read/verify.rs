//! Whether every value can be read to which a table points.

use crate::error::{Error, Result};
use crate::format::SegmentId;
use crate::iter::Cursor;
use crate::store::{Store, View};
use std::collections::BTreeMap;

/// Follows every pointer of every table of `view`, checks the value, and counts each segment's
/// bytes from scratch: they must be what the segment has for live.
///
/// # Errors
/// [`Error::Corruption`] for the first damage found; [`Error::Io`].
pub fn verify_values(store: &Store, view: &View) -> Result<()> {
    let segments = view.version.segments();
    let mut counted = BTreeMap::<SegmentId, u64>::new();
    for (_, table) in view.version.tables() {
        let mut cursor = table.stream();
        cursor.seek_first()?;
        while let Some(entry) = cursor.entry() {
            if let Some(pointer) = entry.pointer() {
                *counted.entry(pointer.segment).or_default() += pointer.bytes();
                match segments.get(pointer.segment) {
                    Some(segment) => drop(segment.file.read(&pointer)?),
                    // A segment goes before its entries where all of them have expired.
                    None if entry.expiry_ms().is_some_and(|ms| store.is_expired(ms)) => {}
                    None => return Err(view.missing_segment(&pointer)),
                }
            }
            cursor.next()?;
        }
    }
    for segment in segments.iter() {
        let (id, live_bytes) = (segment.meta.id, segment.live_bytes);
        let counted = counted.get(&id).copied().unwrap_or(0);
        if counted != live_bytes {
            let detail = format!(
                "segment {id}: expected {live_bytes} bytes of values that live, counted {counted}"
            );
            return Err(Error::corruption(segment.file.path(), 0, detail));
        }
    }
    Ok(())
}
