//! The generated trait, each method handed to its file.

use outport_aws_logs::*;
use outport_identity::Call;

use crate::{LogsService, operations};

macro_rules! handler {
    ($($method:ident: $input:ident -> $output:ty,)*) => {
        impl LogsHandler<Call> for LogsService {
            $(
                async fn $method(&self, call: &Call, input: $input) -> Result<$output, LogsError> {
                    self.blocking(call, |store, call| operations::$method::$method(store, call, input))
                        .await
                }
            )*
        }
    };
}

handler! {
    create_log_group: CreateLogGroupRequest -> (),
    create_log_stream: CreateLogStreamRequest -> (),
    delete_log_group: DeleteLogGroupRequest -> (),
    delete_log_stream: DeleteLogStreamRequest -> (),
    delete_retention_policy: DeleteRetentionPolicyRequest -> (),
    describe_log_groups: DescribeLogGroupsRequest -> DescribeLogGroupsResponse,
    describe_log_streams: DescribeLogStreamsRequest -> DescribeLogStreamsResponse,
    describe_metric_filters: DescribeMetricFiltersRequest -> DescribeMetricFiltersResponse,
    describe_subscription_filters: DescribeSubscriptionFiltersRequest -> DescribeSubscriptionFiltersResponse,
    filter_log_events: FilterLogEventsRequest -> FilterLogEventsResponse,
    get_log_events: GetLogEventsRequest -> GetLogEventsResponse,
    list_tags_for_resource: ListTagsForResourceRequest -> ListTagsForResourceResponse,
    list_tags_log_group: ListTagsLogGroupRequest -> ListTagsLogGroupResponse,
    put_log_events: PutLogEventsRequest -> PutLogEventsResponse,
    put_retention_policy: PutRetentionPolicyRequest -> (),
    tag_log_group: TagLogGroupRequest -> (),
    tag_resource: TagResourceRequest -> (),
    untag_log_group: UntagLogGroupRequest -> (),
    untag_resource: UntagResourceRequest -> (),
}
