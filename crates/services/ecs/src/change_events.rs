//! What ECS tells EventBridge: the detail of its events, of the rows as they stood when they changed.
//!
//! Source: ECS developer guide, "Amazon ECS events": which members they have; those of tasks and container instances are the ones of
//! DescribeTasks and DescribeContainerInstances, with times as text. Which message of a service has which `eventName` is a guess where the
//! guide has no example.

use outport_aws_wire::to_json;
use outport_event_rules::Envelope;
use outport_event_rules::envelope::precise_time_text;
use outport_model::Arn;
use outport_model::deployment::RolloutState;
use outport_model::event::{ECS_SOURCE, EcsChange};
use outport_store::Tables;
use serde_json::{Value, json};

use crate::task_definition::Workloads;
use crate::views::container_instance;
use crate::views::task::TaskViews;

/// The whole event of a change; `None`: AWS sends none of it.
pub fn event(
    tables: &Tables,
    workloads: &Workloads,
    change: &EcsChange,
    (id, time_ms): (&str, i64),
) -> Option<Value> {
    let scope = change.scope();
    let envelope = |resource: Arn, detail: Value| {
        let resources = [resource.into_string()];
        let envelope = Envelope {
            id,
            detail_type: change.detail_type(),
            source: ECS_SOURCE,
            account: scope.account.as_str(),
            region: scope.region.as_str(),
            time_ms,
            resources: &resources,
        };
        envelope.with(detail)
    };
    Some(match change {
        EcsChange::Task(task) => {
            let shown = TaskViews::new(tables, workloads, false).of(task);
            envelope(Arn::task(scope, &task.cluster, &task.id), detail(&to_json(&shown)))
        }
        EcsChange::ContainerInstance(instance) => {
            let shown = container_instance::view(tables, instance, false);
            let arn = Arn::container_instance(scope, &instance.cluster, &instance.id);
            envelope(arn, detail(&to_json(&shown)))
        }
        EcsChange::Service { cluster, service, message, at_ms, .. } => {
            let (kind, name) = action(message)?;
            let mut detail = json!({
                "eventType": kind,
                "eventName": name,
                "clusterArn": Arn::cluster(scope, cluster).as_str(),
                "createdAt": precise_time_text(*at_ms),
            });
            if kind != "INFO" {
                detail["reason"] = message.as_str().into();
            }
            envelope(Arn::service_of(scope, cluster, service), detail)
        }
        EcsChange::Deployment { cluster, service, id, state, reason, at_ms, .. } => {
            let (kind, name) = match state {
                RolloutState::InProgress => ("INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS"),
                RolloutState::Completed => ("INFO", "SERVICE_DEPLOYMENT_COMPLETED"),
                RolloutState::Failed => ("ERROR", "SERVICE_DEPLOYMENT_FAILED"),
            };
            let detail = json!({
                "eventType": kind,
                "eventName": name,
                "deploymentId": format!("ecs-svc/{id}"),
                "updatedAt": precise_time_text(*at_ms),
                "reason": reason,
            });
            envelope(Arn::service_of(scope, cluster, service), detail)
        }
    })
}

/// `eventType` and `eventName` of what a service says; `None`: AWS sends nothing of it.
fn action(message: &str) -> Option<(&'static str, &'static str)> {
    let (_, kind, name) = ACTIONS.iter().find(|(part, ..)| message.contains(part))?;
    Some((kind, name))
}

const ACTIONS: [(&str, &str, &str); 5] = [
    ("has reached a steady state", "INFO", "SERVICE_STEADY_STATE"),
    ("is unable to consistently start tasks", "WARN", "SERVICE_TASK_START_IMPAIRED"),
    ("unable to place a task", "ERROR", "SERVICE_TASK_PLACEMENT_FAILURE"),
    ("failed to launch a task", "ERROR", "SERVICE_TASK_CONFIGURATION_FAILURE"),
    ("has stopped", "INFO", "TASKS_STOPPED"),
];

/// The members of a describe, with times as text.
fn detail(shown: &str) -> Value {
    let mut detail = serde_json::from_str(shown).unwrap_or(Value::Null);
    times_as_text(&mut detail);
    detail
}

fn times_as_text(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match member.as_f64() {
                    #[allow(
                        clippy::cast_possible_truncation,
                        reason = "a time in milliseconds is far below"
                    )]
                    Some(seconds) if name.ends_with("At") => {
                        *member = precise_time_text((seconds * 1_000.0).round() as i64).into();
                    }
                    _ => times_as_text(member),
                }
            }
        }
        Value::Array(members) => members.iter_mut().for_each(times_as_text),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_is_an_action() {
        let check = |message: &str, expected| assert_eq!(action(message), expected, "{message}");
        check("(service web) has reached a steady state.", Some(("INFO", "SERVICE_STEADY_STATE")));
        check(
            "(service web) has stopped 1 running tasks: (task a).",
            Some(("INFO", "TASKS_STOPPED")),
        );
        let placement = Some(("ERROR", "SERVICE_TASK_PLACEMENT_FAILURE"));
        check("(service web) was unable to place a task. Reason: x.", placement);
        let impaired = Some(("WARN", "SERVICE_TASK_START_IMPAIRED"));
        check("(service web) is unable to consistently start tasks successfully. x", impaired);
        check("(service web) has started 1 tasks: (task a).", None);
        check("(service web) rolling back to deployment ecs-svc/1.", None);
    }

    #[test]
    fn times_are_text_at_any_depth() {
        let found = detail(
            r#"{"createdAt": 1796133599.009, "containers": [{"startedAt": 0}], "cpu": 5, "At": "x"}"#,
        );
        let expected = json!({
            "createdAt": "2026-12-01T13:59:59.009Z", "containers": [{"startedAt": "1970-01-01T00:00:00.000Z"}], "cpu": 5, "At": "x",
        });
        assert_eq!(found, expected);
    }
}
