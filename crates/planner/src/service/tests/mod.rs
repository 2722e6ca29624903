//! Cases of a service's plan: the services, tasks and passes that they are made of.

mod circuit_breaker;
mod events;
mod generated;
mod health;
mod places;
mod protection;
mod rollout;
mod short_runs;
mod stages;
mod steps;
mod throttle;
mod trouble;

use std::cell::Cell;

use outport_model::deployment::{DeploymentStatus, ServiceDeploymentStatus};
use outport_model::deployment_configuration::{
    CircuitBreaker, DeploymentConfiguration, DeploymentStrategy,
};
use outport_model::network::AwsvpcConfiguration;
use outport_model::service::{PropagateTags, SchedulingStrategy, ServiceEvent, StartThrottle};
use outport_model::task::{HealthStatus, Reservation, ServiceMembership, TaskOverrides};
use outport_model::task_definition::LaunchType;
use outport_model::{
    AccountId, ClusterName, ContainerId, DeploymentId, DesiredStatus, Family, Region, Scope,
    ServiceDeploymentId, ServiceEventId, ServiceName, Tags, TaskStatus,
};

use super::*;
use crate::deployment;
use crate::placement::Unplaceable;

const NOW_MS: TimestampMs = 1_000_000;

struct CountedIds(Cell<u64>);

impl NewIds for CountedIds {
    fn task_id(&self) -> TaskId {
        TaskId::new(self.uuid())
    }
    fn uuid(&self) -> String {
        self.0.set(self.0.get() + 1);
        format!("id-{}", self.0.get())
    }
    fn hex17(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.uuid())
    }
    fn deployment_id(&self) -> DeploymentId {
        DeploymentId::new(self.uuid())
    }
    fn service_deployment_id(&self) -> ServiceDeploymentId {
        ServiceDeploymentId::new(self.uuid())
    }
}

/// A service with deployments `v1`, `v2`, … of which the last is PRIMARY and IN_PROGRESS and the ones
/// before were COMPLETED.
fn service(desired: u32, minimum: u32, maximum: u32, versions: u32) -> Service {
    let mut service = Service {
        scope: Scope::new(AccountId::new("0"), Region::new("us-east-1")),
        cluster: ClusterName::new("default"),
        name: ServiceName::new("web"),
        status: ServiceStatus::Active,
        family: Family::new("web"),
        revision: 1,
        desired_count: desired,
        launch_type: LaunchType::Fargate,
        platform_version: None,
        scheduling_strategy: SchedulingStrategy::Replica,
        configuration: DeploymentConfiguration {
            minimum_healthy_percent: minimum,
            maximum_percent: maximum,
            circuit_breaker: CircuitBreaker::default(),
            strategy: DeploymentStrategy::Rolling,
            bake_time_min: 0,
            hooks: Vec::new(),
            early_success: None,
        },
        network: AwsvpcConfiguration::default(),
        health_check_grace_period_s: None,
        enable_ecs_managed_tags: false,
        enable_execute_command: false,
        propagate_tags: PropagateTags::None,
        availability_zone_rebalancing: false,
        placement: outport_model::placement::PlacementRules::default(),
        document: "{}".into(),
        role_arn: None,
        created_by: "root".into(),
        created_at_ms: 0,
        deleted_at_ms: None,
        tags: Tags::new(),
        deployments: Vec::new(),
        events: Vec::new(),
        throttle: StartThrottle::default(),
    };
    for version in 1..=versions {
        if let Some(before) = service.deployments.first_mut() {
            before.rollout_state = RolloutState::Completed;
            before.has_run = true;
        }
        service.revision = version;
        service.document = document(version);
        deployment::begin(
            &mut service,
            DeploymentId::new(format!("v{version}")),
            ServiceDeploymentId::new(format!("history-v{version}")),
            "{}".into(),
            0,
        );
    }
    service
}

/// What a caller gave for a version and no decision reads.
fn document(version: u32) -> String {
    format!("{{\"platformVersion\":\"{version}\"}}")
}

fn history_of(service: &Service) -> Vec<Arc<ServiceDeployment>> {
    let target = service.deployments[0].id.clone();
    let sources = service.deployments[1..].iter().map(|d| d.id.clone()).collect();
    vec![Arc::new(ServiceDeployment {
        scope: service.scope.clone(),
        cluster: service.cluster.clone(),
        service: service.name.clone(),
        id: ServiceDeploymentId::new(format!("history-{target}")),
        target_revision: target,
        source_revisions: sources,
        status: ServiceDeploymentStatus::InProgress,
        status_reason: None,
        created_at_ms: 0,
        started_at_ms: Some(0),
        finished_at_ms: None,
        updated_at_ms: 0,
        configuration: "{}".into(),
        rollback_started_at_ms: None,
        progress: None,
    })]
}

/// `v1 running, v2 pending, …`: `healthy` ran for long, `running` just started, `stopping` was told to
/// stop, `failed` ended before RUNNING, `exited` after. With health checks: `well`, `sick` or `unknown`, and `cured` was
/// stopped because it was sick. `… protected` is, for 90 seconds more.
fn tasks(service: &Service, text: &str) -> Vec<Arc<Task>> {
    let words = text.split(", ").filter(|text| !text.is_empty()).enumerate();
    words
        .map(|(index, text)| {
            let (version, state) = text.split_once(' ').unwrap();
            let mut task = blank(service, index, version);
            let state = match state.strip_suffix(" protected") {
                Some(state) => {
                    task.protected_until_ms = Some(NOW_MS + 90_000);
                    state
                }
                None => state,
            };
            match state {
                "pending" => task.last_status = TaskStatus::Pending,
                "running" => task.started_at_ms = Some(NOW_MS),
                "healthy" => task.started_at_ms = Some(NOW_MS - 60_000),
                "well" | "sick" | "unknown" => {
                    task.started_at_ms = Some(NOW_MS - 60_000);
                    task.health = Some(match state {
                        "well" => HealthStatus::Healthy,
                        "sick" => HealthStatus::Unhealthy,
                        _ => HealthStatus::Unknown,
                    });
                }
                "cured" => {
                    task.started_at_ms = Some(NOW_MS - 60_000);
                    task.last_status = TaskStatus::Stopped;
                    task.desired_status = DesiredStatus::Stopped;
                    task.stopped_at_ms = Some(NOW_MS - 1);
                    task.stop_code = Some(StopCode::ServiceSchedulerInitiated);
                    task.stopped_reason = Some(super::health::FAILED_CHECKS.to_owned());
                }
                "stopping" => {
                    task.started_at_ms = Some(NOW_MS - 60_000);
                    task.desired_status = DesiredStatus::Stopped;
                }
                "failed" | "exited" => {
                    task.last_status = TaskStatus::Stopped;
                    task.desired_status = DesiredStatus::Stopped;
                    task.stopped_at_ms = Some(NOW_MS - 1);
                    task.stop_code = Some(StopCode::TaskFailedToStart);
                    task.stopped_reason = Some("CannotPullContainerError: no such image".into());
                    if state == "exited" {
                        task.started_at_ms = Some(NOW_MS - 60_000);
                        task.stop_code = Some(StopCode::EssentialContainerExited);
                    }
                }
                other => panic!("unknown state {other}"),
            }
            Arc::new(task)
        })
        .collect()
}

fn blank(service: &Service, index: usize, version: &str) -> Task {
    Task {
        scope: service.scope.clone(),
        cluster: service.cluster.clone(),
        id: TaskId::new(format!("t{index}")),
        family: service.family.clone(),
        revision: 1,
        launch_type: LaunchType::Fargate,
        capacity_provider: None,
        platform_version: None,
        group: "service:web".into(),
        started_by: None,
        service: Some(ServiceMembership {
            service: service.name.clone(),
            deployment: DeploymentId::new(version),
        }),
        overrides: TaskOverrides::default(),
        network: AwsvpcConfiguration::default(),
        enable_execute_command: false,
        tags: Tags::new(),
        desired_status: DesiredStatus::Running,
        last_status: TaskStatus::Running,
        node: None,
        container_instance: None,
        availability_zone: None,
        reserved: Reservation::default(),
        attachment: None,
        health: None,
        containers: Vec::new(),
        stop_code: None,
        stopped_reason: None,
        created_at_ms: 0,
        connectivity_at_ms: None,
        pull_started_at_ms: None,
        pull_stopped_at_ms: None,
        started_at_ms: None,
        stopping_at_ms: None,
        execution_stopped_at_ms: None,
        stopped_at_ms: None,
        version: 1,
        protected_until_ms: None,
        end_noted: false,
    }
}

/// Plans at `NOW_MS` and hands the plan to `look`.
fn planned<T>(
    service: &Service,
    tasks: &[Arc<Task>],
    look: impl FnOnce(&mut Plan, &Scene<'_>) -> T,
) -> T {
    let history = history_of(service);
    let (ids, settings) = (CountedIds(Cell::new(0)), Settings::default());
    let scene = Scene {
        service,
        tasks,
        history: &history,
        now: Now::steady_at(NOW_MS),
        settings: &settings,
        ids: &ids,
        place_of: &|_| None,
        drains: false,
    };
    let mut plan = plan(&scene);
    look(&mut plan, &scene)
}

/// The messages that one pass adds, the newest first.
fn events(service: &Service, text: &str) -> Vec<String> {
    planned(service, &tasks(service, text), |plan, _| {
        plan.service.events.iter().map(|event| event.message.clone()).collect()
    })
}
