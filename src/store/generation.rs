//! What was in force between two restores.

use super::view::View;
use std::sync::{Arc, OnceLock};

/// A state that commits, flushes and compactions go on from, until a restore puts another in
/// its place.
///
/// Sequence numbers alone do not tell the content before a restore from that after it: the tables
/// that a restore makes have entries of numbers that were visible before. So who reads at
/// a number for longer than one view holds the generation, too, and once it is over reads from its
/// last view. That pins memtables and files, as an iterator does; they go with the last who holds it.
#[derive(Debug, Default)]
pub struct Generation {
    /// The last view of it, once it is over.
    last: OnceLock<Arc<View>>,
}

impl Generation {
    /// The last view of it; `None` while it is the one in force.
    pub fn last_view(&self) -> Option<&Arc<View>> {
        self.last.get()
    }

    /// It is over; `last` is its last view.
    pub(super) fn end(&self, last: View) {
        let is_first = self.last.set(Arc::new(last)).is_ok();
        assert!(is_first, "a generation ends once");
    }
}
