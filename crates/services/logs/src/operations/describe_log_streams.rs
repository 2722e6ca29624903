//! `DescribeLogStreams`.

use outport_aws_logs::{
    self as aws, DescribeLogStreamsRequest, DescribeLogStreamsResponse, LogsError, OrderBy,
};
use outport_log_store::{
    GroupNamed, LogGroupName, LogStream, StreamOrder, StreamPlace, StreamQuery,
};
use outport_model::Scope;

use crate::access::group_by_name_or_identifier;
use crate::arns::stream_arn;
use crate::page::{rows, stream_in_token, token_behind_stream};
use crate::rejection::rejection;
use crate::service::{Door, Permitted};

pub(crate) fn describe_log_streams(
    door: &Door,
    input: DescribeLogStreamsRequest,
) -> Result<DescribeLogStreamsResponse, LogsError> {
    let group = group_by_name_or_identifier(
        &door.scope,
        input.log_group_name.as_deref(),
        input.log_group_identifier.as_deref(),
    )?;
    let Permitted { store, scope, group } = door.group("logs:DescribeLogStreams", &group)?;
    let order = match input.order_by {
        None | Some(OrderBy::LogStreamName) => StreamOrder::Name,
        Some(OrderBy::LastEventTime) => StreamOrder::LastEventTime,
    };
    if order == StreamOrder::LastEventTime && input.log_stream_name_prefix.is_some() {
        return Err(LogsError::invalid_parameter_exception(
            "Cannot order by LastEventTime with a logStreamNamePrefix.",
        ));
    }
    let query = StreamQuery {
        prefix: input.log_stream_name_prefix,
        order,
        descending: input.descending.unwrap_or(false),
        after: input.next_token.as_deref().map(stream_in_token).transpose()?,
    };
    let limit = rows(input.limit);
    let page = store.describe_streams(scope, &group, &query, limit).map_err(rejection)?;
    let last = page.streams.last().filter(|_| page.more);
    let next_token = last.map(|stream| token_behind_stream(&StreamPlace::behind(stream)));
    let log_streams =
        page.streams.into_iter().map(|stream| view(scope, group.name(), stream)).collect();
    Ok(DescribeLogStreamsResponse { log_streams: Some(log_streams), next_token })
}

fn view(scope: &Scope, group: &LogGroupName, stream: LogStream) -> aws::LogStream {
    aws::LogStream {
        arn: Some(stream_arn(scope, group, &stream.name)),
        log_stream_name: Some(stream.name.to_string()),
        creation_time: Some(stream.created_ms),
        first_event_timestamp: stream.first_event_ms,
        last_event_timestamp: stream.last_event_ms,
        last_ingestion_time: stream.last_ingestion_ms,
        // A stream that nothing was put into has none.
        upload_sequence_token: stream.last_ingestion_ms.map(|_| stream.upload_sequence_token),
        // AWS counts bytes for groups only, since 2019.
        stored_bytes: Some(0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{NOW, Rig};

    fn names(answer: &Value) -> Vec<&str> {
        let streams = answer["logStreams"].as_array().unwrap();
        streams.iter().map(|stream| stream["logStreamName"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn streams_come_by_name_or_by_their_last_event() {
        let rig = Rig::with_streams().await;
        rig.put("a", &[(5, "x"), (9, "y")]).await;
        rig.put("b", &[(7, "x")]).await;
        let group = json!({"logGroupName": "/ecs/app"});
        let answer = rig.call("DescribeLogStreams", group).await;
        assert_eq!(names(&answer), ["a", "b"]);
        let a = &answer["logStreams"][0];
        assert_eq!(a["arn"], "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/app:log-stream:a");
        let times =
            ["creationTime", "firstEventTimestamp", "lastEventTimestamp", "lastIngestionTime"];
        assert_eq!(times.map(|time| a[time].as_i64().unwrap() - NOW), [0, 5, 9, 0]);
        assert_eq!(
            (a["storedBytes"].as_i64(), a["uploadSequenceToken"].is_string()),
            (Some(0), true)
        );
        let newest = |token: Value| {
            let mut input = json!({"logGroupIdentifier":
                "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/app",
                "orderBy": "LastEventTime", "descending": true, "limit": 1});
            if !token.is_null() {
                input["nextToken"] = token;
            }
            rig.call("DescribeLogStreams", input)
        };
        let first = newest(Value::Null).await;
        assert_eq!(names(&first), ["a"]);
        let second = newest(first["nextToken"].clone()).await;
        assert_eq!((names(&second), &second["nextToken"]), (vec!["b"], &Value::Null));
    }

    #[tokio::test]
    async fn a_new_stream_has_no_sequence_token() {
        let rig = Rig::with_streams().await;
        let group = json!({"logGroupName": "/ecs/app"});
        let answer = rig.call("DescribeLogStreams", group).await;
        let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/app:log-stream:a";
        assert_eq!(
            answer["logStreams"][0],
            json!({"arn": arn, "creationTime": NOW, "logStreamName": "a", "storedBytes": 0})
        );
    }

    #[tokio::test]
    async fn contradictions_are_refused() {
        let rig = Rig::with_streams().await;
        for (input, text) in [
            (
                json!({"logGroupName": "/ecs/app", "orderBy": "LastEventTime", "logStreamNamePrefix": "a"}),
                "Cannot order by LastEventTime with a logStreamNamePrefix.",
            ),
            (json!({}), "Either logGroupName or logGroupIdentifier must be specified."),
            (
                json!({"logGroupName": "/ecs/app", "nextToken": "67"}),
                "The specified nextToken is invalid.",
            ),
        ] {
            rig.refuses("DescribeLogStreams", input, "InvalidParameterException", text).await;
        }
        let both = json!({"logGroupName": "g", "logGroupIdentifier": "g"});
        let text = "LogGroup name and LogGroup ARN are mutually exclusive parameters.";
        rig.refuses("DescribeLogStreams", both, "ValidationException", text).await;
        let elsewhere =
            json!({"logGroupIdentifier": "arn:aws:logs:eu-west-1:000000000000:log-group:/ecs/app"});
        let text = "The specified log group does not exist.";
        rig.refuses("DescribeLogStreams", elsewhere, "ResourceNotFoundException", text).await;
    }
}
