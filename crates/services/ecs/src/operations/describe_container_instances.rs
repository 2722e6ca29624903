//! `DescribeContainerInstances`: nodes as capacity of a cluster.

use outport_aws_ecs::{
    ContainerInstanceField, DescribeContainerInstancesRequest, DescribeContainerInstancesResponse,
};
use outport_identity::Call;
use outport_model::Arn;
use outport_store::keys::ContainerInstanceKey;

use crate::resource::Resource;
use crate::views::container_instance::view;
use crate::views::{MISSING, failure, missing};
use crate::{EcsService, Rejection, access, lookup, names};

/// Source: botocore's documentation of `DescribeContainerInstancesRequest.containerInstances`.
const INSTANCES_PER_CALL_MAX: usize = 100;

pub async fn describe_container_instances(
    service: &EcsService,
    call: &Call,
    input: DescribeContainerInstancesRequest,
) -> Result<DescribeContainerInstancesResponse, Rejection> {
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
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let with_tags =
        input.include.is_some_and(|fields| fields.contains(&ContainerInstanceField::Tags));
    let ids: Vec<_> = wanted
        .iter()
        .map(|text| names::container_instance(&scope, &cluster, text))
        .collect::<Result<_, _>>()?;
    let resources: Vec<_> =
        ids.iter().flatten().map(|id| Resource::container_instance(&scope, &cluster, id)).collect();
    let every = Arn::of("ecs", &scope, format!("container-instance/{cluster}/*"));
    let (tables, ()) = service.store.read(call, |tables| {
        Resource::questions(tables, "ecs:DescribeContainerInstances", &resources, &every)
    })?;
    lookup::active_cluster(&tables, &scope, &cluster)?;
    let (mut instances, mut failures) = (Vec::new(), Vec::new());
    for (text, id) in wanted.into_iter().zip(ids) {
        let Some(id) = id else {
            failures.push(failure(text, MISSING));
            continue;
        };
        let arn = Arn::container_instance(&scope, &cluster, &id).to_string();
        match tables.container_instances.get(&ContainerInstanceKey::new(
            &scope,
            cluster.clone(),
            id,
        )) {
            Some(row) => instances.push(view(&tables, row, with_tags)),
            None => failures.push(missing(text, arn)),
        }
    }
    Ok(DescribeContainerInstancesResponse {
        container_instances: Some(instances),
        failures: Some(failures),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn shows_what_is_left() {
        let world = World::with_node(1024, 2048);
        let definition = json!({
            "family": "ec2", "networkMode": "host",
            "containerDefinitions": [{"name": "a", "image": "b", "cpu": 100, "memory": 128, "portMappings": [{"containerPort": 80}]}],
        });
        world.call("RegisterTaskDefinition", definition).await;
        world.call("RunTask", json!({"taskDefinition": "ec2"})).await;
        let listed = world.call("ListContainerInstances", json!({})).await;
        let arn = &listed["containerInstanceArns"][0];
        let answer = world
            .call(
                "DescribeContainerInstances",
                json!({"containerInstances": [arn, "0".repeat(32)]}),
            )
            .await;
        let instance = &answer["containerInstances"][0];
        let expected = json!({
            "containerInstanceArn": arn, "status": "ACTIVE", "agentConnected": true,
            "runningTasksCount": 0, "pendingTasksCount": 1,
        });
        crate::testing::assert_has(instance, &expected, "instance");
        let left = |name: &str| {
            let resources = instance["remainingResources"].as_array().unwrap();
            resources.iter().find(|resource| resource["name"] == name).unwrap().clone()
        };
        assert_eq!(left("CPU")["integerValue"], 924);
        assert_eq!(left("MEMORY")["integerValue"], 1920);
        assert_eq!(left("PORTS")["stringSetValue"], json!(["22", "80"]));
        let gone = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/00000000000000000000000000000000";
        assert_eq!(answer["failures"], json!([{"arn": gone, "reason": "MISSING"}]));
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        let message = "instanceId length should be one of [32,36]";
        let input = json!({"containerInstances": ["None"]});
        let invalid = "InvalidParameterException";
        world.refuses("DescribeContainerInstances", input, invalid, message).await;
        let message = "Container Instances cannot be empty.";
        world
            .refuses(
                "DescribeContainerInstances",
                json!({"containerInstances": []}),
                "ClientException",
                message,
            )
            .await;
    }
}
