//! `DescribeSubscriptionFilters`: there are none, since PutSubscriptionFilter is refused.

use outport_aws_logs::{
    DescribeSubscriptionFiltersRequest, DescribeSubscriptionFiltersResponse, LogsError,
};

use crate::access::group_name;

use crate::service::Door;

pub(crate) fn describe_subscription_filters(
    door: &Door,
    input: DescribeSubscriptionFiltersRequest,
) -> Result<DescribeSubscriptionFiltersResponse, LogsError> {
    let group = group_name(input.log_group_name.as_deref())?;
    door.group("logs:DescribeSubscriptionFilters", &group)?.existing()?;
    Ok(DescribeSubscriptionFiltersResponse {
        subscription_filters: Some(Vec::new()),
        next_token: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Rig;

    #[tokio::test]
    async fn a_group_has_none() {
        let rig = Rig::with_streams().await;
        let answer =
            rig.call("DescribeSubscriptionFilters", json!({"logGroupName": "/ecs/app"})).await;
        assert_eq!(answer, json!({"subscriptionFilters": []}));
        let text = "The specified log group does not exist.";
        let input = json!({"logGroupName": "none"});
        rig.refuses("DescribeSubscriptionFilters", input, "ResourceNotFoundException", text).await;
    }
}
