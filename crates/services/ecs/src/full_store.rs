//! A store that callers have filled takes nothing that grows, goes on to stop and remove, and takes all again when
//! there is room.

use outport_guarded_store::STORE_IS_FULL;
use serde_json::{Value, json};

use crate::testing::World;

async fn check_refused(world: &World, operation: &str, input: Value) {
    world.refuses(operation, input, "ClientException", STORE_IS_FULL).await;
}

#[tokio::test]
async fn callers_fill_it_to_its_bound_and_no_further() {
    const BYTES_MAX: u64 = 60_000;
    let world = World::bounded(BYTES_MAX);
    let big = json!({"family": "app", "containerDefinitions": [{
        "name": "web", "image": "app:1", "memory": 64,
        "environment": [{"name": "TEXT", "value": "x".repeat(10_000)}],
    }]});
    let mut registered = 0;
    while world.reply("RegisterTaskDefinition", &big).await.0 == 200 {
        registered += 1;
        assert!(registered < 100, "it is never full");
    }
    check_refused(&world, "RegisterTaskDefinition", big.clone()).await;
    // The text of a revision is in its row once.
    assert!((5..=6).contains(&registered), "{registered} revisions in {BYTES_MAX} bytes");
    assert!((BYTES_MAX..BYTES_MAX * 3 / 2).contains(&world.store.bytes()));
    check_refused(&world, "CreateCluster", json!({"clusterName": "one-more"})).await;
    for revision in 1..=registered {
        let name = format!("app:{revision}");
        world.call("DeregisterTaskDefinition", json!({ "taskDefinition": &name })).await;
        world.call("DeleteTaskDefinitions", json!({ "taskDefinitions": [&name] })).await;
    }
    // What the retention controller does to revisions that were deleted.
    world.forget_task_definitions();
    assert!(world.store.bytes() < BYTES_MAX / 2, "the bytes of what was removed are free");
    world.call("RegisterTaskDefinition", big).await;
}

#[tokio::test]
async fn what_stops_or_removes_something_is_always_taken() {
    let world = World::bounded(u64::MAX);
    world.add_node(4_096, 8_192);
    let task = world.run("app").await;
    let service = world.create_service("web", "app", 2).await;
    world.call("CreateCluster", json!({"clusterName": "other"})).await;
    let cluster = "arn:aws:ecs:us-east-1:000000000000:cluster/other";
    let tag = json!({"resourceArn": cluster, "tags": [{"key": "a", "value": "b"}]});
    world.call("TagResource", tag).await;
    world.store.limit_bytes(0);

    let network = json!({"awsvpcConfiguration": {"subnets": [world.subnet()]}});
    let run =
        json!({"taskDefinition": "app", "launchType": "FARGATE", "networkConfiguration": network});
    check_refused(&world, "RunTask", run).await;
    let more = json!({"resourceArn": cluster, "tags": [{"key": "c", "value": "d"}]});
    check_refused(&world, "TagResource", more).await;
    let redeploy = json!({"service": "web", "forceNewDeployment": true});
    check_refused(&world, "UpdateService", redeploy).await;

    world.call("DescribeTasks", json!({"tasks": [&task]})).await;
    let reason = "x".repeat(1_000);
    world.call("StopTask", json!({"task": task, "reason": reason})).await;
    world.call("UpdateService", json!({"service": "web", "desiredCount": 0})).await;
    world.call("DeleteService", json!({"service": service["serviceArn"]})).await;
    world.call("UntagResource", json!({"resourceArn": cluster, "tagKeys": ["a"]})).await;
    world.call("DeleteCluster", json!({"cluster": "other"})).await;
    world.call("DeregisterTaskDefinition", json!({"taskDefinition": "app:1"})).await;

    world.store.limit_bytes(u64::MAX);
    world.call("CreateCluster", json!({"clusterName": "one-more"})).await;
}
