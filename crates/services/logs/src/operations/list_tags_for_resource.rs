//! `ListTagsForResource`.

use outport_aws_logs::{ListTagsForResourceRequest, ListTagsForResourceResponse, LogsError};

use crate::access::group_by_arn;
use crate::service::Door;
use crate::tags;

pub(crate) fn list_tags_for_resource(
    door: &Door,
    input: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, LogsError> {
    let group = group_by_arn(&door.scope, input.resource_arn.as_deref().unwrap_or_default())?;
    let tags = tags::list(door, "logs:ListTagsForResource", &group)?;
    Ok(ListTagsForResourceResponse { tags: Some(tags) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Rig;

    #[tokio::test]
    async fn a_group_without_tags_has_an_empty_map() {
        let rig = Rig::with_streams().await;
        let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/app";
        let answer = rig.call("ListTagsForResource", json!({"resourceArn": arn})).await;
        assert_eq!(answer, json!({"tags": {}}));
        let text = "The specified log group does not exist.";
        for arn in ["arn:aws:logs:us-east-1:000000000000:destination:d", "g"] {
            let input = json!({"resourceArn": arn});
            rig.refuses("ListTagsForResource", input, "ResourceNotFoundException", text).await;
        }
    }
}
