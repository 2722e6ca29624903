//! `DescribeMetricFilters`: there are none, since PutMetricFilter is refused.

use outport_aws_logs::{DescribeMetricFiltersRequest, DescribeMetricFiltersResponse, LogsError};

use crate::access::group_name;

use crate::service::Door;

pub(crate) fn describe_metric_filters(
    door: &Door,
    input: DescribeMetricFiltersRequest,
) -> Result<DescribeMetricFiltersResponse, LogsError> {
    let action = "logs:DescribeMetricFilters";
    match input.log_group_name.as_deref() {
        Some(name) => {
            let group = group_name(Some(name))?;
            door.group(action, &group)?.existing()?;
        }
        // Those of all groups.
        None => {
            door.every_group(action)?;
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
