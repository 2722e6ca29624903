//! `UntagLogGroup`: the older form of `UntagResource`.

use outport_aws_logs::{LogsError, UntagLogGroupRequest};

use crate::access::group_name;
use crate::service::Door;
use crate::tags;

pub(crate) fn untag_log_group(door: &Door, input: UntagLogGroupRequest) -> Result<(), LogsError> {
    let group = group_name(input.log_group_name.as_deref())?;
    tags::remove(door, "logs:UntagLogGroup", &group, input.tags)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Rig;

    #[tokio::test]
    async fn tags_go() {
        let rig = Rig::with_streams().await;
        let group = "/ecs/app";
        rig.call("TagLogGroup", json!({"logGroupName": group, "tags": {"a": "1"}})).await;
        rig.call("UntagLogGroup", json!({"logGroupName": group, "tags": ["a"]})).await;
        let listed = rig.call("ListTagsLogGroup", json!({"logGroupName": group})).await;
        assert_eq!(listed, json!({"tags": {}}));
    }
}
