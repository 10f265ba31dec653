//! Connections: who is taken, who has to go, and how all of them end.
//!
//! INV-1: there are never more than the limit. When there are as many, the one that has been without a
//! request for longest is closed for who comes next: idle connections, however many, starve nobody.
//! INV-2: a connection with a request whose answer has not ended is not closed for another's sake.
//! INV-3: when the server ends, a connection without a request ends at once, one with a request after its answer.

use super::app::{App, Phase, reached};
use super::paced::Paced;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

/// The largest head, in bytes, and how many headers it may have.
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;

/// How long to wait when the system has no files left.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections that are open.
#[derive(Debug, Default)]
pub struct Connections {
    slots: Mutex<Slots>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Slots {
    open: HashMap<u64, Slot>,
    last: u64,
}

#[derive(Debug)]
struct Slot {
    /// Requests whose answers have not ended: one at most, as long as nobody changes that.
    requests: usize,
    /// Since when that is so.
    since: Instant,
    close: Arc<Notify>,
    is_told: bool,
}

impl Connections {
    fn add(self: &Arc<Self>) -> Entry {
        let close = Arc::new(Notify::new());
        let mut slots = self.slots.lock();
        slots.last += 1;
        let number = slots.last;
        let slot =
            Slot { requests: 0, since: Instant::now(), close: Arc::clone(&close), is_told: false };
        slots.open.insert(number, slot);
        Entry { connections: Arc::clone(self), number, close }
    }

    fn count(&self) -> usize {
        self.slots.lock().open.len()
    }

    /// Closes the one that has been idle longest, if one is.
    fn evict(&self) -> bool {
        let mut slots = self.slots.lock();
        let idle = slots.open.values_mut().filter(|slot| slot.requests == 0 && !slot.is_told);
        let Some(oldest) = idle.min_by_key(|slot| slot.since) else { return false };
        oldest.is_told = true;
        oldest.close.notify_one();
        true
    }
}

/// One of them; it is gone when this is dropped.
#[derive(Debug)]
struct Entry {
    connections: Arc<Connections>,
    number: u64,
    close: Arc<Notify>,
}

impl Entry {
    fn change(&self, act: impl FnOnce(usize) -> usize) {
        if let Some(slot) = self.connections.slots.lock().open.get_mut(&self.number) {
            slot.requests = act(slot.requests);
            slot.since = Instant::now();
        }
    }

    fn is_idle(&self) -> bool {
        let slots = self.connections.slots.lock();
        slots.open.get(&self.number).is_none_or(|slot| slot.requests == 0)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.slots.lock().open.remove(&self.number);
        self.connections.freed.notify_one();
    }
}

/// A request whose answer has not ended.
#[derive(Debug)]
struct Underway(Arc<Entry>);

impl Underway {
    fn new(entry: &Arc<Entry>) -> Self {
        entry.change(|requests| requests + 1);
        Underway(Arc::clone(entry))
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.change(|requests| requests.saturating_sub(1));
    }
}

/// The body of an answer, and that it is under way.
struct Sending {
    body: Body,
    _underway: Underway,
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Takes connections until the phase is no longer [`Phase::Running`]; then waits for them to end, and gives them
/// up when it is [`Phase::Aborting`].
pub async fn serve(listener: TcpListener, app: Arc<App>, router: Router, limit: usize) {
    let connections = Arc::new(Connections::default());
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let taken = tokio::select! {
            biased;
            () = reached(app.phase.clone(), Phase::Draining) => break,
            taken = next(&listener, &app, &connections, limit) => taken,
        };
        let Some(stream) = taken else { continue };
        app.traffic.accepted.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(connections.add());
        tasks.spawn(connection(stream, entry, Arc::clone(&app), router.clone()));
        app.traffic.connections.store(connections.count(), Ordering::Relaxed);
    }
    drop(listener);
    let ended = async { while tasks.join_next().await.is_some() {} };
    tokio::select! {
        () = ended => {}
        () = reached(app.phase.clone(), Phase::Aborting) => {}
    }
    tasks.shutdown().await;
}

/// The next connection, for which there is room.
async fn next(
    listener: &TcpListener,
    app: &App,
    connections: &Connections,
    limit: usize,
) -> Option<TcpStream> {
    app.traffic.connections.store(connections.count(), Ordering::Relaxed);
    let accepted = listener.accept().await;
    let stream = match accepted {
        Ok((stream, _)) => stream,
        Err(e) => {
            // Who broke off before it was taken is no concern; where there are no files left, one has to go.
            tracing::debug!("a connection could not be taken: {e}");
            if is_out_of_files(&e) && connections.evict() {
                app.traffic.evicted.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(PAUSE).await;
            return None;
        }
    };
    while connections.count() >= limit {
        if connections.evict() {
            app.traffic.evicted.fetch_add(1, Ordering::Relaxed);
        }
        // Told by whoever goes; should all be at work, the next look is soon.
        let _ = tokio::time::timeout(PAUSE, connections.freed.notified()).await;
    }
    Some(stream)
}

fn is_out_of_files(e: &std::io::Error) -> bool {
    // EMFILE and ENFILE have no kind of their own.
    matches!(e.raw_os_error(), Some(23 | 24))
}

async fn connection(stream: TcpStream, entry: Arc<Entry>, app: Arc<App>, router: Router) {
    // Without it, small answers may wait for the client's acknowledgement of those before.
    drop(stream.set_nodelay(true));
    let io = TokioIo::new(Paced::new(stream, app.config.stall_timeout));
    let ours = Arc::clone(&entry);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let underway = Underway::new(&ours);
        let answer = router.clone().oneshot(request.map(Body::new));
        async move {
            let answer: Result<Response, std::convert::Infallible> = answer.await;
            answer.map(|answer| answer.map(|body| Body::new(Sending { body, _underway: underway })))
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.config.header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .half_close(false)
        .serve_connection(io, service);
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = entry.close.notified() => end(served, &entry).await,
        () = reached(app.phase.clone(), Phase::Draining) => end(served, &entry).await,
    };
    if let Err(e) = ended {
        tracing::debug!("a connection broke: {e}");
    }
}

/// Ends a connection: at once if it is without a request (INV-3), else after the answer.
async fn end<C>(mut served: Pin<&mut C>, entry: &Entry) -> hyper::Result<()>
where
    C: Graceful,
{
    if entry.is_idle() {
        return Ok(());
    }
    served.as_mut().graceful();
    served.await
}

/// What can be told to end after the answer.
trait Graceful: Future<Output = hyper::Result<()>> {
    fn graceful(self: Pin<&mut Self>);
}

impl<S, F> Graceful for http1::Connection<TokioIo<Paced<TcpStream>>, S>
where
    S: hyper::service::Service<hyper::Request<Incoming>, Response = Response, Future = F>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    F: Future<Output = Result<Response, S::Error>>,
{
    fn graceful(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_idle_longest_goes_first_and_none_with_a_request() {
        let connections = Arc::new(Connections::default());
        let entries: Vec<_> = (0..3).map(|_| Arc::new(connections.add())).collect();
        let busy = Underway::new(&entries[0]);
        let is_told = |n: usize| {
            let slots = connections.slots.lock();
            slots.open.get(&entries[n].number).is_some_and(|slot| slot.is_told)
        };
        assert!(connections.evict() && is_told(1) && !is_told(2));
        assert!(connections.evict() && is_told(2));
        assert!(!connections.evict() && !is_told(0), "it has a request");
        drop(busy);
        assert!(connections.evict() && is_told(0));
        drop(entries);
        assert_eq!(connections.count(), 0);
    }
}
