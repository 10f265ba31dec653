//! Answers: small JSON, bytes with their part of the budget, and what is written while it is being sent.
//!
//! INV-1: a stream ends well only when whoever writes it has said that it is whole. In every other case (a failure, a panic, a
//! writer who gave up) it ends with an error, by which the connection is broken off before its last chunk.
//! INV-2: what fails before the first [`CHUNK_BYTES`] are full is answered with its status.

use super::app::{App, Phase, reached};
use super::body::RATE_MIN_BYTES_PER_SECOND;
use super::failure::Failure;
use crate::error::Error;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use std::io::{self, ErrorKind, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;

/// What is gathered before it is sent.
const CHUNK_BYTES: usize = 64 << 10;

/// Chunks on their way.
const CHUNKS_MAX: usize = 4;

pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// What a request comes to.
pub type Answer = Result<Response, Failure>;

/// 200 with `body`.
pub fn ok(kind: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// 200 with a value as JSON.
pub fn json(value: &impl serde::Serialize) -> Answer {
    let text = serde_json::to_vec(value).map_err(|e| {
        Failure::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, format!("no JSON: {e}"))
    })?;
    Ok(ok(JSON, text))
}

/// Bytes that hold something until they are sent, or given up.
pub struct Holding<T> {
    bytes: Option<Bytes>,
    _held: T,
}

impl<T: Send + Unpin + 'static> Holding<T> {
    /// `bytes`, with `held`.
    pub fn body(bytes: Vec<u8>, held: T) -> Body {
        Body::new(Holding { bytes: Some(bytes.into()), _held: held })
    }
}

impl<T: Unpin> HttpBody for Holding<T> {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        // In pieces: what was handed over in one would be out of our sight, and still in memory.
        let Some(bytes) = self.bytes.as_mut().filter(|bytes| !bytes.is_empty()) else {
            return Poll::Ready(None);
        };
        let piece = bytes.split_to(bytes.len().min(CHUNK_BYTES));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// How a stream begins.
enum Opening {
    Whole(Vec<u8>),
    Stream(Chunked),
}

/// What comes from who writes.
#[derive(Debug)]
enum Part {
    Data(Bytes),
    /// It was whole.
    End,
}

/// A stream of chunks.
#[derive(Debug)]
struct Chunked {
    parts: mpsc::Receiver<Part>,
    has_ended: bool,
}

impl Stream for Chunked {
    type Item = io::Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        match ready!(self.parts.poll_recv(context)) {
            Some(Part::Data(chunk)) => Poll::Ready(Some(Ok(chunk))),
            end => {
                self.has_ended = true;
                // INV-1.
                let cut = io::Error::other("the answer could not be completed");
                Poll::Ready(if end.is_some() { None } else { Some(Err(cut)) })
            }
        }
    }
}

/// Answers with what `produce` writes, while it writes it. What is no longer than [`CHUNK_BYTES`] is sent with its length.
pub async fn stream(
    app: &Arc<App>,
    kind: HeaderValue,
    produce: impl FnOnce(&mut dyn Write) -> Result<(), Failure> + Send + 'static,
) -> Answer {
    let (opener, opening) = oneshot::channel();
    let chunks =
        Chunks { app: Arc::clone(app), handle: Handle::current(), buffer: Vec::new(), to: None };
    let mut writer = Opener { opener: Some(opener), chunks };
    let call = app.calls.begin_long(move || {
        let produced = produce(&mut writer);
        writer.finish(produced);
    });
    drop(call.await?); // It ends by itself: when it is done, or when nobody takes what it writes.
    match opening.await {
        Ok(Ok(Opening::Whole(bytes))) => Ok(ok(kind, bytes)),
        Ok(Ok(Opening::Stream(chunks))) => Ok(ok(kind, Body::from_stream(chunks))),
        Ok(Err(failure)) => Err(failure),
        Err(_) => {
            let message = "the answer was not written; see the log of the server";
            Err(Failure::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, message))
        }
    }
}

/// Gathers what is written, and opens the stream when it is more than one chunk.
struct Opener {
    opener: Option<oneshot::Sender<Result<Opening, Failure>>>,
    chunks: Chunks,
}

impl Opener {
    fn finish(mut self, produced: Result<(), Failure>) {
        match (self.opener.take(), produced) {
            (Some(opener), produced) => {
                let opening =
                    produced.map(|()| Opening::Whole(std::mem::take(&mut self.chunks.buffer)));
                let _ = opener.send(opening); // Nobody waits for it any more.
            }
            (None, Ok(())) => {
                // Who is gone needs no end.
                drop(self.chunks.flush().and_then(|()| self.chunks.send(Part::End)));
            }
            // INV-1: without an end.
            (None, Err(failure)) => tracing::warn!("an answer was cut off: {}", failure.message),
        }
    }
}

impl Write for Opener {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let room = CHUNK_BYTES - self.chunks.buffer.len();
        if room == 0 {
            if let Some(opener) = self.opener.take() {
                let (to, parts) = mpsc::channel(CHUNKS_MAX);
                self.chunks.to = Some(to);
                let stream = Chunked { parts, has_ended: false };
                if opener.send(Ok(Opening::Stream(stream))).is_err() {
                    return Err(gone());
                }
            }
            self.chunks.flush()?;
            return self.write(buf);
        }
        let count = buf.len().min(room);
        self.chunks.buffer.extend_from_slice(&buf[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // The end does it.
    }
}

/// The way of the chunks to the connection.
struct Chunks {
    app: Arc<App>,
    handle: Handle,
    buffer: Vec<u8>,
    to: Option<mpsc::Sender<Part>>,
}

impl Chunks {
    fn flush(&mut self) -> io::Result<()> {
        let chunk = std::mem::take(&mut self.buffer);
        if chunk.is_empty() { Ok(()) } else { self.send(Part::Data(chunk.into())) }
    }

    /// Waits until there is room, or the client has stood still for too long, or the server ends.
    fn send(&mut self, part: Part) -> io::Result<()> {
        let Some(to) = &self.to else { return Err(gone()) };
        // The connection watches the pace (`paced`), and is gone before this: a chunk at the least rate.
        let least = Duration::from_secs(CHUNK_BYTES as u64 / RATE_MIN_BYTES_PER_SECOND);
        let stall = self.app.config.stall_timeout + least;
        let phase = self.app.phase.clone();
        self.handle.block_on(async {
            tokio::select! {
                sent = to.send(part) => sent.map_err(|_| gone()),
                () = tokio::time::sleep(stall) => Err(io::Error::new(
                    ErrorKind::TimedOut,
                    "the client takes the answer too slowly",
                )),
                () = reached(phase, Phase::Aborting) => Err(io::Error::new(
                    ErrorKind::ConnectionAborted,
                    "the server ends",
                )),
            }
        })
    }
}

fn gone() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "the client is gone")
}

/// A failure to write an answer, as one of the engine's.
pub fn unwritten(e: io::Error) -> Failure {
    Failure::from(Error::io("write", std::path::Path::new("the answer"), e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_stream::StreamExt as _;

    #[tokio::test]
    async fn only_what_is_said_to_be_whole_ends_well() {
        for is_whole in [true, false] {
            let (to, parts) = mpsc::channel(4);
            to.send(Part::Data(Bytes::from_static(b"a"))).await.expect("sent");
            if is_whole {
                to.send(Part::End).await.expect("sent");
            }
            drop(to);
            let chunks: Vec<_> = Chunked { parts, has_ended: false }.collect().await;
            assert!(chunks[0].is_ok());
            assert_eq!(chunks.iter().all(Result::is_ok), is_whole);
            assert_eq!(chunks.len(), if is_whole { 1 } else { 2 });
        }
    }
}
