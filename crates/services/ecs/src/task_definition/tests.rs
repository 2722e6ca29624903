//! Table tests of what RegisterTaskDefinition refuses and fills in: one definition, some changes, one outcome.

use std::sync::Arc;

use outport_aws_wire::{from_json, to_json};
use outport_model::task_definition::ReadWorkload;
use outport_model::{AccountId, Region, Scope};
use serde_json::{Value, json};

use super::{Registration, Workloads, normalise, row};

/// A Fargate definition of one container; `null` takes a member away.
fn definition(task: &Value, container: &Value) -> Value {
    let mut definition = json!({
        "family": "app", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc",
        "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": "web", "image": "registry/app:1"}],
    });
    merge(&mut definition["containerDefinitions"][0], container);
    merge(&mut definition, task);
    definition
}

fn merge(target: &mut Value, changes: &Value) {
    for (member, value) in changes.as_object().unwrap() {
        target[member] = value.clone();
    }
}

/// An EC2 definition in bridge mode.
fn bridge(mut task: Value, container: &Value) -> Value {
    let base =
        json!({"requiresCompatibilities": null, "networkMode": null, "cpu": null, "memory": null});
    for (member, value) in base.as_object().unwrap() {
        if task.get(member).is_none() {
            task[member] = value.clone();
        }
    }
    let mut container = container.clone();
    if container.get("memory").is_none() {
        container["memory"] = json!(64);
    }
    definition(&task, &container)
}

fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

fn outcome(definition: &Value) -> Result<Value, String> {
    let request = from_json(&definition.to_string()).unwrap();
    let normal = normalise(request, &scope()).map_err(|rejection| rejection.to_string())?;
    Ok(serde_json::from_str(&to_json(&normal)).unwrap())
}

#[track_caller]
fn refuses(definition: &Value, message: &str) {
    assert_eq!(outcome(definition).map(|_| "accepted"), Err(message.to_owned()), "{definition}");
}

#[track_caller]
fn accepts(definition: &Value) -> Value {
    outcome(definition).unwrap_or_else(|message| panic!("{definition}: {message}"))
}

#[test]
fn fargate_refuses_what_it_does_not_have() {
    let none = json!({});
    for (task, container, message) in [
        (
            json!({"networkMode": "bridge"}),
            none.clone(),
            "Fargate only supports network mode \u{2018}awsvpc\u{2019}.",
        ),
        (
            json!({"cpu": null}),
            none.clone(),
            "Fargate requires that 'cpu' be defined at the task level.",
        ),
        (
            json!({"memory": null}),
            none.clone(),
            "Fargate requires that 'memory' be defined at the task level.",
        ),
        (
            json!({"memory": "4096"}),
            none.clone(),
            "No Fargate configuration exists for given values: 256 CPU, 4096 memory. See the Amazon ECS documentation for the valid values.",
        ),
        (
            json!({"ipcMode": "task"}),
            none.clone(),
            "Tasks using the Fargate launch type do not support ipcMode.",
        ),
        (
            json!({"pidMode": "host"}),
            none.clone(),
            "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value for pidMode is 'task'.",
        ),
        (
            json!({"placementConstraints": [{"type": "memberOf", "expression": "x"}]}),
            none.clone(),
            "Fargate compatible task definitions do not support constraints.",
        ),
        (
            json!({"volumes": [{"name": "v", "host": {"sourcePath": "/x"}}]}),
            none.clone(),
            "Fargate compatible task definitions do not support sourcePath.",
        ),
        (
            json!({"ephemeralStorage": {"sizeInGiB": 20}}),
            none.clone(),
            "EphemeralStorage size should be at least 21.",
        ),
        (
            none.clone(),
            json!({"privileged": true}),
            "Fargate requires that the 'privileged' setting be 'false'.",
        ),
        (
            none.clone(),
            json!({"linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}}}),
            "NET_ADMIN is not allowed on Fargate.",
        ),
        (
            none.clone(),
            json!({"linuxParameters": {"sharedMemorySize": 64}}),
            "Fargate compatible task definitions do not support sharedMemorySize.",
        ),
        (
            none.clone(),
            json!({"linuxParameters": {"swappiness": 60}}),
            "Fargate compatible task definitions do not support swappiness.",
        ),
        (
            none.clone(),
            json!({"ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 1}, {"name": "rtprio", "softLimit": 1, "hardLimit": 1}]}),
            "Fargate compatible task definitions do not support ulimit rtprio.",
        ),
        (
            none.clone(),
            json!({"ulimits": [{"name": "nice", "softLimit": 1, "hardLimit": 1}]}),
            "Fargate compatible task definitions do not support ulimit nice.",
        ),
        (
            none.clone(),
            json!({"ulimits": [{"name": "rttime", "softLimit": 1, "hardLimit": 1}]}),
            "Fargate compatible task definitions do not support ulimit rttime.",
        ),
        (
            none.clone(),
            json!({"firelensConfiguration": {"type": "fluentbit", "options": {"config-file-type": "s3"}}}),
            "Fargate launch type does not support FirelensConfiguration config file from 's3'",
        ),
        (
            none.clone(),
            json!({"stopTimeout": 121}),
            "Tasks using the Fargate launch type must have a container stop timeout of less than 120 seconds.",
        ),
        (
            none.clone(),
            json!({"logConfiguration": {"logDriver": "json-file"}}),
            "json-file is not a valid log driver. Must be one of [awslogs, splunk, awsfirelens]",
        ),
        (
            none.clone(),
            json!({"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-region": "r", "awslogs-group": "g", "awslogs-stream-prefix": "p"}}}),
            "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
        ),
        (
            json!({"executionRoleArn": "role"}),
            json!({"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-region": "r", "awslogs-group": "g"}}}),
            "Fargate requires log configuration options to include awslogs-stream-prefix to support log driver awslogs.",
        ),
        (
            none.clone(),
            json!({"image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/app:1"}),
            "Fargate requires task definition to have execution role ARN to support ECR images.",
        ),
    ] {
        refuses(&definition(&task, &container), message);
    }
}

#[test]
fn fargate_takes_what_it_has() {
    for container in [
        json!({"readonlyRootFilesystem": true, "linuxParameters": {"tmpfs": [{"containerPath": "/scratch", "size": 16}]}}),
        json!({"linuxParameters": {"initProcessEnabled": true, "capabilities": {"add": ["SYS_PTRACE"]}}}),
        json!({"ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 65535}, {"name": "memlock", "softLimit": -1, "hardLimit": -1}]}),
    ] {
        let normal = accepts(&definition(&json!({}), &container));
        assert_eq!(normal["compatibilities"], json!(["EC2", "MANAGED_INSTANCES", "FARGATE"]));
    }
}

/// `ecs-deploy` sends empty roles, ansible's `ecs_taskdefinition` an empty task role.
#[test]
fn an_empty_text_is_a_member_that_is_not_there() {
    let normal = accepts(&definition(
        &json!({
            "taskRoleArn": "", "executionRoleArn": "",
            "volumes": [
                {"name": "v", "host": {"sourcePath": ""}},
                {"name": "e", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "", "authorizationConfig": {"accessPointId": ""}}},
            ],
        }),
        &json!({
            "hostname": "", "user": "", "workingDirectory": "",
            "repositoryCredentials": {"credentialsParameter": ""},
            "portMappings": [
                {"containerPort": 80, "name": "", "containerPortRange": ""},
                {"containerPort": 81, "name": ""},
            ],
        }),
    ));
    assert_eq!(normal["compatibilities"], json!(["EC2", "MANAGED_INSTANCES", "FARGATE"]));
    for member in ["taskRoleArn", "executionRoleArn"] {
        assert_eq!(normal.get(member), None, "{member}");
    }
    for member in ["hostname", "user", "workingDirectory", "repositoryCredentials"] {
        assert_eq!(normal["containerDefinitions"][0].get(member), None, "{member}");
    }
    assert_eq!(
        normal["containerDefinitions"][0]["portMappings"][1],
        json!({"containerPort": 81, "hostPort": 81, "protocol": "tcp"})
    );
    assert_eq!(
        normal["volumes"],
        json!([
            {"name": "v", "host": {}},
            {"name": "e", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "/", "authorizationConfig": {}}},
        ])
    );
    for member in ["cpu", "memory"] {
        let text = format!(
            "Invalid '{member}' setting for task. For more information, see the Troubleshooting section of the \
             Amazon ECS Developer Guide."
        );
        refuses(&definition(&json!({member: ""}), &json!({})), &text);
    }
}

/// What a rule needs is not there either when it is empty.
#[test]
fn an_empty_role_is_no_role_to_the_rules() {
    refuses(
        &definition(
            &json!({"executionRoleArn": ""}),
            &json!({"image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/app:1"}),
        ),
        "Fargate requires task definition to have execution role ARN to support ECR images.",
    );
    refuses(
        &bridge(
            json!({"executionRoleArn": ""}),
            &json!({"secrets": [{"name": "K", "valueFrom": "x"}]}),
        ),
        "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
    );
}

#[test]
fn roles_and_secrets_are_checked() {
    for member in ["taskRoleArn", "executionRoleArn"] {
        for role in ["REPLACE ME", "arn:aws:iam::XXXXXXXXXXXX:role/x", "arn:aws:iam::12345:role/x"]
        {
            refuses(&bridge(json!({member: role}), &json!({})), "Role is not valid");
        }
        accepts(&bridge(json!({member: "REPLACE_ME"}), &json!({})));
    }
    let from = |arn: &str| json!([{"name": "S", "valueFrom": arn}]);
    let foreign = "The Systems Manager parameter ARN has a different account ID than the current account. The current \
                   account ID is 000000000000 and the ARN account ID is 999999999999. Cross-account access for ARNs is \
                   not currently supported.";
    let invalid = "The Systems Manager parameter ARN specified for secret S is invalid. Specify a valid ARN and try again.";
    let log = |secrets: &Value| json!({"logConfiguration": {"logDriver": "splunk", "secretOptions": secrets}});
    let task = json!({"executionRoleArn": "role"});
    for (arn, message) in [
        ("arn:aws:ssm:us-east-1:999999999999:parameter/x", foreign),
        ("arn:aws:ssm:us-east-1::parameter/x", invalid),
        ("arn:aws:ssm:us-east-1:000000000000:document/x", invalid),
        ("arn:aws:ssm", invalid),
    ] {
        refuses(&bridge(task.clone(), &json!({"secrets": from(arn)})), message);
        refuses(&bridge(task.clone(), &log(&from(arn))), message);
    }
    for arn in [
        "x",
        "/app/x",
        "arn:aws:ssm:us-east-1:000000000000:parameter/x",
        "arn:aws:ssm:eu-west-1:000000000000:parameter/x",
        "arn:aws:secretsmanager:us-east-1:999999999999:secret:x",
    ] {
        accepts(&bridge(task.clone(), &json!({"secrets": from(arn)})));
    }
}

#[test]
fn containers_are_checked() {
    let at_least_one = "Invalid setting for container 'web'. At least one of 'memory' or 'memoryReservation' must be specified.";
    for (container, message) in [
        (json!({"name": ""}), "Container.name should not be null or empty."),
        (json!({"image": null}), "Container.image should not be null or empty."),
        (json!({"name": "a b"}), "Container.name contains invalid characters."),
        (json!({"image": "a b"}), "Container.image contains invalid characters."),
        (json!({"memory": null}), at_least_one),
        (json!({"memory": 5}), "Invalid setting for container 'web'. 'memory' must be at least 6."),
        (
            json!({"memory": 64, "memoryReservation": 65}),
            "Invalid setting for container 'web'. 'memory' must be greater than or equal to 'memoryReservation'.",
        ),
        (json!({"essential": false}), "Task definition doesn't have any essential container."),
        (
            json!({"stopTimeout": 1}),
            "Granular stop timeout on container 'web' must be at least 2 seconds.",
        ),
        (
            json!({"healthCheck": {"command": ["CMD", "x"], "interval": 4}}),
            "HealthCheck.interval must be between 5 and 300.",
        ),
        (
            json!({"healthCheck": {"command": ["CMD", "x"], "timeout": 61}}),
            "HealthCheck.timeout must be between 2 and 60.",
        ),
        (
            json!({"healthCheck": {"command": ["CMD", "x"], "retries": 0}}),
            "HealthCheck.retries must be between 1 and 10.",
        ),
        (
            json!({"healthCheck": {"command": ["CMD-SHELL", "x"], "startPeriod": 301}}),
            "HealthCheck.startPeriod must be between 0 and 300.",
        ),
        (
            json!({"healthCheck": {"command": []}}),
            "HealthCheck.command should not be null or empty.",
        ),
        (
            json!({"healthCheck": {"command": ["x"]}}),
            "HealthCheck.command must start with CMD or CMD-SHELL, followed by what to run.",
        ),
        (
            json!({"healthCheck": {"command": ["CMD"]}}),
            "HealthCheck.command must start with CMD or CMD-SHELL, followed by what to run.",
        ),
        (
            json!({"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}),
            "Unknown volume 'v'.",
        ),
        (
            json!({"environment": [{"name": "K", "value": "v"}], "secrets": [{"name": "K", "valueFrom": "x"}]}),
            "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as 'K'.",
        ),
        (
            json!({"secrets": [{"name": "K", "valueFrom": "x"}]}),
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
        ),
        (
            json!({"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-region": "r"}}}),
            "Log driver awslogs requires options: awslogs-group",
        ),
        (
            json!({"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-region": "r", "awslogs-group": "g", "log_key": "log"}}}),
            "Log driver awslogs disallows options: log_key",
        ),
        (
            json!({"logConfiguration": {"logDriver": "awslogs", "options": {"tag": "t", "awslogs-endpoint": "e"}}}),
            "Log driver awslogs disallows options: awslogs-endpoint, tag",
        ),
        (
            json!({"ulimits": [{"name": "nofile", "softLimit": 2, "hardLimit": 1}]}),
            "Invalid ulimit 'nofile'. 'softLimit' must be less than or equal to 'hardLimit'.",
        ),
        (
            json!({"portMappings": [{"containerPort": 0}]}),
            "Invalid container port 0. Must be between 1 and 65535.",
        ),
        (
            json!({"portMappings": [{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 80}]}),
            "Conflicting host port 80 in the port mappings of the task definition.",
        ),
    ] {
        refuses(&bridge(json!({}), &container), message);
    }
}

#[test]
fn the_network_mode_limits_containers() {
    for (mode, container, message) in [
        ("awsvpc", json!({"links": ["x"]}), "Links are not supported when networkMode=awsvpc."),
        (
            "awsvpc",
            json!({"hostname": "x"}),
            "hostname is not supported on container when networkMode=awsvpc.",
        ),
        (
            "awsvpc",
            json!({"extraHosts": [{"hostname": "x", "ipAddress": "1.2.3.4"}]}),
            "Extra hosts are not supported on container when networkMode=awsvpc.",
        ),
        (
            "awsvpc",
            json!({"dnsServers": ["1.2.3.4"]}),
            "DNS servers are not supported on container when networkMode=awsvpc.",
        ),
        (
            "awsvpc",
            json!({"portMappings": [{"containerPort": 80, "hostPort": 81}]}),
            "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
        ),
        (
            "bridge",
            json!({"hostname": "x\n1.2.3.4 other"}),
            "hostname must not contain white space or control characters.",
        ),
        (
            "bridge",
            json!({"extraHosts": [{"hostname": "x", "ipAddress": "1.2.3.4 y"}]}),
            "extraHosts must not contain white space or control characters.",
        ),
        (
            "bridge",
            json!({"dnsServers": ["1.2.3.4\noptions debug"]}),
            "dnsServers must not contain white space or control characters.",
        ),
        (
            "host",
            json!({"portMappings": [{"containerPort": 80, "hostPort": 81}]}),
            "When networkMode=host, the host ports and container ports in port mappings must match.",
        ),
        (
            "none",
            json!({"portMappings": [{"containerPort": 80}]}),
            "Port mappings are not supported when networkMode=none.",
        ),
    ] {
        refuses(&bridge(json!({"networkMode": mode}), &container), message);
    }
}

#[test]
fn several_containers_are_checked_together() {
    let container = |name: &str, more: Value| {
        let mut container = json!({"name": name, "image": "x", "memory": 64});
        merge(&mut container, &more);
        container
    };
    let depends = |on: &str, condition: &str| json!({"dependsOn": [{"containerName": on, "condition": condition}]});
    for (containers, message) in [
        (
            json!([container("a", json!({})), container("a", json!({}))]),
            "Container names must be unique within a task definition.",
        ),
        (
            json!([container("a", depends("b", "START"))]),
            "Cannot depend on container + 'b' because it does not exist",
        ),
        (
            json!([container("a", depends("b", "SUCCESS")), container("b", json!({}))]),
            "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
        ),
        (
            json!([container("a", depends("b", "HEALTHY")), container("b", json!({}))]),
            "A dependency container with HEALTHY condition must have health check configured",
        ),
        (
            json!([container("a", depends("b", "START")), container("b", depends("a", "START"))]),
            "Container dependency graph contains a cycle.",
        ),
        (
            json!(vec![container("a", json!({})); 11]),
            "A task definition can have at most 10 containers.",
        ),
        (
            json!([container("a", json!({"logConfiguration": {"logDriver": "awsfirelens"}}))]),
            "When a log driver is awsfirelens, a container must have a FireLens configuration.",
        ),
    ] {
        refuses(&bridge(json!({"containerDefinitions": containers}), &json!({})), message);
    }
}

#[test]
fn volumes_of_efs_are_checked() {
    let efs = |more: Value| {
        let mut efs = json!({"fileSystemId": "fs-1"});
        merge(&mut efs, &more);
        bridge(json!({"volumes": [{"name": "v", "efsVolumeConfiguration": efs}]}), &json!({}))
    };
    let normal = accepts(&efs(json!({})));
    assert_eq!(normal["volumes"][0]["efsVolumeConfiguration"]["rootDirectory"], "/");
    let normal = accepts(&efs(json!({"rootDirectory": "/a"})));
    assert_eq!(normal["volumes"][0]["efsVolumeConfiguration"]["rootDirectory"], "/a");
    let point = json!({"accessPointId": "fsap-1"});
    accepts(&efs(json!({"rootDirectory": "/", "authorizationConfig": point})));
    refuses(
        &efs(json!({"rootDirectory": "/a", "authorizationConfig": point})),
        "When using an EFS access point, the root directory must either be set to \"/\" or be omitted",
    );
    refuses(
        &efs(json!({"authorizationConfig": {"iam": "ENABLED"}})),
        "EFS IAM authorization requires TransitEncryption to be enabled",
    );
}

#[test]
fn sizes_of_containers_fit_the_task() {
    refuses(
        &definition(&json!({}), &json!({"memory": 1024})),
        "The 'memory' setting for container 'web' is greater than for the task.",
    );
    refuses(
        &definition(&json!({}), &json!({"cpu": 257})),
        "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
    );
    let large = json!([{"name": "K", "value": "v".repeat(70_000)}]);
    let message = outcome(&definition(&json!({}), &json!({"environment": large}))).unwrap_err();
    assert!(message.ends_with("Max allowed length is '65536' bytes."), "{message}");
}

#[test]
fn defaults_are_filled_in() {
    let normal = accepts(&bridge(
        json!({"volumes": [{"name": "v"}]}),
        &json!({"portMappings": [{"containerPort": 80}], "healthCheck": {"command": ["CMD", "x"]},
                "linuxParameters": {"capabilities": {"drop": ["ALL"]}}}),
    ));
    let container = &normal["containerDefinitions"][0];
    assert_eq!(
        container["portMappings"],
        json!([{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}])
    );
    assert_eq!(
        container["healthCheck"],
        json!({"command": ["CMD", "x"], "interval": 30, "timeout": 5, "retries": 3})
    );
    assert_eq!(container["linuxParameters"]["capabilities"], json!({"add": [], "drop": ["ALL"]}));
    assert_eq!(normal["volumes"], json!([{"name": "v", "host": {}}]));
    assert_eq!(normal["networkMode"], Value::Null);
}

#[test]
fn what_can_run_it_is_computed() {
    for (definition, expected) in [
        (definition(&json!({}), &json!({})), json!(["EC2", "MANAGED_INSTANCES", "FARGATE"])),
        (
            definition(&json!({"requiresCompatibilities": null, "cpu": "300"}), &json!({})),
            json!(["EC2", "MANAGED_INSTANCES"]),
        ),
        (bridge(json!({}), &json!({})), json!(["EXTERNAL", "EC2"])),
        (bridge(json!({"networkMode": "awsvpc"}), &json!({})), json!(["EC2"])),
        (bridge(json!({"networkMode": "host"}), &json!({})), json!(["EXTERNAL", "EC2"])),
    ] {
        assert_eq!(accepts(&definition)["compatibilities"], expected, "{definition}");
    }
}

fn registration() -> Registration {
    Registration {
        scope: scope(),
        revision: 1,
        registered_at_ms: 0,
        registered_by: String::new(),
        tags: outport_model::Tags::new(),
        non_blocking_logs: false,
    }
}

#[test]
fn what_is_not_built_is_named() {
    let check = |definition: Value, expected: &[&str]| {
        let normal = normalise(from_json(&definition.to_string()).unwrap(), &scope()).unwrap();
        let workload = Workloads::default().read(&row(&normal, registration()));
        assert_eq!(workload.unsupported, expected);
    };
    check(definition(&json!({}), &json!({})), &[]);
    check(definition(&json!({"executionRoleArn": "role"}), &json!({})), &[]);
    check(
        definition(
            &json!({"taskRoleArn": "role", "pidMode": "task", "volumes": [{"name": "v"}]}),
            &json!({"healthCheck": {"command": ["CMD", "x"]}}),
        ),
        &["pidMode", "volumes"],
    );
    check(
        bridge(
            json!({"networkMode": "host"}),
            &json!({"systemControls": [
                {"namespace": "net.core.somaxconn", "value": "1"},
                {"namespace": "kernel.shmmax", "value": "1"},
                {"namespace": "kernel.panic", "value": "1"},
            ], "pseudoTerminal": true, "startTimeout": 5}),
        ),
        &[
            "containerDefinitions[web].pseudoTerminal",
            "containerDefinitions[web].systemControls.namespace kernel.panic",
            "containerDefinitions[web].systemControls.namespace net.core.somaxconn",
        ],
    );
    check(
        bridge(
            json!({"pidMode": "task"}),
            &json!({"privileged": true, "linuxParameters": {"maxSwap": 1}}),
        ),
        &["pidMode", "containerDefinitions[web].linuxParameters.maxSwap"],
    );
}

#[test]
fn what_a_later_version_wrote_is_not_run_without_it() {
    let normal =
        normalise(from_json(&definition(&json!({}), &json!({})).to_string()).unwrap(), &scope());
    let mut row = row(&normal.unwrap(), registration());
    // One reader: a revision that was never committed may have had the key before, with another document.
    let workloads = Workloads::default();
    let mut check = |change: fn(&mut Value), expected: &[&str]| {
        let mut document: Value = serde_json::from_str(&row.document).unwrap();
        change(&mut document);
        row.document = document.to_string();
        assert_eq!(workloads.read(&row).unsupported, expected);
        assert!(Arc::ptr_eq(&workloads.read(&row), &workloads.read(&row)), "it is kept");
    };
    check(|_| {}, &[]);
    check(
        |document| document["containerDefinitions"][0]["gravity"] = json!({"g": 9.81}),
        &["containerDefinitions[0].gravity (not known to this version)"],
    );
    check(
        |document| {
            document["containerDefinitions"][0].as_object_mut().unwrap().remove("gravity");
            document["orbit"] = json!("low");
        },
        &["orbit (not known to this version)"],
    );
    check(
        |document| document["networkMode"] = json!("mesh"),
        &["a document that this version cannot read"],
    );
}
