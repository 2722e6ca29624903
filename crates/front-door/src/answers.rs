//! The memory of answers on their way to peers that have not read them yet.
//!
//! An answer holds its bytes until the peer has taken them. Those that are in memory whole count with their size, those
//! that come in pieces (a blob of the registry) with the piece that is out.
//!
//! **Invariant**: together they never hold more than [`Limits::answer_bytes_max`], but for the pieces of streamed ones
//! that are just out; what waits for room is a quarter of that more, or one answer. Above the half of it, whoever has
//! left us waiting for [`Limits::answer_patience`] is cut; at the whole of it, whoever has left us waiting longest; an
//! answer that finds no room even so is not given.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;

use crate::Limits;
use crate::pace::Pace;
use crate::slots::{Slot, UnderWay};

/// What is handed to the connection at once of an answer that is in memory. Copied, so that a peer that leaves the last
/// of it unread does not keep all of it.
const PIECE_BYTES: usize = 16 * 1024;

/// How long an answer waits for those that were cut for it to be gone.
const ROOM_PATIENCE: Duration = Duration::from_secs(1);

/// What waits for room is at most this part of what may be held, or one answer.
const WAITING_SHARE: usize = 4;

struct NoRoom {
    until_the_cut_are_gone: bool,
}

struct Held {
    bytes: usize,
    /// Its connection was told to end, and holds the bytes until it has.
    is_cut: bool,
    slot: Slot,
    pace: Pace,
}

#[derive(Default)]
struct Table {
    next: u64,
    total: usize,
    /// Of these, those of answers that are cut.
    cut: usize,
    /// Bytes of answers that wait for those to be gone.
    waiting: usize,
    held: BTreeMap<u64, Held>,
}

/// All answers under way.
pub(crate) struct Answers {
    table: Mutex<Table>,
    one_is_gone: Notify,
    limits: Limits,
}

impl Answers {
    pub fn new(limits: &Limits) -> Arc<Answers> {
        Arc::new(Answers {
            table: Mutex::default(),
            one_is_gone: Notify::new(),
            limits: limits.clone(),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer in, from when on it is the peer's turn. `None` when there is no room for it, also not after
    /// those that were cut for it are gone.
    async fn hold(self: &Arc<Self>, bytes: usize, slot: &Slot) -> Option<Holding> {
        let room = async {
            let mut waiting = None;
            loop {
                // Before the look, so that whoever goes after it is heard.
                let gone = self.one_is_gone.notified();
                match self.try_hold(bytes, slot, Instant::now()) {
                    Ok(holding) => return Some(holding),
                    Err(NoRoom { until_the_cut_are_gone: true }) => {
                        if waiting.is_none() {
                            waiting = Some(self.wait_with(bytes)?);
                        }
                        gone.await;
                    }
                    Err(NoRoom { until_the_cut_are_gone: false }) => return None,
                }
            }
        };
        tokio::time::timeout(ROOM_PATIENCE, room).await.ok().flatten()
    }

    /// What waits is in memory, too. `None` when too much of it is already.
    fn wait_with(&self, bytes: usize) -> Option<Waiting<'_>> {
        let mut table = self.table();
        let waiting = table.waiting + bytes;
        if table.waiting > 0 && waiting > self.limits.answer_bytes_max / WAITING_SHARE {
            return None;
        }
        table.waiting = waiting;
        Some(Waiting { answers: self, bytes })
    }

    fn try_hold(
        self: &Arc<Self>,
        bytes: usize,
        slot: &Slot,
        now: Instant,
    ) -> Result<Holding, NoRoom> {
        let mut table = self.table();
        self.make_room(&mut table, bytes, None, now);
        if bytes > 0 && table.total + bytes > self.limits.answer_bytes_max {
            let stays = table.total - table.cut + bytes;
            let until_the_cut_are_gone = stays <= self.limits.answer_bytes_max;
            return Err(NoRoom { until_the_cut_are_gone });
        }
        let id = table.next;
        table.next += 1;
        table.total += bytes;
        let mut pace = Pace::new(self.limits.answer_pace);
        pace.wait(now);
        table.held.insert(id, Held { bytes, is_cut: false, slot: slot.clone(), pace });
        Ok(Holding { answers: Arc::clone(self), id })
    }

    /// Cuts answers until so many bytes more fit, but not `except`.
    fn make_room(&self, table: &mut Table, more: usize, except: Option<u64>, now: Instant) {
        while table.total - table.cut + more > self.limits.answer_bytes_max / 2 {
            let patience = if table.total - table.cut + more > self.limits.answer_bytes_max {
                Duration::ZERO
            } else {
                self.limits.answer_patience
            };
            let longest = table
                .held
                .iter()
                .filter(|(id, held)| Some(**id) != except && held.bytes > 0 && !held.is_cut)
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
        let is_late = |held: &Held| {
            !held.is_cut && held.pace.deadline().is_some_and(|deadline| deadline <= now)
        };
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
        if let Some(held) = self.held.get_mut(&id)
            && !held.is_cut
        {
            held.is_cut = true;
            self.cut += held.bytes;
            held.slot.end();
        }
    }

    fn resize(&mut self, id: u64, bytes: usize) {
        let Some(held) = self.held.get_mut(&id) else { return };
        self.total = self.total - held.bytes + bytes;
        if held.is_cut {
            self.cut = self.cut - held.bytes + bytes;
        }
        held.bytes = bytes;
    }

    fn remove(&mut self, id: u64) -> Option<Held> {
        let held = self.held.remove(&id)?;
        self.total -= held.bytes;
        if held.is_cut {
            self.cut -= held.bytes;
        }
        Some(held)
    }
}

/// The share of an answer that waits for room.
struct Waiting<'a> {
    answers: &'a Answers,
    bytes: usize,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.answers.table().waiting -= self.bytes;
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
            table.resize(self.id, bytes);
        }
    }

    /// A piece is out: of an answer that comes in pieces, it is what is in memory.
    fn out(&self, bytes: Option<usize>, now: Instant) {
        let mut guard = self.answers.table();
        let table = &mut *guard;
        let Some(held) = table.held.get_mut(&self.id) else { return };
        held.pace.wait(now);
        if let Some(bytes) = bytes {
            table.resize(self.id, bytes);
            self.answers.make_room(table, 0, Some(self.id), now);
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let removed = self.answers.table().remove(self.id);
        self.answers.one_is_gone.notify_waiters();
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
    /// `None` when there is no room for it.
    pub async fn new(
        body: Body,
        answers: &Arc<Answers>,
        slot: &Slot,
        under_way: UnderWay,
    ) -> Option<CountedBody> {
        let exact = hyper::body::Body::size_hint(&body).exact();
        let size = exact.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let holding = answers.hold(size.unwrap_or(0), slot).await?;
        let (rest, in_memory) = (Bytes::new(), size.is_some());
        Some(CountedBody { body, rest, in_memory, out: 0, holding, _under_way: under_way })
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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::slots::Slots;

    #[tokio::test(start_paused = true)]
    async fn no_more_is_held_than_may_be() {
        let limits = Limits { answer_bytes_max: 100, ..Limits::default() };
        let (slots, answers) = (Slots::new(&limits), Answers::new(&limits));
        let slot = || slots.admit(IpAddr::V4(Ipv4Addr::LOCALHOST), None, Instant::now());
        assert!(answers.hold(101, &slot()).await.is_none());
        // Nobody asks for the next piece of any: those that wait longest are cut, and hold what they have until they
        // are gone.
        let mut held = Vec::new();
        for _ in 0..5 {
            held.extend(answers.hold(20, &slot()).await);
        }
        assert_eq!((held.len(), answers.total()), (5, 100));
        assert!(answers.hold(20, &slot()).await.is_none());
        // One of this size may wait for that, a second one would be too much.
        let (one, others) = (slot(), Arc::clone(&answers));
        let waits = tokio::spawn(async move { others.hold(20, &one).await });
        tokio::task::yield_now().await;
        assert_eq!(answers.table().waiting, 20);
        let begun = tokio::time::Instant::now();
        assert!(answers.hold(20, &slot()).await.is_none());
        assert_eq!(begun.elapsed(), Duration::ZERO, "it did not wait");
        held.remove(0);
        held.extend(waits.await.unwrap());
        assert_eq!((held.len(), answers.table().waiting), (5, 0));
        held.remove(0);
        assert!(answers.hold(20, &slot()).await.is_some());
        drop(held);
        assert_eq!((answers.total(), answers.table().cut), (0, 0));
    }
}
