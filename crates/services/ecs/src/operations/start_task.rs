//! `StartTask`: start a task on each of the container instances that are named.
//!
//! As RunTask, but nothing is chosen: whoever names instances has a scheduler of their own. Placement constraints of the task
//! definition are not asked either; that AWS does so is a guess.

use std::sync::Arc;

use outport_aws_ecs::{Failure, LaunchType, RunTaskRequest, StartTaskRequest, StartTaskResponse};
use outport_identity::Call;
use outport_model::container_instance::{ContainerInstance, ContainerInstanceStatus};
use outport_model::{Arn, ContainerInstanceId, NewIds, Scope};
use outport_planner::{StartRequest, task_start};
use outport_store::keys::ContainerInstanceKey;
use outport_store::{Tables, Transaction};

use super::run_task::{Request, Started, answer, failures_of};
use crate::views::{MISSING, failure, missing};
use crate::{EcsService, Rejection, access, names};

/// Source: botocore's documentation of `StartTaskRequest.containerInstances`.
const INSTANCES_PER_CALL_MAX: usize = 10;

pub async fn start_task(
    service: &EcsService,
    call: &Call,
    mut input: StartTaskRequest,
) -> Result<StartTaskResponse, Rejection> {
    let scope = access::scope(call);
    let named = input.container_instances.take().unwrap_or_default();
    if named.is_empty() {
        return Err(Rejection::client("Container Instances cannot be empty."));
    }
    if named.len() > INSTANCES_PER_CALL_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "instanceIds can have at most {INSTANCES_PER_CALL_MAX} items."
        )));
    }
    let request = Request::parse_for(("ecs:StartTask", "StartTask"), &scope, as_run_task(input))?;
    let ids: Vec<Option<ContainerInstanceId>> = named
        .iter()
        .map(|text| names::container_instance(&scope, &request.cluster, text))
        .collect::<Result<_, _>>()?;
    let look = |tables: &Tables| request.look(tables, &service.workloads, &scope);
    service
        .store
        .write(call, look, |tx, found| {
            let (tasks, failures) =
                request.start_by(tx, service, &scope, found, |tx, request| {
                    start_each(tx, service, &scope, request, named.iter().zip(&ids))
                })?;
            let shown = answer(tx, service, &tasks, failures);
            Ok(StartTaskResponse { tasks: shown.tasks, failures: shown.failures })
        })
        .await
}

/// The members that both have.
fn as_run_task(input: StartTaskRequest) -> RunTaskRequest {
    RunTaskRequest {
        cluster: input.cluster,
        enable_ecs_managed_tags: input.enable_ecs_managed_tags,
        enable_execute_command: input.enable_execute_command,
        group: input.group,
        launch_type: Some(LaunchType::Ec2),
        network_configuration: input.network_configuration,
        overrides: input.overrides,
        propagate_tags: input.propagate_tags,
        reference_id: input.reference_id,
        started_by: input.started_by,
        tags: input.tags,
        task_definition: input.task_definition,
        volume_configurations: input.volume_configurations,
        ..RunTaskRequest::default()
    }
}

/// Source: "API failure reasons" in the Amazon ECS Developer Guide: MISSING and INACTIVE of StartTask.
fn start_each<'a>(
    tx: &mut Transaction<'_>,
    service: &EcsService,
    scope: &Scope,
    request: &StartRequest<'_>,
    named: impl Iterator<Item = (&'a String, &'a Option<ContainerInstanceId>)>,
) -> Result<Started, Rejection> {
    let cluster = request.cluster;
    let (mut instances, mut failures): (Vec<Arc<ContainerInstance>>, Vec<Failure>) =
        (Vec::new(), Vec::new());
    for (text, id) in named {
        let Some(id) = id else {
            failures.push(failure(text.clone(), MISSING));
            continue;
        };
        let key = ContainerInstanceKey::new(scope, cluster.clone(), id.clone());
        let arn = Arn::container_instance(scope, cluster, id).to_string();
        match tx.container_instances.get(&key) {
            None => failures.push(missing(text.clone(), arn)),
            Some(row) if row.status == ContainerInstanceStatus::Inactive => {
                failures.push(failure(arn, "INACTIVE"));
            }
            Some(row) => instances.push(Arc::clone(row)),
        }
    }
    let nodes: Vec<_> = instances.iter().map(|row| row.node.clone()).collect();
    let outcomes = {
        let mut spaces = tx.subnet_spaces(scope, &request.network.subnets);
        let made = (&*tx as &dyn NewIds, tx.now_ms());
        let rooms = tx.rooms.clone();
        task_start::start_on(request, &nodes, rooms, &mut spaces, made, &service.settings)
    };
    let mut tasks = Vec::new();
    for (row, outcome) in instances.iter().zip(outcomes) {
        match outcome {
            Ok(started) => {
                tasks.push(started.task.clone());
                tx.put_started(started);
            }
            Err(rejection) => {
                let arn = Some(Arn::container_instance(scope, cluster, &row.id).to_string());
                let of_one = failures_of(scope, cluster, &rejection).into_iter();
                failures.extend(of_one.map(|failure| Failure { arn: arn.clone(), ..failure }));
            }
        }
    }
    Ok((tasks, failures))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::placement_test::{names, world};

    #[tokio::test]
    async fn a_task_starts_on_each_instance_that_is_named() {
        let world = world().await;
        let listed = world.call("ListContainerInstances", json!({})).await;
        let mut arns = listed["containerInstanceArns"].as_array().unwrap().clone();
        let as_task = |arn: &serde_json::Value| json!([{"containerInstanceArn": arn}]);
        arns.sort_by_key(|arn| names(&world, &as_task(arn)));
        let gone = "0".repeat(32);
        let input = json!({
            "taskDefinition": "app", "containerInstances": [arns[2], arns[0], gone, arns[2]],
            "startedBy": "me", "group": "mine",
        });
        let answer = world.call("StartTask", input).await;
        assert_eq!(names(&world, &answer["tasks"]), "c a c");
        assert_eq!(
            (&answer["tasks"][0]["startedBy"], &answer["tasks"][0]["group"]),
            (&json!("me"), &json!("mine"))
        );
        assert_eq!(answer["failures"].as_array().unwrap().len(), 1);
        assert_eq!(answer["failures"][0]["reason"], "MISSING");
        // What the tasks hold is gone: 2,800 MiB less 512, of which the next takes 256 at a time.
        let many =
            json!({"taskDefinition": "app", "containerInstances": vec![arns[2].clone(); 10]});
        let answer = world.call("StartTask", many).await;
        assert_eq!(answer["tasks"].as_array().unwrap().len(), 8);
        let expected = json!({"arn": arns[2], "reason": "RESOURCE:MEMORY"});
        crate::testing::assert_has(&answer["failures"][0], &expected, "failure");
    }

    #[tokio::test]
    async fn an_instance_that_takes_none_says_why() {
        let world = world().await;
        let listed = world.call("ListContainerInstances", json!({})).await;
        let arns = &listed["containerInstanceArns"];
        let start = json!({"taskDefinition": "app", "containerInstances": [arns[0], arns[1]]});
        let drain = json!({"containerInstances": [arns[0]], "status": "DRAINING"});
        world.call("UpdateContainerInstancesState", drain).await;
        let input = json!({"containerInstance": arns[1]});
        world.call("DeregisterContainerInstance", input).await;
        let answer = world.call("StartTask", start).await;
        assert_eq!(answer["tasks"], json!([]));
        let mut reasons: Vec<_> =
            (0..2).map(|n| answer["failures"][n]["reason"].as_str().unwrap()).collect();
        reasons.sort_unstable();
        assert_eq!(reasons, ["AGENT", "INACTIVE"]);
    }
}
