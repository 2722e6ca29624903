//! `ListServices`: the ARNs of a cluster's ACTIVE services.

use std::ops::Bound;

use outport_aws_ecs::{
    ListServicesRequest, ListServicesResponse, ResourceManagementType, SchedulingStrategy,
};
use outport_identity::{Call, Question};
use outport_model::ServiceName;
use outport_model::service::{self, ServiceStatus};
use outport_store::keys::ClusterKey;

use crate::page::{self, PageRequest};
use crate::views::service::arn;
use crate::{EcsService, Rejection, access, lookup, names};

const PAGE_DEFAULT: usize = 10;
const PAGE_MAX: usize = 100;

pub async fn list_services(
    service: &EcsService,
    call: &Call,
    input: ListServicesRequest,
) -> Result<ListServicesResponse, Rejection> {
    let scope = access::scope(call);
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let token = input.next_token.as_deref();
    let request = PageRequest::parse(input.max_results, token, PAGE_DEFAULT, PAGE_MAX)?;
    let question = Question::without_resource("ecs:ListServices");
    let question = access::in_cluster(question, &scope, &cluster);
    let (tables, ()) = service.store.read(call, |_| question.into())?;
    lookup::active_cluster(&tables, &scope, &cluster)?;
    let strategy = input.scheduling_strategy.map(|strategy| match strategy {
        SchedulingStrategy::Replica => service::SchedulingStrategy::Replica,
        SchedulingStrategy::Daemon => service::SchedulingStrategy::Daemon,
    });
    // Services that ECS manages by itself (express gateways) do not exist here.
    let is_managed = input.resource_management_type == Some(ResourceManagementType::Ecs);
    let key = ClusterKey::new(&scope, cluster);
    let start = request.start(ServiceName::new(""), |name| Some(ServiceName::new(name)));
    let start = start.ok_or_else(page::invalid_token)?;
    let services = tables.services.in_cluster(&key).range((start, Bound::Unbounded));
    let listed = services
        .map(|(_, row)| row)
        .filter(|row| row.status == ServiceStatus::Active && !is_managed)
        .filter(|row| {
            input.launch_type.is_none_or(|kind| kind.as_str() == row.launch_type.as_str())
        })
        .filter(|row| strategy.is_none_or(|strategy| strategy == row.scheduling_strategy))
        .map(|row| (row.name.to_string(), arn(row)));
    let page = request.take(listed);
    Ok(ListServicesResponse { service_arns: Some(page.items), next_token: page.next_token })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn ten_to_a_page() {
        let world = World::new();
        world.register("app", json!({})).await;
        for index in 0..11 {
            world.create_service(&format!("web-{index:02}"), "app", 0).await;
        }
        let first = world.call("ListServices", json!({})).await;
        assert_eq!(first["serviceArns"].as_array().unwrap().len(), 10);
        let expected =
            json!({"serviceArns": ["arn:aws:ecs:us-east-1:000000000000:service/default/web-10"]});
        world.check("ListServices", json!({"nextToken": first["nextToken"]}), expected).await;
        for (input, count) in [
            (json!({"launchType": "EC2"}), 0),
            (json!({"schedulingStrategy": "DAEMON"}), 0),
            (json!({"schedulingStrategy": "REPLICA", "maxResults": 100}), 11),
        ] {
            let answer = world.call("ListServices", input).await;
            assert_eq!(answer["serviceArns"].as_array().unwrap().len(), count);
        }
    }
}
