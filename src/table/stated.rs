//! What a table says of itself, without a manifest that says it.

use super::format::{FOOTER_SIZE, Footer, Place, open_block, span};
use crate::error::Result;
use crate::format::codec::to_u64;
use crate::format::{DatabaseId, Decoder, Properties, TableId, TableMeta};
use crate::fs::{File, IoContext, read_exact_at};
use std::path::Path;

/// What a manifest would say of `file`, at `path`, if it is the table `table` of `database`, as far as the file
/// tells; when it was written it does not.
///
/// # Errors
/// [`crate::Error::Corruption`], [`crate::Error::UnsupportedFormat`], [`crate::Error::Io`].
pub fn stated_meta(
    file: &dyn File,
    database: DatabaseId,
    table: TableId,
    path: &Path,
) -> Result<TableMeta> {
    let place = Place { database, table, path };
    let size_bytes = file.len().during("stat", path)?;
    let footer_offset = size_bytes
        .checked_sub(to_u64(FOOTER_SIZE))
        .ok_or_else(|| place.damage(0, "the file is shorter than its footer"))?;
    let mut footer = [0; FOOTER_SIZE];
    read_exact_at(file, &mut footer, footer_offset).during("read", path)?;
    let footer = Footer::decode(&place, footer_offset, &footer)?;
    let at = footer.properties_offset;
    let damaged = || place.damage(at, "the properties of the table are damaged");
    let mut stored = vec![0; span(at, footer.filter_offset).ok_or_else(damaged)?];
    read_exact_at(file, &mut stored, at).during("read", path)?;
    let payload = open_block(&place, at, stored, None)?;
    let mut d = Decoder::new(&payload);
    let properties = Properties::decode(&mut d).filter(|_| d.is_empty()).ok_or_else(damaged)?;
    Ok(TableMeta { id: table, size_bytes, digest: footer.digest, written_ms: 0, properties })
}
