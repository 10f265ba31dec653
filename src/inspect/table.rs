//! A table: its blocks, and the entries in them.

use super::item::{Block, Entry, Id, Item, TableHeader};
use super::{Subject, Telling};
use crate::error::{Error, Result};
use crate::format::{EntryRef, FileKind};
use crate::fs::{Inspected, Inspector, OpenFiles, Stop};
use crate::table::{BlockCache, HeadMemory, Table, TableInspector, stated_meta};
use std::sync::Arc;

/// What the index and the filter of the one table may take: whatever they do.
const HEAD_BYTES: usize = usize::MAX / 4;

/// Tells each block with its entries, against the index, the filter and what the table says of itself.
///
/// # Errors
/// [`Error::InvalidArgument`], [`Error::UnsupportedFormat`], [`Error::Io`].
pub(super) fn tell(subject: &mut Subject<'_>) -> Result<()> {
    let Some(FileKind::Table(id)) = subject.kind else {
        return Err(Error::invalid("a table without its name")); // `kind::of` takes none.
    };
    let database = subject.database()?;
    let meta = match stated_meta(subject.file.as_ref(), database, id, &subject.path) {
        Ok(meta) => meta,
        Err(e) => return subject.telling.damage(e),
    };
    let header = TableHeader {
        database_id: Id(database.0),
        table: id.0,
        digest: Id(meta.digest),
        properties: (&meta.properties).into(),
    };
    if subject.telling.item(&Item::TableHeader(header)).is_break() {
        return Ok(());
    }
    let files = Arc::new(OpenFiles::new(Arc::clone(&subject.fs)));
    let (cache, heads) = (Arc::new(BlockCache::new(0)), Arc::new(HeadMemory::new(HEAD_BYTES)));
    let table = Table::open(files, subject.dir(), database, &meta, cache, heads);
    let values = subject.options.values;
    let mut seen = Seen { telling: &mut subject.telling, values, failed: None };
    let _ = table.inspect(&mut seen); // It was stopped by what is noted there.
    seen.failed.map_or(Ok(()), Err)
}

/// Tells on what the inspection of a table finds, up to the first damage.
struct Seen<'a, 'b> {
    telling: &'a mut Telling<'b>,
    values: bool,
    failed: Option<Error>,
}

impl Seen<'_, '_> {
    fn item(&mut self, item: &Item) -> Inspected {
        self.pass(0)?;
        if self.telling.item(item).is_break() { Err(Stop) } else { Ok(()) }
    }
}

impl Inspector for Seen<'_, '_> {
    fn pass(&mut self, _bytes: u64) -> Inspected {
        let is_over = self.failed.is_some() || self.telling.damage.is_some();
        if is_over { Err(Stop) } else { Ok(()) }
    }

    fn tell(&mut self, e: Error) {
        if let Err(e) = self.telling.damage(e) {
            self.failed.get_or_insert(e);
        }
    }
}

impl TableInspector for Seen<'_, '_> {
    fn enter(&mut self, offset: u64, bytes: u64) -> Inspected {
        self.item(&Item::Block(Block { offset, bytes }))
    }

    fn see(&mut self, entry: EntryRef<'_>) -> Inspected {
        self.item(&Item::Entry(Entry::of(entry, false, self.values)))
    }
}
