//! Looking on for a while before going to sleep.
//!
//! Who waits for another thread that needs a microsecond or two more should not sleep: to fall asleep and be woken takes
//! ten, in a virtual machine up to fifty, as the core halts and another must reach it. Who looks on without end
//! keeps from its core the very thread that it waits for. So first the one, then, giving way to others each time, the
//! other's beginning, then sleep.
//!
//! Not here: the sleep, and what makes it end.

/// How often one looks without giving way: a microsecond or two.
const SPINS: usize = 200;

/// And how often giving way to others each time, whoever one waits for among them: twenty microseconds or more, as long as
/// sleep and wake take.
const YIELDS: usize = 100;

/// Looks on until `is_done`, or for as long as it is worth; whether it is done. Never sleeps.
#[inline]
pub fn spin_until(is_done: impl Fn() -> bool) -> bool {
    for _ in 0..SPINS {
        if is_done() {
            return true;
        }
        std::hint::spin_loop();
    }
    for _ in 0..YIELDS {
        if is_done() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn it_looks_until_it_is_done_and_no_longer() {
        let looked = AtomicUsize::new(0);
        assert!(spin_until(|| looked.fetch_add(1, Ordering::Relaxed) == SPINS + YIELDS - 1));
        assert_eq!(looked.into_inner(), SPINS + YIELDS);
    }

    #[test]
    fn it_gives_up_on_what_is_never_done() {
        assert!(!spin_until(|| false));
    }
}
