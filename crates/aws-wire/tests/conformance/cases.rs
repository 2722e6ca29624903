//! The files of `tests/cases`.

use outport_aws_wire::{OperationModel, Protocol, ServiceModel, WireError, coral_message};
use serde_json::Value;

use crate::model::Model;

const FILES: &[&str] = &[
    "ec2",
    "json",
    "json_1_0",
    "json_1_0-query-compatible",
    "query",
    "smithy-rpc-v2-cbor",
    "smithy-rpc-v2-cbor-non-query-compatible",
    "smithy-rpc-v2-cbor-query-compatible",
];

/// One case with the model and service of its suite.
pub struct Case {
    pub id: String,
    pub value: Value,
    pub model: &'static Model,
    pub service: &'static ServiceModel,
    pub protocol: Protocol,
}

#[allow(clippy::disallowed_methods, reason = "the cases are files beside this test")]
/// All cases of a direction, `input` or `output`. A case whose id is not unique gets its place added.
pub fn all(direction: &str) -> Vec<Case> {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(direction);
    let mut cases: Vec<Case> = Vec::new();
    for file in FILES {
        let path = folder.join(format!("{file}.json"));
        // botocore has no output cases for this one.
        let Ok(text) = std::fs::read_to_string(&path) else {
            assert_eq!((direction, *file), ("output", "smithy-rpc-v2-cbor-non-query-compatible"));
            continue;
        };
        let suites: Value = serde_json::from_str(&text).unwrap();
        for suite in suites.as_array().unwrap() {
            let model: &'static Model = Box::leak(Box::new(Model::new(suite["shapes"].clone())));
            let protocol = protocol(&suite["metadata"]);
            for value in suite["cases"].as_array().unwrap() {
                let id = value["id"].as_str().unwrap().to_owned();
                assert!(cases.iter().all(|case| case.id != id), "{id} is there twice");
                let service = service(&suite["metadata"], &value["given"], protocol);
                cases.push(Case { id, value: value.clone(), model, service, protocol });
            }
        }
    }
    cases
}

fn protocol(metadata: &Value) -> Protocol {
    match metadata["protocol"].as_str().unwrap() {
        "json" if metadata["jsonVersion"] == "1.0" => Protocol::Json10,
        "json" => Protocol::Json11,
        "query" => Protocol::Query,
        "ec2" => Protocol::Ec2,
        "smithy-rpc-v2-cbor" => Protocol::Cbor,
        other => panic!("unknown protocol {other}"),
    }
}

/// A service with the one operation of the case.
fn service(metadata: &Value, given: &Value, protocol: Protocol) -> &'static ServiceModel {
    let name: &'static str = given["name"].as_str().unwrap_or("OperationName").to_owned().leak();
    let has_members = given["output"].is_object();
    let operation = OperationModel {
        name,
        is_implemented: true,
        result_wrapper: if has_members { format!("{name}Result").leak() } else { "" },
        is_anonymous: false,
    };
    Box::leak(Box::new(ServiceModel {
        name: "test",
        service_id: "Test",
        full_name: "Test",
        signing_name: "test",
        target_prefix: "Test",
        api_version: "2020-01-01",
        xml_namespace: "https://example.com/",
        namespace: "com.example",
        protocols: vec![protocol].leak(),
        is_query_compatible: metadata["awsQueryCompatible"].is_object(),
        operations: vec![operation].leak(),
        refuse_input: |_, violations| WireError::malformed(coral_message(violations)),
    }))
}
