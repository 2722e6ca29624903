//! `FilterLogEvents`. What it finds is always interleaved, and `searchedLogStreams` always empty, as
//! with AWS since 2020.

use outport_aws_logs::{
    FilterLogEventsRequest, FilterLogEventsResponse, FilteredLogEvent, LogsError,
};
use outport_log_store::{FilterEvents, FilterPattern, StreamSelection};

use crate::access::{group_by_name_or_identifier, stream_name};
use crate::rejection::rejection;
use crate::service::{Door, Permitted};

pub(crate) fn filter_log_events(
    door: &Door,
    input: FilterLogEventsRequest,
) -> Result<FilterLogEventsResponse, LogsError> {
    let group = group_by_name_or_identifier(
        &door.scope,
        input.log_group_name.as_deref(),
        input.log_group_identifier.as_deref(),
    )?;
    let Permitted { store, scope, group } = door.group("logs:FilterLogEvents", &group)?;
    let streams = match (input.log_stream_names, input.log_stream_name_prefix) {
        (None, None) => StreamSelection::All,
        (None, Some(prefix)) => StreamSelection::Prefix(prefix),
        (Some(names), None) => {
            let names = names.iter().map(|name| stream_name(Some(name)));
            StreamSelection::Named(names.collect::<Result<_, _>>()?)
        }
        (Some(_), Some(_)) => {
            return Err(LogsError::invalid_parameter_exception(
                "Only one of logStreamNames and logStreamNamePrefix can be specified.",
            ));
        }
    };
    let pattern = FilterPattern::parse(input.filter_pattern.as_deref().unwrap_or_default());
    let request = FilterEvents {
        streams,
        start_ms: input.start_time,
        end_ms: input.end_time,
        pattern: pattern
            .map_err(|invalid| LogsError::invalid_parameter_exception(invalid.to_string()))?,
        limit: input.limit.and_then(|limit| usize::try_from(limit).ok()),
        token: input.next_token,
    };
    let page = store.filter_events(scope, &group, &request).map_err(rejection)?;
    let events = page.events.into_iter().map(|found| FilteredLogEvent {
        log_stream_name: Some(found.stream.to_string()),
        timestamp: Some(found.event.timestamp_ms),
        event_id: Some(found.event.event_id.to_string()),
        ingestion_time: Some(found.event.ingestion_ms),
        message: Some(found.event.message),
    });
    Ok(FilterLogEventsResponse {
        events: Some(events.collect()),
        searched_log_streams: Some(vec![]),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{NOW, Rig, messages};

    fn filter(rest: Value) -> Value {
        let mut input = json!({"logGroupName": "/ecs/app"});
        input.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        input
    }

    #[tokio::test]
    async fn streams_are_interleaved_and_filtered() {
        let rig = Rig::with_streams().await;
        rig.put("a", &[(0, "ERROR 0"), (2, r#"{"level":"error","n":2}"#)]).await;
        rig.put("b", &[(1, "INFO 1"), (3, "ERROR 3")]).await;
        let all = rig.call("FilterLogEvents", filter(json!({}))).await;
        assert_eq!(messages(&all).len(), 4);
        assert_eq!(all["searchedLogStreams"], json!([]));
        let second = &all["events"][1];
        assert_eq!(
            (&second["logStreamName"], &second["timestamp"]),
            (&json!("b"), &json!(NOW + 1))
        );
        assert_eq!(second["eventId"].as_str().unwrap().len(), 56);
        for (rest, expected) in [
            (json!({"filterPattern": "ERROR"}), vec!["ERROR 0", "ERROR 3"]),
            (
                json!({"filterPattern": "{ $.level = \"error\" && $.n > 1 }"}),
                vec![r#"{"level":"error","n":2}"#],
            ),
            (json!({"logStreamNames": ["b"]}), vec!["INFO 1", "ERROR 3"]),
            (json!({"logStreamNamePrefix": "a", "filterPattern": "ERROR"}), vec!["ERROR 0"]),
            (json!({"startTime": NOW + 1, "endTime": NOW + 1}), vec!["INFO 1"]),
        ] {
            let answer = rig.call("FilterLogEvents", filter(rest.clone())).await;
            assert_eq!(messages(&answer), expected, "{rest}");
        }
    }

    /// As `aws logs tail --follow` asks: every page of a range, then again from the last time seen,
    /// leaving out the events whose ids it knows.
    #[tokio::test]
    async fn a_follower_sees_each_event_once() {
        let rig = Rig::with_streams().await;
        let (mut seen, mut ids) = (Vec::new(), std::collections::BTreeSet::new());
        let mut start = 0;
        for round in 0..4 {
            for name in ["a", "b"] {
                rig.put(name, &[(round / 2, &format!("{name}{round}")), (round / 2, "x")]).await;
            }
            let mut input = filter(json!({"startTime": start, "limit": 3}));
            loop {
                let page = rig.call("FilterLogEvents", input.clone()).await;
                for event in page["events"].as_array().unwrap() {
                    start = event["timestamp"].as_i64().unwrap();
                    if ids.insert(event["eventId"].as_str().unwrap().to_owned()) {
                        seen.push(event["message"].as_str().unwrap().to_owned());
                    }
                }
                match page.get("nextToken") {
                    Some(token) => input["nextToken"] = token.clone(),
                    None => break,
                }
            }
        }
        seen.retain(|message| message != "x");
        assert_eq!(seen, ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]);
        assert_eq!(ids.len(), 16);
    }

    #[tokio::test]
    async fn bad_requests_are_refused() {
        let rig = Rig::with_streams().await;
        for (rest, exception, text) in [
            (
                json!({"filterPattern": "{ $.a"}),
                "InvalidParameterException",
                "Invalid filter pattern",
            ),
            (
                json!({"filterPattern": "a:b"}),
                "InvalidParameterException",
                "Invalid character(s) in term ':'",
            ),
            (
                json!({"logStreamNames": ["a"], "logStreamNamePrefix": "a"}),
                "InvalidParameterException",
                "Only one of logStreamNames and logStreamNamePrefix can be specified.",
            ),
            (
                json!({"nextToken": "x"}),
                "InvalidParameterException",
                "The specified nextToken is invalid.",
            ),
            (
                json!({"logStreamNames": ["a", "c"]}),
                "ResourceNotFoundException",
                "The specified log stream does not exist.",
            ),
            (
                json!({"logGroupName": "other"}),
                "ResourceNotFoundException",
                "The specified log group does not exist.",
            ),
        ] {
            rig.refuses("FilterLogEvents", filter(rest), exception, text).await;
        }
    }
}
