//! The memory of answers on their way to peers that have not read them yet.
//!
//! An answer holds its bytes until the peer has taken them. Those that are in memory whole count with their size, those
//! that come in pieces (a blob of the registry) with the piece that is out.
//!
//! **Invariant**: together they never hold more than [`Limits::answer_bytes_max`]. Above the half of it, whoever has
//! left us waiting for [`Limits::answer_patience`] is cut; at the whole of it, whoever has left us waiting longest.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use crate::Limits;
use crate::pace::Pace;
use crate::slots::{Slot, UnderWay};

/// What is handed to the connection at once of an answer that is in memory. Copied, so that a peer that leaves the last
/// of it unread does not keep all of it.
const PIECE_BYTES: usize = 16 * 1024;

struct Held {
    bytes: usize,
    slot: Slot,
    pace: Pace,
}

#[derive(Default)]
struct Table {
    next: u64,
    total: usize,
    held: BTreeMap<u64, Held>,
}

/// All answers under way.
pub(crate) struct Answers {
    table: Mutex<Table>,
    limits: Limits,
}

impl Answers {
    pub fn new(limits: &Limits) -> Arc<Answers> {
        Arc::new(Answers { table: Mutex::default(), limits: limits.clone() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer in.
    fn hold(self: &Arc<Self>, bytes: usize, slot: &Slot, now: Instant) -> Holding {
        let mut table = self.table();
        let id = table.next;
        table.next += 1;
        table.total += bytes;
        let pace = Pace::new(self.limits.answer_pace);
        table.held.insert(id, Held { bytes, slot: slot.clone(), pace });
        self.make_room(&mut table, id, now);
        Holding { answers: Arc::clone(self), id }
    }

    /// Cuts others until the rest fits.
    fn make_room(&self, table: &mut Table, newcomer: u64, now: Instant) {
        while table.total > self.limits.answer_bytes_max / 2 {
            let patience = if table.total > self.limits.answer_bytes_max {
                Duration::ZERO
            } else {
                self.limits.answer_patience
            };
            let longest = table
                .held
                .iter()
                .filter(|(id, held)| **id != newcomer && held.bytes > 0)
                .filter_map(|(id, held)| Some((held.pace.waiting(now)?, *id)))
                .max();
            match longest {
                Some((waited, id)) if waited >= patience => table.cut(id),
                _ => break,
            }
        }
    }

    /// Cuts those that read too slowly. Gives how many.
    pub fn sweep(&self, now: Instant) -> usize {
        let mut table = self.table();
        let is_late = |held: &Held| held.pace.deadline().is_some_and(|deadline| deadline <= now);
        let late: Vec<u64> =
            table.held.iter().filter(|(_, held)| is_late(held)).map(|(id, _)| *id).collect();
        for id in &late {
            table.cut(*id);
        }
        late.len()
    }

    /// Bytes in memory.
    pub fn total(&self) -> usize {
        self.table().total
    }
}

impl Table {
    fn cut(&mut self, id: u64) {
        if let Some(held) = self.remove(id) {
            held.slot.end();
        }
    }

    fn remove(&mut self, id: u64) -> Option<Held> {
        let held = self.held.remove(&id)?;
        self.total -= held.bytes;
        Some(held)
    }
}

/// The share of one answer.
struct Holding {
    answers: Arc<Answers>,
    id: u64,
}

impl Holding {
    /// The peer has taken what was out; now so much is in memory.
    fn taken(&self, moved: usize, bytes: Option<usize>, now: Instant) {
        let mut table = self.answers.table();
        let table = &mut *table;
        let Some(held) = table.held.get_mut(&self.id) else { return };
        held.pace.moved(moved, now);
        if let Some(bytes) = bytes {
            table.total = table.total - held.bytes + bytes;
            held.bytes = bytes;
        }
    }

    /// A piece is out: of an answer that comes in pieces, it is what is in memory.
    fn out(&self, bytes: Option<usize>, now: Instant) {
        let mut guard = self.answers.table();
        let table = &mut *guard;
        let Some(held) = table.held.get_mut(&self.id) else { return };
        held.pace.wait(now);
        if let Some(bytes) = bytes {
            table.total = table.total - held.bytes + bytes;
            held.bytes = bytes;
            self.answers.make_room(table, self.id, now);
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let removed = self.answers.table().remove(self.id);
        // Outside of the lock: it may be the last handle of its connection's place.
        drop(removed);
    }
}

/// The body of an answer, counted until the peer has taken it. The request is under way for as long.
pub(crate) struct CountedBody {
    body: Body,
    /// What is left of a piece that is handed on by and by.
    rest: Bytes,
    in_memory: bool,
    out: usize,
    holding: Holding,
    _under_way: UnderWay,
}

impl CountedBody {
    pub fn new(
        body: Body,
        answers: &Arc<Answers>,
        slot: &Slot,
        under_way: UnderWay,
        now: Instant,
    ) -> CountedBody {
        let exact = hyper::body::Body::size_hint(&body).exact();
        let size = exact.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let holding = answers.hold(size.unwrap_or(0), slot, now);
        let (rest, in_memory) = (Bytes::new(), size.is_some());
        CountedBody { body, rest, in_memory, out: 0, holding, _under_way: under_way }
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            return None;
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        Some(if self.in_memory { Bytes::copy_from_slice(&piece) } else { piece })
    }
}

impl hyper::body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let moved = std::mem::take(&mut this.out);
        if moved > 0 {
            let bytes = (!this.in_memory && this.rest.is_empty()).then_some(0);
            this.holding.taken(moved, bytes, Instant::now());
        }
        if this.rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return other,
            }
        }
        let whole = this.rest.len();
        match this.next_piece() {
            Some(piece) => {
                this.out = piece.len();
                this.holding.out((!this.in_memory).then_some(whole), Instant::now());
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None => Poll::Ready(Some(Ok(Frame::data(Bytes::new())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let inner = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
