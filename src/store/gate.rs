//! Keeps who works on the directory in a caller's thread (an ingest, a restore) from it once it may be
//! another handle's.

use crate::error::{Error, Result};
use parking_lot::{Condvar, Mutex};

#[derive(Debug, Default)]
struct State {
    inside: usize,
    ended: bool,
}

/// Open until the database is closed.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    left: Condvar,
}

/// Somebody is inside.
#[derive(Debug)]
pub struct Inside<'a> {
    gate: &'a Gate,
}

impl Gate {
    /// Holds it open for as long as what it returns lives; whoever is inside may enter again.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn enter(&self) -> Result<Inside<'_>> {
        let mut state = self.state.lock();
        if state.ended {
            return Err(Error::Closed);
        }
        state.inside += 1;
        Ok(Inside { gate: self })
    }

    /// Waits for those inside, and lets nobody in afterwards.
    pub fn end(&self) {
        let mut state = self.state.lock();
        while state.inside > 0 {
            self.left.wait(&mut state);
        }
        state.ended = true;
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.gate.state.lock().inside -= 1;
        self.gate.left.notify_all();
    }
}
