//! From what is described to what makes the same, and what is left behind.

use serde_json::{Value, json};

use super::inputs::{Found, Inputs, LogGroup, Place, Step, inputs};
use super::{cli, terraform};

const CLUSTER: &str = "arn:aws:ecs:eu-west-1:111111111111:cluster/prod";

fn place() -> Place {
    Place {
        account: "111111111111".to_owned(),
        region: "eu-west-1".to_owned(),
        registries: vec!["127.0.0.1:4566".to_owned()],
    }
}

fn arn(name: &str) -> String {
    format!("arn:aws:ecs:eu-west-1:111111111111:task-definition/{name}")
}

fn definition(family: &str, revision: i64, more: &Value) -> Value {
    let mut definition = json!({
        "taskDefinitionArn": arn(&format!("{family}:{revision}")),
        "family": family,
        "revision": revision,
        "status": "ACTIVE",
        "registeredAt": 1.5,
        "requiresAttributes": [{ "name": "x" }],
        "compatibilities": ["EC2"],
        "containerDefinitions": [{ "name": "web", "image": "nginx" }],
    });
    for (member, value) in more.as_object().unwrap() {
        definition[member] = value.clone();
    }
    json!({ "taskDefinition": definition, "tags": [{ "key": "aws:x", "value": "1" }] })
}

fn service(name: &str, definition: &str, more: &Value) -> Value {
    let mut service = json!({
        "serviceName": name,
        "clusterArn": CLUSTER,
        "status": "ACTIVE",
        "taskDefinition": arn(definition),
        "desiredCount": 2,
        "runningCount": 2,
        "launchType": "FARGATE",
        "schedulingStrategy": "REPLICA",
        "deployments": [],
        "loadBalancers": [],
        "enableExecuteCommand": false,
        "healthCheckGracePeriodSeconds": 0,
    });
    for (member, value) in more.as_object().unwrap() {
        service[member] = value.clone();
    }
    service
}

fn of(found: Found) -> Inputs {
    inputs(Found { place: place(), ..found })
}

/// A service of one family: its input, and what is left behind.
#[track_caller]
fn check_service(more: &Value, input: &Value, left: &[&str]) {
    let made = of(Found {
        definitions: vec![definition("app", 1, &json!({}))],
        services: vec![service("web", "app:1", more)],
        ..Found::default()
    });
    let said: Vec<String> = made.left.iter().map(ToString::to_string).collect();
    let begins = said.iter().zip(left).all(|(said, left)| said.starts_with(left));
    assert!(begins && said.len() == left.len(), "{said:#?} for {more}");
    let Some(Step::Service { cluster, input: service }) = made.steps.get(1) else {
        assert!(input.is_null(), "no service for {more}");
        return;
    };
    assert_eq!(cluster, "prod");
    for (member, value) in input.as_object().unwrap() {
        assert_eq!(&service[member], value, "{member} for {more}");
    }
}

#[test]
fn of_a_service_what_runs_is_carried_and_the_rest_is_named() {
    let plain = json!({ "serviceName": "web", "desiredCount": 2, "launchType": "FARGATE" });
    check_service(&json!({}), &plain, &[]);
    let balanced =
        json!({ "loadBalancers": [{ "targetGroupArn": "x" }], "healthCheckGracePeriodSeconds": 5 });
    let none = json!({ "loadBalancers": null, "healthCheckGracePeriodSeconds": 5 });
    check_service(
        &balanced,
        &none,
        &["service web of prod: loadBalancers: there are no load balancers"],
    );
    let connect = json!({ "deployments": [
        { "status": "ACTIVE", "volumeConfigurations": [{}] },
        { "status": "PRIMARY", "serviceConnectConfiguration": { "enabled": true } },
    ] });
    check_service(&connect, &plain, &["service web of prod: serviceConnectConfiguration: "]);
    check_service(
        &json!({ "schedulingStrategy": "DAEMON" }),
        &Value::Null,
        &["service web of prod: DAEMON services"],
    );
    check_service(
        &json!({ "deploymentController": { "type": "CODE_DEPLOY" } }),
        &plain,
        &["service web of prod: deploymentController \"CODE_DEPLOY\""],
    );
    let deployment = json!({
        "maximumPercent": 150,
        "deploymentCircuitBreaker": {
            "enable": true, "rollback": true, "resetOnHealthyTask": true,
            "thresholdConfiguration": { "type": "BOUNDED_PERCENT", "value": 50 },
        },
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
        "alarms": { "alarmNames": [], "enable": false },
    });
    let kept = json!({
        "maximumPercent": 150,
        "deploymentCircuitBreaker": { "enable": true, "rollback": true },
    });
    check_service(
        &json!({ "deploymentConfiguration": deployment }),
        &json!({ "deploymentConfiguration": kept }),
        &[],
    );
    let pause = json!({ "targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"] });
    let breaker = json!({
        "enable": true, "rollback": true, "thresholdConfiguration": { "type": "COUNT", "value": 2 },
    });
    let staged = json!({
        "strategy": "CANARY", "bakeTimeInMinutes": 5, "canaryConfiguration": { "canaryPercent": 5.0 },
        "deploymentCircuitBreaker": breaker,
    });
    let (mut described, mut kept) = (staged.clone(), staged);
    described["alarms"] = json!({ "enable": true });
    described["lifecycleHooks"] = json!([pause, { "hookTargetArn": "arn:x" }]);
    kept["lifecycleHooks"] = json!([pause]);
    check_service(
        &json!({ "deploymentConfiguration": described }),
        &json!({ "deploymentConfiguration": kept }),
        &[
            "service web of prod: deploymentConfiguration.alarms",
            "service web of prod: lifecycle hooks of Lambda",
        ],
    );
}

#[test]
fn a_strategy_of_one_fargate_provider_is_carried_and_others_become_a_launch_type() {
    let strategy = |names: &[&str]| -> Value {
        let items = names.iter().map(|name| json!({ "capacityProvider": name, "weight": 1 }));
        json!({ "capacityProviderStrategy": items.collect::<Vec<_>>(), "platformVersion": "1.4.0" })
    };
    let one = strategy(&["FARGATE_SPOT"]);
    let kept =
        json!({ "capacityProviderStrategy": one["capacityProviderStrategy"], "launchType": null });
    check_service(&one, &kept, &[]);
    check_service(
        &strategy(&["FARGATE", "FARGATE_SPOT"]),
        &json!({ "capacityProviderStrategy": null, "launchType": "FARGATE" }),
        &["service web of prod: capacityProviderStrategy: launchType FARGATE instead"],
    );
    check_service(
        &strategy(&["mine"]),
        &json!({ "launchType": "EC2", "platformVersion": null }),
        &["service web of prod: capacityProviderStrategy: launchType EC2 instead"],
    );
}

#[test]
fn each_service_stands_behind_its_own_revision() {
    let made = of(Found {
        definitions: vec![
            definition("web", 10, &json!({})),
            definition("web", 9, &json!({})),
            definition("app", 2, &json!({})),
        ],
        services: vec![
            service("new", "web:10", &json!({})),
            service("old", "web:9", &json!({})),
            service("lost", "web:1", &json!({})),
        ],
        ..Found::default()
    });
    let steps: Vec<String> = made
        .steps
        .iter()
        .map(|step| match step {
            Step::Register { arn, .. } => arn.rsplit('/').next().unwrap().to_owned(),
            Step::Service { input, .. } => input["serviceName"].as_str().unwrap().to_owned(),
        })
        .collect();
    assert_eq!(steps, ["app:2", "web:9", "old", "web:10", "new"]);
    let left: Vec<String> = made.left.iter().map(ToString::to_string).collect();
    assert_eq!(left, ["service lost of prod: its task definition could not be read"]);
}

#[test]
fn of_a_definition_all_but_what_only_answers_have_is_carried() {
    let more = json!({
        "cpu": "256",
        "runtimePlatform": { "cpuArchitecture": "ARM64" },
        "containerDefinitions": [
            { "name": "web", "image": "127.0.0.1:4566/app:1", "healthCheck": { "command": ["x"] } },
            { "name": "far", "image": "222222222222.dkr.ecr.eu-west-1.amazonaws.com/app" },
        ],
        "newlyInvented": { "a": 1 },
    });
    let made = of(Found { definitions: vec![definition("app", 3, &more)], ..Found::default() });
    let expected = json!({
        "family": "app",
        "containerDefinitions": [
            {
                "name": "web",
                "image": "111111111111.dkr.ecr.eu-west-1.amazonaws.com/app:1",
                "healthCheck": { "command": ["x"] },
            },
            { "name": "far", "image": "222222222222.dkr.ecr.eu-west-1.amazonaws.com/app" },
        ],
        "cpu": "256",
        "runtimePlatform": { "cpuArchitecture": "ARM64" },
    });
    assert_eq!(made.steps, [Step::Register { arn: arn("app:3"), input: expected }]);
    let left: Vec<&str> = made.left.iter().map(|left| left.what.as_str()).collect();
    let image = "\"222222222222.dkr.ecr.eu-west-1.amazonaws.com/app\"";
    assert_eq!(
        left,
        [
            "task definition app:3: \"newlyInvented\"".to_owned(),
            format!("task definition app:3: image {image}"),
        ]
    );
}

/// What is said of a definition with an image of the registry there.
#[track_caller]
fn check_role(more: &Value, services: Vec<Value>, expected: &[&str]) {
    let mut all =
        json!({ "containerDefinitions": [{ "name": "web", "image": "127.0.0.1:4566/app" }] });
    for (member, value) in more.as_object().unwrap() {
        all[member] = value.clone();
    }
    let definitions = vec![definition("app", 1, &all)];
    let made = of(Found { definitions, services, ..Found::default() });
    let left: Vec<&str> = made.left.iter().map(|left| left.what.as_str()).collect();
    assert_eq!(left, expected, "{more}");
    assert!(made.left.iter().all(|left| left.why.contains("executionRoleArn")), "{:?}", made.left);
}

#[test]
fn an_image_of_the_registry_that_fargate_refuses_elsewhere_is_named() {
    let fargate = json!({ "requiresCompatibilities": ["FARGATE"] });
    let named = ["task definition app:1: image \"127.0.0.1:4566/app\""];
    check_role(&fargate, Vec::new(), &named);
    check_role(&json!({}), vec![service("web", "app:1", &json!({}))], &named);
    check_role(&json!({}), vec![service("web", "app:1", &json!({ "launchType": "EC2" }))], &[]);
    check_role(&json!({}), Vec::new(), &[]);
    let with_role = json!({ "requiresCompatibilities": ["FARGATE"], "executionRoleArn": "arn:x" });
    check_role(&with_role, Vec::new(), &[]);
}

/// `apply.sh` under a shell, with an `aws` that refuses what has `no` in its name. What it prints on either stream, and its code.
fn applied(files: &[cli::File]) -> (String, String, Option<i32>) {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for file in files {
        std::fs::write(path(&file.path), &file.text).unwrap();
    }
    let aws = "#!/bin/sh\n\
        case \"$*\" in\n\
          *get-caller-identity*) echo 000000000000 ;;\n\
          *describe-subnets*) echo subnet-1 ;;\n\
          *) if grep -q '\"no' \"${4#file://}\"; then printf '\\nrefused: x\\n' >&2; exit 254; fi ;;\n\
        esac\n";
    std::fs::write(path("aws"), aws).unwrap();
    std::fs::set_permissions(path("aws"), PermissionsExt::from_mode(0o755)).unwrap();
    let search = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    let mut shell = std::process::Command::new("sh");
    let shell = shell.arg(path("apply.sh")).env("PATH", search).env("AWS_REGION", "us-east-1");
    let done = shell.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(done.stdout), text(done.stderr), done.status.code())
}

#[test]
fn a_script_goes_on_after_a_refusal_and_says_it_at_the_end() {
    let network = json!({ "networkConfiguration": {
        "awsvpcConfiguration": { "subnets": ["subnet-far"], "assignPublicIp": "ENABLED" } } });
    let found = |families: &[&str]| {
        let definitions = families.iter().map(|family| definition(family, 1, &json!({})));
        let services = families
            .iter()
            .map(|family| service(&format!("of-{family}"), &format!("{family}:1"), &network));
        let (definitions, services) = (definitions.collect(), services.collect());
        cli::files(&of(Found { definitions, services, ..Found::default() }))
    };
    let (made, said, code) = applied(&found(&["app", "no", "web"]));
    assert_eq!(
        made,
        "made   task-definition app\nmade   service of-app\nmade   task-definition web\nmade   service of-web\n",
        "{said}"
    );
    let refused = "task-definition no:  refused: x";
    let service = "service of-no: its task definition was not made";
    assert_eq!(said, format!("{refused}\n{service}\n\nnot made:\n  {refused}\n  {service}\n"));
    assert_eq!(code, Some(1));
    let (_, said, code) = applied(&found(&["app"]));
    assert_eq!((said.as_str(), code), ("", Some(0)));
}

#[test]
fn what_is_asked_for_as_a_whole_is_told_from_its_parts() {
    let balanced = json!({ "loadBalancers": [{ "targetGroupArn": "x" }] });
    let made = of(Found {
        definitions: vec![definition("app", 1, &json!({})), definition("a b", 1, &json!({}))],
        services: vec![
            service("web", "app:1", &balanced),
            service("each", "app:1", &json!({ "schedulingStrategy": "DAEMON" })),
            service("odd", "a b:1", &json!({})),
        ],
        ..Found::default()
    });
    let whole: Vec<&str> =
        made.left.iter().filter(|left| left.is_not_made).map(|left| left.what.as_str()).collect();
    let expected = ["task definition \"a b\"", "service odd of prod", "service each of prod"];
    assert_eq!(whole, expected, "{:#?}", made.left);
    assert_eq!(made.left.len(), 4);
}

#[test]
fn clusters_repositories_and_log_groups_leave_what_is_the_accounts() {
    let made = of(Found {
        clusters: vec![json!({
            "clusterName": "prod", "clusterArn": CLUSTER, "status": "ACTIVE",
            "runningTasksCount": 3, "capacityProviders": ["FARGATE", "mine"],
            "settings": [{ "name": "containerInsights", "value": "disabled" }],
            "tags": [{ "key": "a", "value": "b" }],
        })],
        repositories: vec![json!({
            "repositoryName": "team/app", "repositoryUri": "x/team/app", "imageTagMutability": "MUTABLE",
            "encryptionConfiguration": { "encryptionType": "KMS", "kmsKey": "k" },
            "tags": [{ "Key": "aws:a", "Value": "b" }, { "Key": "c", "Value": "d" }],
        })],
        log_groups: vec![json!({
            "logGroupName": "/ecs/web", "retentionInDays": 7, "storedBytes": 5, "kmsKeyId": "k",
            "tags": { "aws:a": "b", "c": "d" },
        })],
        ..Found::default()
    });
    let cluster = json!({
        "clusterName": "prod",
        "settings": [{ "name": "containerInsights", "value": "disabled" }],
        "tags": [{ "key": "a", "value": "b" }],
        "capacityProviders": ["FARGATE"],
    });
    assert_eq!(made.clusters, [cluster]);
    let repository = json!({
        "repositoryName": "team/app", "imageTagMutability": "MUTABLE",
        "tags": [{ "Key": "c", "Value": "d" }],
    });
    assert_eq!(made.repositories, [repository]);
    let input = json!({ "logGroupName": "/ecs/web", "tags": { "c": "d" } });
    assert_eq!(made.log_groups, [LogGroup { input, retention_days: Some(7) }]);
    let left: Vec<&str> = made.left.iter().map(|left| left.what.as_str()).collect();
    let expected = [
        "cluster prod: capacityProviders",
        "cluster prod: 3 tasks of no service",
        "repository team/app: encryptionConfiguration",
        "log group /ecs/web: kmsKeyId",
    ];
    assert_eq!(left, expected);
}

#[test]
fn policies_of_repositories_go_where_they_go() {
    let policy = r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":["111111111111","arn:aws:iam::111111111111:role/ci"]},"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:ecs:eu-west-1:111111111111:${x}"}},"Action":"ecr:*"}]}"#;
    let made = inputs(Found {
        place: Place {
            account: "111111111111".to_owned(),
            region: "eu-west-1".to_owned(),
            registries: Vec::new(),
        },
        repositories: vec![json!({
            "repositoryName": "app", "policyText": policy, "lifecyclePolicyText": "{\"rules\":[]}",
        })],
        ..Found::default()
    });
    assert_eq!(made.policies.len(), 2, "{:#?}", made.policies);
    let files = cli::files(&made);
    let script = &files.last().unwrap().text;
    for line in [
        "policy 'repository-policy app' 'app' get-repository-policy set-repository-policy 00002-repository-policy-app.json",
        "policy 'lifecycle-policy app' 'app' get-lifecycle-policy put-lifecycle-policy 00003-lifecycle-policy-app.json",
    ] {
        assert!(script.contains(line), "{script}");
    }
    let main: Value = serde_json::from_str(&terraform::files(&made)[0].text).unwrap();
    let carried = &main["resource"]["aws_ecr_repository_policy"]["app"];
    assert_eq!(carried["repository"], "${aws_ecr_repository.app.name}");
    let text = carried["policy"].as_str().unwrap();
    assert!(
        text.contains("arn:aws:iam::${var.account}:role/ci") && !text.contains("1111"),
        "{text}"
    );
    assert!(text.contains("arn:aws:ecs:${var.region}:${var.account}:$${x}"), "{text}");
    assert!(main["resource"]["aws_ecr_lifecycle_policy"]["app"].is_object());
}

#[test]
fn names_that_aws_would_not_take_get_into_no_file() {
    let hostile = "x'; touch /tmp/y; echo '../../${file(\"/etc/passwd\")}\u{1b}[2J";
    let made = of(Found {
        clusters: vec![json!({ "clusterName": hostile, "clusterArn": "c" })],
        repositories: vec![json!({ "repositoryName": hostile })],
        log_groups: vec![json!({ "logGroupName": hostile })],
        definitions: vec![definition("app", 1, &json!({})), definition(hostile, 1, &json!({}))],
        services: vec![
            service(hostile, "app:1", &json!({})),
            service(
                "web",
                "app:1",
                &json!({ "networkConfiguration": {
                "awsvpcConfiguration": { "subnets": [hostile], "assignPublicIp": hostile } } }),
            ),
        ],
        ..Found::default()
    });
    assert_eq!((made.left.len(), made.steps.len()), (5, 2), "{:#?}", made.left);
    assert!(made.left.iter().all(|left| !left.to_string().contains('\u{1b}')));
    let files = cli::files(&made);
    let script = &files.last().unwrap().text;
    assert!(!script.contains("touch /tmp/y") && !script.contains("../"), "{script}");
    let paths = files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>();
    assert_eq!(paths, ["00001-task-definition-app.json", "00002-service-web.json", "apply.sh"]);
    let main = &terraform::files(&made)[0].text;
    assert!(!main.contains("${file("), "{main}");
}

#[test]
fn terraform_gets_blocks_variables_and_no_template_of_what_is_read() {
    let more = json!({
        "executionRoleArn": "arn:aws:iam::111111111111:role/x",
        "ephemeralStorage": { "sizeInGiB": 30 },
        "runtimePlatform": { "cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX" },
        "containerDefinitions": [{ "name": "web", "image": "nginx", "command": ["${x} %{y}"] }],
        "volumes": [
            { "name": "a", "host": { "sourcePath": "/a" } },
            { "name": "b", "efsVolumeConfiguration": {
                "fileSystemId": "fs-1", "authorizationConfig": { "accessPointId": "p" } } },
            { "name": "c", "dockerVolumeConfiguration": { "driverOpts": { "myOpt": "1" } } },
        ],
    });
    let made = of(Found {
        repositories: vec![json!({ "repositoryName": "a/b" }), json!({ "repositoryName": "a-b" })],
        definitions: vec![definition("app", 3, &more), definition("7up", 1, &json!({}))],
        ..Found::default()
    });
    let main: Value = serde_json::from_str(&terraform::files(&made)[0].text).unwrap();
    let repositories = &main["resource"]["aws_ecr_repository"];
    assert_eq!(
        (&repositories["a_b"]["name"], &repositories["a_b_2"]["name"]),
        (&json!("a/b"), &json!("a-b"))
    );
    let definitions = &main["resource"]["aws_ecs_task_definition"];
    assert!(definitions["_7up"].is_object());
    let app = &definitions["app"];
    assert_eq!(app["execution_role_arn"], "arn:aws:iam::${var.account}:role/x");
    assert_eq!(app["ephemeral_storage"], json!([{ "size_in_gib": 30 }]));
    assert_eq!(app["runtime_platform"][0]["operating_system_family"], "LINUX");
    assert!(app["container_definitions"].as_str().unwrap().contains("$${x} %%{y}"));
    let volumes = json!([
        { "name": "a", "host_path": "/a" },
        { "name": "b", "efs_volume_configuration": [
            { "file_system_id": "fs-1", "authorization_config": [{ "access_point_id": "p" }] }] },
        { "name": "c", "docker_volume_configuration": [{ "driver_opts": { "myOpt": "1" } }] },
    ]);
    assert_eq!(app["volume"], volumes);
}
