//! The memory of bodies whose sender has proven nothing yet.
//!
//! Most clients sign the hash of the body without sending it, so that the body must be had before the signature can be
//! proven. Until then it is a stranger's, and lives in a small memory of its own. Who is new always finds room in it:
//! when it is full, the peer that holds most loses the body that it began first. A caller whose body comes at once is
//! out again before it becomes the oldest; whoever only holds memory loses it.
//!
//! **Invariant**: the bodies in here never hold more than `bytes_max` together.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::slots::Peer;

#[derive(Debug)]
struct Held {
    peer: Option<Peer>,
    bytes: usize,
    lost: Arc<Lost>,
}

/// How a reader hears that its body lost its room.
#[derive(Debug, Default)]
struct Lost {
    is_lost: AtomicBool,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    total: usize,
    /// By age.
    held: BTreeMap<u64, Held>,
    of_peer: HashMap<Option<Peer>, usize>,
}

#[derive(Debug)]
pub(crate) struct StrangerBodies {
    bytes_max: usize,
    table: Mutex<Table>,
}

/// The share of one body; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct StrangerShare {
    bodies: Arc<StrangerBodies>,
    id: u64,
    lost: Arc<Lost>,
}

impl StrangerBodies {
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(StrangerBodies { bytes_max, table: Mutex::default() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A body begins. `None` stands for peers that came over no connection.
    pub fn begin(self: &Arc<Self>, peer: Option<Peer>) -> StrangerShare {
        let mut table = self.table();
        let id = table.next;
        table.next += 1;
        let lost = Arc::new(Lost::default());
        table.held.insert(id, Held { peer, bytes: 0, lost: Arc::clone(&lost) });
        StrangerShare { bodies: Arc::clone(self), id, lost }
    }

    /// Bytes in memory.
    pub fn total(&self) -> usize {
        self.table().total
    }
}

impl Table {
    fn remove(&mut self, id: u64) {
        let Some(held) = self.held.remove(&id) else { return };
        self.total -= held.bytes;
        if let Some(of_peer) = self.of_peer.get_mut(&held.peer) {
            *of_peer -= held.bytes;
            if *of_peer == 0 {
                self.of_peer.remove(&held.peer);
            }
        }
        held.lost.is_lost.store(true, Ordering::Release);
        held.lost.wake.notify_one();
    }

    /// The oldest body of the peer that holds most, counting what `asker` wants on top of what it has.
    fn victim(&self, asker: Option<Peer>, wanted: usize) -> Option<u64> {
        let of_asker = self.of_peer.get(&asker).copied().unwrap_or(0) + wanted;
        let greediest = self
            .of_peer
            .iter()
            .filter(|(peer, _)| **peer != asker)
            .max_by_key(|(_, bytes)| **bytes)
            .filter(|(_, bytes)| **bytes > of_asker)
            .map_or(asker, |(peer, _)| *peer);
        let of_greediest = |held: &Held| held.peer == greediest && held.bytes > 0;
        self.held.iter().find(|(_, held)| of_greediest(held)).map(|(id, _)| *id)
    }
}

impl StrangerShare {
    /// Takes so many bytes more. False when the body has lost its room to another, or is the one that must.
    pub fn take(&self, bytes: usize) -> bool {
        let mut table = self.bodies.table();
        if bytes > self.bodies.bytes_max {
            return false;
        }
        let Some(peer) = table.held.get(&self.id).map(|held| held.peer) else { return false };
        while table.total + bytes > self.bodies.bytes_max {
            let victim = table.victim(peer, bytes).unwrap_or(self.id);
            table.remove(victim);
            if victim == self.id {
                return false;
            }
        }
        let table = &mut *table;
        let Some(held) = table.held.get_mut(&self.id) else { return false };
        held.bytes += bytes;
        table.total += bytes;
        *table.of_peer.entry(peer).or_default() += bytes;
        true
    }

    /// Completes when the room is lost.
    pub async fn lost(&self) {
        while !self.lost.is_lost.load(Ordering::Acquire) {
            self.lost.wake.notified().await;
        }
    }
}

impl Drop for StrangerShare {
    fn drop(&mut self) {
        self.bodies.table().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn peer(number: u8) -> Option<Peer> {
        Some(Peer::of(IpAddr::from([10, 0, 0, number])))
    }

    #[test]
    fn the_oldest_body_of_the_greediest_peer_makes_room() {
        let bodies = StrangerBodies::new(100);
        let greedy: Vec<_> = (0..4).map(|_| bodies.begin(peer(1))).collect();
        assert!(greedy.iter().all(|share| share.take(20)));
        let modest = bodies.begin(peer(2));
        assert!(modest.take(20));
        let newcomer = bodies.begin(peer(3));
        assert!(newcomer.take(30));
        // Two had to go, the oldest first; the modest one keeps its own.
        assert!(!greedy[0].take(1) && !greedy[1].take(1));
        assert!(modest.take(0) && greedy[2].take(0));
        assert_eq!(bodies.total(), 90);
        drop((greedy, modest, newcomer));
        assert_eq!(bodies.total(), 0);
    }

    #[test]
    fn one_peer_makes_room_for_itself() {
        let bodies = StrangerBodies::new(100);
        let shares: Vec<_> = (0..1000).map(|_| bodies.begin(peer(1))).collect();
        for share in &shares {
            assert!(share.take(10));
            assert!(bodies.total() <= 100);
        }
        assert!(!shares[989].take(1) && shares[999].take(0));
        // The oldest of all that asks for more than there is loses what it has.
        assert!(!shares[990].take(10));
        assert!(!shares[999].take(101));
    }
}
