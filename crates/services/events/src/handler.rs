//! The generated handler trait, operation by operation.

use outport_aws_events::*;
use outport_identity::Call;

use crate::EventsService;
use crate::operations::{buses, events, lists, rules, tagging, targets};

macro_rules! handler {
    ($($module:ident { $($operation:ident: $input:ident => $output:ty,)+ })+) => {
        impl EventsHandler<Call> for EventsService {
            $($(async fn $operation(&self, call: &Call, input: $input) -> Result<$output, EventsError> {
                let answer = $module::$operation(self, call, input).await;
                answer.map_err(EventsError::from)
            })+)+
        }
    };
}

handler! {
    buses {
        create_event_bus: CreateEventBusRequest => CreateEventBusResponse,
        delete_event_bus: DeleteEventBusRequest => (),
        describe_event_bus: DescribeEventBusRequest => DescribeEventBusResponse,
        list_event_buses: ListEventBusesRequest => ListEventBusesResponse,
    }
    events {
        put_events: PutEventsRequest => PutEventsResponse,
        test_event_pattern: TestEventPatternRequest => TestEventPatternResponse,
    }
    lists {
        list_rule_names_by_target: ListRuleNamesByTargetRequest => ListRuleNamesByTargetResponse,
        list_rules: ListRulesRequest => ListRulesResponse,
        list_targets_by_rule: ListTargetsByRuleRequest => ListTargetsByRuleResponse,
    }
    rules {
        delete_rule: DeleteRuleRequest => (),
        describe_rule: DescribeRuleRequest => DescribeRuleResponse,
        disable_rule: DisableRuleRequest => (),
        enable_rule: EnableRuleRequest => (),
        put_rule: PutRuleRequest => PutRuleResponse,
    }
    tagging {
        list_tags_for_resource: ListTagsForResourceRequest => ListTagsForResourceResponse,
        tag_resource: TagResourceRequest => TagResourceResponse,
        untag_resource: UntagResourceRequest => UntagResourceResponse,
    }
    targets {
        put_targets: PutTargetsRequest => PutTargetsResponse,
        remove_targets: RemoveTargetsRequest => RemoveTargetsResponse,
    }
}
