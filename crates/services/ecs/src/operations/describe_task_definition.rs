//! `DescribeTaskDefinition`: a revision, or the newest ACTIVE one of a family.

use outport_aws_ecs::{
    DescribeTaskDefinitionRequest, DescribeTaskDefinitionResponse, TaskDefinitionField,
};
use outport_identity::{Call, Question};

use crate::views::task_definition::view;
use crate::{EcsService, Rejection, access, lookup, names, tags};

pub async fn describe_task_definition(
    service: &EcsService,
    call: &Call,
    input: DescribeTaskDefinitionRequest,
) -> Result<DescribeTaskDefinitionResponse, Rejection> {
    let scope = access::scope(call);
    let text = input.task_definition.unwrap_or_default();
    let name = names::task_definition(&scope, &text)?;
    let question = Question::without_resource("ecs:DescribeTaskDefinition");
    let (tables, ()) = service.store.read(call, |_| question.into())?;
    let row = name
        .and_then(|name| lookup::task_definition(&tables, &scope, &name))
        .ok_or_else(|| Rejection::client("Unable to describe task definition."))?;
    let wants_tags =
        input.include.is_some_and(|fields| fields.contains(&TaskDefinitionField::Tags));
    Ok(DescribeTaskDefinitionResponse {
        task_definition: Some(view(&row)),
        tags: Some(if wants_tags { tags::view(&row.tags) } else { Vec::new() }),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn finds_revisions_and_the_newest_active_one() {
        let world = World::new();
        for memory in [16, 32] {
            let container = json!({"name": "a", "image": "b", "memory": memory});
            let input = json!({
                "family": "app", "containerDefinitions": [container], "tags": [{"key": "k", "value": "v"}],
            });
            world.call("RegisterTaskDefinition", input).await;
        }
        for (name, revision) in [
            ("app", 2),
            ("app:1", 1),
            ("arn:aws:ecs:us-east-1:000000000000:task-definition/app:2", 2),
        ] {
            let expected =
                json!({"taskDefinition": {"revision": revision, "status": "ACTIVE"}, "tags": []});
            world.check("DescribeTaskDefinition", json!({"taskDefinition": name}), expected).await;
        }
        let input = json!({"taskDefinition": "app", "include": ["TAGS"]});
        world
            .check("DescribeTaskDefinition", input, json!({"tags": [{"key": "k", "value": "v"}]}))
            .await;
        world.call("DeregisterTaskDefinition", json!({"taskDefinition": "app:2"})).await;
        world
            .check(
                "DescribeTaskDefinition",
                json!({"taskDefinition": "app"}),
                json!({"taskDefinition": {"revision": 1}}),
            )
            .await;
        let expected = json!({"taskDefinition": {"revision": 2, "status": "INACTIVE"}});
        world.check("DescribeTaskDefinition", json!({"taskDefinition": "app:2"}), expected).await;
    }

    #[tokio::test]
    async fn what_is_not_there() {
        let world = World::new();
        for name in ["app", "app:1", "arn:aws:ecs:eu-west-1:000000000000:task-definition/app:1"] {
            world
                .refuses(
                    "DescribeTaskDefinition",
                    json!({"taskDefinition": name}),
                    "ClientException",
                    "Unable to describe task definition.",
                )
                .await;
        }
        world
            .refuses(
                "DescribeTaskDefinition",
                json!({"taskDefinition": "app:x"}),
                "InvalidParameterException",
                "Invalid revision number. Number: x",
            )
            .await;
    }
}
