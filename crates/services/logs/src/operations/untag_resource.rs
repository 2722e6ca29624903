//! `UntagResource`.

use outport_aws_logs::{LogsError, UntagResourceRequest};

use crate::access::group_by_arn;
use crate::service::Door;
use crate::tags;

pub(crate) fn untag_resource(door: &Door, input: UntagResourceRequest) -> Result<(), LogsError> {
    let group = group_by_arn(&door.scope, input.resource_arn.as_deref().unwrap_or_default())?;
    tags::remove(door, "logs:UntagResource", &group, input.tag_keys)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Rig;

    #[tokio::test]
    async fn tags_go_and_missing_ones_do_not_matter() {
        let rig = Rig::with_streams().await;
        let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/app";
        rig.call("TagResource", json!({"resourceArn": arn, "tags": {"a": "1", "b": "2"}})).await;
        rig.call("UntagResource", json!({"resourceArn": arn, "tagKeys": ["a", "c"]})).await;
        let listed = rig.call("ListTagsForResource", json!({"resourceArn": arn})).await;
        assert_eq!(listed, json!({"tags": {"b": "2"}}));
    }
}
