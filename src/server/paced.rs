//! A connection whose other end must get on: who takes an answer too slowly is cut off.
//!
//! Time in which nothing could be written counts as lag; each KiB that was written takes a second off it.
//! So a client that stands still is cut off after the allowed time, and one that trickles soon after, while one that is
//! merely slow is not. What comes in is paced where it is read (`body`, and the deadline of heads).

use super::body::RATE_MIN_BYTES_PER_SECOND;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What stands between a socket and who writes into it.
#[derive(Debug)]
pub struct Paced<S> {
    inner: S,
    allowed: Duration,
    lag: Duration,
    /// Since when nothing could be written, and when that is too long.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Paced<S> {
    /// `inner`, with so much lag allowed.
    pub fn new(inner: S, allowed: Duration) -> Self {
        Paced { inner, allowed, lag: Duration::ZERO, waiting: None }
    }

    fn written(&mut self, bytes: usize) {
        if let Some((since, _)) = self.waiting.take() {
            self.lag += since.elapsed();
        }
        let earned_ns = (bytes as u64).saturating_mul(1_000_000_000 / RATE_MIN_BYTES_PER_SECOND);
        self.lag = self.lag.saturating_sub(Duration::from_nanos(earned_ns));
    }

    fn blocked<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let left = self.allowed.saturating_sub(self.lag);
        let (_, end) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        ready!(end.as_mut().poll(context));
        let slow = "the client takes the answer too slowly";
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, slow)))
    }

    fn seen(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Ok(bytes)) => {
                self.written(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => self.blocked(context),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, buf);
        self.seen(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(context, bufs);
        self.seen(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test(start_paused = true)]
    async fn who_stands_still_is_cut_off_and_who_is_slow_is_not() {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut paced = Paced::new(near, Duration::from_secs(10));
        let slow = tokio::spawn(async move {
            let mut buf = [0; 1024];
            for _ in 0..30 {
                tokio::time::sleep(Duration::from_millis(900)).await;
                far.read_exact(&mut buf).await.expect("it goes on");
            }
            far
        });
        paced.write_all(&[1; 30 << 10]).await.expect("27 seconds, at more than the least rate");
        let _far = slow.await.expect("read");
        let begun = Instant::now();
        let failed = paced.write_all(&[1; 4096]).await.expect_err("nobody reads");
        assert_eq!(failed.kind(), ErrorKind::TimedOut);
        assert!(begun.elapsed() <= Duration::from_secs(11));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_cut_off() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut paced = Paced::new(near, Duration::from_secs(10));
        let trickle = tokio::spawn(async move {
            let mut buf = [0; 1];
            while far.read_exact(&mut buf).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let failed = paced.write_all(&[1; 1000]).await.expect_err("a byte a second");
        assert_eq!(failed.kind(), ErrorKind::TimedOut);
        drop(paced);
        trickle.await.expect("it ends");
    }
}
