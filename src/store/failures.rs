//! What failures mean for an open database.

use super::{Catalog, Change, Store, may_be_retried};
use crate::error::Error;
use std::sync::Arc;

impl Store {
    /// Poisons the database for `cause`: nothing is written any more, and whoever waits for it is told.
    pub fn poison(&self, cause: Error) -> Error {
        let poisoned = self.health.poison(cause);
        self.views.abort(poisoned.clone());
        poisoned
    }

    /// What a failure means for whoever writes files past log and memtables: after one of a sync the database is
    /// poisoned, and after others nothing has changed.
    pub fn poison_after_sync(&self, e: Error) -> Error {
        match e {
            Error::Io { op: "sync", .. } | Error::Poisoned { .. } => self.poison(e),
            e => e,
        }
    }
}

/// What has become of an edit of the manifest that failed.
#[derive(Debug)]
pub enum Failed {
    /// It is not in force, and never will be.
    Undone(Error),
    /// It may be in force after a crash: [`Error::Indeterminate`].
    Unknown(Error),
}

impl Catalog {
    /// Undoes an edit that failed with `e`. Its bytes may stand in the manifest, if it was only refused: written anew, that
    /// is without them.
    pub fn undo(&self, e: Error) -> Failed {
        if !may_be_retried(&e) {
            return Failed::Unknown(indeterminate(self.store.poison_after_sync(e)));
        }
        match self.apply(Change::default()) {
            Ok(_) => Failed::Undone(e),
            Err(again) if may_be_retried(&again) => Failed::Unknown(indeterminate(e)),
            Err(again) => Failed::Unknown(indeterminate(self.store.poison_after_sync(again))),
        }
    }
}

fn indeterminate(e: Error) -> Error {
    match e {
        Error::Poisoned { cause } => Error::Indeterminate { cause },
        e => Error::Indeterminate { cause: Arc::new(e) },
    }
}
