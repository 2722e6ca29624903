//! `TagResource`.

use outport_aws_logs::{LogsError, TagResourceRequest};

use crate::access::group_by_arn;
use crate::service::Door;
use crate::tags;

pub(crate) fn tag_resource(door: &Door, input: TagResourceRequest) -> Result<(), LogsError> {
    let group = group_by_arn(&door.scope, input.resource_arn.as_deref().unwrap_or_default())?;
    tags::add(door, "logs:TagResource", &group, input.tags)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use crate::testing::Rig;

    const ARN: &str = "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/app";

    #[tokio::test]
    async fn tags_are_added_replaced_and_limited() {
        let rig = Rig::with_streams().await;
        let tag = |tags: Value| json!({"resourceArn": ARN, "tags": tags});
        rig.call("TagResource", tag(json!({"a": "1", "b": "2"}))).await;
        rig.call("TagResource", tag(json!({"b": "3"}))).await;
        let listed = rig.call("ListTagsForResource", json!({"resourceArn": ARN})).await;
        assert_eq!(listed, json!({"tags": {"a": "1", "b": "3"}}));
        let many: Map<String, Value> = (0..49).map(|n| (format!("k{n}"), json!("v"))).collect();
        let text = "A resource can have at most 50 tags.";
        rig.refuses("TagResource", tag(many.into()), "TooManyTagsException", text).await;
    }
}
