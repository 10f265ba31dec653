//! Reads: one key, or a range in either direction.
//!
//! Place on the data's path: the way out. A read pins a view and a sequence
//! number, looks from the newest source to the oldest, and hides what is newer
//! than its number, deleted or expired.
//!
//! INV-1: the view is loaded before the sequence number: the view then holds
//! every commit that the calling thread knows of.
//! INV-2: damage is an error, never an absent key.
//!
//! Concurrency: no lock that a writer holds.
//! Not here: handles that users hold (`db`).

mod get;
mod newer;
mod prefetch;
mod scan;
mod source;
mod stream;
mod value;
mod visible;

pub use get::{Lookup, Reader};
pub use newer::Newer;
pub use scan::{Bounds, Scan, successor};
pub use stream::Stream;
pub use value::{Key, Value};
