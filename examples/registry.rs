//! A registry of services: who sends heartbeats is listed, who stops is gone after its time to live.
//!
//! ```text
//! cargo run --release --example registry
//! ```
//!
//! Three services register for 300 ms and renew that every 100 ms; one of them dies. A watcher tells who comes and goes. Then the
//! registry itself is killed and opened again: times to live are moments, and go on while nobody looks.

use esker::{Config, Engine, Error, new_engine};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LIFE: Duration = Duration::from_millis(300);
const HEARTBEAT: Duration = Duration::from_millis(100);
/// How long the watcher waits for what should be there in a fraction of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends heartbeats for `name` until it is told to stop. A heartbeat is the registration once more.
fn heartbeats(
    registry: Arc<dyn Engine>,
    name: &'static str,
    is_alive: Arc<AtomicBool>,
) -> thread::JoinHandle<Result<(), Error>> {
    thread::spawn(move || {
        let data = format!(r#"{{"name":"{name}","address":"10.0.0.1","port":8080}}"#);
        while is_alive.load(Ordering::Relaxed) {
            registry.set_service(name, data.as_bytes(), LIFE)?;
            thread::sleep(HEARTBEAT);
        }
        Ok(())
    })
}

/// Looks on until the services that are alive are `expected`, and tells what changes meanwhile.
fn watch(registry: &dyn Engine, expected: &[&str]) -> Result<(), Error> {
    let begun = Instant::now();
    let mut seen = BTreeSet::new();
    loop {
        let now: BTreeSet<String> = registry.list_services()?.into_iter().collect();
        now.difference(&seen).for_each(|name| println!("  {name} is there"));
        seen.difference(&now).for_each(|name| println!("  {name} is gone"));
        seen = now;
        if seen.iter().eq(expected) {
            return Ok(());
        }
        assert!(begun.elapsed() < PATIENCE, "{seen:?} are alive, and not {expected:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn main() -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a directory");
    // Who is alive is worth no sync: after a power cut the heartbeats tell again.
    let config =
        Config { data_dir: dir.path().join("data"), sync_writes: false, ..Config::default() };
    let registry = new_engine(&config)?;

    println!("three services");
    let alive: Vec<_> = (0..3).map(|_| Arc::new(AtomicBool::new(true))).collect();
    let threads: Vec<_> = ["cache", "db", "web"]
        .into_iter()
        .zip(&alive)
        .map(|(name, is_alive)| heartbeats(Arc::clone(&registry), name, Arc::clone(is_alive)))
        .collect();
    watch(registry.as_ref(), &["cache", "db", "web"])?;
    assert!(registry.get_service("db")?.ends_with(br#""port":8080}"#));

    println!("the database stops");
    alive[1].store(false, Ordering::Relaxed);
    watch(registry.as_ref(), &["cache", "web"])?;
    // For ten minutes it is told from one that never was.
    assert!(matches!(registry.get_service("db"), Err(Error::ServiceExpired)));
    assert!(matches!(registry.get_service("mail"), Err(Error::ServiceNotFound)));

    println!("the registry dies, and the others with it");
    alive.iter().for_each(|is_alive| is_alive.store(false, Ordering::Relaxed));
    for thread in threads {
        thread.join().expect("no panic")?;
    }
    drop(registry); // Without `close`: what was acknowledged is in the log.
    let registry = new_engine(&config)?;
    watch(registry.as_ref(), &[])?;
    assert!(matches!(registry.get_service("web"), Err(Error::ServiceExpired)));
    registry.close()
}
