//! `UpdateTaskProtection`: keeps tasks of a service from being stopped by deployments and smaller counts, for a time.
//!
//! The service controller is woken by the row.

use outport_aws_ecs::{Failure, UpdateTaskProtectionRequest, UpdateTaskProtectionResponse};
use outport_identity::Call;
use outport_model::task::Task;
use outport_model::{Arn, TaskId};
use outport_store::Tables;
use outport_store::keys::TaskKey;

use crate::resource::Resource;
use crate::views::task_protection::view;
use crate::views::{MISSING, failure, missing};
use crate::{EcsService, Rejection, access, lookup, names};

/// Source: botocore's documentation of `UpdateTaskProtectionRequest`.
const TASKS_PER_CALL_MAX: usize = 10;
const MINUTES: std::ops::RangeInclusive<i32> = 1..=2_880;
const MINUTES_UNLESS_GIVEN: i32 = 120;
const MINUTE_MS: i64 = 60_000;
/// Source: "API failure reasons" in the Amazon ECS Developer Guide.
const NOT_VALID: &str = "TASK_NOT_VALID";
const STANDALONE: &str = "The specified task does not belong to an Amazon ECS service.";

pub async fn update_task_protection(
    service: &EcsService,
    call: &Call,
    input: UpdateTaskProtectionRequest,
) -> Result<UpdateTaskProtectionResponse, Rejection> {
    let scope = access::scope(call);
    let wanted = input.tasks.unwrap_or_default();
    if wanted.is_empty() {
        return Err(Rejection::invalid_parameter("Tasks cannot be empty."));
    }
    if wanted.len() > TASKS_PER_CALL_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "taskIds can have at most {TASKS_PER_CALL_MAX} items."
        )));
    }
    let minutes = input.expires_in_minutes.unwrap_or(MINUTES_UNLESS_GIVEN);
    // The text is a guess.
    if !MINUTES.contains(&minutes) {
        return Err(Rejection::invalid_parameter(format!(
            "expiresInMinutes must be between {} and {}.",
            MINUTES.start(),
            MINUTES.end()
        )));
    }
    let protects = input.protection_enabled == Some(true);
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let ids: Vec<_> =
        wanted.iter().map(|text| names::task(&scope, &cluster, text)).collect::<Result<_, _>>()?;
    let resources: Vec<_> =
        ids.iter().flatten().map(|id| Resource::task(&scope, &cluster, id)).collect();
    let every = Arn::of("ecs", &scope, format!("task/{cluster}/*"));
    let ask = |tables: &Tables| {
        Resource::questions(tables, "ecs:UpdateTaskProtection", &resources, &every)
    };
    service
        .store
        .write_in_place(call, ask, |tx, ()| {
            lookup::active_cluster(tx, &scope, &cluster)?;
            let now_ms = tx.now_ms();
            let until_ms = protects.then(|| now_ms + i64::from(minutes) * MINUTE_MS);
            let (mut protected, mut failures) = (Vec::new(), Vec::new());
            for (text, id) in wanted.iter().zip(&ids) {
                let key = |id: &TaskId| TaskKey::new(&scope, cluster.clone(), id.clone());
                let row = id.as_ref().and_then(|id| tx.tasks.get(&key(id)));
                let Some(row) = row.filter(|row| row.holds_resources()) else {
                    failures.push(not_there(text, id.as_ref(), |id| {
                        Arn::task(&scope, &cluster, id).into_string()
                    }));
                    continue;
                };
                let mut row = Task::clone(row);
                if row.service.is_none() {
                    let arn = Arn::task(&scope, &cluster, &row.id).into_string();
                    let detail = Some(STANDALONE.to_owned());
                    failures.push(Failure { detail, ..failure(arn, NOT_VALID) });
                    continue;
                }
                row.protected_until_ms = until_ms;
                protected.push(view(&row, now_ms));
                tx.put(row);
            }
            Ok(UpdateTaskProtectionResponse {
                protected_tasks: Some(protected),
                failures: Some(failures),
            })
        })
        .await
}

/// One that ended is as good as gone.
fn not_there(text: &str, id: Option<&TaskId>, arn: impl Fn(&TaskId) -> String) -> Failure {
    match id {
        Some(id) => missing(text.to_owned(), arn(id)),
        None => failure(text.to_owned(), MISSING),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn a_task_of_a_service_is_protected_for_a_time() {
        let world = World::with_node(2048, 4096);
        let arn = world.run("app").await;
        let standalone = json!({"cluster": "default", "tasks": [arn], "protectionEnabled": true});
        let expected = json!({"protectedTasks": [], "failures": [{
            "arn": arn, "reason": "TASK_NOT_VALID",
            "detail": "The specified task does not belong to an Amazon ECS service.",
        }]});
        world.check("UpdateTaskProtection", standalone, expected).await;
        world.put(|tx| {
            let mut task = (**tx.tasks.iter().next().unwrap()).clone();
            task.service = Some(outport_model::task::ServiceMembership {
                service: outport_model::ServiceName::new("web"),
                deployment: outport_model::DeploymentId::new("1"),
            });
            tx.put(task);
        });
        let ask = json!({"cluster": "default", "tasks": [arn]});
        let none = json!({"protectedTasks": [{"taskArn": arn, "protectionEnabled": false}], "failures": []});
        world.check("GetTaskProtection", ask.clone(), none.clone()).await;
        let mut input = ask.clone();
        input["protectionEnabled"] = json!(true);
        input["expiresInMinutes"] = json!(5);
        let until_s = world.now_s().as_i64().unwrap() + 300;
        let expected = json!({
            "protectedTasks": [{"taskArn": arn, "protectionEnabled": true, "expirationDate": until_s}],
            "failures": [],
        });
        world.check("UpdateTaskProtection", input.clone(), expected.clone()).await;
        world.check("GetTaskProtection", ask.clone(), expected).await;
        world.clock.advance(300_000);
        world.check("GetTaskProtection", ask.clone(), none.clone()).await;
        input["protectionEnabled"] = json!(false);
        world.check("UpdateTaskProtection", input, none).await;
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        for (tasks, minutes, message) in [
            (vec![], 5, "Tasks cannot be empty."),
            (vec!["x"; 11], 5, "taskIds can have at most 10 items."),
            (vec!["x"], 0, "expiresInMinutes must be between 1 and 2880."),
            (vec!["x"], 2_881, "expiresInMinutes must be between 1 and 2880."),
        ] {
            let input = json!({
                "cluster": "default", "tasks": tasks, "protectionEnabled": true, "expiresInMinutes": minutes,
            });
            world
                .refuses("UpdateTaskProtection", input, "InvalidParameterException", message)
                .await;
        }
    }
}
