//! When each node was last heard of: in memory, because a heartbeat is not worth a disk write.
//!
//! **Invariant:** times are on the steady clock, so that nobody falls silent because somebody set the
//! wall clock; and there is one entry for each node that has a row, and none for anybody else.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use outport_model::{NodeId, SteadyMs};

/// Shared by the node link, which hears, and the node health controller, which listens for silence.
#[derive(Debug)]
pub struct Heartbeats {
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// Nobody fell silent before this: the control plane was not there to listen.
    listening_since_ms: SteadyMs,
    heard: BTreeMap<NodeId, Heard>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    at_ms: SteadyMs,
    sequence: u64,
}

impl Heartbeats {
    /// `now_ms`: when the control plane started.
    pub fn new(now_ms: SteadyMs) -> Self {
        let known = Known { listening_since_ms: now_ms, heard: BTreeMap::new() };
        Self { known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From when on the node is silent: when it was last heard of, or when the control plane began to
    /// listen.
    pub fn silent_since_ms(&self, node: &NodeId) -> SteadyMs {
        let known = self.known();
        let heard_ms = known.heard.get(node).map_or(known.listening_since_ms, |heard| heard.at_ms);
        heard_ms.max(known.listening_since_ms)
    }

    /// When the node was last heard of; `None` if it was not since the control plane started.
    pub fn last_heard_ms(&self, node: &NodeId) -> Option<SteadyMs> {
        self.known().heard.get(node).map(|heard| heard.at_ms)
    }

    /// The control plane was away until now: the silence before counts for nothing.
    pub fn was_away(&self, now_ms: SteadyMs) {
        self.known().listening_since_ms = now_ms;
    }

    /// The node, which has a row, made some call.
    pub fn note_call(&self, node: &NodeId, now_ms: SteadyMs) {
        self.known().heard.entry(node.clone()).or_default().at_ms = now_ms;
    }

    /// The node joined: its reports are counted anew.
    pub fn joined(&self, node: &NodeId, now_ms: SteadyMs) {
        self.known().heard.insert(node.clone(), Heard { at_ms: now_ms, sequence: 0 });
    }

    /// The node, which has a row, reported; false when a later report was here before.
    pub fn reported(&self, node: &NodeId, sequence: u64, now_ms: SteadyMs) -> bool {
        let mut known = self.known();
        let heard = known.heard.entry(node.clone()).or_default();
        heard.at_ms = now_ms;
        let is_new = sequence > heard.sequence;
        heard.sequence = heard.sequence.max(sequence);
        is_new
    }
}
