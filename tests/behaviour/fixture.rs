//! The engines that the suite runs on.

use esker::{Clock, Engine, LsmEngine, MemoryEngine, Options, SyncPolicy};
#[cfg(feature = "sim")]
use esker::{Db, Fs, OpenMode};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
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

    /// A directory for backups, which is not there yet, where the engine writes them.
    fn backup_dir(&self) -> PathBuf;

    /// The content of the file at `path`, where the engine writes them.
    fn read_file(&self, path: &Path) -> Vec<u8> {
        std::fs::read(path).expect("it is there")
    }

    /// Puts a file at `path`, in place of one that is there.
    fn write_file(&self, path: &Path, bytes: &[u8]) {
        std::fs::write(path, bytes).expect("written");
    }
}

/// Makes each named behaviour a test on every engine.
macro_rules! on_every_engine {
    ($($behaviour:ident),* $(,)?) => {
        on_engine!(on_memory, crate::fixture::Memory::new(), $($behaviour),*);
        on_engine!(on_lsm, crate::fixture::Lsm::with_defaults(), $($behaviour),*);
        on_engine!(on_small_lsm, crate::fixture::Lsm::small(), $($behaviour),*);
        #[cfg(feature = "sim")]
        on_engine!(on_sim_lsm, crate::fixture::SimLsm::new(), $($behaviour),*);
    };
}

/// Makes each named behaviour a test on every engine whose clock can be set.
macro_rules! on_every_engine_with_a_clock {
    ($($behaviour:ident),* $(,)?) => {
        on_engine!(clock_on_memory, crate::fixture::Memory::new(), $($behaviour),*);
        #[cfg(feature = "sim")]
        on_engine!(clock_on_sim_lsm, crate::fixture::SimLsm::new(), $($behaviour),*);
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
    dir: tempfile::TempDir,
}

impl Memory {
    pub fn new() -> Memory {
        let clock = Arc::new(StoppedClock::default());
        let engine = Arc::new(MemoryEngine::with_clock(Arc::clone(&clock) as Arc<dyn Clock>));
        Memory { engine, clock, dir: tempfile::tempdir().expect("a temporary directory") }
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

    fn backup_dir(&self) -> PathBuf {
        self.dir.path().join("backups/of/memory")
    }
}

/// The engine on disk, under the machine's clock.
pub struct Lsm {
    engine: Mutex<Arc<LsmEngine>>,
    options: Options,
    dir: tempfile::TempDir,
}

impl Lsm {
    /// As most will open it.
    pub fn with_defaults() -> Lsm {
        Lsm::with(Options::default())
    }

    /// With everything as small as it may be, so that even small tests go
    /// through full memtables, flushes and tables.
    pub fn small() -> Lsm {
        Lsm::with(small_options())
    }

    fn with(options: Options) -> Lsm {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let engine = LsmEngine::open(dir.path(), options.clone()).expect("it opens");
        Lsm { engine: Mutex::new(Arc::new(engine)), options, dir }
    }
}

impl Fixture for Lsm {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&*self.engine.lock()) as Arc<dyn Engine>
    }

    fn reopened(&self) -> Arc<dyn Engine> {
        let mut engine = self.engine.lock();
        engine.close().expect("it closes");
        let again = LsmEngine::open(self.dir.path(), self.options.clone()).expect("it opens again");
        *engine = Arc::new(again);
        Arc::clone(&*engine) as Arc<dyn Engine>
    }

    fn set_now_ms(&self, _: u64) {
        panic!("the machine's clock is not ours to set");
    }

    fn backup_dir(&self) -> PathBuf {
        self.dir.path().join("backups/of/lsm")
    }
}

fn small_options() -> Options {
    Options {
        sync_policy: SyncPolicy::Never,
        memtable_bytes: 64 << 10,
        memtables_max: 2,
        log_file_bytes: 64 << 10,
        block_bytes: 256,
        block_cache_bytes: 0,
        ..Options::default()
    }
}

/// The engine on a simulated disk, whose clock can be set.
#[cfg(feature = "sim")]
pub struct SimLsm {
    engine: Mutex<Arc<LsmEngine>>,
    fs: esker::sim::SimFs,
}

#[cfg(feature = "sim")]
impl SimLsm {
    pub fn new() -> SimLsm {
        let fs = esker::sim::SimFs::new();
        SimLsm { engine: Mutex::new(SimLsm::open(&fs)), fs }
    }

    /// The engine, with the database under it.
    pub fn lsm(&self) -> Arc<LsmEngine> {
        Arc::clone(&self.engine.lock())
    }

    fn open(fs: &esker::sim::SimFs) -> Arc<LsmEngine> {
        let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", small_options()).expect("it opens");
        Arc::new(LsmEngine::new(db))
    }
}

#[cfg(feature = "sim")]
impl Fixture for SimLsm {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&*self.engine.lock()) as Arc<dyn Engine>
    }

    fn reopened(&self) -> Arc<dyn Engine> {
        let mut engine = self.engine.lock();
        engine.close().expect("it closes");
        *engine = SimLsm::open(&self.fs);
        Arc::clone(&*engine) as Arc<dyn Engine>
    }

    fn set_now_ms(&self, now_ms: u64) {
        self.fs.sim_clock().set_ms(now_ms);
    }

    fn backup_dir(&self) -> PathBuf {
        PathBuf::from("/backups/of/lsm")
    }

    fn read_file(&self, path: &Path) -> Vec<u8> {
        let file = self.fs.open(path, OpenMode::Read).expect("it is there");
        let mut bytes = vec![0; usize::try_from(file.len().expect("its length")).expect("small")];
        let mut at = 0;
        while at < bytes.len() {
            at += file.read_at(&mut bytes[at..], at as u64).expect("a read");
        }
        bytes
    }

    fn write_file(&self, path: &Path, bytes: &[u8]) {
        // There may be none.
        let _ = self.fs.remove(path);
        let file = self.fs.open(path, OpenMode::CreateNew).expect("made");
        let mut at = 0;
        while at < bytes.len() {
            at += file.write_at(&bytes[at..], at as u64).expect("a write");
        }
    }
}
