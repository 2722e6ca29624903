//! Errors in every protocol.

use outport_aws_wire::{CommonError, Protocol, Reply, WireError};

use crate::sample::{SERVICE, Sample};

fn check(protocol: Protocol, error: &WireError, status: u16, body: &str) -> Reply {
    let reply = Reply::failure(Some(&SERVICE), protocol, "id-1", error);
    assert_eq!(String::from_utf8_lossy(&reply.body), body);
    assert_eq!(reply.status, status);
    reply
}

fn exception() -> WireError {
    let members = Sample { count: Some(3), ..Sample::default() };
    let mut error = WireError::exception("SampleException", 409, "a < b".to_owned(), members);
    error.query_code = Some("Sample.Old");
    error
}

#[test]
fn an_exception_has_its_members_in_every_protocol() {
    let reply = check(
        Protocol::Json11,
        &exception(),
        409,
        "{\"__type\":\"SampleException\",\"message\":\"a < b\",\"count\":3}",
    );
    assert!(reply.headers.contains(&("x-amzn-ErrorType", "SampleException".to_owned())));
    assert!(reply.headers.contains(&("x-amzn-query-error", "Sample.Old;Sender".to_owned())));
    check(
        Protocol::Query,
        &exception(),
        409,
        "<ErrorResponse xmlns=\"https://example.com/\"><Error><Type>Sender</Type><Code>SampleException</Code>\
         <Message>a &lt; b</Message><count>3</count></Error><RequestId>id-1</RequestId></ErrorResponse>",
    );
    check(
        Protocol::Ec2,
        &exception(),
        409,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>SampleException</Code>\
         <Message>a &lt; b</Message><count>3</count></Error></Errors><RequestID>id-1</RequestID></Response>",
    );
    let reply = check(
        Protocol::Cbor,
        &exception(),
        409,
        "\u{fffd}f__typex com.example.test#SampleExceptiongmessageea < becount\u{3}\u{fffd}",
    );
    assert!(reply.headers.iter().all(|(name, _)| *name != "x-amzn-ErrorType"));
}

#[test]
fn common_errors_are_named_by_the_protocol() {
    let denied = WireError::access_denied("no");
    check(
        Protocol::Json11,
        &denied,
        400,
        "{\"__type\":\"AccessDeniedException\",\"message\":\"no\"}",
    );
    assert_eq!(
        (denied.code_in(Protocol::Query), denied.status_in(Protocol::Query)),
        ("AccessDenied", 403)
    );
    assert_eq!(
        (denied.code_in(Protocol::Ec2), denied.status_in(Protocol::Ec2)),
        ("UnauthorizedOperation", 403)
    );
}

#[test]
fn a_fault_tells_the_caller_nothing() {
    let fault = WireError::internal("disk sda is broken");
    let reply = Reply::failure(Some(&SERVICE), Protocol::Json11, "id-1", &fault);
    assert_eq!(reply.status, 500);
    assert!(!String::from_utf8(reply.body).unwrap().contains("sda"));
    assert!(reply.headers.contains(&("x-amzn-query-error", "InternalFailure;Receiver".to_owned())));
    assert_eq!(fault.log_message.as_deref(), Some("disk sda is broken"));
}

#[test]
fn operations_without_a_handler_are_refused() {
    let known = SERVICE.refuse_operation("Build");
    assert_eq!(
        (known.code_in(Protocol::Json11), known.status_in(Protocol::Json11)),
        ("NotImplemented", 501)
    );
    assert!(
        known.message.contains("test:Build") && known.message.contains("/_outport/compatibility")
    );
    let unknown = SERVICE.refuse_operation("Bild");
    assert_eq!(unknown.code_in(Protocol::Json11), "UnknownOperationException");
    assert_eq!(unknown.code_in(Protocol::Query), "InvalidAction");
}

#[test]
fn every_common_error_has_a_client_or_server_status() {
    let all = [
        CommonError::AccessDenied,
        CommonError::MissingAuthentication,
        CommonError::IncompleteSignature,
        CommonError::UnknownAccessKey,
        CommonError::SignatureMismatch,
        CommonError::ExpiredToken,
        CommonError::RequestExpired,
        CommonError::Malformed,
        CommonError::InvalidInput,
        CommonError::UnknownOperation,
        CommonError::NotImplemented,
        CommonError::TooLarge,
        CommonError::Throttled,
        CommonError::Unavailable,
        CommonError::Internal,
    ];
    for error in all {
        for protocol in [Protocol::Json11, Protocol::Query, Protocol::Ec2, Protocol::Cbor] {
            let (code, status) = error.code_and_status(protocol);
            assert!(!code.is_empty() && (400..=503).contains(&status), "{error:?} {protocol:?}");
            assert_eq!(
                error.is_ours(),
                status >= 500
                    && error != CommonError::NotImplemented
                    && error != CommonError::Throttled,
                "{error:?} {protocol:?}"
            );
        }
    }
}
