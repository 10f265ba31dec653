//! Files of a writer, read before they are part of the database, or though they never will be.

use crate::error::Result;
use crate::format::{Content, EntryRef, SegmentMeta, TableMeta, ValuePointer};
use crate::iter::Concat;
use crate::store::Store;
use crate::table::{Streams, Table};
use crate::vlog::ValueFile;
use std::borrow::Cow;
use std::sync::Arc;

/// Tables in order, and the values to which they point.
#[derive(Debug)]
pub struct Written {
    tables: Vec<Arc<Table>>,
    values: Vec<(SegmentMeta, Arc<ValueFile>)>,
}

impl Written {
    /// Of these files of `store`, each of which is opened by its first use.
    pub fn open(
        store: &Store,
        tables: &[TableMeta],
        segments: impl Iterator<Item = SegmentMeta>,
    ) -> Self {
        let values = segments.map(|meta| {
            let file = store.open_values(meta.file());
            (meta, file)
        });
        Written {
            tables: tables.iter().map(|meta| store.open_table(meta)).collect(),
            values: values.collect(),
        }
    }

    /// The tables.
    pub fn tables(&self) -> &[Arc<Table>] {
        &self.tables
    }

    /// The segments to which they point.
    pub fn segments(&self) -> &[(SegmentMeta, Arc<ValueFile>)] {
        &self.values
    }

    /// The entries, in order.
    pub fn stream(&self) -> Concat<Streams> {
        Concat::new(Streams(self.tables.clone()))
    }

    /// The value of `entry`, which is one of these.
    ///
    /// # Errors
    /// [`crate::error::Error::Corruption`] and [`crate::error::Error::Io`] of reading it.
    ///
    /// # Panics
    /// Of an entry of another writer, and of a delete.
    pub fn value<'a>(&self, entry: EntryRef<'a>) -> Result<Cow<'a, [u8]>> {
        let (_, content) = entry.value().expect("nothing is deleted by an ingest");
        match (content, entry.pointer()) {
            (Content::Inline(value), _) => Ok(Cow::Borrowed(value)),
            (Content::Pointer(_), pointer) => {
                let large = pointer.and_then(|pointer| self.large(&pointer));
                large.expect("entries point to values written with them").map(Cow::Owned)
            }
        }
    }

    /// The value at `pointer`, where that is one of these.
    ///
    /// # Errors
    /// As [`Written::value`].
    pub fn large(&self, pointer: &ValuePointer) -> Option<Result<Vec<u8>>> {
        let (_, file) = self.values.iter().find(|(meta, _)| meta.id == pointer.segment)?;
        Some(file.read(pointer))
    }
}
