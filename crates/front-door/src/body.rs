//! Reads request bodies: bounded in bytes, in pace and in total.

use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame};
use outport_identity::sigv4::PayloadHash;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use crate::Limits;
use crate::pace::{Pace, PaceLimit};
use crate::slots::Peer;
use crate::stranger_bodies::{StrangerBodies, StrangerShare};

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
    /// Of the body as it came.
    pub sha256: String,
    _share: Share,
}

/// Whose memory a body takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Has shown a valid signature, for this request or before on the same connection.
    Proven,
    /// The same of a node.
    Node,
    /// Came over no connection, or over one of this peer.
    Stranger(Option<Peer>),
}

#[derive(Debug)]
enum Share {
    /// Of callers or of nodes.
    Proven(Arc<Semaphore>, Option<OwnedSemaphorePermit>),
    Stranger(StrangerShare),
}

impl Share {
    fn take(&mut self, bytes: usize) -> Result<(), BodyError> {
        match self {
            Share::Stranger(share) => share.take(bytes).then_some(()).ok_or(BodyError::NoMemory),
            Share::Proven(memory, held) => {
                let bytes = u32::try_from(bytes).map_err(|_| BodyError::TooLarge)?;
                let permit = Arc::clone(memory)
                    .try_acquire_many_owned(bytes)
                    .map_err(|_| BodyError::NoMemory)?;
                match held {
                    Some(held) => held.merge(permit),
                    None => *held = Some(permit),
                }
                Ok(())
            }
        }
    }
}

/// The memory of all bodies, in bytes: one for callers who have proven who they are,
/// one for nodes, and a small one for strangers.
#[derive(Clone, Debug)]
pub(crate) struct BodyBudget {
    proven: Arc<Semaphore>,
    nodes: Arc<Semaphore>,
    /// Permits of both when nobody has any.
    permits_max: usize,
    strangers: Arc<StrangerBodies>,
    pace: PaceLimit,
}

impl BodyBudget {
    pub fn new(proven: Arc<Semaphore>, limits: &Limits) -> Self {
        let strangers = StrangerBodies::new(limits.stranger_bodies_bytes_max);
        let nodes = Arc::new(Semaphore::new(limits.node_bodies_bytes_max));
        let permits_max = proven.available_permits() + nodes.available_permits();
        BodyBudget { proven, nodes, permits_max, strangers, pace: limits.body_pace }
    }

    /// Bytes in memory.
    pub fn total(&self) -> usize {
        let free = self.proven.available_permits() + self.nodes.available_permits();
        self.permits_max.saturating_sub(free) + self.strangers.total()
    }

    fn share(&self, sender: Sender) -> Share {
        match sender {
            Sender::Proven => Share::Proven(Arc::clone(&self.proven), None),
            Sender::Node => Share::Proven(Arc::clone(&self.nodes), None),
            Sender::Stranger(peer) => Share::Stranger(self.strangers.begin(peer)),
        }
    }

    /// Reads a whole body of at most `bytes_max`.
    pub async fn read(
        &self,
        body: &mut Body,
        bytes_max: usize,
        sender: Sender,
    ) -> Result<BufferedBody, BodyError> {
        if body.size_hint().lower() > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
            return Err(BodyError::TooLarge);
        }
        let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
        let mut share = self.share(sender);
        let (mut bytes, mut hash) = (Vec::new(), PayloadHash::default());
        let mut pace = Pace::new(self.pace);
        while let Some(data) = next_data(body, &mut pace, &share).await? {
            let length = bytes.len() + data.len();
            if length > bytes_max {
                return Err(BodyError::TooLarge);
            }
            if length > bytes.capacity() {
                // By doubling, as it would by itself, but counted, and never beyond what may come.
                let room = (2 * bytes.capacity()).min(announced.unwrap_or(bytes_max)).max(length);
                share.take(room - bytes.capacity())?;
                bytes.reserve_exact(room - bytes.len());
            }
            bytes.extend_from_slice(&data);
            hash.update(&data);
        }
        Ok(BufferedBody { bytes, sha256: hash.finish(), _share: share })
    }

    /// Inflates a gzip body of a proven caller. The signature has been checked over the compressed bytes before.
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
        let mut share = self.share(Sender::Proven);
        share.take(bytes.len())?;
        Ok(BufferedBody { bytes, sha256: compressed.sha256, _share: share })
    }
}

/// The next bytes of a body, while its sender keeps the pace and its memory is its own.
async fn next_data(
    body: &mut Body,
    pace: &mut Pace,
    share: &Share,
) -> Result<Option<Bytes>, BodyError> {
    let lost = async {
        match share {
            Share::Stranger(share) => share.lost().await,
            Share::Proven(..) => std::future::pending().await,
        }
    };
    tokio::pin!(lost);
    loop {
        pace.wait(Instant::now());
        let late = tokio::time::sleep(pace.left());
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = &mut lost => return Err(BodyError::NoMemory),
            () = late => return Err(BodyError::TooSlow),
        };
        let data = match frame {
            Some(frame) => frame.map_err(|_| BodyError::Broken)?.into_data(),
            None => return Ok(None),
        };
        // A frame that is no data is a trailer, which says nothing here.
        let Ok(data) = data else { continue };
        pace.moved(data.len(), Instant::now());
        if !data.is_empty() {
            return Ok(Some(data));
        }
    }
}

/// A streamed body that ends with an error when its sender does not keep the pace.
pub(crate) struct PacedBody {
    body: Body,
    pace: Pace,
    late: Option<Pin<Box<Sleep>>>,
}

impl PacedBody {
    pub fn new(body: Body, limit: PaceLimit) -> Self {
        PacedBody { body, pace: Pace::new(limit), late: None }
    }
}

impl hyper::body::Body for PacedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(frame) = &polled {
            let frame = frame.as_ref().and_then(|frame| frame.as_ref().ok());
            let bytes = frame.and_then(Frame::data_ref).map_or(0, Bytes::len);
            this.pace.moved(bytes, Instant::now());
            this.late = None;
            return polled;
        }
        this.pace.wait(Instant::now());
        let left = this.pace.left();
        let late = this.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(left)));
        match late.as_mut().poll(context) {
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
    use std::time::Duration;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const PACE: PaceLimit = PaceLimit { grace: Duration::from_secs(5), bytes_per_second_min: 1000 };

    fn budget(proven: usize, strangers: usize) -> BodyBudget {
        let limits =
            Limits { stranger_bodies_bytes_max: strangers, body_pace: PACE, ..Limits::default() };
        BodyBudget::new(Arc::new(Semaphore::new(proven)), &limits)
    }

    fn buffered(bytes: Vec<u8>) -> BufferedBody {
        BufferedBody { bytes, sha256: String::new(), _share: budget(0, 0).share(Sender::Proven) }
    }

    fn gzip(bytes: &[u8]) -> BufferedBody {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        buffered(encoder.finish().unwrap())
    }

    fn check_inflate(compressed: BufferedBody, expected: Result<usize, BodyError>) {
        let inflated = budget(1000, 0).inflate(compressed, 500);
        assert_eq!(inflated.map(|body| body.bytes.len()), expected);
    }

    #[test]
    fn inflates_within_its_limit() {
        check_inflate(gzip(&[7; 500]), Ok(500));
        check_inflate(gzip(&[]), Ok(0));
        check_inflate(gzip(&[7; 501]), Err(BodyError::TooLarge));
        check_inflate(gzip(&vec![0; 50_000_000]), Err(BodyError::TooLarge));
        check_inflate(buffered(b"{}".to_vec()), Err(BodyError::NotGzip));
        let mut cut = gzip(&[7; 500]);
        cut.bytes.pop();
        check_inflate(cut, Err(BodyError::NotGzip));
    }

    #[tokio::test]
    async fn reads_within_its_limits_and_gives_the_memory_back() {
        let budget = budget(100, 100);
        let read = async |bytes: usize, sender: Sender| {
            let mut body = Body::from(vec![0; bytes]);
            budget.read(&mut body, 80, sender).await
        };
        let first = read(80, Sender::Proven).await.unwrap();
        assert_eq!(first.sha256, outport_identity::sigv4::sha256_hex(&first.bytes));
        assert_eq!(read(81, Sender::Proven).await.unwrap_err(), BodyError::TooLarge);
        assert_eq!(read(21, Sender::Proven).await.unwrap_err(), BodyError::NoMemory);
        // What the proven hold takes nothing from strangers, nor the other way round.
        let stranger = read(80, Sender::Stranger(None)).await.unwrap();
        drop(first);
        assert_eq!(read(80, Sender::Proven).await.unwrap().bytes.len(), 80);
        assert_eq!(budget.strangers.total(), 80);
        drop(stranger);
        assert_eq!(budget.strangers.total(), 0);
    }

    /// A body that comes in pieces holds what is reserved for it, not what has come.
    #[tokio::test]
    async fn what_is_reserved_is_counted() {
        let budget = budget(1000, 0);
        let pieces = (0..10).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![0; 33])));
        let mut body = Body::from_stream(futures_util::stream::iter(pieces));
        let body = budget.read(&mut body, 500, Sender::Proven).await.unwrap();
        assert_eq!(1000 - budget.proven.available_permits(), body.bytes.capacity());
    }

    #[tokio::test]
    async fn a_stranger_that_waits_loses_its_room_to_one_that_comes() {
        let budget = budget(0, 100);
        let stranger = Sender::Stranger(None);
        let begun = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![0; 80]))]);
        let begun = futures_util::StreamExt::chain(begun, futures_util::stream::pending());
        let mut waiting = Body::from_stream(begun);
        let mut second = Body::from(vec![0; 80]);
        let (lost, read) = tokio::join!(
            budget.read(&mut waiting, 100, stranger),
            budget.read(&mut second, 100, stranger),
        );
        assert_eq!(lost.unwrap_err(), BodyError::NoMemory);
        assert_eq!(read.unwrap().bytes.len(), 80);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_falls_silent_is_given_up() {
        let silent =
            || Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let mut body = silent();
        let read = budget(10, 10).read(&mut body, 10, Sender::Proven).await;
        assert_eq!(read.unwrap_err(), BodyError::TooSlow);
        let mut paced = PacedBody::new(silent(), PACE);
        assert!(paced.frame().await.unwrap().is_err());
    }
}
