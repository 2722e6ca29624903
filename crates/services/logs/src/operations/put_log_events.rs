//! `PutLogEvents`. The sequence token of a request is not looked at (AWS, since 2023), and neither is
//! its entity, which only names the sender for other services.

use outport_aws_logs::{
    self as aws, LogsError, PutLogEventsRequest, PutLogEventsResponse, RejectedLogEventsInfo,
};
use outport_log_store::{InputLogEvent, RejectedEvents};

use crate::access::{group_name, stream_name};
use crate::rejection::rejection;
use crate::service::{Door, Permitted};

pub(crate) fn put_log_events(
    door: &Door,
    input: PutLogEventsRequest,
) -> Result<PutLogEventsResponse, LogsError> {
    let group = group_name(input.log_group_name.as_deref())?;
    let stream = stream_name(input.log_stream_name.as_deref())?;
    let Permitted { store, scope, group } = door.stream("logs:PutLogEvents", &group, &stream)?;
    let events = input.log_events.unwrap_or_default().into_iter();
    let events: Vec<InputLogEvent> = events.map(event).collect();
    let outcome = store.put_events(scope, &group, &stream, &events).map_err(rejection)?;
    Ok(PutLogEventsResponse {
        next_sequence_token: Some(outcome.next_sequence_token),
        rejected_log_events_info: outcome.rejected.map(view),
        rejected_entity_info: None,
    })
}

/// Both members are required by the model.
fn event(event: aws::InputLogEvent) -> InputLogEvent {
    InputLogEvent {
        timestamp_ms: event.timestamp.unwrap_or_default(),
        message: event.message.unwrap_or_default(),
    }
}

fn view(rejected: RejectedEvents) -> RejectedLogEventsInfo {
    let index = |index: Option<usize>| index.and_then(|index| i32::try_from(index).ok());
    RejectedLogEventsInfo {
        too_new_log_event_start_index: index(rejected.too_new_start),
        too_old_log_event_end_index: index(rejected.too_old_end),
        expired_log_event_end_index: index(rejected.expired_end),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{NOW, Rig, messages};

    fn put(stream: &str, events: Value) -> Value {
        json!({"logGroupName": "/ecs/app", "logStreamName": stream, "logEvents": events})
    }

    #[tokio::test]
    async fn events_are_kept_and_those_of_the_wrong_time_are_counted() {
        let rig = Rig::with_streams().await;
        let answer = rig.put("a", &[(0, "kept")]).await;
        assert!(answer["nextSequenceToken"].is_string());
        assert!(answer.get("rejectedLogEventsInfo").is_none());
        let answer =
            rig.put("a", &[(-1_296_000_000, "too old"), (-1_290_000_000, "too old")]).await;
        assert_eq!(answer["rejectedLogEventsInfo"], json!({"tooOldLogEventEndIndex": 2}));
        let answer = rig.put("a", &[(1, "kept too"), (8_000_000, "too new")]).await;
        assert_eq!(answer["rejectedLogEventsInfo"], json!({"tooNewLogEventStartIndex": 1}));
        let input = json!({"logGroupName": "/ecs/app", "logStreamName": "a"});
        assert_eq!(messages(&rig.call("GetLogEvents", input).await), ["kept", "kept too"]);
    }

    #[tokio::test]
    async fn bad_batches_are_refused_in_the_words_of_aws() {
        let rig = Rig::with_streams().await;
        let event =
            |after: i64, message: &str| json!({"timestamp": NOW + after, "message": message});
        let half = "x".repeat(600_000);
        let large = "x".repeat(1_048_551);
        for (events, text) in [
            (
                json!([event(1, "a"), event(0, "b")]),
                "Log events in a single PutLogEvents request must be in chronological order.",
            ),
            (
                json!([event(-86_400_001, "a"), event(0, "b")]),
                "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
            ),
            (
                json!([event(0, &half), event(0, &half)]),
                "Upload too large: 1200052 bytes exceeds limit of 1048576",
            ),
            (
                json!([event(0, &large)]),
                "Log event too large: 1048577 bytes exceeds limit of 1048576",
            ),
        ] {
            rig.refuses("PutLogEvents", put("a", events), "InvalidParameterException", text).await;
        }
        let text = "The specified log stream does not exist.";
        let missing = put("c", json!([event(0, "x")]));
        rig.refuses("PutLogEvents", missing, "ResourceNotFoundException", text).await;
        let input = json!({"logGroupName": "/ecs/app", "logStreamName": "a"});
        assert!(messages(&rig.call("GetLogEvents", input).await).is_empty());
    }
}
