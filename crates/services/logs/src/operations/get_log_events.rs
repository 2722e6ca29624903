//! `GetLogEvents`.

use outport_aws_logs::{GetLogEventsRequest, GetLogEventsResponse, LogsError, OutputLogEvent};
use outport_log_store::GetEvents;

use crate::access::{group_by_name_or_identifier, stream_name};
use crate::rejection::rejection;
use crate::service::{Door, Permitted};

pub(crate) fn get_log_events(
    door: &Door,
    input: GetLogEventsRequest,
) -> Result<GetLogEventsResponse, LogsError> {
    let group = group_by_name_or_identifier(
        &door.scope,
        input.log_group_name.as_deref(),
        input.log_group_identifier.as_deref(),
    )?;
    let stream = stream_name(input.log_stream_name.as_deref())?;
    let Permitted { store, scope, group } = door.stream("logs:GetLogEvents", &group, &stream)?;
    let request = GetEvents {
        start_ms: input.start_time,
        end_ms: input.end_time,
        start_from_head: input.start_from_head.unwrap_or(false),
        limit: input.limit.and_then(|limit| usize::try_from(limit).ok()),
        token: input.next_token,
    };
    let page = store.get_events(scope, &group, &stream, &request).map_err(rejection)?;
    let events = page.events.into_iter().map(|event| OutputLogEvent {
        timestamp: Some(event.timestamp_ms),
        message: Some(event.message),
        ingestion_time: Some(event.ingestion_ms),
    });
    Ok(GetLogEventsResponse {
        events: Some(events.collect()),
        next_forward_token: Some(page.next_forward_token),
        next_backward_token: Some(page.next_backward_token),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{NOW, Rig, messages};

    fn get(rest: Value) -> Value {
        let mut input = json!({"logGroupName": "/ecs/app", "logStreamName": "a"});
        input.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        input
    }

    #[tokio::test]
    async fn the_newest_come_first_and_the_oldest_on_request() {
        let rig = Rig::with_streams().await;
        rig.put("a", &[(0, "0"), (1, "1"), (2, "2"), (3, "3")]).await;
        let newest = rig.call("GetLogEvents", get(json!({"limit": 2}))).await;
        assert_eq!(messages(&newest), ["2", "3"]);
        assert_eq!(
            newest["events"][0],
            json!({"timestamp": NOW + 2, "message": "2", "ingestionTime": NOW})
        );
        let oldest =
            rig.call("GetLogEvents", get(json!({"limit": 3, "startFromHead": true}))).await;
        assert_eq!(messages(&oldest), ["0", "1", "2"]);
        let range = get(json!({"startTime": NOW + 1, "endTime": NOW + 3}));
        assert_eq!(messages(&rig.call("GetLogEvents", range).await), ["1", "2"]);
    }

    #[tokio::test]
    async fn a_forward_token_at_the_end_stays_and_then_finds_what_came() {
        let rig = Rig::with_streams().await;
        rig.put("a", &[(0, "0")]).await;
        let first = rig.call("GetLogEvents", get(json!({"startFromHead": true}))).await;
        let token = first["nextForwardToken"].clone();
        assert!(token.as_str().unwrap().starts_with("f/"));
        assert!(first["nextBackwardToken"].as_str().unwrap().starts_with("b/"));
        let follow = get(json!({"startFromHead": true, "nextToken": token}));
        let end = rig.call("GetLogEvents", follow.clone()).await;
        assert_eq!((messages(&end).len(), &end["nextForwardToken"]), (0, &token));
        rig.put("a", &[(0, "late")]).await;
        assert_eq!(messages(&rig.call("GetLogEvents", follow).await), ["late"]);
    }

    #[tokio::test]
    async fn what_is_not_there_is_said() {
        let rig = Rig::with_streams().await;
        let text = "The specified nextToken is invalid.";
        let input = get(json!({"nextToken": "f/1/s"}));
        rig.refuses("GetLogEvents", input, "InvalidParameterException", text).await;
        let text = "The specified log stream does not exist.";
        let input = json!({"logGroupIdentifier": "/ecs/app", "logStreamName": "c"});
        rig.refuses("GetLogEvents", input, "ResourceNotFoundException", text).await;
    }
}
