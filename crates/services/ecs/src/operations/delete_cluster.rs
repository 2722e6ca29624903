//! `DeleteCluster`: a cluster with nothing in it becomes INACTIVE; it stays describable.

use outport_aws_ecs::{DeleteClusterRequest, DeleteClusterResponse};
use outport_identity::Call;
use outport_model::cluster::ClusterStatus;
use outport_model::container_instance::ContainerInstanceStatus;
use outport_model::service::ServiceStatus;
use outport_model::{ClusterName, DesiredStatus, Scope, TaskStatus};
use outport_store::keys::ClusterKey;
use outport_store::{Tables, TaskFacet, Transaction};

use crate::resource::Resource;
use crate::views::cluster::{Include, view};
use crate::{EcsService, Rejection, access, lookup, names};

pub async fn delete_cluster(
    service: &EcsService,
    call: &Call,
    input: DeleteClusterRequest,
) -> Result<DeleteClusterResponse, Rejection> {
    let scope = access::scope(call);
    if input.cluster.as_deref().is_none_or(str::is_empty) {
        return Err(Rejection::client("Cluster can not be blank."));
    }
    let name = names::cluster(&scope, input.cluster.as_deref())?;
    let resource = Resource::cluster(&scope, &name);
    let ask = |tables: &Tables| resource.question(tables, "ecs:DeleteCluster").into();
    service.store.write_always(call, ask, |tx, ()| delete(tx, &scope, &name)).await
}

fn delete(
    tx: &mut Transaction<'_>,
    scope: &Scope,
    name: &ClusterName,
) -> Result<DeleteClusterResponse, Rejection> {
    let mut cluster = (**lookup::active_cluster(tx, scope, name)?).clone();
    let key = ClusterKey::new(scope, name.clone());
    check_empty(tx, &key)?;
    cluster.status = ClusterStatus::Inactive;
    cluster.deleted_at_ms = Some(tx.now_ms());
    tx.put(cluster.clone());
    Ok(DeleteClusterResponse { cluster: Some(view(tx, &cluster, Include::default())) })
}

/// Asks in AWS's order: instances, services, tasks.
fn check_empty(tables: &Tables, key: &ClusterKey) -> Result<(), Rejection> {
    let mut instances = tables.container_instances.in_cluster(key).values();
    if instances.any(|instance| instance.status != ContainerInstanceStatus::Inactive) {
        return Err(Rejection::ClusterContainsContainerInstances);
    }
    let mut services = tables.services.in_cluster(key).values();
    if services.any(|service| service.status != ServiceStatus::Inactive) {
        return Err(Rejection::ClusterContainsServices);
    }
    let has_tasks = [DesiredStatus::Running, DesiredStatus::Stopped].into_iter().any(|desired| {
        let ids = tables.tasks.with_facet(key, desired, TaskFacet::Any).iter();
        let mut tasks = ids.filter_map(|id| tables.tasks.by_id(id));
        tasks.any(|task| task.last_status < TaskStatus::Stopped)
    });
    if has_tasks {
        return Err(Rejection::ClusterContainsTasks);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn an_empty_cluster_becomes_inactive_and_comes_back() {
        let world = World::new();
        world.call("CreateCluster", json!({"clusterName": "web"})).await;
        world
            .check(
                "DeleteCluster",
                json!({"cluster": "web"}),
                json!({"cluster": {"status": "INACTIVE"}}),
            )
            .await;
        let input = json!({"clusters": ["web"]});
        world
            .check(
                "DescribeClusters",
                input,
                json!({"clusters": [{"status": "INACTIVE"}], "failures": []}),
            )
            .await;
        world
            .refuses(
                "DeleteCluster",
                json!({"cluster": "web"}),
                "ClusterNotFoundException",
                "The referenced cluster was inactive.",
            )
            .await;
        world
            .check(
                "CreateCluster",
                json!({"clusterName": "web"}),
                json!({"cluster": {"status": "ACTIVE"}}),
            )
            .await;
    }

    #[tokio::test]
    async fn what_is_in_it_is_in_the_way() {
        let world = World::with_node(2048, 4096);
        let message =
            "The Cluster cannot be deleted while Container Instances are active or draining.";
        let input = json!({"cluster": "default"});
        world
            .refuses("DeleteCluster", input, "ClusterContainsContainerInstancesException", message)
            .await;
        let world = World::new();
        world.register("app", json!({})).await;
        world.create_service("web", "app", 0).await;
        let message = "The Cluster cannot be deleted while Services are active.";
        let input = json!({"cluster": "default"});
        world.refuses("DeleteCluster", input, "ClusterContainsServicesException", message).await;
    }

    #[tokio::test]
    async fn a_cluster_that_is_not_there() {
        let world = World::new();
        world
            .refuses(
                "DeleteCluster",
                json!({"cluster": "x"}),
                "ClusterNotFoundException",
                "Cluster not found.",
            )
            .await;
    }
}
