//! `DeleteService`: the service becomes DRAINING; the service controller ends its tasks and makes it INACTIVE.

use outport_aws_ecs::{DeleteServiceRequest, DeleteServiceResponse};
use outport_identity::Call;
use outport_model::service::{Service, ServiceStatus};
use outport_model::{ClusterName, Scope, ServiceName};
use outport_store::{Tables, Transaction};

use crate::resource::Resource;
use crate::views::service::view;
use crate::{EcsService, Rejection, access, lookup, names};

pub async fn delete_service(
    service: &EcsService,
    call: &Call,
    input: DeleteServiceRequest,
) -> Result<DeleteServiceResponse, Rejection> {
    let scope = access::scope(call);
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let text = input.service.unwrap_or_default();
    let name = names::service(&scope, &cluster, &text)?.ok_or(Rejection::ServiceNotFound)?;
    let resource = Resource::service(&scope, &cluster, &name);
    let ask = |tables: &Tables| resource.question(tables, "ecs:DeleteService").into();
    let is_forced = input.force == Some(true);
    service
        .store
        .write_always(call, ask, |tx, ()| delete(tx, &scope, &cluster, &name, is_forced))
        .await
}

fn delete(
    tx: &mut Transaction<'_>,
    scope: &Scope,
    cluster: &ClusterName,
    name: &ServiceName,
    is_forced: bool,
) -> Result<DeleteServiceResponse, Rejection> {
    lookup::active_cluster(tx, scope, cluster)?;
    let row = lookup::service(tx, scope, cluster, name).ok_or(Rejection::ServiceNotFound)?;
    let mut row = Service::clone(row);
    match row.status {
        ServiceStatus::Inactive => return Err(Rejection::ServiceNotActive),
        ServiceStatus::Draining => {}
        ServiceStatus::Active => {
            check(&row, is_forced)?;
            row.status = ServiceStatus::Draining;
            row.desired_count = 0;
            row.deleted_at_ms = Some(tx.now_ms());
            tx.put(row.clone());
        }
    }
    Ok(DeleteServiceResponse { service: Some(view(tx, &row, true)) })
}

fn check(row: &Service, is_forced: bool) -> Result<(), Rejection> {
    if is_forced {
        return Ok(());
    }
    if row.desired_count > 0 {
        return Err(Rejection::invalid_parameter(
            "The service cannot be stopped while it is scaled above 0.",
        ));
    }
    if row.deployments.len() > 1 {
        return Err(Rejection::invalid_parameter(
            "The service cannot be stopped while deployments are active.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    async fn world(desired_count: u32) -> World {
        let world = World::new();
        world.register("app", json!({})).await;
        world.create_service("web", "app", desired_count).await;
        world
    }

    #[tokio::test]
    async fn a_service_drains() {
        let world = world(0).await;
        let expected = json!({"service": {"status": "DRAINING", "desiredCount": 0}});
        world.check("DeleteService", json!({"service": "web"}), expected.clone()).await;
        world.check("ListServices", json!({}), json!({"serviceArns": []})).await;
        let described = json!({"services": [{"status": "DRAINING"}], "failures": []});
        world.check("DescribeServices", json!({"services": ["web"]}), described).await;
        world.check("DeleteService", json!({"service": "web"}), expected).await;
        let input = json!({
            "serviceName": "web", "taskDefinition": "app", "desiredCount": 0, "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-0"]}},
        });
        let message = "Unable to Start a service that is still Draining.";
        world.refuses("CreateService", input, "InvalidParameterException", message).await;
    }

    #[tokio::test]
    async fn tasks_are_in_the_way_unless_it_is_forced() {
        let world = world(2).await;
        let message = "The service cannot be stopped while it is scaled above 0.";
        world
            .refuses(
                "DeleteService",
                json!({"service": "web"}),
                "InvalidParameterException",
                message,
            )
            .await;
        let input = json!({"service": "web", "force": true});
        world.check("DeleteService", input, json!({"service": {"status": "DRAINING"}})).await;
        let message = "Service not found.";
        world
            .refuses("DeleteService", json!({"service": "x"}), "ServiceNotFoundException", message)
            .await;
    }
}
