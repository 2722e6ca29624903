use serde_json::json;

use crate::testing::World;

const PATTERN: &str = r#"{"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"]}"#;
const VALIDATION: &str = "ValidationException";

#[tokio::test]
async fn a_rule_comes_changes_and_goes() {
    let world = World::new();
    let arn = "arn:aws:events:us-east-1:000000000000:rule/r";
    let put = json!({"Name": "r", "EventPattern": PATTERN, "Description": "d", "Tags": [{"Key": "k", "Value": "v"}]});
    world.check("PutRule", put, json!({"RuleArn": arn})).await;
    let shown = json!({
        "Name": "r", "Arn": arn, "EventPattern": PATTERN, "State": "ENABLED", "Description": "d", "EventBusName": "default",
        "CreatedBy": "000000000000",
    });
    world.check("DescribeRule", json!({"Name": "r"}), shown).await;
    world.call("DisableRule", json!({"Name": "r"})).await;
    world.check("DescribeRule", json!({"Name": "r"}), json!({"State": "DISABLED"})).await;
    world.call("EnableRule", json!({"Name": "r"})).await;
    // What is not given anew is gone, but for tags and targets.
    world.call("PutRule", json!({"Name": "r", "ScheduleExpression": "rate(5 minutes)"})).await;
    let shown =
        json!({"ScheduleExpression": "rate(5 minutes)", "EventPattern": null, "Description": null});
    world.check("DescribeRule", json!({"Name": "r"}), shown).await;
    world
        .check(
            "ListTagsForResource",
            json!({"ResourceARN": arn}),
            json!({"Tags": [{"Key": "k", "Value": "v"}]}),
        )
        .await;
    world.call("DeleteRule", json!({"Name": "r"})).await;
    let text = "Rule r does not exist on EventBus default.";
    for operation in ["DescribeRule", "EnableRule", "DisableRule"] {
        world.refuses(operation, json!({"Name": "r"}), "ResourceNotFoundException", text).await;
    }
    assert_eq!(world.store.snapshot().scheduled_rules.len(), 0);
    world.call("DeleteRule", json!({"Name": "r"})).await;
}

#[tokio::test]
async fn what_is_no_rule_is_refused_and_leaves_no_trace() {
    let world = World::full().await;
    let version = world.store.snapshot().version();
    let cases = [
        (
            json!({}),
            VALIDATION,
            "Parameter(s) EventPattern or ScheduleExpression must be specified.",
        ),
        (
            json!({"ScheduleExpression": "rate(5 minute)"}),
            VALIDATION,
            "Parameter ScheduleExpression is not valid.",
        ),
        (
            json!({"ScheduleExpression": "cron(0 0 30 2 ? *)"}),
            VALIDATION,
            "Parameter ScheduleExpression is not valid.",
        ),
        (
            json!({"ScheduleExpression": "cron(0 0 1 1 ? 2020)", "State": "DISABLED"}),
            VALIDATION,
            "Parameter ScheduleExpression is not valid.",
        ),
        (
            json!({"ScheduleExpression": "rate(5 minutes)", "EventBusName": "orders"}),
            VALIDATION,
            "ScheduleExpression is supported only on the default event bus.",
        ),
        (
            json!({"EventPattern": "{}"}),
            "InvalidEventPatternException",
            "Event pattern is not valid. Reason: Empty objects are not allowed",
        ),
        (
            json!({"EventPattern": PATTERN, "EventBusName": "none"}),
            "ResourceNotFoundException",
            "Event bus none does not exist.",
        ),
    ];
    for (mut input, exception, text) in cases {
        input["Name"] = "nightly".into();
        world.refuses("PutRule", input, exception, text).await;
    }
    let text = "Rule can't be deleted since it has targets.";
    world.refuses("DeleteRule", json!({"Name": "nightly"}), VALIDATION, text).await;
    let (_, answer) = world
        .reply("PutRule", &json!({"Name": "r", "EventPattern": PATTERN, "State": "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"}))
        .await;
    assert_eq!(answer["__type"], "NotImplemented", "{answer}");
    assert_eq!(world.store.snapshot().version(), version);
}

#[tokio::test]
async fn a_schedule_keeps_its_time_while_it_goes_on() {
    let world = World::new();
    let put = |more: serde_json::Value| {
        let mut input = json!({"Name": "r", "ScheduleExpression": "rate(5 minutes)"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let due = |world: &World| {
        let tables = world.store.snapshot();
        tables.scheduled_rules.iter().next().map(|row| row.due_at_ms - row.since_ms)
    };
    world.call("PutRule", put(json!({}))).await;
    assert_eq!(due(&world), Some(300_000));
    let before = world.store.snapshot().scheduled_rules.iter().next().cloned();
    world.call("PutRule", put(json!({"Description": "other"}))).await;
    assert_eq!(world.store.snapshot().scheduled_rules.iter().next().cloned(), before);
    world.call("DisableRule", json!({"Name": "r"})).await;
    assert_eq!(due(&world), None);
    world.call("EnableRule", json!({"Name": "r"})).await;
    assert_eq!(due(&world), Some(300_000));
    world.call("PutRule", put(json!({"ScheduleExpression": "rate(1 hour)"}))).await;
    assert_eq!(due(&world), Some(3_600_000));
    world.call("PutRule", put(json!({"State": "DISABLED"}))).await;
    assert_eq!(due(&world), None);
}

#[tokio::test]
async fn a_rule_says_which_events_of_ecs_it_hears() {
    let world = World::new();
    let check = async |bus: &str, pattern: &str, expected: [bool; 4]| {
        world
            .call("PutRule", json!({"Name": "r", "EventBusName": bus, "EventPattern": pattern}))
            .await;
        let tables = world.store.snapshot();
        let hears = tables.event_rules.iter().find(|rule| rule.bus == bus).unwrap().hears;
        let found =
            [hears.tasks, hears.container_instances, hears.service_actions, hears.deployments];
        assert_eq!(found, expected, "{bus} {pattern}");
    };
    world.call("CreateEventBus", json!({"Name": "b"})).await;
    check("default", PATTERN, [true, false, false, false]).await;
    check("default", r#"{"source": ["aws.ecs"]}"#, [true; 4]).await;
    check("default", r#"{"detail": {"lastStatus": ["STOPPED"]}}"#, [true; 4]).await;
    check("default", r#"{"detail-type": [{"suffix": "State Change"}]}"#, [true, true, false, true])
        .await;
    check("default", r#"{"source": ["shop"]}"#, [false; 4]).await;
    check("b", r#"{"source": ["aws.ecs"]}"#, [false; 4]).await;
}

#[tokio::test]
async fn rules_are_listed_by_bus_and_prefix_in_pages() {
    let world = World::full().await;
    for name in ["a-1", "a-2", "b"] {
        world.call("PutRule", json!({"Name": name, "EventPattern": PATTERN})).await;
    }
    world
        .call(
            "PutRule",
            json!({"Name": "other", "EventPattern": PATTERN, "EventBusName": "orders"}),
        )
        .await;
    let names = async |input: serde_json::Value| {
        let answer = world.call("ListRules", input).await;
        let rules = answer["Rules"].as_array().unwrap().iter();
        (
            rules.map(|rule| rule["Name"].as_str().unwrap().to_owned()).collect::<Vec<_>>(),
            answer["NextToken"].clone(),
        )
    };
    assert_eq!(names(json!({})).await.0, ["a-1", "a-2", "b", "nightly"]);
    assert_eq!(names(json!({"NamePrefix": "a-"})).await.0, ["a-1", "a-2"]);
    let arn = "arn:aws:events:us-east-1:000000000000:event-bus/orders";
    assert_eq!(names(json!({"EventBusName": arn})).await.0, ["other"]);
    let (first, token) = names(json!({"Limit": 3})).await;
    assert_eq!(first, ["a-1", "a-2", "b"]);
    assert_eq!(names(json!({"Limit": 3, "NextToken": token})).await.0, ["nightly"]);
}
