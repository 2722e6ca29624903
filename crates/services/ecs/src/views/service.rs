//! A service, with the counts that the store keeps of its tasks.
//!
//! **Invariant:** `deployments` is there, and while the service is ACTIVE it is not empty: waiters count it.

use outport_aws_ecs as wire;
use outport_model::deployment::{Deployment, DeploymentStatus};
use outport_model::service::{PropagateTags, SchedulingStrategy, Service, ServiceEvent};
use outport_model::task_definition::LaunchType;
use outport_model::{Arn, DeploymentId};
use outport_store::keys::{ServiceKey, ServiceRevisionKey};
use outport_store::{DeploymentCounts, Tables};

use super::{count, timestamp};
use crate::{deployment_configuration, placement, tags};

/// A service; its tags only when they are asked for.
pub fn view(tables: &Tables, row: &Service, with_tags: bool) -> wire::Service {
    let key = ServiceKey::new(&row.scope, row.cluster.clone(), row.name.clone());
    let counts = tables.tasks.counts_of_service(&key);
    let kept: wire::Service = super::stored(&row.document).unwrap_or_default();
    wire::Service {
        service_arn: Some(arn(row)),
        service_name: Some(row.name.to_string()),
        cluster_arn: Some(Arn::cluster(&row.scope, &row.cluster).to_string()),
        load_balancers: Some(Vec::new()),
        service_registries: Some(Vec::new()),
        status: Some(row.status.as_str().to_owned()),
        desired_count: number(row.desired_count),
        running_count: count(counts.running),
        pending_count: count(counts.pending),
        launch_type: launch_type(row.launch_type, kept.capacity_provider_strategy.as_deref()),
        platform_family: platform_family(row.launch_type),
        task_definition: Some(
            Arn::task_definition(&row.scope, &row.family, row.revision).to_string(),
        ),
        deployment_configuration: Some(deployment_configuration::view(&row.configuration)),
        deployments: Some(row.deployments.iter().map(|one| deployment(tables, row, one)).collect()),
        role_arn: row.role_arn.clone(),
        events: Some(row.events.iter().map(event).collect()),
        created_at: timestamp(Some(row.created_at_ms)),
        current_service_deployment: current_deployment(tables, row, &key),
        current_service_revisions: Some(
            row.deployments.iter().map(|one| current_revision(tables, row, one)).collect(),
        ),
        placement_constraints: Some(placement::constraints_view(&row.placement)),
        placement_strategy: Some(placement::strategy_view(&row.placement)),
        health_check_grace_period_seconds: row.health_check_grace_period_s.and_then(number),
        scheduling_strategy: Some(match row.scheduling_strategy {
            SchedulingStrategy::Replica => wire::SchedulingStrategy::Replica,
            SchedulingStrategy::Daemon => wire::SchedulingStrategy::Daemon,
        }),
        deployment_controller: Some(wire::DeploymentController {
            r#type: Some(wire::DeploymentControllerType::Ecs),
        }),
        tags: with_tags.then(|| tags::view(&row.tags)),
        created_by: Some(row.created_by.clone()),
        enable_ecs_managed_tags: Some(row.enable_ecs_managed_tags),
        propagate_tags: Some(match row.propagate_tags {
            PropagateTags::None => wire::PropagateTags::None,
            PropagateTags::Service => wire::PropagateTags::Service,
            PropagateTags::TaskDefinition => wire::PropagateTags::TaskDefinition,
        }),
        enable_execute_command: Some(row.enable_execute_command),
        availability_zone_rebalancing: Some(if row.availability_zone_rebalancing {
            wire::AvailabilityZoneRebalancing::Enabled
        } else {
            wire::AvailabilityZoneRebalancing::Disabled
        }),
        ..kept
    }
}

/// `arn:…:service/cluster/name`.
pub fn arn(row: &Service) -> String {
    Arn::service_of(&row.scope, &row.cluster, &row.name).to_string()
}

fn number(count: u32) -> Option<i32> {
    Some(i32::try_from(count).unwrap_or(i32::MAX))
}

fn platform_family(launch_type: LaunchType) -> Option<String> {
    (launch_type == LaunchType::Fargate).then(|| "Linux".to_owned())
}

fn deployment(tables: &Tables, service: &Service, row: &Deployment) -> wire::Deployment {
    let key = ServiceKey::new(&service.scope, service.cluster.clone(), service.name.clone());
    let counts = tables.tasks.counts_of_deployment(&key, &row.id);
    let revision = revision(tables, service, &row.id).unwrap_or_default();
    let strategy = revision.capacity_provider_strategy;
    wire::Deployment {
        id: Some(format!("ecs-svc/{}", row.id)),
        status: Some(row.status.as_str().to_owned()),
        task_definition: Some(
            Arn::task_definition(&service.scope, &row.family, row.revision).to_string(),
        ),
        desired_count: count(desired_count(service, row, counts)),
        pending_count: count(counts.pending),
        running_count: count(counts.running),
        failed_tasks: number(row.failed_tasks),
        created_at: timestamp(Some(row.created_at_ms)),
        updated_at: timestamp(Some(row.updated_at_ms)),
        launch_type: launch_type(row.launch_type, strategy.as_deref()),
        capacity_provider_strategy: strategy,
        platform_version: row.platform_version.clone(),
        platform_family: platform_family(row.launch_type),
        network_configuration: revision.network_configuration,
        rollout_state: wire::DeploymentRolloutState::from_name(row.rollout_state.as_str()),
        rollout_state_reason: Some(row.rollout_state_reason.clone()),
        ..wire::Deployment::default()
    }
}

/// `desiredCount` of one entry of `deployments[]`: what the service wants of the PRIMARY one, and what is left of one
/// that is being replaced.
pub fn desired_count(service: &Service, row: &Deployment, counts: DeploymentCounts) -> usize {
    match row.status {
        DeploymentStatus::Primary => service.desired_count as usize,
        _ => counts.wanted,
    }
}

/// What the service revision of a deployment keeps as the caller gave it.
fn revision(
    tables: &Tables,
    service: &Service,
    id: &DeploymentId,
) -> Option<wire::ServiceRevision> {
    let (cluster, name) = (service.cluster.clone(), service.name.clone());
    let key = ServiceRevisionKey::new(&service.scope, cluster, name, id.clone());
    super::stored(&tables.service_revisions.get(&key)?.document)
}

/// A launch type is shown where no capacity provider strategy is.
fn launch_type(
    launch_type: LaunchType,
    strategy: Option<&[wire::CapacityProviderStrategyItem]>,
) -> Option<wire::LaunchType> {
    match strategy {
        None => wire::LaunchType::from_name(launch_type.as_str()),
        Some(_) => None,
    }
}

/// The newest history row of the PRIMARY deployment.
fn current_deployment(tables: &Tables, service: &Service, key: &ServiceKey) -> Option<String> {
    let primary = service.deployments.first()?;
    let rows = tables.service_deployments.of_service(key);
    let row = rows
        .values()
        .filter(|row| row.target_revision == primary.id)
        .max_by_key(|row| row.created_at_ms)?;
    let arn = Arn::service_deployment(&service.scope, &service.cluster, &service.name, &row.id);
    Some(arn.to_string())
}

fn current_revision(
    tables: &Tables,
    service: &Service,
    row: &Deployment,
) -> wire::ServiceCurrentRevisionSummary {
    let key = ServiceKey::new(&service.scope, service.cluster.clone(), service.name.clone());
    let counts = tables.tasks.counts_of_deployment(&key, &row.id);
    let arn = Arn::service_revision(&service.scope, &service.cluster, &service.name, &row.id);
    wire::ServiceCurrentRevisionSummary {
        arn: Some(arn.to_string()),
        requested_task_count: count(desired_count(service, row, counts)),
        running_task_count: count(counts.running),
        pending_task_count: count(counts.pending),
    }
}

fn event(row: &ServiceEvent) -> wire::ServiceEvent {
    wire::ServiceEvent {
        id: Some(row.id.to_string()),
        created_at: timestamp(Some(row.at_ms)),
        message: Some(row.message.clone()),
    }
}
