use serde_json::json;

use crate::testing::World;

#[tokio::test]
async fn an_entry_is_taken_or_fails_by_itself() {
    let world = World::full().await;
    let entry = |source: &str, bus: &str| json!({"Source": source, "DetailType": "t", "Detail": "{\"a\": 1}", "EventBusName": bus, "Resources": ["r"]});
    let entries = json!([
        entry("shop", "default"),
        entry("shop", "orders"),
        entry("shop", "none"),
        entry("aws.ecs", "default"),
        {"DetailType": "t", "Detail": "{}"},
        {"Source": "s", "Detail": "{}"},
        {"Source": "s", "DetailType": "t"},
        {"Source": "s", "DetailType": "t", "Detail": "[]"},
    ]);
    let answer = world.call("PutEvents", json!({"Entries": entries})).await;
    assert_eq!(answer["FailedEntryCount"], 6, "{answer}");
    let codes: Vec<_> = answer["Entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["ErrorCode"].as_str())
        .collect();
    let missing = Some("InvalidArgument");
    let expected = [
        None,
        None,
        Some("ResourceNotFoundException"),
        Some("NotAuthorizedForSourceException"),
        missing,
        missing,
        missing,
        Some("MalformedDetail"),
    ];
    assert_eq!(codes, expected, "{answer}");
    // The bus `orders` has no rule: its event is over.
    let tables = world.store.snapshot();
    let pending: Vec<_> = tables.pending_events.iter().collect();
    assert_eq!(pending.len(), 1);
    assert_eq!(answer["Entries"][0]["EventId"], pending[0].id.as_str());
    let outport_model::event::EventBody::Whole(text) = &pending[0].body else {
        panic!("{pending:?}")
    };
    let expected = json!({
        "version": "0", "id": pending[0].id, "detail-type": "t", "source": "shop", "account": "000000000000",
        "time": "2026-01-01T00:00:00Z", "region": "us-east-1", "resources": ["r"], "detail": {"a": 1},
    });
    assert_eq!(text, &expected.to_string());
}

#[tokio::test]
async fn a_request_has_a_size() {
    let world = World::new();
    let detail = format!("{{\"a\": \"{}\"}}", "x".repeat(200_000));
    let entry = json!({"Source": "s", "DetailType": "t", "Detail": detail});
    let text = "Total size of the entries in the request is over the limit.";
    world
        .refuses("PutEvents", json!({"Entries": [entry, entry]}), "ValidationException", text)
        .await;
    world.check("PutEvents", json!({"Entries": [entry]}), json!({"FailedEntryCount": 0})).await;
}

#[tokio::test]
async fn a_pattern_is_tried() {
    let world = World::new();
    let event = json!({
        "id": "1", "account": "0", "source": "shop", "time": "t", "region": "r", "resources": [], "detail-type": "t", "detail": {"n": 5},
    });
    let input = |pattern: &str, event: &str| json!({"EventPattern": pattern, "Event": event});
    let check = async |pattern: &str, expected: bool| {
        world
            .check(
                "TestEventPattern",
                input(pattern, &event.to_string()),
                json!({"Result": expected}),
            )
            .await;
    };
    check(r#"{"detail": {"n": [{"numeric": [">", 4]}]}}"#, true).await;
    check(r#"{"source": ["other"]}"#, false).await;
    let text = "Event pattern is not valid. Reason: \"source\" must be an object or an array";
    let exception = "InvalidEventPatternException";
    world.refuses("TestEventPattern", input(r#"{"source": "x"}"#, "{}"), exception, text).await;
    world
        .refuses(
            "TestEventPattern",
            input(r#"{"source": ["x"]}"#, "{}"),
            "ValidationException",
            "Parameter Event is not valid.",
        )
        .await;
}

#[tokio::test]
async fn buses_come_and_go() {
    let world = World::new();
    let validation = "ValidationException";
    let arn = |name: &str| format!("arn:aws:events:us-east-1:000000000000:event-bus/{name}");
    world
        .check(
            "CreateEventBus",
            json!({"Name": "b", "Description": "d"}),
            json!({"EventBusArn": arn("b"), "Description": "d"}),
        )
        .await;
    let exists = "ResourceAlreadyExistsException";
    world
        .refuses("CreateEventBus", json!({"Name": "b"}), exists, "Event bus b already exists.")
        .await;
    world
        .refuses(
            "CreateEventBus",
            json!({"Name": "default"}),
            exists,
            "Event bus default already exists.",
        )
        .await;
    world
        .refuses(
            "CreateEventBus",
            json!({"Name": "a/b"}),
            validation,
            "Event bus name must not contain '/'.",
        )
        .await;
    world
        .check("DescribeEventBus", json!({}), json!({"Name": "default", "Arn": arn("default")}))
        .await;
    world
        .check(
            "DescribeEventBus",
            json!({"Name": arn("b")}),
            json!({"Name": "b", "Description": "d"}),
        )
        .await;
    world
        .call(
            "TagResource",
            json!({"ResourceARN": arn("default"), "Tags": [{"Key": "k", "Value": "v"}]}),
        )
        .await;
    let answer = world.call("ListEventBuses", json!({})).await;
    let names: Vec<_> = answer["EventBuses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bus| bus["Name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["b", "default"]);
    world
        .call(
            "PutRule",
            json!({"Name": "r", "EventBusName": "b", "EventPattern": "{\"source\": [\"x\"]}"}),
        )
        .await;
    world
        .refuses(
            "DeleteEventBus",
            json!({"Name": "b"}),
            validation,
            "Event bus can't be deleted since it has rules.",
        )
        .await;
    world
        .refuses(
            "DeleteEventBus",
            json!({"Name": "default"}),
            validation,
            "Cannot delete event bus default.",
        )
        .await;
    world.call("DeleteRule", json!({"Name": "r", "EventBusName": "b"})).await;
    world.call("DeleteEventBus", json!({"Name": "b"})).await;
    world.call("DeleteEventBus", json!({"Name": "b"})).await;
}
