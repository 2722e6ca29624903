//! Notices nodes that fall silent, and gives up the tasks of those that are lost.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use outport_model::node::Node;
use outport_model::task::Task;
use outport_model::{NodeId, TimestampMs};
use outport_planner::Settings;
use outport_planner::node_health::{Presence, give_up, lost_reason, presence};
use outport_store::keys::NetworkInterfaceKey;
use outport_store::{Fault, Store, Transaction};

use crate::{Controller, Heartbeats, earlier, only_fault};

/// `Node::last_seen_ms` is written this rarely.
const LAST_SEEN_WRITE_INTERVAL_MS: TimestampMs = 5 * 60 * 1000;

pub struct NodeHealthController {
    heartbeats: Arc<Heartbeats>,
    settings: Settings,
}

impl NodeHealthController {
    pub fn new(heartbeats: Arc<Heartbeats>, settings: Settings) -> Self {
        Self { heartbeats, settings }
    }

    fn next_change_ms(&self, last_ms: TimestampMs, presence: Presence) -> Option<TimestampMs> {
        match presence {
            Presence::Connected => Some(last_ms + self.settings.node_silent_after_ms),
            Presence::Silent => Some(last_ms + self.settings.node_lost_after_ms),
            Presence::Lost => None,
        }
    }
}

#[async_trait]
impl Controller for NodeHealthController {
    fn name(&self) -> &'static str {
        "node_health"
    }

    /// Silence is no commit.
    fn wakes_on_commit(&self) -> bool {
        false
    }

    async fn activate(&self, store: &Store) -> Result<Option<TimestampMs>, Fault> {
        let snapshot = store.snapshot();
        let now_ms = store.now_ms();
        let mut again_at_ms = None;
        for node in snapshot.nodes.iter() {
            let last_ms = self.heartbeats.last_ms(&node.id);
            let presence = presence(last_ms, now_ms, &self.settings);
            again_at_ms = earlier(again_at_ms, self.next_change_ms(last_ms, presence));
            let holds_tasks = !snapshot.tasks.live_on_node(&node.id).is_empty();
            if needs_write(node, presence, last_ms, holds_tasks) {
                let write = |tx: &mut Transaction<'_>| {
                    note_presence(tx, &node.id, presence, last_ms);
                    Ok::<_, Infallible>(())
                };
                store.write(write).await.map_err(only_fault)?;
            }
        }
        Ok(again_at_ms)
    }
}

fn needs_write(node: &Node, presence: Presence, last_ms: TimestampMs, holds_tasks: bool) -> bool {
    match presence {
        Presence::Connected => {
            !node.connected || last_ms - node.last_seen_ms >= LAST_SEEN_WRITE_INTERVAL_MS
        }
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
        node.connected = presence == Presence::Connected;
        node.last_seen_ms = node.last_seen_ms.max(last_ms);
    });
    if presence == Presence::Lost {
        let reason = lost_reason(&crate::node_link::ec2_instance_id(node));
        give_up_tasks(tx, node, &reason);
    }
}

/// Every live task of the node becomes STOPPED and lets go of its address.
pub(crate) fn give_up_tasks(tx: &mut Transaction<'_>, node: &NodeId, reason: &str) {
    let now_ms = tx.now_ms();
    let live: Vec<Arc<Task>> = tx.tasks.live_on_node(node).values().cloned().collect();
    for task in live {
        if let Some(stopped) = give_up(&task, reason, now_ms) {
            release_address(tx, &stopped);
            tx.put(stopped);
        }
    }
}

/// Removes the network interface of a task that stopped.
pub(crate) fn release_address(tx: &mut Transaction<'_>, task: &Task) {
    let Some(attachment) = &task.attachment else { return };
    let key = NetworkInterfaceKey::new(&task.scope, attachment.network_interface_id.clone());
    tx.remove::<outport_model::network::NetworkInterface>(&key);
}
