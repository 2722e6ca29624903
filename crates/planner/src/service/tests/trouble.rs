//! Which nodes a service's next task rather does not go to.

use outport_model::NodeId;

use super::*;

/// The tasks, each on the node named behind it in `nodes`; later ones are younger.
#[track_caller]
fn check(text: &str, nodes: &str, age_ms: TimestampMs, expected: &str) {
    let service = service(2, 100, 200, 1);
    let mut tasks = tasks(&service, text);
    for (index, (task, node)) in tasks.iter_mut().zip(nodes.split(' ')).enumerate() {
        let task = Arc::make_mut(task);
        task.node = Some(NodeId::new(node));
        task.created_at_ms = NOW_MS - age_ms - 100 + i64::try_from(index).unwrap();
        if task.last_status == TaskStatus::Stopped {
            task.stopped_at_ms = Some(NOW_MS - age_ms);
            if task.started_at_ms.is_none() {
                task.stop_code = Some(StopCode::TaskFailedToStart);
            }
        }
    }
    planned(&service, &tasks, |_, scene| {
        let found: Vec<String> = troubled_nodes(scene).iter().map(NodeId::to_string).collect();
        assert_eq!(found.join(" "), expected, "{text} on {nodes}");
    });
}

#[test]
fn a_node_whose_last_task_did_not_start_is_troubled_for_a_while() {
    check("v1 failed", "a", 0, "a");
    check("v1 failed, v1 running", "a b", 0, "a");
    check("v1 failed, v1 running", "a a", 0, "");
    check("v1 running, v1 failed", "a a", 0, "a");
    check("v1 failed, v1 exited", "a a", 0, "");
    check("v1 failed", "a", 10 * 60 * 1000, "");
}
