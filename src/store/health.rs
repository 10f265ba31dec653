//! Whether a handle still works: open, poisoned or closed.

use super::observer::Observer;
use crate::error::{Error, Result};
use crate::event::Event;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Open, poisoned, closed, or both of the latter.
#[derive(Debug, Default)]
pub struct Health {
    cause: OnceLock<Arc<Error>>,
    closed: AtomicBool,
    observer: Arc<Observer>,
}

impl Health {
    /// Open and sound. `observer` is told if it is poisoned.
    #[must_use]
    pub fn new(observer: Arc<Observer>) -> Self {
        Health { observer, ..Health::default() }
    }

    /// Marks the handle as poisoned by `cause`, unless it is already (INV-3),
    /// and returns the error for whoever noticed.
    pub fn poison(&self, cause: Error) -> Error {
        let first = match cause {
            Error::Poisoned { cause } => cause,
            other => Arc::new(other),
        };
        if self.is_read_only() {
            return Error::ReadOnly;
        }
        let mut is_first = false;
        let cause = self.cause.get_or_init(|| {
            is_first = true;
            first
        });
        if is_first {
            self.observer.emit(&Event::Poisoned { cause: Arc::clone(cause) });
        }
        Error::Poisoned { cause: Arc::clone(cause) }
    }

    /// Marks the handle, which is sound, as one that only reads: no write passes
    /// [`Health::check_sound`] from now on.
    pub fn set_read_only(&self) {
        let was_sound = self.cause.set(Arc::new(Error::ReadOnly)).is_ok();
        assert!(was_sound, "before anything could go wrong");
    }

    /// Whether the handle only reads.
    pub fn is_read_only(&self) -> bool {
        self.cause.get().is_some_and(|cause| matches!(**cause, Error::ReadOnly))
    }

    /// What poisoned the handle, if anything did.
    pub fn poisoned_by(&self) -> Option<Error> {
        self.check_sound().err().filter(|e| !matches!(e, Error::ReadOnly))
    }

    /// Marks the handle as closed; false when it was already.
    pub fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// # Errors
    /// [`Error::Closed`].
    #[inline]
    pub fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Whether writes may be tried.
    ///
    /// # Errors
    /// [`Error::Poisoned`] with the first cause; [`Error::ReadOnly`].
    #[inline]
    pub fn check_sound(&self) -> Result<()> {
        match self.cause.get() {
            None => Ok(()),
            Some(_) if self.is_read_only() => Err(Error::ReadOnly),
            Some(cause) => Err(Error::Poisoned { cause: Arc::clone(cause) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_stays() {
        let health = Health::default();
        assert!(health.check_sound().is_ok());
        health.poison(Error::invalid("first"));
        health.poison(Error::invalid("second"));
        let text = health.check_sound().expect_err("poisoned").to_string();
        assert!(text.contains("first") && !text.contains("second"), "{text}");
        assert!(health.check_open().is_ok());
        assert!(health.close() && !health.close());
        assert!(matches!(health.check_open(), Err(Error::Closed)));
    }
}
