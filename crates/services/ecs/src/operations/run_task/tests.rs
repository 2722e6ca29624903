//! RunTask, answer and state.

use serde_json::{Value, json};

use crate::testing::World;

fn input(world: &World) -> Value {
    json!({
        "taskDefinition": "app",
        "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": [world.subnet()]}},
    })
}

#[tokio::test]
async fn a_fargate_task_is_answered_as_aws_does() {
    let world = World::with_node(2048, 4096);
    world.register("app", json!({})).await;
    let answer = world.call("RunTask", input(&world)).await;
    let task = &answer["tasks"][0];
    let id = task["taskArn"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(id.len(), 32);
    let arn = |kind: &str, rest: &str| format!("arn:aws:ecs:us-east-1:000000000000:{kind}/{rest}");
    let expected = json!({
        "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
        "availabilityZone": "us-east-1a",
        "clusterArn": arn("cluster", "default"),
        "containers": [{
            "taskArn": arn("task", &format!("default/{id}")),
            "name": "web", "image": "registry/app:1", "lastStatus": "PENDING",
            "networkBindings": [], "networkInterfaces": [], "cpu": "0",
        }],
        "cpu": "256",
        "createdAt": world.now_s(),
        "desiredStatus": "RUNNING",
        "enableExecuteCommand": false,
        "group": "family:app",
        "inferenceAccelerators": [],
        "lastStatus": "PROVISIONING",
        "launchType": "FARGATE",
        "memory": "512",
        "overrides": {"containerOverrides": [{"name": "web"}], "inferenceAcceleratorOverrides": []},
        "platformVersion": "1.4.0",
        "platformFamily": "Linux",
        "tags": [],
        "taskDefinitionArn": arn("task-definition", "app:1"),
        "version": 1,
        "ephemeralStorage": {"sizeInGiB": 20},
    });
    crate::testing::assert_has(task, &expected, "task");
    assert_eq!(answer["failures"], json!([]));
    let details = task["attachments"][0]["details"].as_array().unwrap();
    let names: Vec<&str> = details.iter().map(|detail| detail["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["subnetId", "networkInterfaceId", "macAddress", "privateDnsName", "privateIPv4Address"]
    );
    assert_eq!(task["attachments"][0]["status"], "PRECREATED");
    assert_eq!(task["attachments"][0]["type"], "ElasticNetworkInterface");
    let tables = world.store.snapshot();
    let interface = tables.network_interfaces.iter().next().unwrap();
    assert_eq!(interface.task.as_str(), id);
    assert_eq!(interface.security_groups, [world.security_group().as_str()]);
}

#[tokio::test]
async fn a_fargate_task_has_the_storage_that_was_asked_for() {
    let world = World::with_node(2048, 8192);
    world.register("app", json!({"ephemeralStorage": {"sizeInGiB": 21}})).await;
    let shown = |gib: u32| {
        let size = json!({"sizeInGiB": gib});
        json!({"tasks": [{"ephemeralStorage": size, "fargateEphemeralStorage": size}]})
    };
    let mut input = input(&world);
    world.check("RunTask", input.clone(), shown(21)).await;
    input["overrides"] = json!({"ephemeralStorage": {"sizeInGiB": 200}});
    world.check("RunTask", input.clone(), shown(200)).await;
    let tables = world.store.snapshot();
    let asked: Vec<_> = tables.tasks.iter().map(|task| task.overrides.storage_gib).collect();
    assert!(asked.contains(&Some(200)) && asked.contains(&None), "{asked:?}");
    input["overrides"] = json!({"ephemeralStorage": {"sizeInGiB": 201}});
    let message = "EphemeralStorage size should be at most 200.";
    world.refuses("RunTask", input, "ClientException", message).await;
}

#[tokio::test]
async fn what_finds_no_room_is_a_failure() {
    let world = World::with_node(512, 4096);
    world.register("app", json!({})).await;
    let mut input = input(&world);
    input["count"] = json!(3);
    let answer = world.call("RunTask", input).await;
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 2);
    let reason = "Capacity is unavailable at this time. Please try again later or in a different availability zone";
    let detail = answer["failures"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("wanted: 256 CPU units, 512 MiB; free on the machine"), "{detail}");
    assert!(detail.ends_with(": 0 CPU units, 3072 MiB"), "{detail}");
    assert_eq!(answer["failures"], json!([{"reason": reason, "detail": detail}]));
}

#[tokio::test]
async fn ec2_tasks_need_a_container_instance() {
    let world = World::new();
    let input = json!({"family": "app", "containerDefinitions": [{"name": "a", "image": "b", "memory": 16}]});
    world.call("RegisterTaskDefinition", input).await;
    let message = "No Container Instances were found in your cluster.";
    world
        .refuses("RunTask", json!({"taskDefinition": "app"}), "InvalidParameterException", message)
        .await;
    world.add_node(1024, 1024);
    let answer = world.call("RunTask", json!({"taskDefinition": "app"})).await;
    let task = &answer["tasks"][0];
    assert_eq!((&task["launchType"], &task["lastStatus"]), (&json!("EC2"), &json!("PENDING")));
    assert_eq!(task["attachments"], json!([]));
    assert_eq!(task["memory"], "16");
    assert!(task["containerInstanceArn"].is_string(), "{task}");
    let input = json!({"family": "big", "containerDefinitions": [{"name": "a", "image": "b", "memory": 4096}]});
    world.call("RegisterTaskDefinition", input).await;
    let answer = world.call("RunTask", json!({"taskDefinition": "big", "count": 2})).await;
    let detail = "wanted: 0 CPU units, 4096 MiB; free on it: 1024 CPU units, 1008 MiB; larger than the machine: it does not fit \
                  there, however empty";
    let failure =
        json!({"arn": task["containerInstanceArn"], "reason": "RESOURCE:MEMORY", "detail": detail});
    let expected = json!({"tasks": [], "failures": [failure]});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_client_token_answers_again() {
    let world = World::with_node(2048, 4096);
    world.register("app", json!({})).await;
    let mut input = input(&world);
    input["clientToken"] = json!("token");
    let first = world.call("RunTask", input.clone()).await;
    let second = world.call("RunTask", input.clone()).await;
    assert_eq!(first, second);
    input["count"] = json!(2);
    let (status, answer) = world.reply("RunTask", &input).await;
    assert_eq!((status, &answer["__type"]), (400, &json!("ConflictException")));
    let id = first["tasks"][0]["taskArn"].as_str().unwrap().rsplit('/').next().unwrap();
    assert_eq!(answer["resourceIds"], json!([id]));
}

#[tokio::test]
async fn a_token_that_made_nothing_may_try_again() {
    let world = World::new();
    world.register("app", json!({})).await;
    let mut input = input(&world);
    input["clientToken"] = json!("token");
    world.check("RunTask", input.clone(), json!({"tasks": []})).await;
    world.add_node(2048, 4096);
    let answer = world.call("RunTask", input).await;
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn overrides_and_tags_are_kept() {
    let world = World::with_node(2048, 4096);
    world
        .register("app", json!({"tags": [{"key": "a", "value": "1"}, {"key": "b", "value": "1"}]}))
        .await;
    let mut input = input(&world);
    let change =
        json!({"name": "web", "command": ["sh"], "environment": [{"name": "K", "value": "V"}]});
    input["overrides"] = json!({"containerOverrides": [change], "cpu": "512", "memory": "1024"});
    input["propagateTags"] = json!("TASK_DEFINITION");
    input["enableECSManagedTags"] = json!(true);
    input["tags"] = json!([{"key": "b", "value": "2"}]);
    input["startedBy"] = json!("me");
    let expected = json!({"tasks": [{
        "cpu": "512", "memory": "1024", "startedBy": "me",
        "overrides": {"containerOverrides": [change], "cpu": "512", "memory": "1024"},
        "tags": [
            {"key": "a", "value": "1"},
            {"key": "aws:ecs:clusterName", "value": "default"},
            {"key": "b", "value": "2"},
        ],
    }]});
    world.check("RunTask", input, expected).await;
    let tables = world.store.snapshot();
    let task = tables.tasks.iter().next().unwrap();
    assert_eq!(task.overrides.containers[0].command, Some(vec!["sh".to_owned()]));
    assert_eq!(task.overrides.cpu_units, Some(512));
}

#[tokio::test]
async fn refusals() {
    let world = World::with_node(2048, 4096);
    world.register("app", json!({})).await;
    world.register("volume", json!({"volumes": [{"name": "v"}]})).await;
    let definition = json!({"family": "ec2", "containerDefinitions": [{"name": "a", "image": "b", "memory": 16}]});
    world.call("RegisterTaskDefinition", definition).await;
    world.register("old", json!({})).await;
    world.call("DeregisterTaskDefinition", json!({"taskDefinition": "old:1"})).await;
    let subnet = world.subnet();
    let invalid = "InvalidParameterException";
    for (changes, exception, message) in [
        (json!({"taskDefinition": "none"}), "ClientException", "TaskDefinition not found."),
        (json!({"taskDefinition": ""}), invalid, "TaskDefinition can not be blank."),
        (json!({"taskDefinition": "old:1"}), invalid, "TaskDefinition is inactive"),
        (
            json!({"taskDefinition": "ec2"}),
            invalid,
            "Task definition does not support launch_type FARGATE.",
        ),
        (json!({"cluster": "none"}), "ClusterNotFoundException", "Cluster not found."),
        (json!({"count": 11}), invalid, "count must be between 1 and 10."),
        (
            json!({"networkConfiguration": null}),
            invalid,
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ),
        (
            json!({"launchType": "EC2", "taskDefinition": "ec2"}),
            invalid,
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ),
        (
            json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}}),
            invalid,
            "Error retrieving subnet information for [subnet-1]: The subnet ID 'subnet-1' does not exist (ErrorCode: InvalidSubnetID.NotFound)",
        ),
        (
            json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": ["sg-1"]}}}),
            invalid,
            "Error retrieving security group information for [sg-1]: The security group 'sg-1' does not exist (ErrorCode: InvalidGroup.NotFound)",
        ),
        (
            json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}}),
            invalid,
            "subnets can not be empty.",
        ),
        (
            json!({"overrides": {"containerOverrides": [{"name": "foo"}]}}),
            invalid,
            "Override for container named foo is not a container in the TaskDefinition.",
        ),
        (
            json!({"overrides": {"cpu": "256", "memory": "4096"}}),
            "ClientException",
            "No Fargate configuration exists for given values: 256 CPU, 4096 memory. See the Amazon ECS documentation for the valid values.",
        ),
        (
            json!({"platformVersion": "9.9.9"}),
            "PlatformUnknownException",
            "The specified platform does not exist.",
        ),
        (
            json!({"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}),
            invalid,
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        ),
        (
            json!({"placementStrategy": [{"type": "random"}]}),
            invalid,
            "Placement strategies are not supported with FARGATE launch type.",
        ),
        (
            json!({"enableExecuteCommand": true}),
            "UnsupportedFeatureException",
            "enableExecuteCommand is not supported by this version of Outport. See /_outport/compatibility at this endpoint.",
        ),
        (
            json!({"taskDefinition": "volume"}),
            "UnsupportedFeatureException",
            "The task definition volume:1 uses what this version of Outport does not run: volumes. See /_outport/compatibility at this endpoint.",
        ),
    ] {
        let mut input = input(&world);
        for (member, value) in changes.as_object().unwrap() {
            input[member] = value.clone();
        }
        world.refuses("RunTask", input, exception, message).await;
    }
    assert!(world.store.snapshot().tasks.is_empty());
}
