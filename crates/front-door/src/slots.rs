//! The places of connections: how many, of whom, and whose turn it is to leave.
//!
//! | standing | how it is got | when places run short |
//! |---|---|---|
//! | stranger | by connecting | the one whose last step is longest ago leaves |
//! | caller | a valid signature or password on this connection | the one that has been idle longest leaves |
//! | node | a client certificate, or a node's signature | the same |
//! | upgraded | an answer 101 | nobody leaves; a further upgrade is refused |
//!
//! Each standing has places of its own, so that no number of strangers takes one from those who have proven who they
//! are. A step is the connection, the end of a handshake, a whole request or an answer, not a byte: who drips bytes gains
//! nothing by it. A newcomer always gets a place; when strangers fill theirs, it has the time in which as many others
//! come to prove itself. No number of places is set aside for one address on loopback, where all users are one peer.
//!
//! **Invariant**: a connection is in the table, in one standing, until it ends or is told to end; what is decided here
//! is decided from the table and the time alone.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::Limits;
use crate::pace::Pace;

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
    since: Instant,
    /// Of the bytes that wait to be sent.
    writing: Pace,
    told: Arc<Told>,
}

/// How a connection hears that it must end.
#[derive(Debug, Default)]
struct Told {
    must_end: AtomicBool,
    wake: Notify,
}

impl Told {
    fn end(&self) {
        self.must_end.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

type Turn = (Instant, u64);

#[derive(Default)]
struct Table {
    next: u64,
    entries: HashMap<u64, Entry>,
    counts: HashMap<Rank, usize>,
    /// Strangers by their last step.
    strangers: BTreeSet<Turn>,
    strangers_of: HashMap<Peer, BTreeSet<Turn>>,
    /// Callers and nodes that answer nothing at the moment.
    callers_at_rest: BTreeSet<Turn>,
    handshakes: BTreeSet<Turn>,
    http2_strangers: BTreeSet<Turn>,
    nodes_at_rest: BTreeSet<Turn>,
}

/// All places.
pub(crate) struct Slots {
    table: Mutex<Table>,
    limits: Limits,
}

/// The place of one connection; it is free again when the last handle is gone.
#[derive(Clone)]
pub(crate) struct Slot(Arc<Place>);

struct Place {
    slots: Arc<Slots>,
    id: u64,
    told: Arc<Told>,
    /// No request is under way, so that the next byte begins one. HTTP/1.1 only.
    awaits_head: AtomicBool,
    /// Held until the connection's memory is gone, which is later than its place in the table.
    _room: Option<OwnedSemaphorePermit>,
}

impl Slots {
    pub fn new(limits: &Limits) -> Arc<Slots> {
        Arc::new(Slots { table: Mutex::default(), limits: limits.clone() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a newcomer. If there is none, another stranger is told to end: one of the same peer if that has all
    /// that one peer may have, or the one whose last step is longest ago.
    pub fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        room: Option<OwnedSemaphorePermit>,
        now: Instant,
    ) -> Slot {
        let peer = Peer::of(address);
        let told = Arc::new(Told::default());
        let mut table = self.table();
        let of_peer = table.strangers_of.get(&peer);
        let leaving = match of_peer {
            Some(own) if !peer.is_loopback() && own.len() >= self.limits.strangers_per_peer_max => {
                own.first().copied()
            }
            _ if table.strangers.len() >= self.limits.strangers_max => {
                table.strangers.first().copied()
            }
            _ => None,
        };
        if let Some((_, id)) = leaving {
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
            since: now,
            writing,
            told: Arc::clone(&told),
        };
        table.insert(id, entry);
        let awaits_head = AtomicBool::new(false);
        Slot(Arc::new(Place { slots: Arc::clone(self), id, told, awaits_head, _room: room }))
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

    /// Lets go of the stranger, or else the resting caller, whose last step is longest ago: for when the system has no
    /// descriptor left. False when there is none.
    pub fn end_one(&self) -> bool {
        let mut table = self.table();
        let first = [&table.strangers, &table.callers_at_rest]
            .into_iter()
            .find_map(|turns| turns.first().copied());
        first.is_some_and(|(_, id)| table.end(id))
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
        let turn = (entry.since, id);
        if entry.phase == Phase::Handshake {
            self.handshakes.insert(turn);
        }
        let at_rest = !matches!(entry.phase, Phase::Busy(_));
        match entry.rank {
            Rank::Stranger => {
                self.strangers.insert(turn);
                if entry.is_http2 {
                    self.http2_strangers.insert(turn);
                }
                self.strangers_of.entry(entry.peer).or_default().insert(turn);
            }
            Rank::Caller if at_rest => {
                self.callers_at_rest.insert(turn);
            }
            Rank::Node if at_rest => {
                self.nodes_at_rest.insert(turn);
            }
            Rank::Caller | Rank::Node | Rank::Upgraded => {}
        }
    }

    fn displace(&mut self, id: u64, entry: &Entry) {
        let turn = (entry.since, id);
        self.handshakes.remove(&turn);
        match entry.rank {
            Rank::Stranger => {
                self.strangers.remove(&turn);
                self.http2_strangers.remove(&turn);
                if let Some(own) = self.strangers_of.get_mut(&entry.peer) {
                    own.remove(&turn);
                    if own.is_empty() {
                        self.strangers_of.remove(&entry.peer);
                    }
                }
            }
            Rank::Caller => {
                self.callers_at_rest.remove(&turn);
            }
            Rank::Node => {
                self.nodes_at_rest.remove(&turn);
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

    /// Takes the place away and says so. False when that was done before.
    fn end(&mut self, id: u64) -> bool {
        let entry = self.remove(id);
        if let Some(entry) = &entry {
            entry.told.end();
        }
        entry.is_some()
    }
}

impl Slot {
    fn change(&self, change: impl FnOnce(&mut Entry)) {
        self.0.slots.table().change(self.0.id, change);
    }

    fn step(&self, phase: Phase, now: Instant) {
        self.change(|entry| (entry.phase, entry.since) = (phase, now));
    }

    /// Completes when the connection has to end.
    pub async fn told_to_end(&self) {
        while !self.0.told.must_end.load(Ordering::Acquire) {
            self.0.told.wake.notified().await;
        }
    }

    pub fn end(&self) {
        self.0.slots.table().end(self.0.id);
    }

    /// The handshake begins. If as many are under way as may be, the one that began first ends.
    pub fn handshake(&self, now: Instant) {
        let mut table = self.0.slots.table();
        if table.handshakes.len() >= self.0.slots.limits.handshakes_max
            && let Some((_, id)) = table.handshakes.first().copied()
        {
            table.end(id);
        }
        table.change(self.0.id, |entry| (entry.phase, entry.since) = (Phase::Handshake, now));
    }

    /// HTTP begins. Over HTTP/2 bytes need not belong to a new request, and many requests may be read at one time: of
    /// strangers fewer may speak it, and the one whose last step is longest ago ends.
    pub fn ready(&self, is_http2: bool, now: Instant) {
        let mut table = self.0.slots.table();
        table.change(self.0.id, |entry| {
            (entry.phase, entry.since, entry.is_http2) = (Phase::Idle, now, is_http2);
        });
        if table.http2_strangers.len() > self.0.slots.limits.http2_strangers_max
            && let Some((_, id)) = table.http2_strangers.first().copied()
        {
            table.end(id);
        }
        self.0.awaits_head.store(!is_http2, Ordering::Release);
    }

    /// Bytes came.
    pub fn received(&self, now: Instant) {
        if self.0.awaits_head.swap(false, Ordering::AcqRel) {
            self.step(Phase::Head, now);
        }
    }

    /// A whole head is there; until the guard is dropped a request is under way.
    pub fn request(&self, is_http2: bool, now: Instant) -> UnderWay {
        self.0.awaits_head.store(false, Ordering::Release);
        self.change(|entry| {
            let count = if let Phase::Busy(count) = entry.phase { count } else { 0 };
            (entry.phase, entry.since) = (Phase::Busy(count + 1), now);
        });
        UnderWay { slot: self.clone(), is_http2 }
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
    }
}

/// A request under way.
pub(crate) struct UnderWay {
    slot: Slot,
    is_http2: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let now = Instant::now();
        self.slot.change(|entry| {
            entry.since = now;
            entry.phase = match entry.phase {
                Phase::Busy(count @ 2..) => Phase::Busy(count - 1),
                _ => Phase::Idle,
            };
        });
        self.slot.0.awaits_head.store(!self.is_http2, Ordering::Release);
    }
}

#[cfg(test)]
#[path = "slots_test.rs"]
mod tests;
