//! `ListTagsLogGroup`: the older form of `ListTagsForResource`.

use outport_aws_logs::{ListTagsLogGroupRequest, ListTagsLogGroupResponse, LogsError};

use crate::access::group_name;
use crate::service::Door;
use crate::tags;

pub(crate) fn list_tags_log_group(
    door: &Door,
    input: ListTagsLogGroupRequest,
) -> Result<ListTagsLogGroupResponse, LogsError> {
    let group = group_name(input.log_group_name.as_deref())?;
    let tags = tags::list(door, "logs:ListTagsLogGroup", &group)?;
    Ok(ListTagsLogGroupResponse { tags: Some(tags) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Rig;

    #[tokio::test]
    async fn the_group_must_exist() {
        let rig = Rig::new();
        let text = "The specified log group does not exist.";
        let input = json!({"logGroupName": "g"});
        rig.refuses("ListTagsLogGroup", input, "ResourceNotFoundException", text).await;
    }
}
