//! `TagResource`: adds tags; one with a key that is there already replaces it.

use outport_aws_ecs::{TagResourceRequest, TagResourceResponse};
use outport_identity::Call;
use outport_store::Tables;

use crate::resource::Resource;
use crate::{EcsService, Rejection, access, tags};

pub async fn tag_resource(
    service: &EcsService,
    call: &Call,
    input: TagResourceRequest,
) -> Result<TagResourceResponse, Rejection> {
    let scope = access::scope(call);
    let arn = input.resource_arn.unwrap_or_default();
    let resource = Resource::parse(&scope, &arn)?;
    let added = tags::parse(input.tags)?;
    let ask = |tables: &Tables| {
        let question = resource.question(tables, "ecs:TagResource");
        question.with_request_tags(&added).into()
    };
    service
        .store
        .write(call, ask, |tx, ()| {
            let mut all = resource.tags(tx)?;
            all.extend(added.clone());
            tags::check_count(&all)?;
            resource.set_tags(tx, all)?;
            Ok(TagResourceResponse::default())
        })
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn tags_come_and_go() {
        let world = World::new();
        world.register("app", json!({})).await;
        for arn in ["cluster/default", "task-definition/app:1"] {
            let arn = format!("arn:aws:ecs:us-east-1:000000000000:{arn}");
            let tags = json!([{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]);
            world.check("TagResource", json!({"resourceArn": arn, "tags": tags}), json!({})).await;
            let tags = json!([{"key": "b", "value": "3"}]);
            world.call("TagResource", json!({"resourceArn": arn, "tags": tags})).await;
            let expected =
                json!({"tags": [{"key": "a", "value": "1"}, {"key": "b", "value": "3"}]});
            world.check("ListTagsForResource", json!({"resourceArn": arn}), expected).await;
            world.call("UntagResource", json!({"resourceArn": arn, "tagKeys": ["a", "x"]})).await;
            let expected = json!({"tags": [{"key": "b", "value": "3"}]});
            world.check("ListTagsForResource", json!({"resourceArn": arn}), expected).await;
        }
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        let arn = |rest: &str| format!("arn:aws:ecs:us-east-1:000000000000:{rest}");
        for (arn, exception, message) in [
            (arn("cluster/x"), "ClusterNotFoundException", "Cluster not found."),
            (
                arn("service/default/x"),
                "ResourceNotFoundException",
                "The specified service was not found.",
            ),
            (
                arn("task-definition/x:1"),
                "ResourceNotFoundException",
                "The specified task definition was not found.",
            ),
            (arn("x/y"), "InvalidParameterException", "The ARN provided is invalid."),
            ("default".to_owned(), "InvalidParameterException", "The ARN provided is invalid."),
        ] {
            let input = json!({"resourceArn": arn, "tags": [{"key": "a", "value": "1"}]});
            world.refuses("TagResource", input, exception, message).await;
            world
                .refuses("ListTagsForResource", json!({"resourceArn": arn}), exception, message)
                .await;
        }
    }
}
