//! `TagLogGroup`: the older form of `TagResource`.

use outport_aws_logs::{LogsError, TagLogGroupRequest};

use crate::access::group_name;
use crate::service::Door;
use crate::tags;

pub(crate) fn tag_log_group(door: &Door, input: TagLogGroupRequest) -> Result<(), LogsError> {
    let group = group_name(input.log_group_name.as_deref())?;
    tags::add(door, "logs:TagLogGroup", &group, input.tags).map_err(|error| match error {
        // This operation does not know the newer exception.
        LogsError::TooManyTagsException(exception) => {
            LogsError::invalid_parameter_exception(exception.message.unwrap_or_default())
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use crate::testing::Rig;

    #[tokio::test]
    async fn both_forms_see_the_same_tags() {
        let rig = Rig::with_streams().await;
        let group = "/ecs/app";
        rig.call("TagLogGroup", json!({"logGroupName": group, "tags": {"a": "1"}})).await;
        let listed = rig.call("ListTagsLogGroup", json!({"logGroupName": group})).await;
        assert_eq!(listed, json!({"tags": {"a": "1"}}));
        let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/app";
        assert_eq!(rig.call("ListTagsForResource", json!({"resourceArn": arn})).await, listed);
        let many: Map<String, Value> = (0..50).map(|n| (format!("k{n}"), json!("v"))).collect();
        let input = json!({"logGroupName": group, "tags": many});
        let text = "A resource can have at most 50 tags.";
        rig.refuses("TagLogGroup", input, "InvalidParameterException", text).await;
    }
}
