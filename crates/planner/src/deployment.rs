//! Begins a deployment, and goes back to the one before: what CreateService, UpdateService, StopServiceDeployment and the
//! circuit breaker do to the row of a service.

use outport_model::deployment::{
    Deployment, DeploymentStatus, Progress, RolloutState, ServiceDeployment,
    ServiceDeploymentStatus,
};
use outport_model::deployment_configuration::{ALL_PERMILLE, DeploymentStrategy, LifecycleStage};
use outport_model::service::{Service, StartThrottle};
use outport_model::{DeploymentId, ServiceDeploymentId, TimestampMs};

/// Makes a new PRIMARY deployment of what the service asks for now (task definition, network, launch
/// type, platform version) and the history row for it. The deployments before become ACTIVE and are
/// replaced step by step; the delays of earlier failures are forgotten.
///
/// `configuration` is the JSON of AWS's `DeploymentConfiguration`. The caller also puts the
/// `ServiceRevision` of the same id.
pub fn begin(
    service: &mut Service,
    id: DeploymentId,
    service_deployment_id: ServiceDeploymentId,
    configuration: String,
    now_ms: TimestampMs,
) -> ServiceDeployment {
    for deployment in &mut service.deployments {
        if deployment.status == DeploymentStatus::Primary {
            deployment.status = DeploymentStatus::Active;
            deployment.updated_at_ms = now_ms;
        }
    }
    // One that failed and is only shown still is nothing that anybody comes from.
    let is_source = |one: &&Deployment| one.rollout_state != RolloutState::Failed || one.has_run;
    let sources = service.deployments.iter().filter(is_source);
    let source_revisions = sources.map(|one| one.id.clone()).collect();
    let primary = Deployment {
        id: id.clone(),
        status: DeploymentStatus::Primary,
        family: service.family.clone(),
        revision: service.revision,
        launch_type: service.launch_type,
        platform_version: service.platform_version.clone(),
        network: service.network.clone(),
        document: service.document.clone(),
        rollout_state: RolloutState::InProgress,
        rollout_state_reason: in_progress_reason(&id),
        failed_tasks: 0,
        has_run: false,
        image_digests: Vec::new(),
        traffic_permille: None,
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
    };
    service.deployments.insert(0, primary);
    service.throttle = StartThrottle::default();
    begin_traffic(service);
    let progress = first_stage(service);
    ServiceDeployment {
        scope: service.scope.clone(),
        cluster: service.cluster.clone(),
        service: service.name.clone(),
        id: service_deployment_id,
        target_revision: id,
        source_revisions,
        status: ServiceDeploymentStatus::Pending,
        status_reason: None,
        created_at_ms: now_ms,
        started_at_ms: None,
        finished_at_ms: None,
        updated_at_ms: now_ms,
        configuration,
        rollback_started_at_ms: None,
        progress,
    }
}

/// Where a new deployment begins that goes in stages.
fn first_stage(service: &Service) -> Option<Progress> {
    let configuration = &service.configuration;
    let is_rolling = configuration.strategy == DeploymentStrategy::Rolling;
    if is_rolling && configuration.hooks.is_empty() && configuration.bake_time_min == 0 {
        return None;
    }
    // Of a rolling deployment all revisions before share what there is to do.
    let stage = match service.deployments.len() {
        3.. if !is_rolling => LifecycleStage::ReconcileService,
        _ => LifecycleStage::PreScaleUp,
    };
    let strategy = configuration.strategy;
    Some(Progress { strategy, stage, done_at_ms: None, hooks: Vec::new(), test_permille: 0 })
}

/// The traffic stays where it is, and a first deployment has all of it. Rolling deployments share one door.
fn begin_traffic(service: &mut Service) {
    if service.configuration.strategy == DeploymentStrategy::Rolling {
        service.deployments.iter_mut().for_each(|one| one.traffic_permille = None);
        return;
    }
    let before: u32 =
        service.deployments.iter().skip(1).filter_map(|one| one.traffic_permille).sum();
    if before == ALL_PERMILLE {
        service.deployments[0].traffic_permille = Some(0);
    } else {
        give_all_traffic_to_serving(service);
    }
}

/// Whether traffic is shifted from deployment to deployment: whatever the service is configured for by now.
pub fn is_shifted(service: &Service) -> bool {
    service.deployments.first().is_some_and(|primary| primary.traffic_permille.is_some())
}

/// Of `deployments`, the place of the one beside the PRIMARY one that has most of the traffic; if none has any, of the
/// last completed one, else of the newest.
pub fn serving(deployments: &[Deployment]) -> Option<usize> {
    let others = || deployments.iter().enumerate().skip(1);
    let with_traffic = others().filter(|(_, one)| one.traffic_permille > Some(0));
    // The first of several with as much: the newest.
    let most = with_traffic.rev().max_by_key(|(_, one)| one.traffic_permille);
    let completed = || others().find(|(_, one)| one.rollout_state == RolloutState::Completed);
    most.or_else(completed).or_else(|| others().next()).map(|(position, _)| position)
}

/// Nothing goes to the PRIMARY deployment, unless there is no other.
pub fn give_all_traffic_to_serving(service: &mut Service) {
    let position = serving(&service.deployments).unwrap_or(0);
    give_all_traffic_to(service, position);
}

fn give_all_traffic_to(service: &mut Service, position: usize) {
    for (place, one) in service.deployments.iter_mut().enumerate() {
        one.traffic_permille = Some(if place == position { ALL_PERMILLE } else { 0 });
    }
}

/// What a deployment that is gone had of the traffic goes to those that are left.
pub fn keep_all_traffic(service: &mut Service) {
    let weights = service.deployments.iter().filter_map(|one| one.traffic_permille);
    if is_shifted(service) && weights.sum::<u32>() != ALL_PERMILLE {
        give_all_traffic_to_serving(service);
    }
}

/// The next part of the traffic goes to the PRIMARY deployment, from the one that has it.
pub fn shift_traffic(service: &mut Service, strategy: DeploymentStrategy) {
    let Some(from) = serving(&service.deployments) else {
        return give_all_traffic_to(service, 0);
    };
    let primary = service.deployments.first().and_then(|one| one.traffic_permille);
    let permille = strategy.next_permille(primary.unwrap_or(0));
    for (place, one) in service.deployments.iter_mut().enumerate() {
        one.traffic_permille = Some(match place {
            0 => permille,
            place if place == from => ALL_PERMILLE - permille,
            _ => 0,
        });
    }
}

/// Why a roll-out is given up for the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUpBy {
    CircuitBreaker,
    User,
    /// Nobody answered a pause in its time.
    HookTimeout,
    /// A user, without going back.
    Abort,
}

impl GivenUpBy {
    /// The `rolloutStateReason` of the deployment, and the `statusReason` of the service deployment.
    pub fn reason(self) -> &'static str {
        match self {
            Self::CircuitBreaker => "ECS deployment circuit breaker: tasks failed to start.",
            Self::User => "Service deployment rolled back by user.",
            // These two are guesses.
            Self::Abort => "Service deployment stopped by user.",
            Self::HookTimeout => {
                "Service deployment rolled back because a lifecycle hook timed out."
            }
        }
    }

    fn rolling_back_reason(self, to: &DeploymentId) -> String {
        let what = match self {
            Self::CircuitBreaker => "circuit breaker",
            Self::User | Self::Abort => "stopped by user",
            Self::HookTimeout => "lifecycle hook timed out",
        };
        format!("ECS deployment {what}: rolling back to deploymentId ecs-svc/{to}.")
    }
}

/// The PRIMARY deployment is FAILED: no more of its tasks are started.
pub fn give_up(service: &mut Service, by: GivenUpBy, now_ms: TimestampMs) {
    if let Some(primary) = service.deployments.first_mut() {
        primary.rollout_state = RolloutState::Failed;
        primary.rollout_state_reason = by.reason().to_owned();
        primary.updated_at_ms = now_ms;
    }
}

/// After `give_up`, without going back: what has the traffic has all of it, and the rest is left to the user.
pub fn abort(service: &mut Service) {
    if is_shifted(service) {
        give_all_traffic_to_serving(service);
    }
}

/// After `give_up`: makes the last completed deployment, or the one that had the traffic, PRIMARY again, and the service what it was then. `None`: there is
/// none, and nothing changed.
pub fn roll_back(
    service: &mut Service,
    by: GivenUpBy,
    now_ms: TimestampMs,
) -> Option<DeploymentId> {
    let is_good = |one: &Deployment| one.rollout_state == RolloutState::Completed;
    let is_shifted = is_shifted(service);
    let has_failed = |position: &usize| {
        let one = service.deployments.get(*position);
        one.is_none_or(|one| one.rollout_state == RolloutState::Failed)
    };
    let serving = serving(&service.deployments).filter(|position| !has_failed(position));
    let position = match serving.filter(|_| is_shifted) {
        Some(position) => position,
        None => service.deployments.iter().position(is_good)?,
    };
    if is_shifted {
        give_all_traffic_to(service, position);
    }
    let mut good = service.deployments.remove(position);
    if let Some(failed) = service.deployments.first_mut() {
        failed.status = DeploymentStatus::Active;
    }
    good.status = DeploymentStatus::Primary;
    good.rollout_state = RolloutState::InProgress;
    good.rollout_state_reason = by.rolling_back_reason(&good.id);
    good.updated_at_ms = now_ms;
    service.family.clone_from(&good.family);
    service.revision = good.revision;
    service.launch_type = good.launch_type;
    service.platform_version.clone_from(&good.platform_version);
    service.network.clone_from(&good.network);
    if !good.document.is_empty() {
        service.document.clone_from(&good.document);
    }
    service.throttle = StartThrottle::default();
    let id = good.id.clone();
    service.deployments.insert(0, good);
    Some(id)
}

pub fn in_progress_reason(id: &DeploymentId) -> String {
    format!("ECS deployment ecs-svc/{id} in progress.")
}

pub fn completed_reason(id: &DeploymentId) -> String {
    format!("ECS deployment ecs-svc/{id} completed.")
}
