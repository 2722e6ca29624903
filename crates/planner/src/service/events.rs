//! The events of a service, in AWS's words.
//!
//! Source: "Amazon ECS service event messages"; the texts are those that DescribeServices returns.

use outport_model::service::{EVENTS_MAX, Service, ServiceEvent};
use outport_model::task_definition::LaunchType;
use outport_model::{DeploymentId, ServiceEventId, TaskId};

use super::Scene;
use crate::deployment::GivenUpBy;
use crate::placement::{Rejection, Unplaceable};
use crate::task_role;

/// Longer lists of tasks become several events.
const TASKS_PER_EVENT_MAX: usize = 10;
/// In front of why ECS has no role for a task.
const NO_ROLE: &str = "failed to launch a task with (error ";
/// Between AWS's words and the numbers of a shortage.
const NUMBERS: &str = " (";
const STEADY: &str = "has reached a steady state.";
const SEE_GUIDE: &str =
    "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.";

pub(super) fn started(service: &mut Service, tasks: &[TaskId], scene: &Scene<'_>) {
    for tasks in tasks.chunks(TASKS_PER_EVENT_MAX) {
        add(service, &format!("has started {} tasks: {}.", tasks.len(), list(tasks)), scene);
    }
}

pub(super) fn stopped(service: &mut Service, tasks: &[TaskId], scene: &Scene<'_>) {
    for tasks in tasks.chunks(TASKS_PER_EVENT_MAX) {
        add(
            service,
            &format!("has stopped {} running tasks: {}.", tasks.len(), list(tasks)),
            scene,
        );
    }
}

/// Source: "Amazon ECS service event messages". The task set of a service that ECS itself deploys is its deployment.
pub(super) fn protected(service: &mut Service, scene: &Scene<'_>) {
    let Some(primary) = service.deployments.first() else { return };
    let text = format!(
        "was unable to reach steady state because task set (ecs-svc/{}) was unable to scale in. Reason: The number of \
         protected tasks are more than the desired count of tasks.",
        primary.id
    );
    add_unless_repeated(service, &text, scene, is_steady);
}

/// The text is a guess, after the one of a load balancer's checks.
pub(super) fn failed_checks(service: &mut Service, task: &TaskId, scene: &Scene<'_>) {
    add(service, &format!("(task {task}) failed container health checks."), scene);
}

fn list(tasks: &[TaskId]) -> String {
    tasks.iter().map(|task| format!("(task {task})")).collect::<Vec<_>>().join(" ")
}

pub(super) fn steady(service: &mut Service, scene: &Scene<'_>) {
    add_unless_repeated(service, STEADY, scene, |_| true);
}

pub(super) fn deployment_completed(service: &mut Service, id: &DeploymentId, scene: &Scene<'_>) {
    add(service, &format!("(deployment ecs-svc/{id}) deployment completed."), scene);
}

pub(super) fn deployment_failed(
    service: &mut Service,
    id: &DeploymentId,
    by: GivenUpBy,
    scene: &Scene<'_>,
) {
    let why = match by {
        GivenUpBy::CircuitBreaker => "tasks failed to start",
        GivenUpBy::User | GivenUpBy::Abort => "stopped by user",
        GivenUpBy::HookTimeout => "lifecycle hook timed out",
    };
    add(service, &format!("(deployment ecs-svc/{id}) deployment failed: {why}."), scene);
}

pub(super) fn rolling_back(service: &mut Service, to: &DeploymentId, scene: &Scene<'_>) {
    add(service, &format!("rolling back to deployment ecs-svc/{to}."), scene);
}

/// A task ended before RUNNING, for this reason.
pub(super) fn start_failed(service: &mut Service, reason: &str, scene: &Scene<'_>) {
    let reason = reason.trim_end_matches('.');
    let text = format!("was unable to place a task. Reason: {reason}.");
    add_unless_repeated(service, &text, scene, is_steady);
}

pub(super) fn throttled(service: &mut Service, scene: &Scene<'_>) {
    let text = "is unable to consistently start tasks successfully. ".to_owned() + SEE_GUIDE;
    add_unless_repeated(service, &text, scene, is_steady);
}

pub(super) fn configuration_blocks(service: &mut Service, scene: &Scene<'_>) {
    let text = "was unable to stop or start tasks during a deployment because of the service \
                deployment configuration. Update the minimumHealthyPercent or maximumPercent value \
                and try again.";
    add_unless_repeated(service, text, scene, is_steady);
}

/// Behind AWS's words stand the numbers, for whoever runs the machines (a choice of ours). That they change makes no other
/// event of it.
pub(super) fn unplaceable(service: &mut Service, rejection: &Rejection, scene: &Scene<'_>) {
    let text = match service.launch_type {
        _ if rejection.reason == Unplaceable::TaskRole => {
            format!("{NO_ROLE}{}).", task_role::not_given(&rejection.named.join(", ")))
        }
        _ if rejection.reason == Unplaceable::Unsupported => {
            let members = rejection.named.join(", ");
            format!("was unable to place a task. Reason: {}: {members}.", rejection.reason)
        }
        LaunchType::Fargate => {
            let reason = rejection.reason;
            format!("was unable to place a task. Reason: {reason}. {SEE_GUIDE}")
        }
        LaunchType::Ec2 | LaunchType::External => {
            let why = closest_match(rejection);
            format!(
                "was unable to place a task because no container instance met all of its \
                 requirements. {why} {SEE_GUIDE}"
            )
        }
    };
    let resolved = |message: &str| is_steady(message) || message.contains(") has started ");
    if !is_repeated(service, &text, scene, resolved) {
        let numbers = rejection.shortage.as_ref().map(|shortage| format!("{NUMBERS}{shortage})"));
        add(service, &format!("{text}{}", numbers.unwrap_or_default()), scene);
    }
}

/// Whether an event says that a task found no place, or did not start where it had one: AWS begins both alike.
pub fn is_of_no_place(message: &str) -> bool {
    message.contains(") was unable to place a task") || message.contains(&format!(") {NO_ROLE}"))
}

fn closest_match(rejection: &Rejection) -> String {
    let Some(closest) = rejection.instances.first() else {
        return format!("Reason: {}", rejection.reason);
    };
    let why = match closest.reason {
        Unplaceable::Cpu => "has insufficient CPU units available.",
        Unplaceable::Memory => "has insufficient memory available.",
        Unplaceable::Ports => "is already using a port required by your task.",
        // Source: "Amazon ECS service event messages" of 2023, and what callers report.
        Unplaceable::Agent | Unplaceable::MemberOf | Unplaceable::DistinctInstance => {
            let reason = closest.reason;
            let id = &closest.id;
            return format!(
                "The closest matching (container-instance {id}) encountered error \"{reason}\"."
            );
        }
        Unplaceable::Attribute | Unplaceable::Privileged => {
            "is missing an attribute required by your task."
        }
        Unplaceable::Addresses => "encountered error \"RESOURCE:ENI\".",
        Unplaceable::NoCapacity
        | Unplaceable::NoContainerInstances
        | Unplaceable::TaskRole
        | Unplaceable::Unsupported => "is not available.",
    };
    format!("The closest matching (container-instance {}) {why}", closest.id)
}

/// An event of ours: the same one again only after AWS would repeat one of its own.
pub(super) fn once(service: &mut Service, text: &str, scene: &Scene<'_>) {
    add_unless_repeated(service, text, scene, |_| false);
}

fn is_steady(message: &str) -> bool {
    message.ends_with(STEADY)
}

/// Leaves a message out while the same one stands.
fn add_unless_repeated(
    service: &mut Service,
    text: &str,
    scene: &Scene<'_>,
    resolves: impl Fn(&str) -> bool,
) {
    if !is_repeated(service, text, scene, resolves) {
        add(service, text, scene);
    }
}

/// Whether the event stands, with whatever numbers behind it: nothing that resolved it came after it, and it is not older than
/// `event_repeat_ms`.
fn is_repeated(
    service: &Service,
    text: &str,
    scene: &Scene<'_>,
    resolves: impl Fn(&str) -> bool,
) -> bool {
    let message = message(service, text);
    for event in &service.events {
        let is_over = scene.now.is_over(event.at_ms, scene.settings.event_repeat_ms);
        let behind = event.message.strip_prefix(&message);
        let is_same = behind.is_some_and(|rest| rest.is_empty() || rest.starts_with(NUMBERS));
        if is_same && !is_over {
            return true;
        }
        if resolves(&event.message) {
            return false;
        }
    }
    false
}

fn add(service: &mut Service, text: &str, scene: &Scene<'_>) {
    let event = ServiceEvent {
        id: ServiceEventId::new(scene.ids.uuid()),
        at_ms: scene.now.wall_ms,
        message: message(service, text),
    };
    service.events.insert(0, event);
    service.events.truncate(EVENTS_MAX);
}

fn message(service: &Service, text: &str) -> String {
    format!("(service {}) {text}", service.name)
}
