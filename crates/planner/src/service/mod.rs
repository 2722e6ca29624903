//! Brings the tasks of one service to what the service asks for, one safe step at a time. Scaling,
//! replacement and rolling deployment are the same question.
//!
//! ```text
//! deployment:  PRIMARY, IN_PROGRESS --steady--> PRIMARY, COMPLETED
//!                   |  \--newer deployment--> ACTIVE --no tasks left--> gone
//!                   \--circuit breaker--> FAILED [--rollback--> the last COMPLETED one is PRIMARY again]
//!              in stages between the two, if it is blue/green, linear, canary or has pauses: see `stages`
//! service:     ACTIVE --deleted--> DRAINING --no tasks left--> INACTIVE
//! ```
//!
//! A pass of the controller, in one transaction: `plan`, then the starts that the plan asks for through
//! `task_start`, then `record_starts`, then put `plan.service` and the other rows.
//!
//! **Invariant:** by itself the plan never takes a service below its floor of healthy tasks nor above
//! its ceiling of wanted ones.
//!
//! Source: "Rolling update deployments" and "Service throttle logic" in the Amazon ECS Developer Guide.

mod circuit_breaker;
pub mod events;
mod health;
mod protection;
mod rollout;
mod scale_in;
mod short_runs;
mod sides;
mod stages;
mod steps;
mod throttle;
mod trouble;

use std::sync::Arc;

use outport_model::capacity::Candidate;
use outport_model::container_instance::ContainerInstanceStatus;
use outport_model::deployment::{RolloutState, ServiceDeployment};
use outport_model::service::{Service, ServiceStatus};
use outport_model::task::{StopCode, Task};
use outport_model::{DeploymentId, NewIds, Now, TaskId, TimestampMs};

use crate::placement::Rejection;
use crate::settings::Settings;

pub use events::is_of_no_place;
pub use rollout::is_unfinished;
pub use short_runs::is_of_short_runs;
pub use steps::Stop;
pub use trouble::troubled_nodes;

/// What a plan is made from: all rows of one service, and the time.
pub struct Scene<'a> {
    pub service: &'a Service,
    /// All its tasks that are kept, the stopped ones included, in the order of their ids.
    pub tasks: &'a [Arc<Task>],
    /// Its service deployments that are not finished; finished ones do no harm.
    pub history: &'a [Arc<ServiceDeployment>],
    pub now: Now,
    pub settings: &'a Settings,
    /// For the ids of events.
    pub ids: &'a dyn NewIds,
    /// Where a task is that is on a container instance of the cluster.
    pub place_of: &'a dyn Fn(&Task) -> Option<Candidate<'a>>,
    /// Whether any of the cluster's container instances is DRAINING.
    pub drains: bool,
}

impl Scene<'_> {
    /// Whether the task has to leave its container instance, which is DRAINING.
    fn is_draining(&self, task: &Task) -> bool {
        if !self.drains {
            return false;
        }
        let instance = (self.place_of)(task).and_then(|candidate| candidate.container_instance);
        instance.is_some_and(|row| row.status == ContainerInstanceStatus::Draining)
    }
}

/// What to do now.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The row to put, after `record_starts`.
    pub service: Service,
    /// Service deployments that moved on.
    pub history: Vec<ServiceDeployment>,
    /// Tasks whose end was taken note of: their `end_noted` becomes true.
    pub noted: Vec<TaskId>,
    /// How many tasks of the PRIMARY deployment to start.
    pub starts: u32,
    /// And of the one that keeps the traffic beside it.
    pub starts_of_serving: Option<Starts>,
    pub stops: Vec<Stop>,
    /// When to plan again although nothing changed; `None`: when something does.
    pub look_again_at_ms: Option<TimestampMs>,
}

/// Tasks to start of a deployment that is not the PRIMARY one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Starts {
    pub deployment: DeploymentId,
    pub count: u32,
}

impl Plan {
    /// Asks for another look at `at_ms`, unless it comes earlier anyway.
    fn look_again_by(&mut self, at_ms: TimestampMs) {
        self.look_again_at_ms =
            Some(self.look_again_at_ms.map_or(at_ms, |earliest| earliest.min(at_ms)));
    }

    /// Whether tasks are to be started.
    pub fn has_starts(&self) -> bool {
        self.starts > 0 || self.starts_of_serving.is_some()
    }

    /// Whether there is nothing to write.
    pub fn is_idle(&self, service: &Service) -> bool {
        !self.has_starts()
            && self.stops.is_empty()
            && self.noted.is_empty()
            && self.history.is_empty()
            && self.service == *service
    }
}

/// The steps that are safe now.
pub fn plan(scene: &Scene<'_>) -> Plan {
    let mut plan = Plan {
        service: scene.service.clone(),
        history: Vec::new(),
        noted: Vec::new(),
        starts: 0,
        starts_of_serving: None,
        stops: Vec::new(),
        look_again_at_ms: None,
    };
    match scene.service.status {
        ServiceStatus::Inactive => return plan,
        ServiceStatus::Draining => drain(scene, &mut plan),
        ServiceStatus::Active => keep(scene, &mut plan),
    }
    let stopped: Vec<TaskId> = plan.stops.iter().map(|stop| stop.task.clone()).collect();
    for stop in plan.stops.iter().filter(|stop| stop.reason == health::FAILED_CHECKS) {
        events::failed_checks(&mut plan.service, &stop.task, scene);
    }
    events::stopped(&mut plan.service, &stopped, scene);
    plan
}

/// An ACTIVE service: takes note of what happened, then decides.
fn keep(scene: &Scene<'_>, plan: &mut Plan) {
    let failed = note_ended(scene, plan);
    short_runs::say(scene, plan);
    throttle::update(scene, plan, &failed);
    circuit_breaker::update(scene, plan, &failed);
    rollout::begin(scene, plan);
    rollout::drop_superseded(scene, plan);
    stages::advance(scene, plan);
    steps::decide(scene, plan);
    protection::look_again(scene, plan);
    if !plan.has_starts() && plan.stops.is_empty() {
        rollout::complete_if_steady(scene, plan);
    }
    rollout::complete_early(scene, plan);
    rollout::look_again_at_failed(scene, plan);
}

/// A DRAINING service: stops all tasks; it is INACTIVE once the nodes have let go of them.
fn drain(scene: &Scene<'_>, plan: &mut Plan) {
    note_ended(scene, plan);
    steps::stop_all(scene, plan);
    if scene.tasks.iter().all(|task| !task.holds_resources()) {
        plan.service.status = ServiceStatus::Inactive;
        plan.service.deleted_at_ms = Some(scene.now.wall_ms);
        plan.service.deployments.clear();
        rollout::stop_unfinished(scene, plan);
    }
}

/// Takes note of tasks that ended since the last pass; returns those that failed to start.
fn note_ended<'a>(scene: &Scene<'a>, plan: &mut Plan) -> Vec<&'a Task> {
    let ended: Vec<&Task> = scene
        .tasks
        .iter()
        .map(Arc::as_ref)
        .filter(|task| !task.holds_resources() && !task.end_noted)
        .collect();
    plan.noted.extend(ended.iter().map(|task| task.id.clone()));
    ended.into_iter().filter(|task| failed_to_start(task)).collect()
}

/// It ended before RUNNING, and nobody asked for that.
fn failed_to_start(task: &Task) -> bool {
    let on_request = matches!(
        task.stop_code,
        Some(StopCode::ServiceSchedulerInitiated | StopCode::UserInitiated)
    );
    task.started_at_ms.is_none() && !on_request
}

/// Writes down what became of the starts that a plan asked for: the tasks that were started, and why
/// the first one that could not be was not.
pub fn record_starts(
    plan: &mut Plan,
    scene: &Scene<'_>,
    started: &[TaskId],
    rejection: Option<&Rejection>,
) {
    events::started(&mut plan.service, started, scene);
    let Some(rejection) = rejection else { return };
    // Room that stopping tasks of its own still hold is no failure to find a place.
    let waits_for_own_tasks =
        scene.tasks.iter().any(|task| task.holds_resources() && !task.is_wanted());
    if waits_for_own_tasks || !plan.stops.is_empty() {
        return;
    }
    events::unplaceable(&mut plan.service, rejection, scene);
    let next_ms = plan.service.throttle.next_placement_failure_ms;
    // One that is further off than it was ever set is of a clock that went back.
    let is_due = !(1..=scene.settings.placement_retry_ms).contains(&(next_ms - scene.now.wall_ms));
    if is_due {
        plan.service.throttle.next_placement_failure_ms =
            scene.now.wall_ms + scene.settings.placement_retry_ms;
        if let Some(primary) = plan.service.deployments.first_mut()
            && !primary.has_run
            && primary.rollout_state == RolloutState::InProgress
        {
            primary.failed_tasks += 1;
        }
    }
    plan.look_again_by(plan.service.throttle.next_placement_failure_ms);
}

/// Whether a task is of this deployment.
fn is_of(task: &Task, deployment: &DeploymentId) -> bool {
    task.service.as_ref().is_some_and(|member| member.deployment == *deployment)
}

#[cfg(test)]
mod tests;
