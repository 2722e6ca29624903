//! The places of connections: how many, of whom, and whose turn it is to leave.
//!
//! | standing | how it is got | when places run short |
//! |---|---|---|
//! | stranger | by connecting | of the peer that has most, the one that came first leaves |
//! | caller | a valid signature or password on this connection | the one that has been idle longest leaves |
//! | node | a client certificate that is believed now | the same |
//! | upgraded | an answer 101 | nobody leaves; a further upgrade is refused |
//!
//! Each standing has places of its own, so that no number of strangers takes one from those who have proven who they
//! are. Among strangers the peer that has most of them loses the one that came first, so that whoever keeps busy, or
//! drips bytes, gains nothing by it, and a peer with many loses its own before anyone else's. A newcomer always gets a
//! place; when strangers fill theirs, it has the time in which as many others come to prove itself. No number of places
//! is set aside for one address on loopback, where all users are one peer.
//!
//! **Invariant**: a connection is in the table, in one standing, until it ends or is told to end; what is decided here
//! is decided from the table and the time alone.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use line::{Line, Turn};
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::Limits;
use crate::pace::Pace;

#[path = "slots_line.rs"]
mod line;

/// How long a newcomer waits for those who were told to end.
const LEAVE_PATIENCE: Duration = Duration::from_millis(100);

/// Whom a connection is of: an IPv4 address, or the /64 of an IPv6 address, which is what one customer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer(IpAddr);

impl Peer {
    pub fn of(address: IpAddr) -> Peer {
        match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => {
                Peer(IpAddr::from((u128::from(v6) >> 64 << 64).to_be_bytes()))
            }
            other => Peer(other),
        }
    }

    fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

/// What a connection has proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rank {
    Stranger,
    Caller,
    Node,
    Upgraded,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No byte has come.
    Opening,
    Handshake,
    /// Between requests.
    Idle,
    /// A request has begun to come.
    Head,
    /// So many requests are read or answered.
    Busy(usize),
}

struct Entry {
    peer: Peer,
    rank: Rank,
    phase: Phase,
    is_http2: bool,
    /// When it came, ended its handshake, or became a stranger again.
    arrived: Instant,
    /// Its last step.
    since: Instant,
    /// Of the bytes that wait to be sent.
    writing: Pace,
    /// When what it has asked for would be done with, had every request of a stranger to wait for its turn.
    turn: Instant,
    end_signal: Arc<EndSignal>,
}

impl Entry {
    fn rests(&self) -> bool {
        !matches!(self.phase, Phase::Busy(_))
    }
}

/// How a connection hears that it must end.
#[derive(Debug, Default)]
struct EndSignal {
    must_end: AtomicBool,
    wake: Notify,
}

impl EndSignal {
    fn end(&self) {
        self.must_end.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

#[derive(Default)]
struct Table {
    next: u64,
    entries: HashMap<u64, Entry>,
    counts: HashMap<Rank, usize>,
    strangers: Line,
    handshakes: Line,
    http2_strangers: Line,
    /// Callers and nodes that answer nothing at the moment, by their last step.
    callers_at_rest: BTreeSet<Turn>,
    nodes_at_rest: BTreeSet<Turn>,
}

/// All places.
pub(crate) struct Slots {
    table: Mutex<Table>,
    /// Connections whose memory is not gone yet, those included that were told to end.
    alive: AtomicUsize,
    one_is_gone: Notify,
    limits: Limits,
}

/// The place of one connection; it is free again when the last handle is gone.
#[derive(Clone)]
pub(crate) struct Slot(Arc<Place>);

struct Place {
    slots: Arc<Slots>,
    id: u64,
    end_signal: Arc<EndSignal>,
    /// No request is under way, so that the next byte begins one. HTTP/1.1 only.
    awaits_head: AtomicBool,
    /// Held until the connection's memory is gone, which is later than its place in the table.
    _room: Option<OwnedSemaphorePermit>,
}

impl Slots {
    pub fn new(limits: &Limits) -> Arc<Slots> {
        Arc::new(Slots {
            table: Mutex::default(),
            alive: AtomicUsize::new(0),
            one_is_gone: Notify::new(),
            limits: limits.clone(),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, for a while, as long as so many have been told to end as may be on their way out: those who come faster
    /// than others can be put out wait in the system's queue, where they cost nothing.
    pub async fn let_leave(&self) {
        let fewer_leave = async {
            loop {
                // Before the look, so that whoever goes after it is heard.
                let gone = self.one_is_gone.notified();
                if self.leaving() < self.limits.leaving_max {
                    return;
                }
                gone.await;
            }
        };
        // One that does not go must not keep everybody out.
        let _ = tokio::time::timeout(LEAVE_PATIENCE, fewer_leave).await;
    }

    fn leaving(&self) -> usize {
        let in_places = self.table().entries.len();
        self.alive.load(Ordering::Acquire).saturating_sub(in_places)
    }

    /// A place for a newcomer. If there is none, another stranger is told to end: one of the same peer if that has all
    /// that one peer may have, or the next to leave.
    pub fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        room: Option<OwnedSemaphorePermit>,
        now: Instant,
    ) -> Slot {
        let peer = Peer::of(address);
        let end_signal = Arc::new(EndSignal::default());
        let mut table = self.table();
        let of_peer = table.strangers.of.get(&peer).map_or(0, BTreeSet::len);
        let leaving = if !peer.is_loopback() && of_peer >= self.limits.strangers_per_peer_max {
            table.strangers.first_of(peer)
        } else if table.strangers.length >= self.limits.strangers_max {
            table.strangers.next_to_leave()
        } else {
            None
        };
        if let Some(id) = leaving {
            table.end(id);
        }
        let id = table.next;
        table.next += 1;
        let writing = Pace::new(self.limits.answer_pace);
        let (rank, phase) = (Rank::Stranger, Phase::Opening);
        let entry = Entry {
            peer,
            rank,
            phase,
            is_http2: false,
            arrived: now,
            since: now,
            writing,
            turn: now,
            end_signal: Arc::clone(&end_signal),
        };
        table.insert(id, entry);
        self.alive.fetch_add(1, Ordering::AcqRel);
        let awaits_head = AtomicBool::new(false);
        Slot(Arc::new(Place { slots: Arc::clone(self), id, end_signal, awaits_head, _room: room }))
    }

    /// Ends those that have kept us waiting for too long. Gives how many.
    pub fn sweep(&self, now: Instant) -> usize {
        let mut table = self.table();
        let late = |entry: &Entry| self.deadline(entry).is_some_and(|deadline| deadline <= now);
        let late: Vec<u64> =
            table.entries.iter().filter(|(_, entry)| late(entry)).map(|(id, _)| *id).collect();
        for id in &late {
            table.end(*id);
        }
        late.len()
    }

    /// What a connection became by an upgrade is the affair of whoever upgraded it.
    fn deadline(&self, entry: &Entry) -> Option<Instant> {
        let limits = &self.limits;
        if entry.rank == Rank::Upgraded {
            return None;
        }
        let patience = match (entry.phase, entry.rank) {
            (Phase::Busy(_), _) => None,
            (Phase::Opening, _) => Some(limits.first_byte_timeout),
            (Phase::Handshake, _) => Some(limits.handshake_timeout),
            (Phase::Head, _) => Some(limits.head_timeout),
            (Phase::Idle, Rank::Stranger) => Some(limits.stranger_idle_timeout),
            (Phase::Idle, _) => Some(limits.idle_timeout),
        };
        let step = patience.map(|patience| entry.since + patience);
        [step, entry.writing.deadline()].into_iter().flatten().min()
    }

    /// Lets go of the stranger that is next to leave, or else of the caller that has rested longest: for when the system
    /// has no descriptor left. False when there is none.
    pub fn end_one(&self) -> bool {
        let mut table = self.table();
        let resting = table.callers_at_rest.first().map(|(_, id)| *id);
        table.strangers.next_to_leave().or(resting).is_some_and(|id| table.end(id))
    }

    /// Tells all to end.
    pub fn end_all(&self) {
        let mut table = self.table();
        let all: Vec<u64> = table.entries.keys().copied().collect();
        for id in all {
            table.end(id);
        }
    }

    /// Connections since the start.
    pub fn seen(&self) -> u64 {
        self.table().next
    }

    /// Open connections by what they have proven; `ending` are those that have lost their place and are not gone yet.
    pub fn kinds(&self) -> [(&'static str, usize); 5] {
        let table = self.table();
        let count = |rank| table.counts.get(&rank).copied().unwrap_or(0);
        let in_places = table.entries.len();
        [
            ("stranger", count(Rank::Stranger)),
            ("caller", count(Rank::Caller)),
            ("node", count(Rank::Node)),
            ("upgraded", count(Rank::Upgraded)),
            ("ending", self.alive.load(Ordering::Acquire).saturating_sub(in_places)),
        ]
    }

    #[cfg(test)]
    fn count(&self, rank: Rank) -> usize {
        self.table().counts.get(&rank).copied().unwrap_or(0)
    }
}

impl Table {
    fn insert(&mut self, id: u64, entry: Entry) {
        *self.counts.entry(entry.rank).or_default() += 1;
        self.place(id, &entry);
        self.entries.insert(id, entry);
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        if let Some(count) = self.counts.get_mut(&entry.rank) {
            *count = count.saturating_sub(1);
        }
        self.displace(id, &entry);
        Some(entry)
    }

    /// Puts an entry into the order in which its kind leaves.
    fn place(&mut self, id: u64, entry: &Entry) {
        let (arrived, rested) = ((entry.arrived, id), (entry.since, id));
        if entry.phase == Phase::Handshake {
            self.handshakes.insert(entry.peer, arrived);
        }
        match entry.rank {
            Rank::Stranger => {
                self.strangers.insert(entry.peer, arrived);
                if entry.is_http2 {
                    self.http2_strangers.insert(entry.peer, arrived);
                }
            }
            Rank::Caller if entry.rests() => {
                self.callers_at_rest.insert(rested);
            }
            Rank::Node if entry.rests() => {
                self.nodes_at_rest.insert(rested);
            }
            Rank::Caller | Rank::Node | Rank::Upgraded => {}
        }
    }

    fn displace(&mut self, id: u64, entry: &Entry) {
        let (arrived, rested) = ((entry.arrived, id), (entry.since, id));
        self.handshakes.remove(entry.peer, arrived);
        match entry.rank {
            Rank::Stranger => {
                self.strangers.remove(entry.peer, arrived);
                self.http2_strangers.remove(entry.peer, arrived);
            }
            Rank::Caller => {
                self.callers_at_rest.remove(&rested);
            }
            Rank::Node => {
                self.nodes_at_rest.remove(&rested);
            }
            Rank::Upgraded => {}
        }
    }

    /// Changes an entry and keeps the order. Nothing when the connection was told to end.
    fn change(&mut self, id: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(mut entry) = self.remove(id) {
            change(&mut entry);
            self.insert(id, entry);
        }
    }

    /// The same where only a phase between handshakes changes: the order of strangers does not know of it.
    fn step(&mut self, id: u64, now: Instant, phase: impl FnOnce(Phase) -> Phase) {
        let change = |entry: &mut Entry| (entry.phase, entry.since) = (phase(entry.phase), now);
        match self.entries.get_mut(&id) {
            Some(entry) if entry.rank == Rank::Stranger && entry.phase != Phase::Handshake => {
                change(entry);
            }
            _ => self.change(id, change),
        }
    }

    /// Takes the place away and says so. False when that was done before.
    fn end(&mut self, id: u64) -> bool {
        let entry = self.remove(id);
        if let Some(entry) = &entry {
            entry.end_signal.end();
        }
        entry.is_some()
    }
}

impl Slot {
    /// Completes when the connection has to end.
    pub async fn end_requested(&self) {
        while !self.0.end_signal.must_end.load(Ordering::Acquire) {
            self.0.end_signal.wake.notified().await;
        }
    }

    pub fn end(&self) {
        self.0.slots.table().end(self.0.id);
    }

    /// The handshake begins. If as many are under way as may be, the one that is next to leave ends.
    pub fn handshake(&self, now: Instant) {
        let mut table = self.0.slots.table();
        if table.handshakes.length >= self.0.slots.limits.handshakes_max
            && let Some(id) = table.handshakes.next_to_leave()
        {
            table.end(id);
        }
        table.change(self.0.id, |entry| (entry.phase, entry.since) = (Phase::Handshake, now));
    }

    /// HTTP begins. Over HTTP/2 bytes need not belong to a new request, and many requests may be read at one time: of
    /// strangers fewer may speak it, and the one that is next to leave ends.
    pub fn ready(&self, is_http2: bool, now: Instant) {
        let mut table = self.0.slots.table();
        table.change(self.0.id, |entry| {
            if entry.phase == Phase::Handshake {
                entry.arrived = now;
            }
            (entry.phase, entry.since, entry.is_http2) = (Phase::Idle, now, is_http2);
        });
        if table.http2_strangers.length > self.0.slots.limits.http2_strangers_max
            && let Some(id) = table.http2_strangers.next_to_leave()
        {
            table.end(id);
        }
        self.0.awaits_head.store(!is_http2, Ordering::Release);
    }

    /// Bytes came.
    pub fn received(&self, now: Instant) {
        if self.0.awaits_head.swap(false, Ordering::AcqRel) {
            self.0.slots.table().step(self.0.id, now, |_| Phase::Head);
        }
    }

    /// A whole head is there; until the guard is dropped a request is under way.
    pub fn request(&self, is_http2: bool, now: Instant) -> UnderWay {
        self.0.awaits_head.store(false, Ordering::Release);
        self.0.slots.table().step(self.0.id, now, |phase| match phase {
            Phase::Busy(count) => Phase::Busy(count + 1),
            _ => Phase::Busy(1),
        });
        UnderWay { slot: self.clone(), is_http2 }
    }

    /// How long a request waits for its turn. Whoever has proven itself does not wait. A stranger has so many turns at
    /// once, and one more in each interval, also when its requests came over HTTP/2 at one time.
    pub fn turn(&self, now: Instant) -> Duration {
        let limits = &self.0.slots.limits;
        let mut table = self.0.slots.table();
        let entry = table.entries.get_mut(&self.0.id);
        let Some(entry) = entry.filter(|entry| entry.rank == Rank::Stranger) else {
            return Duration::ZERO;
        };
        let interval = limits.stranger_request_interval;
        entry.turn = entry.turn.max(now) + interval;
        (entry.turn - now).saturating_sub(interval * limits.stranger_requests_at_once)
    }

    /// The connection has proven itself. It gets a place of its new rank if there is one or one can be made by ending
    /// the connection of that rank that has been idle longest; otherwise it stays as it is.
    pub fn prove(&self, rank: Rank) {
        let mut table = self.0.slots.table();
        let limits = &self.0.slots.limits;
        let Some(entry) = table.entries.get(&self.0.id) else { return };
        if entry.rank == rank || rank == Rank::Caller && entry.rank != Rank::Stranger {
            return;
        }
        let places = match rank {
            Rank::Stranger => return,
            Rank::Caller => limits.callers_max,
            Rank::Node => limits.nodes_max,
            Rank::Upgraded => limits.upgraded_max,
        };
        let taken = table.counts.get(&rank).copied().unwrap_or(0);
        if taken >= places {
            let resting = match rank {
                Rank::Caller => table.callers_at_rest.first().copied(),
                Rank::Node => table.nodes_at_rest.first().copied(),
                Rank::Stranger | Rank::Upgraded => None,
            };
            let Some((_, id)) = resting else { return };
            table.end(id);
        }
        table.change(self.0.id, |entry| entry.rank = rank);
    }

    /// What the connection proved does not count any more: it is a stranger's again. If there are too many of those, the next
    /// to leave ends; it comes among them as a newcomer does, so that it can be told why.
    pub fn withdraw(&self, rank: Rank, now: Instant) {
        let mut table = self.0.slots.table();
        if table.entries.get(&self.0.id).is_none_or(|entry| entry.rank != rank) {
            return;
        }
        table.change(self.0.id, |entry| (entry.rank, entry.arrived) = (Rank::Stranger, now));
        let limits = &self.0.slots.limits;
        let leaving = if table.http2_strangers.length > limits.http2_strangers_max {
            table.http2_strangers.next_to_leave()
        } else if table.strangers.length > limits.strangers_max {
            table.strangers.next_to_leave()
        } else {
            None
        };
        if let Some(id) = leaving {
            table.end(id);
        }
    }

    /// The connection becomes something else than HTTP. False when as many have as may.
    pub fn upgrade(&self) -> bool {
        self.prove(Rank::Upgraded);
        self.rank() == Some(Rank::Upgraded)
    }

    pub fn rank(&self) -> Option<Rank> {
        self.0.slots.table().entries.get(&self.0.id).map(|entry| entry.rank)
    }

    pub fn peer(&self) -> Option<Peer> {
        self.0.slots.table().entries.get(&self.0.id).map(|entry| entry.peer)
    }

    /// Bytes wait for the peer to take them.
    pub fn write_waits(&self, now: Instant) {
        if let Some(entry) = self.0.slots.table().entries.get_mut(&self.0.id) {
            entry.writing.wait(now);
        }
    }

    /// The peer took bytes. True once it has made up for all that it kept us waiting.
    pub fn wrote(&self, bytes: usize, now: Instant) -> bool {
        let mut table = self.0.slots.table();
        let Some(entry) = table.entries.get_mut(&self.0.id) else { return true };
        entry.writing.moved(bytes, now);
        entry.writing.is_whole()
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Slot({})", self.0.id)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.slots.table().remove(self.id);
        self.slots.alive.fetch_sub(1, Ordering::AcqRel);
        self.slots.one_is_gone.notify_waiters();
    }
}

/// A request under way.
pub(crate) struct UnderWay {
    slot: Slot,
    is_http2: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let slot = &self.slot.0;
        slot.slots.table().step(slot.id, Instant::now(), |phase| match phase {
            Phase::Busy(count @ 2..) => Phase::Busy(count - 1),
            _ => Phase::Idle,
        });
        slot.awaits_head.store(!self.is_http2, Ordering::Release);
    }
}

#[cfg(test)]
#[path = "slots_test.rs"]
mod tests;
