//! Entries in batches: what an import does not take, or what was asked for in parts.

use super::{Entries, Record};
use crate::failure::{Failure, Kind, Result};
use crate::interrupt;
use esker::{Db, WriteBatch};

/// A batch is also committed when its entries come to so many bytes.
const BATCH_BYTES: usize = 64 << 20;

/// Loads `entries` into `db`, with a commit for each `every` of them or, without it, with one for all of them,
/// which is put together in memory.
///
/// # Errors
/// One of them is bad; what the database fails with. What was committed before stays.
pub fn load(db: &Db, entries: &mut Entries<'_>, every: Option<u64>) -> Result<()> {
    let (mut committed, mut waiting, mut bytes) = (0_u64, 0_u64, 0);
    let mut batch = WriteBatch::new();
    let space = entries.space;
    loop {
        let record = if interrupt::is_asked() { None } else { entries.next() };
        match record {
            Some(Ok(Record { key, value })) => {
                bytes += key.len() + value.len();
                batch.set(space.with_prefix(&key), value);
                waiting += 1;
            }
            // A source that is at a read then fails, which is no fault of the source.
            Some(Err(_)) | None if interrupt::is_asked() => {
                let text = format!("the load was interrupted; {}", after(committed));
                return Err(Failure::new(Kind::Interrupted, text));
            }
            Some(Err(bad)) => return Err(bad.failure(&after(committed))),
            None => return Ok(db.write(batch)?),
        }
        if every.is_some_and(|every| waiting >= every || bytes >= BATCH_BYTES) {
            db.write(std::mem::take(&mut batch))?;
            committed += std::mem::take(&mut waiting);
            bytes = 0;
        }
    }
}

/// What there is after `committed` entries.
fn after(committed: u64) -> String {
    match committed {
        0 => "nothing was loaded".to_string(),
        _ => format!("the {committed} entries before were loaded"),
    }
}
