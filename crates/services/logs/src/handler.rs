//! The generated trait, each method handed to its file. `reading`: its answer may be large, and a few are made at once.

use outport_aws_logs::*;
use outport_identity::Call;

use crate::{LogsService, operations};

macro_rules! handler {
    ($($run:ident $method:ident: $input:ident -> $output:ty,)*) => {
        impl LogsHandler<Call> for LogsService {
            $(
                async fn $method(&self, call: &Call, input: $input) -> Result<$output, LogsError> {
                    self.$run(call, |door| operations::$method::$method(door, input)).await
                }
            )*
        }
    };
}

handler! {
    blocking create_log_group: CreateLogGroupRequest -> (),
    blocking create_log_stream: CreateLogStreamRequest -> (),
    blocking delete_log_group: DeleteLogGroupRequest -> (),
    blocking delete_log_stream: DeleteLogStreamRequest -> (),
    blocking delete_retention_policy: DeleteRetentionPolicyRequest -> (),
    blocking describe_log_groups: DescribeLogGroupsRequest -> DescribeLogGroupsResponse,
    blocking describe_log_streams: DescribeLogStreamsRequest -> DescribeLogStreamsResponse,
    blocking describe_metric_filters: DescribeMetricFiltersRequest -> DescribeMetricFiltersResponse,
    blocking describe_subscription_filters: DescribeSubscriptionFiltersRequest -> DescribeSubscriptionFiltersResponse,
    reading filter_log_events: FilterLogEventsRequest -> FilterLogEventsResponse,
    reading get_log_events: GetLogEventsRequest -> GetLogEventsResponse,
    blocking list_tags_for_resource: ListTagsForResourceRequest -> ListTagsForResourceResponse,
    blocking list_tags_log_group: ListTagsLogGroupRequest -> ListTagsLogGroupResponse,
    blocking put_log_events: PutLogEventsRequest -> PutLogEventsResponse,
    blocking put_retention_policy: PutRetentionPolicyRequest -> (),
    blocking tag_log_group: TagLogGroupRequest -> (),
    blocking tag_resource: TagResourceRequest -> (),
    blocking untag_log_group: UntagLogGroupRequest -> (),
    blocking untag_resource: UntagResourceRequest -> (),
}
