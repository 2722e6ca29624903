//! Questions of permission that several operations ask in the same way.
//!
//! Source of actions, resources and condition keys: "Actions, resources, and condition keys for Amazon Elastic Container
//! Service" in the Service Authorization Reference.

use outport_identity::{Call, ConditionContext};
use outport_model::{Arn, ClusterName, Scope, Tags};

use crate::rejection::Rejection;

/// The service that a role is handed to when a task definition names it.
const TASKS_SERVICE: &str = "ecs-tasks.amazonaws.com";

/// The account and region that a call is about.
pub fn scope(call: &Call) -> Scope {
    Scope::new(call.account.clone(), call.region.clone())
}

/// `ecs:cluster`: the ARN of the cluster that a request is about.
pub fn cluster_context(scope: &Scope, cluster: &ClusterName) -> ConditionContext {
    ConditionContext::new().with("ecs:cluster", Arn::cluster(scope, cluster).to_string())
}

/// Whether the caller may put tags on what it creates by `action` (`RunTask`). `resource` is the ARN that the new thing
/// will have, with `*` for what is not known yet.
///
/// # Errors
/// `AccessDeniedException`.
pub fn tag_on_create(
    call: &Call,
    action: &str,
    resource: &Arn,
    tags: &Tags,
) -> Result<(), Rejection> {
    if tags.is_empty() {
        return Ok(());
    }
    let context = ConditionContext::new()
        .with("ecs:CreateAction", action)
        .with_request_tags(crate::tags::pairs(tags));
    Ok(call.authorize("ecs:TagResource", &resource.to_string(), &context)?)
}

/// Whether the caller may hand `role` to the tasks that it describes.
///
/// # Errors
/// `AccessDeniedException`.
pub fn pass_role(call: &Call, role: &str) -> Result<(), Rejection> {
    let context = ConditionContext::new().with("iam:PassedToService", TASKS_SERVICE);
    let resource = match Arn::parse(role) {
        Some(_) => role.to_owned(),
        None => {
            let account = &call.account;
            format!("arn:aws:iam::{account}:role/{role}")
        }
    };
    Ok(call.authorize("iam:PassRole", &resource, &context)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn a_stranger_changes_nothing() {
        let mut world = World::with_node(2048, 4096);
        let task = world.run("app").await;
        world.create_service("web", "app", 0).await;
        world.become_stranger();
        let version = world.store.snapshot().version();
        let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-0"]}});
        let container = json!({"name": "a", "image": "b", "memory": 16});
        for (operation, input) in [
            ("DeleteCluster", json!({"cluster": "default"})),
            ("DescribeClusters", json!({})),
            ("UpdateCluster", json!({"cluster": "default"})),
            (
                "RegisterTaskDefinition",
                json!({"family": "app", "containerDefinitions": [container]}),
            ),
            ("DeleteTaskDefinitions", json!({"taskDefinitions": ["app:1"]})),
            (
                "RunTask",
                json!({"taskDefinition": "app", "launchType": "FARGATE", "networkConfiguration": network}),
            ),
            ("StopTask", json!({"task": task})),
            ("DescribeTasks", json!({"tasks": [task]})),
            ("ListTasks", json!({})),
            (
                "CreateService",
                json!({
                    "serviceName": "b", "taskDefinition": "app", "desiredCount": 1, "launchType": "FARGATE",
                    "networkConfiguration": network,
                }),
            ),
            ("UpdateService", json!({"service": "web", "desiredCount": 2})),
            ("DeleteService", json!({"service": "web"})),
            ("DescribeServices", json!({"services": ["web"]})),
            ("ListServiceDeployments", json!({"service": "web"})),
            ("ListContainerInstances", json!({})),
            ("DeregisterContainerInstance", json!({"containerInstance": "0".repeat(32)})),
            (
                "TagResource",
                json!({"resourceArn": "arn:aws:ecs:us-east-1:000000000000:cluster/default", "tags": []}),
            ),
        ] {
            let (status, answer) = world.reply(operation, &input).await;
            let shown = (status, answer["__type"].as_str().unwrap_or_default());
            assert_eq!(shown, (400, "AccessDeniedException"), "{operation}: {answer}");
        }
        assert_eq!(world.store.snapshot().version(), version);
    }
}
