//! How ECR words a refused input.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use outport_aws_ecr::{
    BatchGetImageRequest, CreateRepositoryRequest, DescribeRepositoriesRequest,
    GetAuthorizationTokenRequest, MODEL, TagResourceRequest,
};
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
    assert_eq!(error.message, message);
}

/// `repositoryName` is worded by ECR itself, everything else by AWS's common validation.
#[test]
fn a_refused_input_is_worded_as_ecr_does() {
    check::<CreateRepositoryRequest>(
        r#"{"repositoryName":"UPPER"}"#,
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression \
         '[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*''",
    );
    check::<CreateRepositoryRequest>(
        r#"{"repositoryName":"a"}"#,
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must have length greater than or equal to 2'",
    );
    check::<CreateRepositoryRequest>(
        "{}",
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must not be null'",
    );
    check::<CreateRepositoryRequest>(
        r#"{"repositoryName":"app","imageTagMutability":"FOO"}"#,
        "Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Member must satisfy enum value set: \
         [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]'",
    );
    check::<CreateRepositoryRequest>(
        r#"{"repositoryName":"app","encryptionConfiguration":{"encryptionType":"FOO"}}"#,
        "Invalid parameter at 'encryptionConfiguration.encryptionType' failed to satisfy constraint: 'Member must \
         satisfy enum value set: [AES256, KMS, KMS_DSSE]'",
    );
    check::<DescribeRepositoriesRequest>(
        r#"{"maxResults":1001}"#,
        "Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value less than or equal to 1000'",
    );
    check::<DescribeRepositoriesRequest>(
        r#"{"repositoryNames":["app","000000000000.dkr.ecr.us-east-1.amazonaws.com/app:latest"]}"#,
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression \
         '[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*''",
    );
    check::<DescribeRepositoriesRequest>(
        r#"{"maxResults":0}"#,
        "Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value greater than or equal to 1'",
    );
    check::<DescribeRepositoriesRequest>(
        r#"{"registryId":"1"}"#,
        "Invalid parameter at 'registryId' failed to satisfy constraint: 'Member must satisfy regular expression pattern: \
         [0-9]{12}'",
    );
    check::<GetAuthorizationTokenRequest>(
        r#"{"registryIds":["1"]}"#,
        "Invalid parameter at 'registryIds' failed to satisfy constraint: 'Member must satisfy constraint: [Member must \
         satisfy regular expression pattern: [0-9]{12}]'",
    );
    check::<BatchGetImageRequest>(
        r#"{"repositoryName":"app"}"#,
        "Invalid parameter at 'imageIds' failed to satisfy constraint: 'Member must not be null'",
    );
    check::<TagResourceRequest>(
        r#"{"resourceArn":"a","tags":[{"Key":"a","Value":"b"},{"Value":"prod"}]}"#,
        "Invalid parameter at 'tags.2.member.key' failed to satisfy constraint: 'Member must not be null'",
    );
}
