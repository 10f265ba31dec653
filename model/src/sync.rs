//! The twin of esker's `memtable/sync.rs`, with everything tracked by loom.

pub use loom::sync::atomic::{AtomicU64, Ordering};

use loom::cell::UnsafeCell;

/// Low, so that the interleavings are of what matters: with 3 there is a level
/// that both, one and no node of a model reach.
pub const HEIGHT_MAX: usize = 3;

/// A value written when its node is made and only read afterwards: loom fails
/// when a read is not ordered after the write.
#[derive(Debug)]
pub struct Published<T>(UnsafeCell<T>);

impl<T: Copy> Published<T> {
    /// Holds `value` for good.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Published(UnsafeCell::new(value))
    }

    /// The value.
    #[track_caller]
    pub fn get(&self) -> T {
        // SAFETY: initialised by `new`, and nothing writes it later.
        self.0.with(|value| unsafe { *value })
    }
}
