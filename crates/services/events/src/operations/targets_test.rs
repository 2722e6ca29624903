use serde_json::{Value, json};

use crate::testing::{LOG_GROUP, World};

const CLUSTER: &str = "arn:aws:ecs:us-east-1:000000000000:cluster/default";
const ROLE: &str = "arn:aws:iam::000000000000:role/events";

fn task(id: &str) -> Value {
    json!({
        "Id": id, "Arn": CLUSTER, "RoleArn": ROLE, "Input": "{}",
        "EcsParameters": {
            "TaskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:task-definition/job", "TaskCount": 2, "LaunchType": "FARGATE",
            "NetworkConfiguration": {"awsvpcConfiguration": {"Subnets": ["subnet-1"], "AssignPublicIp": "ENABLED"}},
            "Tags": [{"Key": "k", "Value": "v"}],
        },
        "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60},
        "DeadLetterConfig": {"Arn": LOG_GROUP},
    })
}

#[tokio::test]
async fn targets_are_kept_as_they_were_given() {
    let world = World::full().await;
    let template = json!({
        "Id": "template", "Arn": LOG_GROUP,
        "InputTransformer": {"InputPathsMap": {"id": "$.id"}, "InputTemplate": "{\"id\": <id>}"},
    });
    let path = json!({"Id": "path", "Arn": LOG_GROUP, "InputPath": "$.detail"});
    let given = [path, task("task"), template];
    world.call("PutTargets", json!({"Rule": "nightly", "Targets": given})).await;
    let mut all = given.to_vec();
    all.insert(0, json!({"Id": "log", "Arn": LOG_GROUP}));
    world.check("ListTargetsByRule", json!({"Rule": "nightly"}), json!({"Targets": all})).await;
    let by = json!({"TargetArn": CLUSTER});
    world.check("ListRuleNamesByTarget", by.clone(), json!({"RuleNames": ["nightly"]})).await;
    let answer =
        world.call("RemoveTargets", json!({"Rule": "nightly", "Ids": ["task", "none"]})).await;
    assert_eq!(answer["FailedEntryCount"], 1, "{answer}");
    assert_eq!(answer["FailedEntries"][0]["TargetId"], "none", "{answer}");
    world.check("ListRuleNamesByTarget", by, json!({"RuleNames": []})).await;
    let many: Vec<Value> = (0..5).map(|n| json!({"Id": n.to_string(), "Arn": LOG_GROUP})).collect();
    let text = "The requested resource exceeds the maximum number allowed.";
    let exception = "LimitExceededException";
    world.refuses("PutTargets", json!({"Rule": "nightly", "Targets": many}), exception, text).await;
}

#[tokio::test]
async fn what_events_cannot_go_to_is_refused() {
    let world = World::full().await;
    let with = |mut target: Value, more: Value| {
        target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        target.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        json!({"Rule": "nightly", "Targets": [target]})
    };
    let log = |more| with(json!({"Id": "x", "Arn": LOG_GROUP}), more);
    for (input, text) in [
        (
            log(json!({"Arn": "x"})),
            "Parameter x is not valid. Reason: Provided Arn is not in correct format.",
        ),
        (log(json!({"Input": "{"})), "Parameter Input of target x is not valid JSON."),
        (log(json!({"InputPath": "detail"})), "InputPath for target x is invalid."),
        (
            log(json!({"Input": "{}", "InputPath": "$"})),
            "Only one of Input, InputPath, or InputTransformer must be provided for target x.",
        ),
        (
            log(json!({"InputTransformer": {"InputTemplate": "<a>"}})),
            "Invalid InputTemplate for target x : the template contains the placeholder <a>, which is not in InputPathsMap.",
        ),
        (
            with(task("x"), json!({"RoleArn": null})),
            "RoleArn is required for target arn:aws:ecs:us-east-1:000000000000:cluster/default.",
        ),
        (
            with(task("x"), json!({"EcsParameters": null})),
            "Parameter EcsParameters must be specified for target: x.",
        ),
    ] {
        world.refuses("PutTargets", input, "ValidationException", text).await;
    }
    for arn in [
        "arn:aws:lambda:us-east-1:000000000000:function:f",
        "arn:aws:sqs:us-east-1:000000000000:q",
        "arn:aws:events:us-east-1:000000000000:api-destination/x/y",
        "arn:aws:logs:eu-west-1:000000000000:log-group:/x",
    ] {
        let (_, answer) = world.reply("PutTargets", &log(json!({"Arn": arn}))).await;
        assert_eq!(answer["__type"], "NotImplemented", "{arn}: {answer}");
    }
    let text = "Rule none does not exist on EventBus default.";
    let input = json!({"Rule": "none", "Targets": [{"Id": "x", "Arn": LOG_GROUP}]});
    world.refuses("PutTargets", input, "ResourceNotFoundException", text).await;
}
