//! Reads request bodies: bounded in bytes, in time and in total.

use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::Limits;

/// Why a body could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    TooLarge,
    TooSlow,
    /// Other requests hold all the memory that there is for bodies.
    NoMemory,
    /// The connection broke, or the chunks are malformed.
    Broken,
    /// Says that it is compressed and is not.
    NotGzip,
}

/// A body in memory. Its share of the budget returns when it is dropped.
#[derive(Debug)]
pub(crate) struct BufferedBody {
    pub bytes: Vec<u8>,
    permit: Option<OwnedSemaphorePermit>,
}

/// The memory of all bodies, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct BodyBudget(Arc<Semaphore>);

impl BodyBudget {
    pub fn new(bytes_max: usize) -> Self {
        BodyBudget(Arc::new(Semaphore::new(bytes_max)))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, BodyError> {
        let bytes = u32::try_from(bytes).map_err(|_| BodyError::TooLarge)?;
        Arc::clone(&self.0).try_acquire_many_owned(bytes).map_err(|_| BodyError::NoMemory)
    }

    /// Reads a whole body of at most `bytes_max` within `timeout`.
    pub async fn read(
        &self,
        body: &mut Body,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<BufferedBody, BodyError> {
        if body.size_hint().lower() > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
            return Err(BodyError::TooLarge);
        }
        tokio::time::timeout(timeout, self.read_frames(body, bytes_max))
            .await
            .unwrap_or(Err(BodyError::TooSlow))
    }

    async fn read_frames(
        &self,
        body: &mut Body,
        bytes_max: usize,
    ) -> Result<BufferedBody, BodyError> {
        let mut buffered = BufferedBody { bytes: Vec::new(), permit: None };
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
                continue;
            };
            if buffered.bytes.len() + data.len() > bytes_max {
                return Err(BodyError::TooLarge);
            }
            let permit = self.take(data.len())?;
            match &mut buffered.permit {
                Some(held) => held.merge(permit),
                None => buffered.permit = Some(permit),
            }
            buffered.bytes.extend_from_slice(&data);
        }
        Ok(buffered)
    }

    /// Inflates a gzip body. The signature has been checked over the compressed bytes before.
    pub fn inflate(
        &self,
        compressed: BufferedBody,
        bytes_max: usize,
    ) -> Result<BufferedBody, BodyError> {
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        MultiGzDecoder::new(compressed.bytes.as_slice())
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|_| BodyError::NotGzip)?;
        if bytes.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        let permit = Some(self.take(bytes.len())?);
        Ok(BufferedBody { bytes, permit })
    }
}

/// Reads what is left of a body that nobody wants, within limits: a client that is still sending
/// when the connection closes would see a broken pipe instead of its error.
pub(crate) async fn discard(mut body: Body, limits: &Limits) {
    let read = async {
        let mut left = limits.discarded_bytes_max;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // Either way the answer goes out next.
    let _ = tokio::time::timeout(limits.discard_timeout, read).await;
}

/// A streamed body that ends with an error when its sender falls silent.
pub(crate) struct IdleLimitedBody {
    body: Body,
    timeout: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl IdleLimitedBody {
    pub fn new(body: Body, timeout: Duration) -> Self {
        IdleLimitedBody { body, timeout, deadline: Box::pin(tokio::time::sleep(timeout)) }
    }
}

impl hyper::body::Body for IdleLimitedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            let next = Instant::now() + self.timeout;
            self.deadline.as_mut().reset(next);
            return polled;
        }
        match self.deadline.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                let silent = std::io::Error::from(std::io::ErrorKind::TimedOut);
                Poll::Ready(Some(Err(axum::Error::new(silent))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> BufferedBody {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        BufferedBody { bytes: encoder.finish().unwrap(), permit: None }
    }

    fn check_inflate(compressed: BufferedBody, expected: Result<usize, BodyError>) {
        let inflated = BodyBudget::new(1000).inflate(compressed, 500);
        assert_eq!(inflated.map(|body| body.bytes.len()), expected);
    }

    #[test]
    fn inflates_within_its_limit() {
        check_inflate(gzip(&[7; 500]), Ok(500));
        check_inflate(gzip(&[]), Ok(0));
        check_inflate(gzip(&[7; 501]), Err(BodyError::TooLarge));
        check_inflate(gzip(&vec![0; 50_000_000]), Err(BodyError::TooLarge));
        let plain = BufferedBody { bytes: b"{}".to_vec(), permit: None };
        check_inflate(plain, Err(BodyError::NotGzip));
        let mut cut = gzip(&[7; 500]);
        cut.bytes.pop();
        check_inflate(cut, Err(BodyError::NotGzip));
    }

    #[tokio::test]
    async fn reads_within_its_limits_and_gives_the_memory_back() {
        let budget = BodyBudget::new(100);
        let read = async |bytes: usize| {
            let mut body = Body::from(vec![0; bytes]);
            budget.read(&mut body, 80, Duration::from_secs(5)).await
        };
        let first = read(80).await.unwrap();
        assert_eq!(read(81).await.unwrap_err(), BodyError::TooLarge);
        assert_eq!(read(21).await.unwrap_err(), BodyError::NoMemory);
        drop(first);
        assert_eq!(read(80).await.unwrap().bytes.len(), 80);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_falls_silent_is_given_up() {
        let silent =
            || Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let mut body = silent();
        let read = BodyBudget::new(10).read(&mut body, 10, Duration::from_secs(5)).await;
        assert_eq!(read.unwrap_err(), BodyError::TooSlow);
        let mut limited = IdleLimitedBody::new(silent(), Duration::from_secs(5));
        assert!(limited.frame().await.unwrap().is_err());
        discard(silent(), &Limits::default()).await;
    }
}
