//! `RegisterTaskDefinition`: the next revision of a family.
//!
//! What AWS checks and fills in is in [`crate::task_definition`].

use outport_aws_ecs::{RegisterTaskDefinitionRequest, RegisterTaskDefinitionResponse, SettingName};
use outport_identity::{Call, Question, Subject};
use outport_model::task_definition::{TaskDefinition, TaskDefinitionFamily};
use outport_model::{Arn, Family, Scope, Tags};
use outport_store::Transaction;
use outport_store::keys::FamilyKey;

use crate::task_definition::{self, Registration};
use crate::views::task_definition::view_of;
use crate::{EcsService, Rejection, access, account_setting, tags};

/// Source: "Amazon ECS service quotas", revisions per task definition family.
const REVISIONS_MAX: u32 = 1_000_000;

pub async fn register_task_definition(
    service: &EcsService,
    call: &Call,
    mut input: RegisterTaskDefinitionRequest,
) -> Result<RegisterTaskDefinitionResponse, Rejection> {
    let scope = access::scope(call);
    let given_tags = input.tags.take();
    if given_tags.as_ref().is_some_and(Vec::is_empty) {
        return Err(Rejection::client("Tags can not be empty."));
    }
    let has_tags = given_tags.is_some();
    let tags = tags::parse(given_tags)?;
    let definition = task_definition::normalise(input, &scope)?;
    let registered_by = call.principal.arn();
    let shown_tags = has_tags.then(|| tags::view(&tags));
    let written = service.store.write(
        call,
        |_| ask(&scope, &definition, &tags),
        |tx, ()| register(tx, &scope, &definition, registered_by, tags.clone()),
    );
    let row = written.await?;
    Ok(RegisterTaskDefinitionResponse {
        task_definition: Some(view_of(&row, definition)),
        tags: shown_tags,
    })
}

fn ask(scope: &Scope, definition: &outport_aws_ecs::TaskDefinition, tags: &Tags) -> Subject<()> {
    let family = definition.family.clone().unwrap_or_default();
    let arn = Arn::of("ecs", scope, format!("task-definition/{family}:*"));
    let compatibilities: Vec<String> = definition
        .requires_compatibilities
        .iter()
        .flatten()
        .map(|compatibility| compatibility.as_str().to_owned())
        .collect();
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<i64>().ok());
    let question = Question::new("ecs:RegisterTaskDefinition", arn.to_string())
        .with("ecs:compute-compatibility", compatibilities)
        .with("ecs:privileged", task_definition::asks_for_the_host(definition))
        .with_optional("ecs:task-cpu", number(&definition.cpu))
        .with_optional("ecs:task-memory", number(&definition.memory))
        .with_request_tags(tags);
    let roles = [&definition.task_role_arn, &definition.execution_role_arn];
    let pass_roles =
        roles.into_iter().flatten().map(|role| access::pass_role(&scope.account, role));
    Subject::new((), question)
        .and_all(access::tag_on_create("RegisterTaskDefinition", &arn, tags))
        .and_all(pass_roles)
}

/// A number is never given twice: the family's counter outlives its revisions.
fn register(
    tx: &mut Transaction<'_>,
    scope: &Scope,
    definition: &outport_aws_ecs::TaskDefinition,
    registered_by: String,
    tags: Tags,
) -> Result<TaskDefinition, Rejection> {
    let family = Family::new(definition.family.clone().unwrap_or_default());
    let last =
        tx.families.get(&FamilyKey::new(scope, family.clone())).map_or(0, |row| row.last_revision);
    if last >= REVISIONS_MAX {
        return Err(Rejection::client(
            "The maximum number of revisions of the family has been reached.",
        ));
    }
    let revision = last + 1;
    let mode = SettingName::DefaultLogDriverMode;
    let log_mode = account_setting::effective(tx, scope, &registered_by, mode);
    let registration = Registration {
        scope: scope.clone(),
        revision,
        registered_at_ms: tx.now_ms(),
        registered_by,
        tags,
        non_blocking_logs: log_mode == "non-blocking",
    };
    let row = task_definition::row(definition, registration);
    tx.put(TaskDefinitionFamily { scope: scope.clone(), family, last_revision: revision });
    tx.put(row.clone());
    Ok(row)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn a_fargate_definition_is_normalised() {
        let world = World::new();
        let input = json!({
            "family": "app",
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": ".25 vCPU",
            "memory": "0.5 GB",
            "executionRoleArn": "arn:aws:iam::000000000000:role/execution",
            "containerDefinitions": [{
                "name": "web",
                "image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/app:1.0",
                "portMappings": [{"containerPort": 8000}],
                "logConfiguration": {"logDriver": "awslogs", "options": {
                    "awslogs-group": "/ecs/app", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web",
                }},
            }],
        });
        let answer = world.call("RegisterTaskDefinition", input).await;
        let expected = json!({"taskDefinition": {
            "taskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:task-definition/app:1",
            "containerDefinitions": [{
                "name": "web",
                "image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/app:1.0",
                "cpu": 0,
                "portMappings": [{"containerPort": 8000, "hostPort": 8000, "protocol": "tcp"}],
                "essential": true,
                "environment": [],
                "mountPoints": [],
                "volumesFrom": [],
                "logConfiguration": {"logDriver": "awslogs", "options": {
                    "awslogs-group": "/ecs/app", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web",
                }},
                "systemControls": [],
            }],
            "family": "app",
            "executionRoleArn": "arn:aws:iam::000000000000:role/execution",
            "networkMode": "awsvpc",
            "revision": 1,
            "volumes": [],
            "status": "ACTIVE",
            "requiresAttributes": [
                {"name": "com.amazonaws.ecs.capability.logging-driver.awslogs"},
                {"name": "ecs.capability.execution-role-awslogs"},
                {"name": "com.amazonaws.ecs.capability.ecr-auth"},
                {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.19"},
                {"name": "ecs.capability.execution-role-ecr-pull"},
                {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"},
                {"name": "ecs.capability.task-eni"},
            ],
            "placementConstraints": [],
            "compatibilities": ["EC2", "MANAGED_INSTANCES", "FARGATE"],
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "registeredAt": world.now_s(),
            "registeredBy": "arn:aws:iam::000000000000:root",
            "enableFaultInjection": false,
        }});
        assert_eq!(answer, expected);
    }

    #[tokio::test]
    async fn revisions_count_up_past_deleted_ones() {
        let world = World::new();
        let input = json!({"family": "app", "containerDefinitions": [{"name": "a", "image": "b", "memory": 16}]});
        for revision in 1..=2 {
            let expected = json!({"taskDefinition": {"revision": revision, "compatibilities": ["EXTERNAL", "EC2"]}});
            world.check("RegisterTaskDefinition", input.clone(), expected).await;
        }
        for operation in ["DeregisterTaskDefinition", "DeleteTaskDefinitions"] {
            let key =
                if operation.starts_with("Delete") { "taskDefinitions" } else { "taskDefinition" };
            let name =
                if operation.starts_with("Delete") { json!(["app:2"]) } else { json!("app:2") };
            world.call(operation, json!({ key: name })).await;
        }
        world
            .check("RegisterTaskDefinition", input, json!({"taskDefinition": {"revision": 3}}))
            .await;
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        for (input, message) in [
            (
                json!({"family": "a b", "containerDefinitions": [{}]}),
                "Family contains invalid characters.",
            ),
            (
                json!({"family": "a", "containerDefinitions": [], "tags": []}),
                "Tags can not be empty.",
            ),
            (json!({"family": "a", "containerDefinitions": []}), "Container list cannot be empty."),
            (
                json!({"family": "a", "containerDefinitions": [{"name": "web", "image": "x"}]}),
                "Invalid setting for container 'web'. At least one of 'memory' or 'memoryReservation' must be specified.",
            ),
        ] {
            world.refuses("RegisterTaskDefinition", input, "ClientException", message).await;
        }
    }
}
