//! When each node was last heard of: in memory, because a heartbeat is not worth a disk write.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use outport_model::{NodeId, TimestampMs};

/// Shared by the node link, which hears, and the node health controller, which listens for silence.
#[derive(Debug)]
pub struct Heartbeats {
    /// Nodes that were not heard of yet get the benefit of the doubt from here on.
    since_ms: TimestampMs,
    heard: Mutex<BTreeMap<NodeId, Heard>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    at_ms: TimestampMs,
    sequence: u64,
}

impl Heartbeats {
    /// `now_ms`: when the control plane started.
    pub fn new(now_ms: TimestampMs) -> Self {
        Self { since_ms: now_ms, heard: Mutex::new(BTreeMap::new()) }
    }

    fn heard(&self) -> MutexGuard<'_, BTreeMap<NodeId, Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the node was last heard of; the start of the control plane if it was not since then.
    pub fn last_ms(&self, node: &NodeId) -> TimestampMs {
        self.heard().get(node).map_or(self.since_ms, |heard| heard.at_ms)
    }

    /// The node made some call.
    pub fn hear(&self, node: &NodeId, now_ms: TimestampMs) {
        self.heard().entry(node.clone()).or_default().at_ms = now_ms;
    }

    /// The node joined: its reports are counted anew.
    pub fn joined(&self, node: &NodeId, now_ms: TimestampMs) {
        self.heard().insert(node.clone(), Heard { at_ms: now_ms, sequence: 0 });
    }

    /// The node reported; false when a later report was here before.
    pub fn reported(&self, node: &NodeId, sequence: u64, now_ms: TimestampMs) -> bool {
        let mut heard = self.heard();
        let heard = heard.entry(node.clone()).or_default();
        heard.at_ms = now_ms;
        let is_new = sequence > heard.sequence;
        heard.sequence = heard.sequence.max(sequence);
        is_new
    }
}
