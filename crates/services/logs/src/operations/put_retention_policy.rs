//! `PutRetentionPolicy`.

use outport_aws_logs::{LogsError, PutRetentionPolicyRequest};

use outport_log_store::limits::RETENTION_DAYS;

use crate::access::group_name;
use crate::rejection::rejection;
use crate::service::{Door, Permitted};

pub(crate) fn put_retention_policy(
    door: &Door,
    input: PutRetentionPolicyRequest,
) -> Result<(), LogsError> {
    let group = group_name(input.log_group_name.as_deref())?;
    let days = i64::from(input.retention_in_days.unwrap_or_default());
    let Permitted { store, scope, group } = door.group("logs:PutRetentionPolicy", &group)?;
    if !RETENTION_DAYS.contains(&days) {
        return Err(LogsError::invalid_parameter_exception(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy \
             constraint: Member must satisfy enum value set: {RETENTION_DAYS:?}"
        )));
    }
    store.set_retention(scope, &group, Some(days)).map_err(rejection)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Rig, messages};

    const DAY: i64 = 24 * 60 * 60 * 1000;

    #[tokio::test]
    async fn retention_is_shown_and_hides_old_events_until_it_is_deleted() {
        let rig = Rig::with_streams().await;
        rig.put("a", &[(-5 * DAY, "old")]).await;
        rig.put("a", &[(0, "new")]).await;
        let group = json!({"logGroupName": "/ecs/app"});
        let input = json!({"logGroupName": "/ecs/app", "retentionInDays": 3});
        rig.call("PutRetentionPolicy", input).await;
        let groups = rig.call("DescribeLogGroups", json!({})).await;
        assert_eq!(groups["logGroups"][0]["retentionInDays"], 3);
        assert_eq!(messages(&rig.call("FilterLogEvents", group.clone()).await), ["new"]);
        rig.call("DeleteRetentionPolicy", group.clone()).await;
        assert_eq!(messages(&rig.call("FilterLogEvents", group).await), ["old", "new"]);
        let groups = rig.call("DescribeLogGroups", json!({})).await;
        assert!(groups["logGroups"][0].get("retentionInDays").is_none());
    }

    #[tokio::test]
    async fn only_the_days_of_aws_are_taken() {
        let rig = Rig::with_streams().await;
        let input = json!({"logGroupName": "/ecs/app", "retentionInDays": 2});
        let text = "1 validation error detected: Value '2' at 'retentionInDays' failed to satisfy \
                    constraint: Member must satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, \
                    120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]";
        rig.refuses("PutRetentionPolicy", input, "InvalidParameterException", text).await;
        let input = json!({"logGroupName": "other", "retentionInDays": 1});
        let text = "The specified log group does not exist.";
        rig.refuses("PutRetentionPolicy", input, "ResourceNotFoundException", text).await;
    }
}
