//! Begins a deployment of a service, with the history that describes show of it.

use outport_aws_ecs as wire;
use outport_aws_wire::to_json;
use outport_model::NewIds;
use outport_model::deployment::ServiceRevision;
use outport_model::service::Service;
use outport_model::task_definition::LaunchType;
use outport_planner::deployment;
use outport_store::Transaction;

use crate::deployment_configuration;

/// Makes what the service asks for now its PRIMARY deployment and puts all rows of it. `network` is the network
/// configuration as the caller gave it.
pub fn begin(
    tx: &mut Transaction<'_>,
    service: &mut Service,
    network: Option<wire::NetworkConfiguration>,
) {
    let configuration = to_json(&deployment_configuration::view(&service.configuration));
    let (id, history_id, now_ms) = (tx.deployment_id(), tx.service_deployment_id(), tx.now_ms());
    let history = deployment::begin(service, id.clone(), history_id, configuration, now_ms);
    tx.put(history);
    tx.put(ServiceRevision {
        scope: service.scope.clone(),
        cluster: service.cluster.clone(),
        service: service.name.clone(),
        id,
        document: to_json(&revision(service, network)),
        created_at_ms: now_ms,
        image_digests: Vec::new(),
    });
    tx.put(service.clone());
}

fn revision(
    service: &Service,
    network: Option<wire::NetworkConfiguration>,
) -> wire::ServiceRevision {
    let definition =
        outport_model::Arn::task_definition(&service.scope, &service.family, service.revision);
    let is_fargate = service.launch_type == LaunchType::Fargate;
    let kept: wire::Service = crate::views::stored(&service.document).unwrap_or_default();
    let strategy = kept.capacity_provider_strategy;
    wire::ServiceRevision {
        task_definition: Some(definition.to_string()),
        launch_type: match strategy {
            None => wire::LaunchType::from_name(service.launch_type.as_str()),
            Some(_) => None,
        },
        capacity_provider_strategy: strategy,
        platform_version: service.platform_version.clone(),
        platform_family: is_fargate.then(|| "Linux".to_owned()),
        load_balancers: Some(Vec::new()),
        service_registries: Some(Vec::new()),
        network_configuration: network.map(shown_network),
        guard_duty_enabled: Some(false),
        ..wire::ServiceRevision::default()
    }
}

/// A network configuration as AWS shows it: nothing is left out.
pub fn shown_network(mut given: wire::NetworkConfiguration) -> wire::NetworkConfiguration {
    if let Some(awsvpc) = &mut given.awsvpc_configuration {
        awsvpc.subnets.get_or_insert_default();
        awsvpc.security_groups.get_or_insert_default();
        awsvpc.assign_public_ip.get_or_insert(wire::AssignPublicIp::Disabled);
    }
    given
}
