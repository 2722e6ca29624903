//! How CloudWatch Logs words a refused input.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use outport_aws_logs::{
    CreateLogGroupRequest, CreateLogStreamRequest, DescribeLogGroupsRequest,
    DescribeLogStreamsRequest, FilterLogEventsRequest, GetLogEventsRequest, MODEL,
    PutLogEventsRequest, TagResourceRequest,
};
use outport_aws_wire::{Exchange, Protocol, Request, Shape};

fn check(body: &str, message: &str) {
    check_as::<CreateLogGroupRequest>(body, message);
}

#[track_caller]
fn check_as<T: Shape + Default>(body: &str, message: &str) {
    let request = Request {
        service: &MODEL,
        protocol: Protocol::Json11,
        operation: "CreateLogGroup",
        body: body.as_bytes(),
        request_id: "r",
    };
    let error = Exchange::new(request).unwrap().read::<T>().err().expect("a violation");
    assert_eq!(error.code_in(Protocol::Json11), "InvalidParameterException");
    assert_eq!(error.message, message);
}

#[test]
fn a_refused_input_is_worded_as_logs_does() {
    check(
        r#"{"logGroupName":""}"#,
        "2 validation errors detected: Value '' at 'logGroupName' failed to satisfy constraint: Member must satisfy \
         regular expression pattern: [\\.\\-_/#A-Za-z0-9]+; Value '' at 'logGroupName' failed to satisfy constraint: \
         Member must have length greater than or equal to 1",
    );
    check(
        "{}",
        "1 validation error detected: Value null at 'logGroupName' failed to satisfy constraint: Member must not be null",
    );
}

#[test]
fn a_name_that_is_too_long_is_said_in_words_of_its_own() {
    let text = "Invalid LogGroup or LogStream, both must have length less than or equal to 512.";
    let name = "a".repeat(513);
    check(&format!(r#"{{"logGroupName":"{name}"}}"#), text);
    check_as::<CreateLogStreamRequest>(
        &format!(r#"{{"logGroupName":"g","logStreamName":"{name}"}}"#),
        text,
    );
    check_as::<PutLogEventsRequest>(
        &format!(
            r#"{{"logGroupName":"{name}","logStreamName":"s","logEvents":[{{"timestamp":1,"message":"m"}}]}}"#
        ),
        text,
    );
    // Prefixes are checked as everything else is, and shown whole.
    check_as::<DescribeLogGroupsRequest>(
        &format!(r#"{{"logGroupNamePrefix":"{name}"}}"#),
        &format!(
            "1 validation error detected: Value '{name}' at 'logGroupNamePrefix' failed to satisfy constraint: Member must \
             have length less than or equal to 512"
        ),
    );
}

#[test]
fn an_identifier_is_named_without_its_value() {
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:g:*";
    let text = "1 validation error detected: Value at 'logGroupIdentifier' failed to satisfy constraint: Member must \
                satisfy regular expression pattern: [\\w#+=/:,.@-]*";
    check_as::<DescribeLogStreamsRequest>(&format!(r#"{{"logGroupIdentifier":"{arn}"}}"#), text);
    check_as::<FilterLogEventsRequest>(&format!(r#"{{"logGroupIdentifier":"{arn}"}}"#), text);
    check_as::<GetLogEventsRequest>(
        &format!(r#"{{"logGroupIdentifier":"{arn}","logStreamName":"s"}}"#),
        text,
    );
    check_as::<DescribeLogGroupsRequest>(
        &format!(r#"{{"logGroupIdentifiers":["g","{arn}"]}}"#),
        "1 validation error detected: Value at 'logGroupIdentifiers' failed to satisfy constraint: Member must satisfy \
         constraint: [Member must have length less than or equal to 2048, Member must have length greater than or equal \
         to 1, Member must satisfy regular expression pattern: [\\w#+=/:,.@-]*]",
    );
}

#[test]
fn limits_and_names_of_enums() {
    check_as::<GetLogEventsRequest>(
        r#"{"logGroupName":"g","logStreamName":"s","limit":10001}"#,
        "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value less \
         than or equal to 10000",
    );
    check_as::<DescribeLogGroupsRequest>(
        r#"{"limit":51}"#,
        "1 validation error detected: Value '51' at 'limit' failed to satisfy constraint: Member must have value less \
         than or equal to 50",
    );
    check_as::<DescribeLogStreamsRequest>(
        r#"{"logGroupName":"g","orderBy":""}"#,
        "1 validation error detected: Value '' at 'orderBy' failed to satisfy constraint: Member must satisfy enum value \
         set: [LogStreamName, LastEventTime]",
    );
    check_as::<TagResourceRequest>(
        r#"{"resourceArn":"arn:aws:logs:us-east-1:000000000000:log-group:g","tags":{"":"v"}}"#,
        "1 validation error detected: Value '{=v}' at 'tags' failed to satisfy constraint: Map keys must satisfy \
         constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to \
         1, Member must satisfy regular expression pattern: ^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+)$]",
    );
}
