//! `ListContainerInstances`: the nodes that a cluster has as container instances.

use std::ops::Bound;

use outport_aws_ecs::{ListContainerInstancesRequest, ListContainerInstancesResponse};
use outport_identity::Call;
use outport_model::container_instance::ContainerInstance;
use outport_model::{Arn, ContainerInstanceId};
use outport_planner::cluster_query::{Instance, Query};
use outport_store::Tables;
use outport_store::keys::ClusterKey;

use crate::page::{self, PageRequest};
use crate::resource::Resource;
use crate::{EcsService, Rejection, access, lookup, names, placement};

const PAGE_MAX: usize = 100;

pub async fn list_container_instances(
    service: &EcsService,
    call: &Call,
    input: ListContainerInstancesRequest,
) -> Result<ListContainerInstancesResponse, Rejection> {
    let scope = access::scope(call);
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let request =
        PageRequest::parse(input.max_results, input.next_token.as_deref(), PAGE_MAX, PAGE_MAX)?;
    let filter = input.filter.filter(|filter| !filter.is_empty());
    let filter = filter.map(|filter| Query::parse(&filter)).transpose().map_err(|error| {
        Rejection::invalid_parameter(placement::invalid_expression(&error.to_string()))
    })?;
    let resource = Resource::cluster(&scope, &cluster);
    let ask = |tables: &Tables| resource.question(tables, "ecs:ListContainerInstances").into();
    let (tables, ()) = service.store.read(call, ask)?;
    lookup::active_cluster(&tables, &scope, &cluster)?;
    let status = input.status.map(|status| status.as_str());
    let key = ClusterKey::new(&scope, cluster.clone());
    let id = |text: &str| ContainerInstanceId::new(text);
    let start = request.start(id(""), |text| Some(id(text))).ok_or_else(page::invalid_token)?;
    let tasks = tables.tasks.placed_in(&key);
    let is_meant = |row: &ContainerInstance| {
        let node = tables.nodes.get(&row.node).map(|node| &**node);
        let instance = Instance { row, node, tasks: &tasks };
        filter.as_ref().is_none_or(|filter| filter.holds(&instance))
    };
    let instances = tables.container_instances.in_cluster(&key).range((start, Bound::Unbounded));
    let listed = instances
        .map(|(_, row)| row)
        .filter(|row| match status {
            Some(status) => row.status.as_str() == status,
            None => row.status.as_str() != "INACTIVE",
        })
        .filter(|row| is_meant(row))
        .map(|row| {
            (row.id.to_string(), Arn::container_instance(&scope, &cluster, &row.id).to_string())
        });
    let page = request.take(listed);
    Ok(ListContainerInstancesResponse {
        container_instance_arns: Some(page.items),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn lists_by_status() {
        let world = World::with_node(1024, 1024);
        let answer = world.call("ListContainerInstances", json!({})).await;
        assert_eq!(answer["containerInstanceArns"].as_array().unwrap().len(), 1);
        let input = json!({"status": "DRAINING"});
        world.check("ListContainerInstances", input, json!({"containerInstanceArns": []})).await;
        let message = "Cluster not found.";
        world
            .refuses(
                "ListContainerInstances",
                json!({"cluster": "x"}),
                "ClusterNotFoundException",
                message,
            )
            .await;
    }
}
