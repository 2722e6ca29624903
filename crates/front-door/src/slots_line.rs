//! Strangers in the order in which they leave, and the order of peers among them.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::Peer;

/// When a connection came, and its number.
pub(super) type Turn = (Instant, u64);

/// Connections of strangers, in the order in which they leave.
#[derive(Default)]
pub(super) struct Line {
    pub of: HashMap<Peer, BTreeSet<Turn>>,
    pub length: usize,
}

impl Line {
    pub fn insert(&mut self, peer: Peer, turn: Turn) {
        self.length += usize::from(self.of.entry(peer).or_default().insert(turn));
    }

    pub fn remove(&mut self, peer: Peer, turn: Turn) {
        let Some(own) = self.of.get_mut(&peer) else { return };
        self.length -= usize::from(own.remove(&turn));
        if own.is_empty() {
            self.of.remove(&peer);
        }
    }

    pub fn first_of(&self, peer: Peer) -> Option<u64> {
        Some(self.of.get(&peer)?.first()?.1)
    }

    /// The first one of the peer that has most; of peers that have as many, of the one whose first came first.
    pub fn next_to_leave(&self) -> Option<u64> {
        let most = self.of.values().max_by_key(|own| (own.len(), Reverse(own.first().copied())));
        Some(most?.first()?.1)
    }
}
