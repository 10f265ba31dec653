//! Has the processor fetch memory that is going to be read.
#![cfg_attr(
    all(target_arch = "x86_64", not(miri)),
    expect(unsafe_code, reason = "a hint to the processor has no safe form")
)]

/// What the processor fetches at once, in bytes; on some machines twice that.
const LINE_BYTES: usize = 64;

/// Has the processor begin to fetch `bytes` into its caches, and goes on at once. It is a hint: where there is no such
/// instruction, nothing is done.
#[inline]
pub fn prefetch(bytes: &[u8]) {
    for line in bytes.chunks(LINE_BYTES) {
        prefetch_line(line.as_ptr());
    }
}

/// The same for what `value` begins with.
#[inline]
pub fn prefetch_value<T>(value: &T) {
    prefetch_line(std::ptr::from_ref(value).cast());
}

/// The same for `size_bytes` from `start` on, be they of one allocation or not: nothing is read.
#[inline]
pub fn prefetch_from(start: *const u8, size_bytes: usize) {
    for offset in (0..size_bytes).step_by(LINE_BYTES) {
        prefetch_line(start.wrapping_add(offset));
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
fn prefetch_line(line: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction is part of SSE, which every x86-64 has. It reads nothing that the program sees, and
    // it never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline]
fn prefetch_line(_: *const u8) {}
