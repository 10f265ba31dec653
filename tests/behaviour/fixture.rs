//! The engines that the suite runs on.

use esker::{Clock, Engine, MemoryEngine};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// An engine, fresh and empty, and what a test may do to it from outside.
pub trait Fixture {
    /// The engine as it is now open.
    fn engine(&self) -> Arc<dyn Engine>;

    /// Closes the engine and opens it again, where it keeps anything; an engine
    /// in memory is given back as it is.
    fn reopened(&self) -> Arc<dyn Engine>;

    /// Sets the wall clock, in milliseconds since the epoch.
    fn set_now_ms(&self, now_ms: u64);
}

/// Makes each named behaviour a test on every engine.
macro_rules! on_every_engine {
    ($($behaviour:ident),* $(,)?) => {
        on_engine!(on_memory, crate::fixture::Memory::new(), $($behaviour),*);
    };
}

/// Makes each named behaviour a test on every engine whose clock can be set.
macro_rules! on_every_engine_with_a_clock {
    ($($behaviour:ident),* $(,)?) => {
        on_engine!(clock_on_memory, crate::fixture::Memory::new(), $($behaviour),*);
    };
}

macro_rules! on_engine {
    ($module:ident, $fixture:expr, $($behaviour:ident),*) => {
        mod $module {
            $(
                #[test]
                fn $behaviour() {
                    super::$behaviour(&$fixture);
                }
            )*
        }
    };
}

/// A clock that stands until it is set.
#[derive(Debug, Default)]
pub struct StoppedClock(AtomicU64);

impl Clock for StoppedClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// The executable specification. Its clock stands still, but for the one test
/// that sleeps: that one makes its own engine.
pub struct Memory {
    engine: Arc<MemoryEngine>,
    clock: Arc<StoppedClock>,
}

impl Memory {
    pub fn new() -> Memory {
        let clock = Arc::new(StoppedClock::default());
        let engine = Arc::new(MemoryEngine::with_clock(Arc::clone(&clock) as Arc<dyn Clock>));
        Memory { engine, clock }
    }
}

impl Fixture for Memory {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.engine) as Arc<dyn Engine>
    }

    fn reopened(&self) -> Arc<dyn Engine> {
        self.engine()
    }

    fn set_now_ms(&self, now_ms: u64) {
        self.clock.0.store(now_ms, Ordering::SeqCst);
    }
}
