//! Request cases: the bytes that a client sends must decode to the params that it was given.

use std::collections::BTreeMap;

use base64::Engine as _;
use outport_aws_wire::{Exchange, Protocol, Request, to_json};

use crate::cases::{self, Case};
use crate::dynamic::Structure;
use crate::{Known, check};

/// The case shows only headers, not the compressed body; inflating it is the front door's work.
const NO_BODY: &str = "the case has no body";
/// Filling in a token is the client's work: the case's params lack what its body has.
const FILLED_IN: &str = "the client adds the token";
/// The client sends nothing for an empty list or map here, so nobody can tell it from an absent one.
const NOT_SENT: &str = "the empty value is not on the wire";

const KNOWN: &[Known] = &[
    ("Ec2EmptyQueryLists", NOT_SENT),
    ("Ec2ProtocolIdempotencyTokenAutoFill", FILLED_IN),
    ("QueryEmptyQueryMaps", NOT_SENT),
    ("QueryProtocolIdempotencyTokenAutoFill", FILLED_IN),
    ("SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0", NO_BODY),
    ("SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1", NO_BODY),
    ("SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery", NO_BODY),
    ("SDKAppendsGzipAndIgnoresHttpProvidedEncoding_ec2Query", NO_BODY),
    ("SDKAppliedContentEncoding_awsJson1_0", NO_BODY),
    ("SDKAppliedContentEncoding_awsJson1_1", NO_BODY),
    ("SDKAppliedContentEncoding_awsQuery", NO_BODY),
    ("SDKAppliedContentEncoding_ec2Query", NO_BODY),
];

#[test]
fn requests_decode_to_their_params() {
    let mut passed = 0;
    let mut failed = BTreeMap::new();
    for case in cases::all("input") {
        match decode(&case) {
            Ok(()) => passed += 1,
            Err(problem) => {
                failed.insert(case.id, problem);
            }
        }
    }
    check(passed, &failed, KNOWN, 148);
}

fn decode(case: &Case) -> Result<(), String> {
    let schema = case.model.schema(case.value["given"]["input"]["shape"].as_str());
    let params = match &case.value["params"] {
        serde_json::Value::Null => &serde_json::json!({}),
        params => params,
    };
    let expected = to_json(&Structure::from_case(schema, params));
    let text = case.value["serialized"]["body"].as_str().unwrap_or_default();
    let body = match case.protocol {
        Protocol::Cbor => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
        _ => text.as_bytes().to_vec(),
    };
    let request = Request {
        service: case.service,
        protocol: case.protocol,
        operation: case.service.operations[0].name,
        body: &body,
        request_id: "r",
    };
    let mut actual = Structure::empty(schema);
    let exchange = Exchange::new(request).map_err(|error| error.to_string())?;
    exchange.read_into(&mut actual).map_err(|error| error.to_string())?;
    let actual = to_json(&actual);
    if actual == expected { Ok(()) } else { Err(format!("{actual} instead of {expected}")) }
}
