//! Ctrl-C during long work: the first time it ends in order, the second time at once.
//!
//! Short work is left to the system's own way, which ends the process: the database stands that at any moment.

use crate::failure::{Failure, Kind};
use esker::Db;
use std::ops::ControlFlow;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};

static IS_ASKED: AtomicBool = AtomicBool::new(false);
static TO_CLOSE: Mutex<Option<Db>> = Mutex::new(None);
static BEGUN: Once = Once::new();

/// From here on the work looks at [`is_asked`] and ends in order.
pub fn watch() {
    BEGUN.call_once(|| {
        // Where no handler can be installed, Ctrl-C does what it does everywhere.
        let _ = ctrlc::set_handler(|| {
            if IS_ASKED.swap(true, Ordering::Relaxed) {
                process::exit(130);
            }
            let db = TO_CLOSE.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(db) = db {
                // What the work comes to says what became of it.
                let _ = db.close();
            }
        });
    });
}

/// The same, for work that only the end of its database interrupts.
pub fn watch_closing(db: &Db) {
    *TO_CLOSE.lock().unwrap_or_else(PoisonError::into_inner) = Some(db.clone());
    watch();
}

/// Whether the work is to end.
pub fn is_asked() -> bool {
    IS_ASKED.load(Ordering::Relaxed)
}

/// The same, for who asks to be told so.
pub fn flow() -> ControlFlow<()> {
    if is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// The failure of `what`, which came to `error`: that it was interrupted, if it was.
pub fn or(error: esker::Error, what: &str) -> Failure {
    if is_asked() { failure(what) } else { error.into() }
}

/// The failure of work that ended so.
pub fn failure(what: &str) -> Failure {
    Failure::new(Kind::Interrupted, format!("{what} was interrupted; nothing came of it"))
}
