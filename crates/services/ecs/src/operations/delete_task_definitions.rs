//! `DeleteTaskDefinitions`: INACTIVE revisions go, those in use once they are not in use any more.

use outport_aws_ecs::{DeleteTaskDefinitionsRequest, DeleteTaskDefinitionsResponse, Failure};
use outport_identity::{Call, Question, Subject};
use outport_model::task_definition::{TaskDefinition, TaskDefinitionStatus};
use outport_model::{Arn, Scope};
use outport_planner::retention;
use outport_store::{Row, Tables, Transaction};

use crate::names::TaskDefinitionName;
use crate::resource::Resource;
use crate::views::failure;
use crate::views::task_definition::view;
use crate::{EcsService, Rejection, access, lookup, names};

/// Source: botocore's documentation of `DeleteTaskDefinitionsRequest.taskDefinitions`.
const TASK_DEFINITIONS_PER_CALL_MAX: usize = 10;

const INVALID: &str = "The specified task definition identifier is invalid. Specify a valid name or ARN and try again.";
const MISSING: &str = "The specified task definition does not exist. Specify a valid account, family, revision and try \
                       again.";
const ACTIVE: &str = "The specified task definition is still in ACTIVE status. Please deregister the target and try \
                      again.";

pub async fn delete_task_definitions(
    service: &EcsService,
    call: &Call,
    input: DeleteTaskDefinitionsRequest,
) -> Result<DeleteTaskDefinitionsResponse, Rejection> {
    let scope = access::scope(call);
    let wanted = input.task_definitions.unwrap_or_default();
    if wanted.is_empty() {
        return Err(Rejection::invalid_parameter(
            "Size of TaskDefinition references list must be greater than 0",
        ));
    }
    if wanted.len() > TASK_DEFINITIONS_PER_CALL_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "Size of TaskDefinition references list cannot exceed {TASK_DEFINITIONS_PER_CALL_MAX}"
        )));
    }
    service
        .store
        .write_always(
            call,
            |tables| ask(tables, &scope, &wanted),
            |tx, ()| {
                let (mut deleted, mut failures) = (Vec::new(), Vec::new());
                for text in &wanted {
                    match delete(tx, &scope, text) {
                        Ok(row) => deleted.push(view(&row)),
                        Err(refused) => failures.push(refused),
                    }
                }
                Ok(DeleteTaskDefinitionsResponse {
                    task_definitions: Some(deleted),
                    failures: Some(failures),
                })
            },
        )
        .await
}

fn ask(tables: &Tables, scope: &Scope, wanted: &[String]) -> Subject<()> {
    const ACTION: &str = "ecs:DeleteTaskDefinitions";
    let named = wanted.iter().filter_map(|text| names::task_definition(scope, text).ok()?);
    let question = |name: TaskDefinitionName| {
        let revision = name.revision.unwrap_or(0);
        Resource::task_definition(scope, &name.family, revision).question(tables, ACTION)
    };
    let every = Arn::of("ecs", scope, "task-definition/*").to_string();
    Subject::about((), named.map(question).collect(), Question::new(ACTION, every))
}

/// A failure names the definition as the caller did. Source: what a public test suite expects of AWS.
fn delete(tx: &mut Transaction<'_>, scope: &Scope, text: &str) -> Result<TaskDefinition, Failure> {
    let name = match names::task_definition(scope, text) {
        Ok(Some(name)) if name.revision.is_some() => name,
        Ok(None) => return Err(failure(text, MISSING)),
        Ok(Some(_)) | Err(_) => return Err(failure(text, INVALID)),
    };
    let Some(row) = lookup::task_definition(tx, scope, &name) else {
        return Err(failure(text, MISSING));
    };
    let mut row = (*row).clone();
    if row.status == TaskDefinitionStatus::Active {
        return Err(failure(text, ACTIVE));
    }
    row.status = TaskDefinitionStatus::DeleteInProgress;
    row.delete_requested_at_ms.get_or_insert(tx.now_ms());
    let tasks = tx.tasks_of_family(scope, &row.family);
    let is_in_use = retention::is_in_use(&row, tasks, tx.services.iter());
    if retention::forgets_task_definition(&row, is_in_use) {
        tx.remove::<TaskDefinition>(&row.key());
    } else {
        tx.put(row.clone());
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use outport_model::service::{Service, ServiceStatus};
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn only_inactive_revisions_go() {
        let world = World::new();
        world.register("app", json!({})).await;
        world.register("app", json!({})).await;
        world.call("DeregisterTaskDefinition", json!({"taskDefinition": "app:1"})).await;
        let arn = |revision: u32| {
            format!("arn:aws:ecs:us-east-1:000000000000:task-definition/app:{revision}")
        };
        let input = json!({"taskDefinitions": ["app:1", "app:2", arn(2), "app:9", arn(9), "app"]});
        let expected = json!({
            "taskDefinitions": [{"taskDefinitionArn": arn(1), "status": "DELETE_IN_PROGRESS", "deleteRequestedAt": world.now_s()}],
            "failures": [
                {"arn": "app:2", "reason": super::ACTIVE},
                {"arn": arn(2), "reason": super::ACTIVE},
                {"arn": "app:9", "reason": super::MISSING},
                {"arn": arn(9), "reason": super::MISSING},
                {"arn": "app", "reason": super::INVALID},
            ],
        });
        world.check("DeleteTaskDefinitions", input, expected).await;
        let input = json!({"taskDefinition": "app:1"});
        world
            .refuses(
                "DescribeTaskDefinition",
                input,
                "ClientException",
                "Unable to describe task definition.",
            )
            .await;
    }
    #[tokio::test]
    async fn one_in_use_stays_until_it_is_not() {
        let world = World::new();
        world.register("app", json!({})).await;
        world.create_service("web", "app:1", 0).await;
        world.call("DeregisterTaskDefinition", json!({"taskDefinition": "app:1"})).await;
        let stays = || world.store.snapshot().task_definitions.len() == 1;
        let delete = async || {
            let input = json!({"taskDefinitions": ["app:1"]});
            let answer = world.call("DeleteTaskDefinitions", input).await;
            answer["taskDefinitions"][0]["status"].clone()
        };
        assert_eq!((delete().await, stays()), (json!("DELETE_IN_PROGRESS"), true));
        // It is shown for a day, and runs nothing any more.
        let service = world.store.snapshot().services.iter().next().unwrap().clone();
        world.put(|tx| tx.put(Service { status: ServiceStatus::Inactive, ..(*service).clone() }));
        assert_eq!((delete().await, stays()), (json!("DELETE_IN_PROGRESS"), false));
    }
}
