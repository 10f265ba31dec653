//! How much memory a decoder has at most at a time.

use peak_alloc::PeakAlloc;

/// The system's allocator, counted.
#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

/// Runs `decode` and asserts that at no time it had allocated more than
/// `factor` times the `input_bytes` and `slack` bytes. One thread at a time.
///
/// # Panics
/// When it had.
pub fn assert_bounded<T>(
    input_bytes: usize,
    factor: usize,
    slack: usize,
    decode: impl FnOnce() -> T,
) -> T {
    let before = COUNTED.current_usage();
    COUNTED.reset_peak_usage();
    let decoded = decode();
    let peak = COUNTED.peak_usage().saturating_sub(before);
    let limit = input_bytes * factor + slack;
    assert!(peak <= limit, "{peak} bytes of memory for {input_bytes} bytes; {limit} at most");
    decoded
}
