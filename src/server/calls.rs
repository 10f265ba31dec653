//! The way from tasks to the engine: calls that may block, a bounded number at a time, on threads that may.

use super::failure::Failure;
use axum::http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Exports, imports, backups, restores, verifications and long lists at a time. They have room of their own: else they would
/// keep gets and sets from theirs.
const LONG_MAX: usize = 16;

/// Who may call the engine now.
#[derive(Debug)]
pub struct Calls {
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
    wait: Duration,
}

impl Calls {
    /// `calls_max` short ones at a time, who waits for up to `wait` for one of them to end.
    #[must_use]
    pub fn new(calls_max: usize, wait: Duration) -> Self {
        let (short, long) = (Semaphore::new(calls_max), Semaphore::new(LONG_MAX));
        Calls { short: Arc::new(short), long: Arc::new(long), wait }
    }

    /// What `act` returns.
    ///
    /// # Errors
    /// 503 when no call could begin in time; 500 when `act` panicked.
    pub async fn short<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = self.permit(&self.short).await?;
        ended(spawn(permit, act)).await
    }

    /// As [`Calls::short`], for what can take long.
    ///
    /// # Errors
    /// As there.
    pub async fn long<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        ended(self.begin_long(act).await?).await
    }

    /// Begins what can take long.
    ///
    /// # Errors
    /// 503 when it could not begin in time.
    pub async fn begin_long<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, Failure> {
        let permit = self.permit(&self.long).await?;
        Ok(spawn(permit, act))
    }

    async fn permit(&self, of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
        match timeout(self.wait, Arc::clone(of).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Failure::busy("too many requests at once; try again")),
        }
    }
}

fn spawn<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    act: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    tokio::task::spawn_blocking(move || {
        let result = act();
        // With the call, not with the request: one that was given up still takes its thread.
        drop(permit);
        result
    })
}

/// What a call returns.
///
/// # Errors
/// 500 when it panicked.
pub async fn ended<T>(call: JoinHandle<T>) -> Result<T, Failure> {
    call.await.map_err(|e| {
        tracing::error!("a call of the engine did not end: {e}");
        let message = "the call did not come to its end; see the log of the server";
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn no_more_at_a_time_than_there_may_be() {
        let calls = Arc::new(Calls::new(3, Duration::from_secs(60)));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..30 {
            let (calls, now, most) = (Arc::clone(&calls), Arc::clone(&now), Arc::clone(&most));
            tasks.spawn(async move {
                let act = move || {
                    let running = now.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(running, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                };
                calls.short(act).await.expect("in time");
            });
        }
        tasks.join_all().await;
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    }

    #[tokio::test]
    async fn who_cannot_begin_is_told_and_panics_are_failures() {
        let calls = Calls::new(1, Duration::from_millis(10));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let waiting = calls.short(move || held.recv().is_err());
        let refused = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let refused = calls.short(|| ()).await.expect_err("no room");
            assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
            drop(release);
        };
        let (waited, ()) = tokio::join!(waiting, refused);
        assert!(waited.expect("it ends"));
        let failed = calls.short(|| panic!("planted")).await.expect_err("panicked");
        assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
        calls.short(|| ()).await.expect("its room is free again");
    }
}
