//! An immutable set of open tables.

use crate::format::TableMeta;
use crate::table::Table;
use std::sync::Arc;

/// The tables in force. Newest first: no table holds a newer version of a key
/// than one before it.
#[derive(Debug, Default)]
pub struct Version {
    tables: Vec<Arc<Table>>,
}

impl Version {
    /// Of these tables, in any order.
    #[must_use]
    pub fn new(mut tables: Vec<Arc<Table>>) -> Self {
        tables.sort_by_key(|table| std::cmp::Reverse(table.meta().largest_seq));
        Version { tables }
    }

    /// This version and `table`.
    #[must_use]
    pub fn with(&self, table: Arc<Table>) -> Self {
        let mut tables = self.tables.clone();
        tables.push(table);
        Version::new(tables)
    }

    /// Newest first.
    #[must_use]
    pub fn tables(&self) -> &[Arc<Table>] {
        &self.tables
    }

    /// What the manifest knows of them, newest first.
    pub fn metas(&self) -> impl Iterator<Item = &TableMeta> {
        self.tables.iter().map(|table| table.meta())
    }
}
