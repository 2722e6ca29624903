//! `UpdateContainerInstancesState`: DRAINING takes a container instance out of placement and has services replace their tasks on it,
//! ACTIVE takes it in again.
//!
//! The service controller does the replacing, within each service's floor and ceiling; it is woken by the row. Standalone tasks
//! go on. A node is capacity of Fargate, too; its tasks are no instance's, and stay.

use outport_aws_ecs::{
    ContainerInstanceStatus as WireStatus, UpdateContainerInstancesStateRequest,
    UpdateContainerInstancesStateResponse,
};
use outport_identity::Call;
use outport_model::Arn;
use outport_model::container_instance::ContainerInstanceStatus;
use outport_store::Tables;
use outport_store::keys::ContainerInstanceKey;

use crate::resource::Resource;
use crate::views::container_instance::view;
use crate::views::{MISSING, failure, missing};
use crate::{EcsService, Rejection, access, lookup, names};

/// Source: botocore's documentation of `UpdateContainerInstancesStateRequest.containerInstances`.
const INSTANCES_PER_CALL_MAX: usize = 10;
/// Source: moto, which says it in AWS's manner.
const STATUS: &str = "Container instance status should be one of [ACTIVE, DRAINING]";

pub async fn update_container_instances_state(
    service: &EcsService,
    call: &Call,
    input: UpdateContainerInstancesStateRequest,
) -> Result<UpdateContainerInstancesStateResponse, Rejection> {
    let scope = access::scope(call);
    let wanted = input.container_instances.unwrap_or_default();
    if wanted.is_empty() {
        return Err(Rejection::client("Container Instances cannot be empty."));
    }
    if wanted.len() > INSTANCES_PER_CALL_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "instanceIds can have at most {INSTANCES_PER_CALL_MAX} items."
        )));
    }
    let status = match input.status {
        Some(WireStatus::Active) => ContainerInstanceStatus::Active,
        Some(WireStatus::Draining) => ContainerInstanceStatus::Draining,
        _ => return Err(Rejection::invalid_parameter(STATUS)),
    };
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let ids: Vec<_> = wanted
        .iter()
        .map(|text| names::container_instance(&scope, &cluster, text))
        .collect::<Result<_, _>>()?;
    let resources: Vec<_> =
        ids.iter().flatten().map(|id| Resource::container_instance(&scope, &cluster, id)).collect();
    let every = Arn::of("ecs", &scope, format!("container-instance/{cluster}/*"));
    let ask = |tables: &Tables| {
        Resource::questions(tables, "ecs:UpdateContainerInstancesState", &resources, &every)
    };
    service
        .store
        .write_in_place(call, ask, |tx, ()| {
            lookup::active_cluster(tx, &scope, &cluster)?;
            let (mut instances, mut failures) = (Vec::new(), Vec::new());
            for (text, id) in wanted.iter().zip(&ids) {
                let Some(id) = id else {
                    failures.push(failure(text.clone(), MISSING));
                    continue;
                };
                let key = ContainerInstanceKey::new(&scope, cluster.clone(), id.clone());
                let arn = Arn::container_instance(&scope, &cluster, id).to_string();
                let Some(mut row) = tx.container_instances.get(&key).map(|row| (**row).clone())
                else {
                    failures.push(missing(text.clone(), arn));
                    continue;
                };
                // One that was deregistered stays so. The word is that of StartTask; a guess.
                if row.status == ContainerInstanceStatus::Inactive {
                    failures.push(failure(arn, "INACTIVE"));
                    continue;
                }
                if row.status != status {
                    row.status = status;
                    row.version += 1;
                    tx.put(row.clone());
                }
                instances.push(view(tx, &row, true));
            }
            Ok(UpdateContainerInstancesStateResponse {
                container_instances: Some(instances),
                failures: Some(failures),
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::STATUS;
    use crate::testing::World;

    async fn instance(world: &World) -> Value {
        let listed = world.call("ListContainerInstances", json!({})).await;
        listed["containerInstanceArns"][0].clone()
    }

    #[tokio::test]
    async fn an_instance_drains_and_comes_back() {
        let world = World::with_node(1024, 1024);
        let arn = instance(&world).await;
        let to = |status: &str| json!({"containerInstances": [arn], "status": status});
        let expected = json!({
            "containerInstances": [{"containerInstanceArn": arn, "status": "DRAINING", "version": 2}],
            "failures": [],
        });
        world.check("UpdateContainerInstancesState", to("DRAINING"), expected.clone()).await;
        // Again it changes nothing.
        world.check("UpdateContainerInstancesState", to("DRAINING"), expected).await;
        let draining = world.call("ListContainerInstances", json!({"status": "DRAINING"})).await;
        assert_eq!(draining["containerInstanceArns"], json!([arn]));
        let changes = json!({"requiresCompatibilities": ["EC2"], "networkMode": "bridge"});
        world.register("app", changes).await;
        let run = json!({"taskDefinition": "app"});
        let answer = world.call("RunTask", run.clone()).await;
        assert_eq!(answer["failures"][0]["reason"], "AGENT");
        world.call("UpdateContainerInstancesState", to("ACTIVE")).await;
        let answer = world.call("RunTask", run).await;
        assert_eq!(answer["tasks"][0]["containerInstanceArn"], arn);
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::with_node(1024, 1024);
        let arn = instance(&world).await;
        let input = json!({"containerInstances": [arn], "status": "REGISTERING"});
        let exception = "InvalidParameterException";
        world.refuses("UpdateContainerInstancesState", input, exception, STATUS).await;
        let gone = "0".repeat(32);
        let input = json!({"containerInstances": [arn, gone], "status": "DRAINING"});
        let answer = world.call("UpdateContainerInstancesState", input).await;
        assert_eq!(answer["containerInstances"].as_array().unwrap().len(), 1);
        assert_eq!(answer["failures"][0]["reason"], "MISSING");
        world.call("DeregisterContainerInstance", json!({"containerInstance": arn})).await;
        let input = json!({"containerInstances": [arn], "status": "ACTIVE"});
        let answer = world.call("UpdateContainerInstancesState", input).await;
        assert_eq!(answer["failures"], json!([{"arn": arn, "reason": "INACTIVE"}]));
    }
}
