//! `StopTask`: asks for the end of a task. The node ends its containers and reports.

use outport_aws_ecs::{StopTaskRequest, StopTaskResponse};
use outport_identity::Call;
use outport_model::task::{StopCode, Task};
use outport_model::{DesiredStatus, TaskStatus};
use outport_store::Tables;
use outport_store::keys::TaskKey;

use crate::resource::Resource;
use crate::views::task::TaskViews;
use crate::{EcsService, Rejection, access, lookup, names};

/// What AWS says when the caller gives no reason.
const DEFAULT_REASON: &str = "Task stopped by user";
/// Our bound: AWS documents none.
const REASON_LENGTH_MAX: usize = 1024;

pub async fn stop_task(
    service: &EcsService,
    call: &Call,
    input: StopTaskRequest,
) -> Result<StopTaskResponse, Rejection> {
    let scope = access::scope(call);
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let text = input.task.unwrap_or_default();
    let id = names::task(&scope, &cluster, &text)?.ok_or_else(not_found)?;
    let reason = input.reason.filter(|reason| !reason.is_empty());
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON_LENGTH_MAX) {
        return Err(Rejection::invalid_parameter(format!(
            "reason can have at most {REASON_LENGTH_MAX} characters."
        )));
    }
    let resource = Resource::task(&scope, &cluster, &id);
    let ask = |tables: &Tables| resource.question(tables, "ecs:StopTask").into();
    service
        .store
        .write_always(call, ask, |tx, ()| {
            lookup::active_cluster(tx, &scope, &cluster)?;
            let key = TaskKey::new(&scope, cluster, id);
            let mut task = tx.tasks.get(&key).map(|row| Task::clone(row)).ok_or_else(not_found)?;
            let now_ms = tx.now_ms();
            if stop(&mut task, reason, now_ms) {
                tx.put(task.clone());
            }
            Ok(StopTaskResponse {
                task: Some(TaskViews::new(tx, &service.workloads, true).of(&task)),
            })
        })
        .await
}

fn not_found() -> Rejection {
    Rejection::invalid_parameter("The referenced task was not found.")
}

/// Whether the task changed: one that stops already stays as it is. Its tags go.
/// Source: botocore's documentation of StopTask ("Any tags associated with the task are deleted").
fn stop(task: &mut Task, reason: Option<String>, now_ms: outport_model::TimestampMs) -> bool {
    if task.desired_status == DesiredStatus::Stopped || task.last_status >= TaskStatus::Stopped {
        return false;
    }
    task.desired_status = DesiredStatus::Stopped;
    task.stop_code = Some(StopCode::UserInitiated);
    task.stopped_reason = Some(reason.unwrap_or_else(|| DEFAULT_REASON.to_owned()));
    task.stopping_at_ms = Some(now_ms);
    task.tags.clear();
    task.version += 1;
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn a_stop_is_asked_for_once() {
        let world = World::with_node(2048, 4096);
        let arn = world.run("app").await;
        let input = json!({"task": arn, "reason": "enough"});
        let expected = json!({"task": {
            "desiredStatus": "STOPPED", "lastStatus": "PROVISIONING", "stopCode": "UserInitiated",
            "stoppedReason": "enough", "stoppingAt": world.now_s(), "version": 2, "tags": [],
        }});
        world.check("StopTask", input, expected.clone()).await;
        world.check("StopTask", json!({"task": arn, "reason": "again"}), expected).await;
    }

    #[tokio::test]
    async fn the_reason_has_a_default() {
        let world = World::with_node(2048, 4096);
        let arn = world.run("app").await;
        let id = arn.rsplit('/').next().unwrap();
        world
            .check(
                "StopTask",
                json!({"task": id}),
                json!({"task": {"stoppedReason": "Task stopped by user"}}),
            )
            .await;
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        for (task, message) in [
            ("00000000000000000000000000000000", "The referenced task was not found."),
            (
                "arn:aws:ecs:eu-west-1:000000000000:task/default/00000000000000000000000000000000",
                "The referenced task was not found.",
            ),
            (
                "arn:aws:ecs:us-east-1:000000000000:task/web/00000000000000000000000000000000",
                "Invalid identifier: Identifier is for cluster web. Your cluster is default",
            ),
        ] {
            world
                .refuses("StopTask", json!({"task": task}), "InvalidParameterException", message)
                .await;
        }
        let input = json!({"task": "0".repeat(32), "cluster": "none"});
        world.refuses("StopTask", input, "ClusterNotFoundException", "Cluster not found.").await;
    }
}
