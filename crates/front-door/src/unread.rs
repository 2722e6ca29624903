//! What is left of a request's body when its answer is ready.
//!
//! An answer may come before its request has been read: a password is missing, a tag is malformed. Over HTTP/1.1 the
//! rest lies between the client and its next answer: it is read here, within limits, or the answer says that the
//! connection closes with it (RFC 9112, 9.3 and 9.6). A client that is still sending when the connection closes would
//! see a broken pipe instead of its error, and one that was not told sends its next request into nothing.
//!
//! **Invariant**: after an answer without `connection: close` the connection takes another request.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::sync::Semaphore;

use crate::Limits;

#[derive(Debug)]
enum Whereabouts {
    /// Whoever answers has it.
    Lent,
    /// It was given back before its end.
    Left { body: Body, was_begun: bool },
    /// It was read to its end.
    Read,
}

type Shared = Arc<Mutex<Whereabouts>>;

fn whereabouts(shared: &Shared) -> MutexGuard<'_, Whereabouts> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request's body for whoever answers it. Dropped before its end, it gives the rest back.
struct LentBody {
    /// `None` when it has ended, or is being dropped.
    body: Option<Body>,
    was_begun: bool,
    shared: Shared,
}

/// What a body that was lent has left.
#[derive(Debug)]
pub(crate) struct Rest(Option<Shared>);

/// A body to read, and what will be left of it.
pub(crate) fn lend(body: Body) -> (Body, Rest) {
    if body.is_end_stream() {
        return (body, Rest(None));
    }
    let shared = Arc::new(Mutex::new(Whereabouts::Lent));
    let lent = LentBody { body: Some(body), was_begun: false, shared: Arc::clone(&shared) };
    (Body::new(lent), Rest(Some(shared)))
}

impl hyper::body::Body for LentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.was_begun = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for LentBody {
    fn drop(&mut self) {
        let is_left = self.body.take().filter(|body| !body.is_end_stream());
        *whereabouts(&self.shared) = match is_left {
            Some(body) => Whereabouts::Left { body, was_begun: self.was_begun },
            None => Whereabouts::Read,
        };
    }
}

/// How much of what is left is still read, and how long.
#[derive(Debug)]
pub(crate) struct Discards {
    of_the_proven: Discard,
    of_strangers: Discard,
    strangers: Semaphore,
}

#[derive(Clone, Copy, Debug)]
struct Discard {
    bytes_max: usize,
    timeout: Duration,
}

impl Discards {
    pub fn new(limits: &Limits) -> Discards {
        Discards {
            of_the_proven: Discard {
                bytes_max: limits.discarded_bytes_max,
                timeout: limits.discard_timeout,
            },
            of_strangers: Discard {
                bytes_max: limits.stranger_discarded_bytes_max,
                timeout: limits.stranger_discard_timeout,
            },
            strangers: Semaphore::new(limits.stranger_discards_max),
        }
    }

    /// Reads what is left. Whether the connection can take another request: nothing is in its way any more.
    ///
    /// `awaits_word`: the client sends its body when it is told to go on ("100 Continue"), and need not send it now.
    pub async fn discard(&self, rest: Rest, awaits_word: bool, is_proven: bool) -> bool {
        let Rest(Some(shared)) = rest else { return true };
        let found = std::mem::replace(&mut *whereabouts(&shared), Whereabouts::Lent);
        match found {
            Whereabouts::Read => true,
            // Somebody reads on, and nobody knows how far.
            Whereabouts::Lent => false,
            Whereabouts::Left { was_begun: false, .. } if awaits_word => false,
            Whereabouts::Left { body, .. } => self.read(body, is_proven).await,
        }
    }

    async fn read(&self, body: Body, is_proven: bool) -> bool {
        if is_proven {
            self.of_the_proven.read(body).await
        } else if let Ok(_turn) = self.strangers.try_acquire() {
            self.of_strangers.read(body).await
        } else {
            false
        }
    }
}

impl Discard {
    /// Whether it came to the end.
    async fn read(self, mut body: Body) -> bool {
        let read = async {
            let mut left = self.bytes_max;
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return false };
                let length = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(length) {
                    Some(rest) => left = rest,
                    None => return false,
                }
            }
            true
        };
        tokio::time::timeout(self.timeout, read).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use futures_util::stream;

    use super::*;

    fn discards() -> Discards {
        let limits = Limits {
            stranger_discards_max: 1,
            stranger_discarded_bytes_max: 100,
            discarded_bytes_max: 1_000,
            ..Limits::default()
        };
        Discards::new(&limits)
    }

    fn pieces(count: usize, bytes: usize) -> Body {
        let piece = move |_| Ok::<_, std::io::Error>(Bytes::from(vec![7; bytes]));
        Body::from_stream(stream::iter((0..count).map(piece)))
    }

    fn silent() -> Body {
        Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_read_within_limits() {
        let discards = discards();
        // Pieces and their bytes, how many are read before, who: whether the connection goes on.
        for (count, bytes, read, is_proven, goes_on) in [
            (0, 0, 0, false, true),
            (4, 25, 0, false, true),
            (4, 25, 2, false, true),
            (4, 25, 4, false, true),
            (5, 25, 0, false, false),
            (5, 25, 1, false, true),
            (5, 25, 0, true, true),
            (41, 25, 0, true, false),
        ] {
            let (mut body, rest) = lend(pieces(count, bytes));
            for _ in 0..read {
                assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), bytes);
            }
            drop(body);
            let went_on = discards.discard(rest, false, is_proven).await;
            assert_eq!(went_on, goes_on, "{count} of {bytes}, {read} read, proven: {is_proven}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_the_silent_or_for_a_turn() {
        let discards = discards();
        for is_proven in [false, true] {
            let (body, rest) = lend(silent());
            drop(body);
            assert!(!discards.discard(rest, false, is_proven).await);
        }
        let _taken = discards.strangers.try_acquire().unwrap();
        let (body, rest) = lend(pieces(1, 1));
        drop(body);
        assert!(!discards.discard(rest, false, false).await);
    }

    #[tokio::test]
    async fn who_awaits_a_word_is_not_given_it() {
        let discards = discards();
        let (body, rest) = lend(pieces(1, 1));
        drop(body);
        assert!(!discards.discard(rest, true, true).await);
        // It was told to go on before, by the first look.
        let (mut body, rest) = lend(pieces(2, 1));
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert!(discards.discard(rest, true, true).await);
    }

    #[tokio::test]
    async fn a_body_that_is_still_read_is_in_the_way() {
        let (_body, rest) = lend(pieces(1, 1));
        assert!(!discards().discard(rest, false, true).await);
        let (body, rest) = lend(Body::from("whole"));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "whole");
        assert!(discards().discard(rest, false, false).await);
    }
}
