//! `DescribeMetricFilters`: there are none, since PutMetricFilter is refused.

use outport_aws_logs::{DescribeMetricFiltersRequest, DescribeMetricFiltersResponse, LogsError};
use outport_identity::{Call, ConditionContext};
use outport_log_store::LogStore;

use crate::access::{authorize, authorize_group, existing_group, group_name, scope};
use crate::arns::stream_resource;

pub(crate) fn describe_metric_filters(
    store: &LogStore,
    call: &Call,
    input: DescribeMetricFiltersRequest,
) -> Result<DescribeMetricFiltersResponse, LogsError> {
    let action = "logs:DescribeMetricFilters";
    match input.log_group_name.as_deref() {
        Some(name) => {
            let group = group_name(Some(name))?;
            authorize_group(store, call, action, &group)?;
            existing_group(store, call, &group)?;
        }
        // Those of all groups.
        None => {
            let every_group = stream_resource(&scope(call), "", "");
            authorize(call, action, &every_group, &ConditionContext::new())?;
        }
    }
    Ok(DescribeMetricFiltersResponse { metric_filters: Some(Vec::new()), next_token: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Rig;

    #[tokio::test]
    async fn there_are_none() {
        let rig = Rig::with_streams().await;
        for input in [json!({}), json!({"logGroupName": "/ecs/app"})] {
            let answer = rig.call("DescribeMetricFilters", input).await;
            assert_eq!(answer, json!({"metricFilters": []}));
        }
        let text = "The specified log group does not exist.";
        let input = json!({"logGroupName": "none"});
        rig.refuses("DescribeMetricFilters", input, "ResourceNotFoundException", text).await;
    }
}
