//! What the memtable's threads share, under names of our own: the model
//! checker's package (`model/`) puts its instrumented twins in this file's place.

pub use std::sync::atomic::{AtomicU64, Ordering};

/// The most levels that a node has. With half of the nodes one level higher,
/// 24 serve 2^24, some 16 million, entries before searches slow down.
pub const HEIGHT_MAX: usize = 24;

/// A value written when its node is made and only read afterwards. The twin in
/// the model package checks that each read is ordered after the write.
#[derive(Debug)]
#[repr(transparent)]
pub struct Published<T>(T);

impl<T: Copy> Published<T> {
    /// Holds `value` for good.
    #[inline]
    pub const fn new(value: T) -> Self {
        Published(value)
    }

    /// The value.
    #[inline]
    pub const fn get(&self) -> T {
        self.0
    }
}
