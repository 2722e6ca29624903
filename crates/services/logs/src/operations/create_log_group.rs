//! `CreateLogGroup`.

use outport_aws_logs::{CreateLogGroupRequest, LogsError};
use outport_log_store::{LogGroupClass, NewLogGroup};

use crate::access::group_name;
use crate::arns::group_arn;
use crate::rejection::rejection;
use crate::service::Door;
use crate::tags::checked_tags;

pub(crate) fn create_log_group(door: &Door, input: CreateLogGroupRequest) -> Result<(), LogsError> {
    let name = group_name(input.log_group_name.as_deref())?;
    let tags = checked_tags(input.tags)?;
    let store = door.new_group(&name, &tags)?;
    if input.kms_key_id.is_some() {
        // There is no key management here, so no key exists.
        return Err(LogsError::invalid_parameter_exception(format!(
            "The specified KMS key does not exist or is not allowed to be used with LogGroup '{}'",
            group_arn(&door.scope, &name)
        )));
    }
    if input.deletion_protection_enabled == Some(true) {
        return Err(LogsError::invalid_parameter_exception(
            "Deletion protection of log groups is not available.",
        ));
    }
    let class = input.log_group_class.and_then(|class| LogGroupClass::parse(class.as_str()));
    let class = class.unwrap_or_default();
    let new = NewLogGroup { class, tags, ..NewLogGroup::named(name) };
    store.create_group(&door.scope, new).map(drop).map_err(rejection)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{NOW, Rig};

    #[tokio::test]
    async fn a_group_is_made_once_and_kept_as_given() {
        let rig = Rig::new();
        let input = json!({"logGroupName": "/ecs/app", "tags": {"team": "web"},
            "logGroupClass": "INFREQUENT_ACCESS"});
        rig.call("CreateLogGroup", input.clone()).await;
        let text = "The specified log group already exists";
        rig.refuses("CreateLogGroup", input, "ResourceAlreadyExistsException", text).await;
        let answer = rig.call("DescribeLogGroups", json!({})).await;
        let expected = json!({"logGroups": [{
            "logGroupName": "/ecs/app",
            "creationTime": NOW,
            "metricFilterCount": 0,
            "arn": "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/app:*",
            "logGroupArn": "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/app",
            "storedBytes": 0,
            "logGroupClass": "INFREQUENT_ACCESS",
            "deletionProtectionEnabled": false,
        }]});
        assert_eq!(answer, expected);
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_refused() {
        let rig = Rig::new();
        let refused = |rest: serde_json::Value, text: &'static str| {
            let mut input = json!({"logGroupName": "g"});
            input.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            rig.refuses("CreateLogGroup", input, "InvalidParameterException", text)
        };
        let key = "The specified KMS key does not exist or is not allowed to be used with LogGroup \
                   'arn:aws:logs:us-east-1:000000000000:log-group:g'";
        refused(json!({"kmsKeyId": "arn:aws:kms:us-east-1:000000000000:key/x"}), key).await;
        let protection = "Deletion protection of log groups is not available.";
        refused(json!({"deletionProtectionEnabled": true}), protection).await;
        let tag = "aws: prefixed tag key names are not allowed for external use.";
        refused(json!({"tags": {"aws:x": "y"}}), tag).await;
        assert_eq!(rig.call("DescribeLogGroups", json!({})).await, json!({"logGroups": []}));
    }
}
