//! Going through whole files to verify them: who does so is told of each part and of each damage.

use crate::error::Error;

/// What an inspection ends with that was told to: who told it knows why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// How an inspection goes on, or that it does not.
pub type Inspected<T = ()> = Result<T, Stop>;

/// Who has files inspected.
pub trait Inspector {
    /// Told after each part that was read, of so many bytes; the place for a pause.
    ///
    /// # Errors
    /// [`Stop`] ends the inspection.
    fn pass(&mut self, bytes: u64) -> Inspected;

    /// Told of damage, or of what could not be read. The inspection goes on behind it.
    fn tell(&mut self, e: Error);
}
