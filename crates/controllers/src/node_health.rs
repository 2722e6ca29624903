//! Notices nodes that fall silent, and gives up the tasks of those that are lost.
//!
//! What keeps a clock from stopping tasks: silence is measured on the steady clock, a node that the
//! control plane could not hear because it was away itself is not silent, and nothing is given up for
//! anything but silence.
//!
//! **Invariant:** a task is given up only after its node was silent for `node_lost_after_ms` while the
//! control plane listened all the time.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use outport_model::node::Node;
use outport_model::task::Task;
use outport_model::{NodeId, Now, SteadyMs, TimestampMs};
use outport_planner::Settings;
use outport_planner::node_health::{Presence, lost_reason, presence, was_away};
use outport_planner::task_end::give_up;
use outport_store::{Fault, Store, Transaction};

use crate::{Controller, Extent, Heartbeats, earlier, only_fault};

/// `Node::last_seen_ms` is written this rarely.
const LAST_SEEN_WRITE_INTERVAL_MS: TimestampMs = 5 * 60 * 1000;

pub struct NodeHealthController {
    heartbeats: Arc<Heartbeats>,
    settings: Settings,
    /// When the last pass was; `None` before the first.
    last_pass_ms: Option<SteadyMs>,
}

impl NodeHealthController {
    pub fn new(heartbeats: Arc<Heartbeats>, settings: Settings) -> Self {
        Self { heartbeats, settings, last_pass_ms: None }
    }

    /// Whoever was suspended heard nobody: from here on everyone has all the time again.
    fn notice_own_gap(&mut self, now_ms: SteadyMs) {
        if let Some(last_ms) = self.last_pass_ms.replace(now_ms)
            && was_away(last_ms, now_ms, &self.settings)
        {
            let away_ms = now_ms - last_ms;
            tracing::warn!(
                event = "control_plane_was_suspended",
                away_ms,
                "the control plane was suspended or stalled; no node counts as silent"
            );
            self.heartbeats.was_away(now_ms);
        }
    }

    /// How long until the node's presence changes if nothing more is heard of it.
    fn next_change_ms(&self, silent_ms: i64, presence: Presence) -> Option<i64> {
        match presence {
            Presence::Connected => Some(self.settings.node_silent_after_ms - silent_ms),
            Presence::Silent => Some(self.settings.node_lost_after_ms - silent_ms),
            Presence::Lost => None,
        }
    }

    /// When the node was last seen, on the wall clock.
    fn last_seen_ms(&self, node: &NodeId, now: &Now) -> Option<TimestampMs> {
        let heard_ms = self.heartbeats.last_heard_ms(node)?;
        Some(now.wall_ms - (now.steady_ms - heard_ms))
    }
}

#[async_trait]
impl Controller for NodeHealthController {
    fn name(&self) -> &'static str {
        "node_health"
    }

    /// Silence is no commit: every pass is over all nodes.
    async fn activate(
        &mut self,
        store: &Store,
        _extent: Extent,
    ) -> Result<Option<TimestampMs>, Fault> {
        let snapshot = store.snapshot();
        let now = store.now();
        self.notice_own_gap(now.steady_ms);
        let mut again_at_ms = None;
        tracing::Span::current().record("keys", snapshot.nodes.len());
        for node in snapshot.nodes.iter() {
            let silent_since_ms = self.heartbeats.silent_since_ms(&node.id);
            let presence = presence(silent_since_ms, now.steady_ms, &self.settings);
            let change_ms = self.next_change_ms(now.steady_ms - silent_since_ms, presence);
            again_at_ms = earlier(again_at_ms, change_ms.map(|in_ms| now.wall_ms + in_ms));
            let last_seen_ms = self.last_seen_ms(&node.id, &now).unwrap_or(node.last_seen_ms);
            let holds_tasks = !snapshot.tasks.live_on_node(&node.id).is_empty();
            if needs_write(node, presence, last_seen_ms, holds_tasks) {
                let write = |tx: &mut Transaction<'_>| {
                    note_presence(tx, &node.id, presence, last_seen_ms);
                    Ok::<_, Infallible>(())
                };
                store.write(write).await.map_err(only_fault)?;
            }
        }
        Ok(again_at_ms)
    }
}

/// A node that is not connected is so until it reports, whatever else is heard of it.
fn needs_write(node: &Node, presence: Presence, last_ms: TimestampMs, holds_tasks: bool) -> bool {
    match presence {
        Presence::Connected => (last_ms - node.last_seen_ms).abs() >= LAST_SEEN_WRITE_INTERVAL_MS,
        Presence::Silent => node.connected,
        Presence::Lost => node.connected || holds_tasks,
    }
}

fn note_presence(
    tx: &mut Transaction<'_>,
    node: &NodeId,
    presence: Presence,
    last_ms: TimestampMs,
) {
    tx.update(node, |node: &mut Node| {
        node.connected &= presence == Presence::Connected;
        node.last_seen_ms = last_ms;
    });
    if presence == Presence::Lost {
        let reason = lost_reason(&node.ec2_instance_id());
        give_up_tasks(tx, node, &reason);
    }
}

/// Every live task of the node ends.
pub(crate) fn give_up_tasks(tx: &mut Transaction<'_>, node: &NodeId, reason: &str) {
    let now_ms = tx.now_ms();
    let live: Vec<Arc<Task>> = tx.tasks.live_on_node(node).values().cloned().collect();
    for end in live.iter().filter_map(|task| give_up(task, reason, now_ms)) {
        tx.put_end(end);
    }
}
