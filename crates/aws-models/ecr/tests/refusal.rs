//! How ECR words a refused input.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use outport_aws_ecr::{CreateRepositoryRequest, DescribeRepositoriesRequest, MODEL};
use outport_aws_wire::{Exchange, Protocol, Request, Shape};

fn check<T: Shape + Default + std::fmt::Debug>(body: &str, message: &str) {
    let request = Request {
        service: &MODEL,
        protocol: Protocol::Json11,
        operation: "Test",
        body: body.as_bytes(),
        request_id: "r",
    };
    let error = Exchange::new(request).unwrap().read::<T>().unwrap_err();
    assert_eq!(error.code_in(Protocol::Json11), "InvalidParameterException");
    assert!(error.message.starts_with(message), "{}", error.message);
}

#[test]
fn a_refused_input_is_worded_as_ecr_does() {
    check::<CreateRepositoryRequest>(
        r#"{"repositoryName":"UPPER"}"#,
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '",
    );
    check::<CreateRepositoryRequest>(
        r#"{"repositoryName":"a"}"#,
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must have length greater than or equal to 2'",
    );
    check::<DescribeRepositoriesRequest>(
        r#"{"maxResults":1001}"#,
        "Invalid parameter at 'maxResults' failed to satisfy constraint: 'must be less than or equal to 1000'",
    );
}
