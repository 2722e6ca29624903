//! Nodes on which the tasks of a deployment do not start.
//!
//! AWS's scheduler knows nothing of the kind: it spreads tasks over what has room, and delays the starts
//! of the whole service ("Amazon ECS service throttle logic"). But a node that cannot pull has the most
//! room of all, and gets every task, for ever. So others come first for a while; nothing is refused.

use std::collections::{BTreeMap, BTreeSet};

use outport_model::NodeId;
use outport_model::task::{StopCode, Task};

use super::Scene;
use super::is_of;

/// The nodes whose last task of the PRIMARY deployment did not start, not long ago.
pub fn troubled_nodes(scene: &Scene<'_>) -> BTreeSet<NodeId> {
    let Some(primary) = scene.service.deployments.first() else { return BTreeSet::new() };
    // What came of the youngest task of each node that came to anything.
    let mut last: BTreeMap<&NodeId, &Task> = BTreeMap::new();
    for task in scene.tasks.iter().filter(|task| is_of(task, &primary.id)) {
        let Some(node) = &task.node else { continue };
        if task.started_at_ms.is_none() && !failed_on_its_node(task) {
            continue;
        }
        let before = last.entry(node).or_insert(task);
        if task.created_at_ms > before.created_at_ms {
            *before = task;
        }
    }
    let is_recent = |task: &Task| {
        let ended_ms = task.stopped_at_ms.unwrap_or(task.created_at_ms);
        !scene.now.is_over(ended_ms, scene.settings.trouble_life_ms)
    };
    last.into_iter()
        .filter(|(_, task)| failed_on_its_node(task) && is_recent(task))
        .map(|(node, _)| node.clone())
        .collect()
}

fn failed_on_its_node(task: &Task) -> bool {
    task.started_at_ms.is_none() && task.stop_code == Some(StopCode::TaskFailedToStart)
}
