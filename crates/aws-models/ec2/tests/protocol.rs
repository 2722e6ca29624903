//! EC2's own forms and errors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use outport_aws_ec2::{DescribeVpcsRequest, DescribeVpcsResult, Ec2Error, MODEL, Vpc};
use outport_aws_wire::{Exchange, Protocol, Reply, Request, WireError, to_json};

fn request(body: &[u8]) -> Request<'_> {
    Request {
        service: &MODEL,
        protocol: Protocol::Ec2,
        operation: "DescribeVpcs",
        body,
        request_id: "id-1",
    }
}

fn check(body: &str, expected: &str) {
    let input: DescribeVpcsRequest =
        Exchange::new(request(body.as_bytes())).unwrap().read().unwrap();
    assert_eq!(to_json(&input), expected);
}

#[test]
fn parameters_have_their_query_names() {
    check(
        "Action=DescribeVpcs&Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&Filter.1.Value.2=vpc-2&VpcId.1=vpc-1&DryRun=false",
        r#"{"Filter":[{"Name":"vpc-id","Value":["vpc-1","vpc-2"]}],"VpcId":["vpc-1"],"dryRun":false}"#,
    );
}

#[test]
fn lists_are_items() {
    let vpc = Vpc { vpc_id: Some("vpc-1".to_owned()), is_default: Some(true), ..Vpc::default() };
    let output = DescribeVpcsResult { vpcs: Some(vec![vpc]), ..DescribeVpcsResult::default() };
    let body = String::from_utf8(request(b"").success(&output).body).unwrap();
    assert!(body.contains("<vpcSet><item><isDefault>true</isDefault>"), "{body}");
    assert!(body.contains("<vpcId>vpc-1</vpcId>"), "{body}");
    assert!(body.contains("<requestId>id-1</requestId>"), "{body}");
}

#[test]
fn errors_have_their_status() {
    let reply = |error: Ec2Error| -> Reply { request(b"").failure(&WireError::from(error)) };
    assert_eq!(reply(Ec2Error::new("InvalidVpcID.NotFound", "no")).status, 400);
    assert_eq!(reply(Ec2Error::new("RequestLimitExceeded", "slow")).status, 503);
    assert_eq!(reply(WireError::access_denied("no").into()).status, 403);
}
