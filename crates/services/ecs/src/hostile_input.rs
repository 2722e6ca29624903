//! No input makes an operation panic: every member of good requests is replaced by hostile values, one at a time.
//!
//! A call then succeeds or is refused as the caller's fault; it is never a fault of ours.

use serde_json::{Value, json};

use crate::testing::World;

fn hostile_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(i32::MAX),
        json!(i32::MIN),
        json!(9_007_199_254_740_993_i64),
        json!(1.5),
        json!(""),
        json!(" "),
        json!("\u{0}"),
        json!("é💥"),
        json!(":"),
        json!("arn:"),
        json!("arn:aws:ecs:us-east-1:000000000000:"),
        json!("arn:aws:ecs:us-east-1:000000000000:task/é/é/é"),
        json!("999999999999999999999"),
        json!("a".repeat(5000)),
        json!([]),
        json!([null]),
        json!([{}]),
        json!({}),
        json!({"": {}}),
    ]
}

/// Every place of `value`, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                places(member, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

async fn check(world: &World, operation: &str, good: &Value) {
    let mut found = Vec::new();
    places(good, "", &mut found);
    for place in found.iter().filter(|place| !place.is_empty()) {
        for value in hostile_values() {
            let mut input = good.clone();
            *input.pointer_mut(place).unwrap() = value;
            let (status, answer) = world.reply(operation, &input).await;
            assert!(matches!(status, 200 | 400), "{operation} {place} {input}: {status} {answer}");
            if status == 400 {
                let message = answer["message"].as_str().unwrap_or_default();
                assert!(!message.is_empty(), "{operation} {place}: {answer}");
            }
        }
    }
}

fn network() -> Value {
    json!({"awsvpcConfiguration": {"subnets": ["subnet-0"], "securityGroups": ["sg-0"], "assignPublicIp": "DISABLED"}})
}

#[tokio::test]
async fn task_definitions() {
    let world = World::new();
    let good = json!({
        "family": "app", "requiresCompatibilities": ["EC2"], "networkMode": "bridge", "cpu": "256", "memory": "512",
        "taskRoleArn": "role", "executionRoleArn": "arn:aws:iam::000000000000:role/r",
        "tags": [{"key": "k", "value": "v"}],
        "volumes": [{"name": "v", "host": {"sourcePath": "/v"}}],
        "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
        "ephemeralStorage": {"sizeInGiB": 21},
        "containerDefinitions": [
            {
                "name": "web", "image": "app:1", "cpu": 1, "memory": 64, "memoryReservation": 32,
                "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp", "name": "http"}, {"containerPortRange": "90-100"}],
                "environment": [{"name": "K", "value": "V"}],
                "secrets": [{"name": "S", "valueFrom": "x"}],
                "mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}],
                "volumesFrom": [{"sourceContainer": "init"}],
                "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}],
                "ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2}],
                "healthCheck": {"command": ["CMD", "x"], "interval": 5, "startPeriod": 1},
                "logConfiguration": {"logDriver": "awslogs", "options": {
                    "awslogs-group": "g", "awslogs-region": "us-east-1", "mode": "non-blocking", "max-buffer-size": "1m",
                }},
                "linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}, "tmpfs": [{"containerPath": "/t", "size": 1}]},
                "systemControls": [{"namespace": "net.core.somaxconn", "value": "1"}],
                "restartPolicy": {"enabled": true, "restartAttemptPeriod": 60},
                "stopTimeout": 2, "extraHosts": [{"hostname": "h", "ipAddress": "1.2.3.4"}],
            },
            {"name": "init", "image": "app:1", "memory": 64, "essential": false},
        ],
    });
    check(&world, "RegisterTaskDefinition", &good).await;
}

#[tokio::test]
async fn tasks() {
    let world = World::with_node(1_000_000, 1_000_000);
    let arn = world.run("app").await;
    let run = json!({
        "taskDefinition": "app", "cluster": "default", "launchType": "FARGATE", "count": 1,
        "networkConfiguration": network(), "platformVersion": "LATEST", "startedBy": "me", "group": "g",
        "clientToken": "t", "propagateTags": "TASK_DEFINITION", "enableECSManagedTags": true,
        "tags": [{"key": "k", "value": "v"}],
        "overrides": {
            "cpu": "256", "memory": "512",
            "containerOverrides": [{"name": "web", "command": ["x"], "environment": [{"name": "K", "value": "V"}], "cpu": 1, "memory": 64}],
        },
    });
    check(&world, "RunTask", &run).await;
    check(
        &world,
        "DescribeTasks",
        &json!({"cluster": "default", "tasks": [arn], "include": ["TAGS"]}),
    )
    .await;
    check(&world, "StopTask", &json!({"cluster": "default", "task": arn, "reason": "x"})).await;
    let list = json!({"cluster": "default", "family": "app", "desiredStatus": "RUNNING", "maxResults": 1, "nextToken": "MSBh"});
    check(&world, "ListTasks", &list).await;
}

#[tokio::test]
async fn services() {
    let world = World::new();
    world.register("app", json!({})).await;
    let create = json!({
        "serviceName": "web", "taskDefinition": "app", "cluster": "default", "desiredCount": 1, "launchType": "FARGATE",
        "networkConfiguration": network(), "clientToken": "t", "platformVersion": "LATEST",
        "deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 200, "deploymentCircuitBreaker": {"enable": true, "rollback": true}},
        "tags": [{"key": "k", "value": "v"}], "propagateTags": "SERVICE",
    });
    check(&world, "CreateService", &create).await;
    let update = json!({
        "service": "web", "cluster": "default", "taskDefinition": "app:1", "desiredCount": 2, "networkConfiguration": network(),
        "deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 200}, "platformVersion": "1.4.0",
    });
    check(&world, "UpdateService", &update).await;
    check(&world, "DescribeServices", &json!({"services": ["web"], "cluster": "default"})).await;
    let arn = "arn:aws:ecs:us-east-1:000000000000:service-deployment/default/web/x";
    check(&world, "DescribeServiceDeployments", &json!({"serviceDeploymentArns": [arn]})).await;
    check(
        &world,
        "ListServiceDeployments",
        &json!({"service": "web", "createdAt": {"after": 1}, "maxResults": 1}),
    )
    .await;
    check(&world, "DeleteService", &json!({"service": "web", "force": true})).await;
}

#[tokio::test]
async fn clusters_and_tags() {
    let world = World::new();
    let create = json!({"clusterName": "a", "settings": [{"name": "containerInsights", "value": "enabled"}], "tags": [{"key": "k", "value": "v"}]});
    check(&world, "CreateCluster", &create).await;
    check(&world, "DescribeClusters", &json!({"clusters": ["default"], "include": ["TAGS"]})).await;
    let arn = "arn:aws:ecs:us-east-1:000000000000:cluster/default";
    check(
        &world,
        "TagResource",
        &json!({"resourceArn": arn, "tags": [{"key": "k", "value": "v"}]}),
    )
    .await;
    check(&world, "UntagResource", &json!({"resourceArn": arn, "tagKeys": ["k"]})).await;
    check(
        &world,
        "ListAccountSettings",
        &json!({"name": "containerInsights", "value": "x", "effectiveSettings": true}),
    )
    .await;
    check(
        &world,
        "ListTaskDefinitions",
        &json!({"familyPrefix": "a", "sort": "DESC", "maxResults": 1}),
    )
    .await;
    check(&world, "DescribeTaskDefinition", &json!({"taskDefinition": "a:1"})).await;
    check(&world, "DeleteTaskDefinitions", &json!({"taskDefinitions": ["a:1"]})).await;
}
