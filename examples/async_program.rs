//! esker in an asynchronous program: calls of the engine block, so they go to threads that may.
//!
//! ```text
//! cargo run --release --example async_program
//! ```
//!
//! A counter of visits, as a handler of requests would keep it: 200 tasks at once, each in a transaction. A write through
//! the engine waits for the disk; on a thread of the runtime's own it would hold up every other task there. `spawn_blocking` has
//! threads for that. Writers that wait at the same time share one sync.

use esker::{Db, Error, Options};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// The database for tasks. Clones are the same one.
#[derive(Clone)]
struct Store {
    db: Db,
    /// How many calls may block at once: each takes a thread, and more of them than share a sync wait for nothing.
    at_once: Arc<Semaphore>,
}

impl Store {
    fn new(db: Db) -> Store {
        Store { db, at_once: Arc::new(Semaphore::new(32)) }
    }

    /// Runs `act` where it may block.
    async fn run<R: Send + 'static>(
        &self,
        act: impl FnOnce(&Db) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let permit = Arc::clone(&self.at_once).acquire_owned().await.expect("it is never closed");
        let db = self.db.clone();
        let done = spawn_blocking(move || {
            let _held = permit; // Until it is done, though nobody may wait for it any more.
            act(&db)
        });
        done.await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
    }
}

/// One more visit of `page`; how many that makes.
async fn visit(store: &Store, page: &str) -> Result<u64, Error> {
    let key = format!("visits/{page}");
    store
        .run(move |db| {
            // Again and again until nobody else has counted in between.
            db.transact(|tx| {
                let before = tx.get(&key)?.map_or(0, |bytes| number(&bytes));
                tx.set(&key, (before + 1).to_le_bytes())?;
                Ok(before + 1)
            })
        })
        .await
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes, as they were stored"))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_path_buf();
    // Opening replays a log, so it may block, too.
    let db = spawn_blocking(move || Db::open(path, Options::default())).await.expect("no panic")?;
    let store = Store::new(db);

    let begun = Instant::now();
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { visit(&store, ["home", "about"][n % 2]).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic")?;
    }
    let metrics = store.db.metrics();
    println!("200 durable visits in {:?}, with {} syncs", begun.elapsed(), metrics.log_syncs);

    // None was lost, though many wanted the same key at once.
    let visits = store.run(|db| db.prefix("visits/").collect::<Result<Vec<_>, _>>()).await?;
    for (page, count) in &visits {
        println!("{}: {}", page.escape_ascii(), number(count));
        assert_eq!(number(count), 100);
    }
    assert_eq!(visits.len(), 2);
    store.run(Db::close).await
}
