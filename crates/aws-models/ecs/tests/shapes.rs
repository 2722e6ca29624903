//! The generated shapes keep every member of what they read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use outport_aws_ecs::{
    CreateServiceRequest, DescribeClustersRequest, DescribeTasksResponse,
    ListAccountSettingsRequest, ListTasksRequest, MODEL, RegisterTaskDefinitionRequest,
    RegisterTaskDefinitionResponse, RunTaskRequest, SettingName, UlimitName, UpdateServiceRequest,
};
use outport_aws_wire::{
    Exchange, Kind, Protocol, Request, Schema, Shape, Target, WireError, to_json,
};
use serde_json::{Value, json};

/// Structures within structures: deep enough for every ECS shape.
const NESTING: usize = 8;

fn read<T: Shape + Default>(operation: &str, body: &str) -> Result<T, WireError> {
    let protocol = Protocol::Json11;
    let body = body.as_bytes();
    Exchange::new(Request { service: &MODEL, protocol, operation, body, request_id: "r" })?.read()
}

/// A value of this kind with every member set.
fn example(target: &Target, depth: usize) -> Value {
    match target.kind {
        Kind::Boolean => json!(true),
        Kind::Integer | Kind::Long => json!(target.constraint.min.unwrap_or(7).max(1)),
        Kind::Float | Kind::Double => json!(0.5),
        Kind::String => json!("text"),
        Kind::Enum(names) => json!(names.last()),
        Kind::Timestamp => json!(1_767_323_045.678),
        Kind::Blob => json!("AP8H"),
        Kind::Document => json!({"free": [1, null]}),
        Kind::List(item) => json!([example(item.target, depth)]),
        Kind::Map { value, .. } => json!({"key": example(value.target, depth)}),
        Kind::Structure(schema) => structure(schema, depth + 1),
    }
}

fn structure(schema: &Schema, depth: usize) -> Value {
    assert!(depth < NESTING, "{} nests deeper than this test looks", schema.name);
    let members = schema.members.iter();
    members
        .map(|member| (member.wire_name().to_owned(), example(member.target, depth)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn check<T: Shape + Default>() {
    let everything = structure(T::default().schema(), 0);
    let shape: T = read("Test", &everything.to_string()).unwrap();
    let kept: Value = serde_json::from_str(&to_json(&shape)).unwrap();
    assert_eq!(kept, everything);
}

#[test]
fn every_member_is_kept() {
    check::<RegisterTaskDefinitionRequest>();
    check::<RegisterTaskDefinitionResponse>();
    check::<RunTaskRequest>();
    check::<CreateServiceRequest>();
    check::<UpdateServiceRequest>();
    check::<DescribeTasksResponse>();
}

/// Code and message with which the input is refused.
fn check_refused(body: &str, code: &str, message: &str) {
    let error = read::<RegisterTaskDefinitionRequest>("RegisterTaskDefinition", body).unwrap_err();
    assert_eq!(
        (error.code_in(Protocol::Json11), error.message.as_str()),
        (code, message),
        "{body}"
    );
}

#[test]
fn a_refused_input_is_worded_as_ecs_does() {
    check_refused("{}", "ClientException", "Family can not be blank.");
    check_refused(
        r#"{"family":"f","containerDefinitions":[],"volumes":[{"dockerVolumeConfiguration":{}}],"proxyConfiguration":{}}"#,
        "ClientException",
        "ProxyConfiguration.containerName should not be null or empty.",
    );
    check_refused(
        r#"{"family":"f","containerDefinitions":[],"networkMode":"tunnel"}"#,
        "InvalidParameterException",
        "network mode should be one of [bridge,host,awsvpc,none]",
    );
    check_refused(
        r#"{"family":"f","containerDefinitions":[{"cpu":"1"}]}"#,
        "SerializationException",
        "STRING_VALUE can not be converted to an integer at 'containerDefinitions.1.member.cpu'",
    );
}

/// Sources: public test suites (launch type, account settings), a report of Terraform (`include`).
#[test]
fn a_name_that_an_enum_does_not_have_is_worded_as_ecs_does() {
    fn check<T: Shape + Default>(operation: &str, body: &str, message: &str) {
        let error = read::<T>(operation, body).err().expect("a violation");
        let found = (error.code_in(Protocol::Json11), error.message.as_str());
        assert_eq!(found, ("InvalidParameterException", message), "{body}");
    }
    check::<RunTaskRequest>(
        "RunTask",
        r#"{"taskDefinition":"a","launchType":"FOO"}"#,
        "launch type should be one of [EC2,FARGATE,EXTERNAL,MANAGED_INSTANCES]",
    );
    check::<CreateServiceRequest>(
        "CreateService",
        r#"{"serviceName":"a","schedulingStrategy":"FOO"}"#,
        "Scheduling strategy should be one of [REPLICA,DAEMON]",
    );
    check::<CreateServiceRequest>(
        "CreateService",
        r#"{"serviceName":"a","networkConfiguration":{"awsvpcConfiguration":{"subnets":[],"assignPublicIp":"yes"}}}"#,
        "assign public ip should be one of [ENABLED,DISABLED]",
    );
    check::<ListAccountSettingsRequest>(
        "ListAccountSettings",
        r#"{"name":"unknown"}"#,
        &format!("unknown should be one of [{}]", SettingName::NAMES.join(",")),
    );
    check::<DescribeClustersRequest>(
        "DescribeClusters",
        r#"{"include":["TAGS","FOO"]}"#,
        "include should be one of [ATTACHMENTS,CONFIGURATIONS,SETTINGS,STATISTICS,TAGS]",
    );
    check::<RegisterTaskDefinitionRequest>(
        "RegisterTaskDefinition",
        r#"{"family":"f","containerDefinitions":[{"ulimits":[{"name":"files","softLimit":1,"hardLimit":1}]}]}"#,
        &format!("name should be one of [{}]", UlimitName::NAMES.join(",")),
    );
    check::<ListTasksRequest>(
        "ListTasks",
        r#"{"maxResults":1,"desiredStatus":""}"#,
        "desired status should be one of [RUNNING,PENDING,STOPPED]",
    );
}

#[test]
fn every_operation_is_known_by_name() {
    assert_eq!(MODEL.operations.len(), 88);
    assert!(MODEL.operations.is_sorted_by_key(|operation| operation.name));
    for operation in MODEL.operations {
        let known = MODEL.operation(operation.name).map(|known| known.name);
        assert_eq!(known, Some(operation.name));
        if !operation.is_implemented {
            let error = MODEL.refuse_operation(operation.name);
            assert_eq!(error.status_in(Protocol::Json11), 501, "{}", operation.name);
        }
    }
    assert!(MODEL.operation("runTask").is_none());
}
