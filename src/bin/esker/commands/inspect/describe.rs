//! Items as lines for a person.

use crate::text::escape;
use esker::inspect::{AddedTable, Change, Entry, EntryKind, Inspection, Item, Properties, State};
use serde_json::json;
use std::io::{self, Write};

/// Writes `item` as one line; an edit of a manifest takes more.
pub fn item(item: &Item, to: &mut dyn Write) -> io::Result<()> {
    match item {
        Item::LogHeader(said) => write!(
            to,
            "log {:06}, identity {}, begins at position {}, durable up to {}",
            said.log, said.identity, said.base, said.durable
        ),
        Item::Record(record) => write!(
            to,
            "{:>10}  record of {} bytes, sequence {}, durable up to {}",
            record.offset, record.bytes, record.sequence, record.durable
        ),
        Item::ExpiryFloor { floor_ms } => write!(to, "            expiry floor {floor_ms} ms"),
        Item::Entry(said) => entry(said, to),
        Item::TableHeader(said) => {
            write!(
                to,
                "table {:06} of database {}, digest {}",
                said.table, said.database_id, said.digest
            )?;
            properties(&said.properties, to)
        }
        Item::Block(block) => write!(to, "{:>10}  block of {} bytes", block.offset, block.bytes),
        Item::ValueHeader(said) => {
            write!(to, "value file {:06} of database {}", said.file, said.database_id)
        }
        Item::Value(value) => {
            let (segment, offset) = value.pointer;
            write!(
                to,
                "{:>10}  value of {} bytes{} for {} at {}, pointed to as {segment:06}:{offset}",
                value.offset,
                value.stored_bytes,
                snappy(value.is_compressed),
                escape(&value.key.0),
                value.seq
            )?;
            stored(value.stored.as_ref().map(|stored| &stored.0[..]), to)
        }
        Item::ManifestHeader(said) => {
            write!(to, "manifest {:06} of database {}", said.manifest, said.database_id)
        }
        Item::Change(said) => change(said, to),
        Item::State(said) => state(said, to),
        Item::Current(said) => {
            write!(to, "database {}, manifest in force {:06}", said.database_id, said.manifest)
        }
        Item::BackupHeader(said) => {
            write!(
                to,
                "backup {} of database {} up to sequence number {}, made {} ms after the epoch",
                said.backup_id, said.database_id, said.sequence_number, said.created_ms
            )?;
            said.since.map_or(Ok(()), |since| write!(to, ", of what changed after {since}"))?;
            said.base_id.map_or(Ok(()), |base| write!(to, ", upon the backup {base}"))
        }
        // One that this program does not know yet is shown as it is.
        other => write!(to, "{}", json!(other)),
    }
}

fn entry(said: &Entry, to: &mut dyn Write) -> io::Result<()> {
    let kind = match said.kind {
        EntryKind::Delete => "delete",
        EntryKind::Set | EntryKind::SetPointer => "set",
    };
    write!(to, "            {kind} {}", escape(&said.key.0))?;
    if let Some(seq) = said.seq {
        write!(to, " at {seq}")?;
    }
    if let Some(bytes) = said.stored_bytes {
        write!(to, ", {bytes} bytes{}", snappy(said.is_compressed))?;
    }
    if let Some((segment, offset)) = said.pointer {
        write!(to, " at {segment:06}:{offset}")?;
    }
    if let Some(expires_at_ms) = said.expires_at_ms {
        write!(to, ", until {expires_at_ms} ms")?;
    }
    stored(said.stored.as_ref().map(|stored| &stored.0[..]), to)
}

fn snappy(is_compressed: bool) -> &'static str {
    if is_compressed { " in Snappy" } else { "" }
}

fn stored(value: Option<&[u8]>, to: &mut dyn Write) -> io::Result<()> {
    value.map_or(Ok(()), |value| write!(to, ": {}", escape(value)))
}

fn properties(said: &Properties, to: &mut dyn Write) -> io::Result<()> {
    write!(
        to,
        "; {} entries, {} tombstones, {} expiring, {} bytes, sequence {} to {}, keys {} to {}",
        said.entries,
        said.tombstones,
        said.expiring,
        said.raw_bytes,
        said.smallest_seq,
        said.largest_seq,
        escape(&said.smallest_key.0),
        escape(&said.largest_key.0)
    )?;
    said.references
        .iter()
        .try_for_each(|(segment, bytes)| write!(to, ", {bytes} bytes in segment {segment:06}"))
}

fn change(said: &Change, to: &mut dyn Write) -> io::Result<()> {
    write!(to, "{:>10}  edit", said.offset)?;
    let numbers = [
        ("first log", said.log_min),
        ("begins at", said.log_base),
        ("opens", said.opens),
        ("next file", said.next_file),
        ("last sequence", said.last_seq),
        ("expiry floor", said.expiry_floor_ms),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            write!(to, ", {name} {number}")?;
        }
    }
    for AddedTable { level, table, bytes, properties: said, .. } in &said.tables_added {
        write!(to, "\n            + table {table:06} of {bytes} bytes in level {level}")?;
        properties(said, to)?;
    }
    for table in &said.tables_removed {
        write!(to, "\n            - table {table:06}")?;
    }
    for segment in &said.segments {
        let (number, file, bytes) = (segment.segment, &segment.file, segment.file_bytes);
        write!(to, "\n            + segment {number:06} in {file}, {bytes} bytes")?;
    }
    for segment in &said.segments_removed {
        write!(to, "\n            - segment {segment:06}")?;
    }
    if let Some(followed) = &said.followed {
        write!(to, "\n            increments can follow upon {} backups", followed.len())?;
        for backup in followed {
            let (id, number) = (backup.backup_id, backup.sequence_number);
            write!(to, "\n              {id} up to sequence number {number}")?;
        }
    }
    if said.is_closed {
        write!(to, "\n            the run ended in order")?;
    }
    Ok(())
}

fn state(said: &State, to: &mut dyn Write) -> io::Result<()> {
    write!(
        to,
        "adds up to {} tables and {} segments; first log {:06} at {}, opened {} times, next file {}, last sequence {}",
        said.tables.len(),
        said.segments.len(),
        said.log_min,
        said.log_base,
        said.opens,
        said.next_file,
        said.last_seq
    )
}

/// Writes what it came to.
pub fn inspection(found: &Inspection, to: &mut dyn Write) -> io::Result<()> {
    write!(to, "{} bytes, {} pieces: ", found.bytes, found.items)?;
    match &found.damage {
        Some(damage) if damage.is_torn_tail => {
            write!(to, "a torn tail at {}: {}", damage.offset, damage.what)
        }
        Some(damage) => write!(to, "damaged at {}: {}", damage.offset, damage.what),
        None if found.is_complete => write!(to, "sound"),
        None => write!(to, "sound as far as it was looked at"),
    }
}
