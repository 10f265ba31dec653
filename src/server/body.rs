//! Bodies that come in: whole into memory, within a budget, or piece by piece to a thread that reads.
//!
//! INV-1: a body that was cut off, came too slowly or was too large never looks as if it had ended: who reads
//! it gets an error in the place of the end.

use super::failure::Failure;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt as _;

/// The least rate over the whole of a body, beyond the time for which a client may stand still.
pub const RATE_MIN_BYTES_PER_SECOND: u64 = 1 << 10;

/// Pieces on their way to a thread that reads.
const PIECES_MAX: usize = 8;

/// What is taken of the budget first.
const FIRST_STEP_BYTES: u64 = 4 << 10;

/// What all bodies in memory may take, counted in KiB.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

impl Budget {
    /// Of `bytes`.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let permits = usize::try_from(bytes.div_ceil(1024)).unwrap_or(usize::MAX);
        Budget(Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes `bytes` of it until what is returned is dropped.
    ///
    /// # Errors
    /// 503 when it is taken. Nobody waits: two that wait for each other's would do so for ever.
    pub fn take(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Failure> {
        let permits = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.0).try_acquire_many_owned(permits);
        taken.map_err(|_| {
            Failure::busy("too many large bodies and answers are under way at once; try again")
        })
    }
}

/// A whole body, with its part of the budget.
#[derive(Debug)]
pub struct Whole {
    /// Its bytes.
    pub bytes: Vec<u8>,
    _permits: Vec<OwnedSemaphorePermit>,
}

/// A body, piece by piece.
#[derive(Debug)]
pub struct Incoming {
    stream: BodyDataStream,
    limit: u64,
    received: u64,
    stall: Duration,
    /// For how long it has been waited for.
    waited: Duration,
}

impl Incoming {
    /// The body of a request with `headers`; at most `limit` bytes are taken, and no standstill above `stall`.
    ///
    /// # Errors
    /// 413 when it says that it is longer.
    pub fn new(
        body: Body,
        headers: &HeaderMap,
        limit: u64,
        stall: Duration,
    ) -> Result<Self, Failure> {
        let stated = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let stated = stated.and_then(|value| value.parse::<u64>().ok());
        if stated.is_some_and(|stated| stated > limit) {
            return Err(Failure::too_large("the body", limit));
        }
        let stream = body.into_data_stream();
        Ok(Incoming { stream, limit, received: 0, stall, waited: Duration::ZERO })
    }

    /// The next piece; `None` when it has ended as it should.
    ///
    /// # Errors
    /// 400 when it was cut off, 408 when it is too slow, 413 when it is too large.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        // What has come earns time; so a trickle ends, and what is large and steady does not.
        let earned = Duration::from_secs(self.received / RATE_MIN_BYTES_PER_SECOND);
        let left = (self.stall + earned).saturating_sub(self.waited).min(self.stall);
        let begun = Instant::now();
        let Ok(piece) = timeout(left, self.stream.next()).await else {
            let message = "the body came too slowly";
            return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, message));
        };
        self.waited += begun.elapsed();
        let Some(piece) = piece else { return Ok(None) };
        let piece = piece.map_err(|e| Failure::bad(format!("the body was cut off: {e}")))?;
        self.received = self.received.saturating_add(piece.len() as u64);
        if self.received > self.limit {
            return Err(Failure::too_large("the body", self.limit));
        }
        Ok(Some(piece))
    }

    /// All of it, in memory.
    ///
    /// # Errors
    /// As [`Incoming::next`]; 503 when there is no room in `budget`.
    pub async fn whole(mut self, budget: &Budget) -> Result<Whole, Failure> {
        let (mut permits, mut reserved) = (Vec::new(), 0);
        let mut bytes = Vec::new();
        while let Some(piece) = self.next().await? {
            // By what has come, not by what is announced: that costs nobody anything. In steps that
            // grow, so that many small pieces are few permits.
            if self.received > reserved {
                let more = (self.received - reserved).max(reserved).max(FIRST_STEP_BYTES);
                let more = more.min(self.limit - reserved);
                permits.push(budget.take(more)?);
                reserved += more;
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Whole { bytes, _permits: permits })
    }

    /// Gives all of it to `feed`. It ends early, and well, when nobody reads any more: who read knows why.
    ///
    /// # Errors
    /// As [`Incoming::next`].
    pub async fn pump(mut self, feed: Feed) -> Result<(), Failure> {
        while let Some(piece) = self.next().await? {
            if feed.0.send(Part::Data(piece)).await.is_err() {
                return Ok(());
            }
        }
        // INV-1: without this, whoever reads is told that it was cut off.
        let _ = feed.0.send(Part::End).await;
        Ok(())
    }
}

#[derive(Debug)]
enum Part {
    Data(Bytes),
    End,
}

/// The end of a pipe into which a task writes.
#[derive(Debug)]
pub struct Feed(mpsc::Sender<Part>);

/// The end of a pipe from which a thread reads.
#[derive(Debug)]
pub struct Piped {
    parts: mpsc::Receiver<Part>,
    current: Bytes,
    has_ended: bool,
}

/// A pipe from a task to a thread.
#[must_use]
pub fn pipe() -> (Feed, Piped) {
    let (sender, parts) = mpsc::channel(PIECES_MAX);
    (Feed(sender), Piped { parts, current: Bytes::new(), has_ended: false })
}

impl Read for Piped {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.has_ended && !buf.is_empty() {
            match self.parts.blocking_recv() {
                Some(Part::Data(piece)) => self.current = piece,
                Some(Part::End) => self.has_ended = true,
                None => {
                    let cut = "the request was cut off";
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, cut));
                }
            }
        }
        let count = buf.len().min(self.current.len());
        buf[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(pieces: &[&'static str]) -> Body {
        let pieces: Vec<io::Result<&str>> = pieces.iter().map(|piece| Ok(*piece)).collect();
        Body::from_stream(tokio_stream::iter(pieces))
    }

    fn incoming(body: Body, limit: u64) -> Incoming {
        Incoming::new(body, &HeaderMap::new(), limit, Duration::from_millis(50)).expect("begun")
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_its_limit() {
        let budget = Budget::new(1 << 20);
        let whole = incoming(body_of(&["ab", "", "cd"]), 4).whole(&budget).await.expect("whole");
        assert_eq!(whole.bytes, b"abcd");
        let failed = incoming(body_of(&["ab", "cd", "e"]), 4).whole(&budget).await;
        assert_eq!(failed.expect_err("too large").status, StatusCode::PAYLOAD_TOO_LARGE);
        let stated =
            HeaderMap::from_iter([(header::CONTENT_LENGTH, "5".parse().expect("a value"))]);
        let refused = Incoming::new(Body::empty(), &stated, 4, Duration::from_secs(1));
        assert_eq!(refused.expect_err("too large").status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn what_stands_still_is_given_up() {
        let never = Body::from_stream(tokio_stream::pending::<io::Result<Bytes>>());
        let failed = incoming(never, 4).whole(&Budget::new(1 << 20)).await.expect_err("too slow");
        assert_eq!(failed.status, StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test]
    async fn the_budget_is_given_back() {
        let budget = Budget::new(4 << 10);
        let large: &'static str = "x".repeat(3000).leak();
        let first = incoming(body_of(&[large]), 8000).whole(&budget).await.expect("there is room");
        let second = incoming(body_of(&[large]), 8000).whole(&budget).await;
        assert_eq!(second.expect_err("no room").status, StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        incoming(body_of(&[large]), 8000).whole(&budget).await.expect("there is room again");
    }

    #[tokio::test]
    async fn a_cut_never_looks_like_an_end() {
        let (feed, mut piped) = pipe();
        let cut: Vec<io::Result<Bytes>> =
            vec![Ok(Bytes::from_static(b"{}")), Err(ErrorKind::ConnectionReset.into())];
        let pump = incoming(Body::from_stream(tokio_stream::iter(cut)), 100).pump(feed);
        assert_eq!(pump.await.expect_err("cut").status, StatusCode::BAD_REQUEST);
        let read = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            (piped.read_to_end(&mut all).map_err(|e| e.kind()), all)
        });
        let (read, all) = read.await.expect("read");
        assert_eq!((read, all.as_slice()), (Err(ErrorKind::UnexpectedEof), &b"{}"[..]));

        let (feed, mut piped) = pipe();
        incoming(body_of(&["{", "}"]), 100).pump(feed).await.expect("whole");
        let read = tokio::task::spawn_blocking(move || {
            let mut all = String::new();
            piped.read_to_string(&mut all).map(|_| all)
        });
        assert_eq!(read.await.expect("read").expect("whole"), "{}");
    }
}
