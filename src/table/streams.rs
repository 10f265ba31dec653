//! Tables one behind the other, read once.

use super::{Table, TableCursor};
use crate::iter::Runs;
use std::sync::Arc;

/// Tables that do not overlap, in order, to be read once each.
#[derive(Debug)]
pub struct Streams(pub Vec<Arc<Table>>);

impl Runs for Streams {
    type Cursor = TableCursor;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn ends(&self, run: usize) -> (&[u8], &[u8]) {
        let meta = self.0[run].meta();
        (meta.smallest_key(), meta.largest_key())
    }

    fn cursor(&self, run: usize) -> TableCursor {
        self.0[run].stream()
    }
}
