//! Exports and imports beyond what each call answers (that is `tests/behaviour`): documents as others write
//! them, what is more than fits into memory, failures in the middle, what goes on beside them.

mod beside;
mod disk;
mod failures;
mod golden;
mod sizes;
mod trips;
