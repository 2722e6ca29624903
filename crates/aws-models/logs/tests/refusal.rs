//! How CloudWatch Logs words a refused input.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use outport_aws_logs::{CreateLogGroupRequest, MODEL};
use outport_aws_wire::{Exchange, Protocol, Request};

fn check(body: &str, message: &str) {
    let request = Request {
        service: &MODEL,
        protocol: Protocol::Json11,
        operation: "CreateLogGroup",
        body: body.as_bytes(),
        request_id: "r",
    };
    let error = Exchange::new(request).unwrap().read::<CreateLogGroupRequest>().unwrap_err();
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
