//! Compose files, and what they are at Amazon ECS.

use std::path::Path;

use serde_json::{Value, json};

use super::ComposeOptions;
use super::definition::{service, task_definition};
use super::project::Project;
use super::variables::Variables;

fn read_with(text: &str, ignore: &[&str]) -> anyhow::Result<Project> {
    let options = ComposeOptions {
        project: Some("shop".to_owned()),
        ignore: ignore.iter().map(|&key| key.to_owned()).collect(),
        ..ComposeOptions::default()
    };
    let values = [("TAG".to_owned(), "16".to_owned()), ("SECRET".to_owned(), "s3".to_owned())];
    let mut variables = Variables { values: values.into(), ..Variables::default() };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    Project::of(text, "compose.yaml", directory, &options, &mut variables)
}

fn read(text: &str) -> Project {
    read_with(text, &[]).unwrap()
}

/// The container definitions of a file.
fn containers(text: &str) -> Vec<Value> {
    let image = |service: &super::service::Service| service.image.clone().unwrap_or_default();
    let definition = task_definition(&read(text), "us-east-1", image);
    definition["containerDefinitions"].as_array().unwrap().clone()
}

/// The members of the first container of a service with these keys, as far as they are expected.
#[track_caller]
fn check(keys: &str, expected: &Value) {
    let container = &containers(&format!("services:\n  web:\n    image: a\n{keys}"))[0];
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&container[member], value, "{keys}");
    }
}

#[test]
fn a_service_is_a_container() {
    let container = &containers("services: {web: {image: 'postgres:${TAG:-15}'}}")[0];
    assert_eq!(
        container,
        &json!({
            "name": "web",
            "image": "postgres:16",
            "essential": true,
            "dockerLabels": { "outport.localhost": "web" },
            "memoryReservation": 128,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": "/compose/shop",
                    "awslogs-region": "us-east-1",
                    "awslogs-stream-prefix": "shop",
                    "awslogs-create-group": "true",
                },
            },
        })
    );
}

#[test]
fn keys_become_members() {
    check("    command: sh -c 'echo $$HOME'\n", &json!({ "command": ["sh", "-c", "echo $HOME"] }));
    check("    entrypoint: [a, b c]\n", &json!({ "entryPoint": ["a", "b c"] }));
    let environment = json!([{ "name": "A", "value": "1" }, { "name": "SECRET", "value": "s3" }]);
    check("    environment: [A=1, SECRET, NONE]\n", &json!({ "environment": environment }));
    check("    environment: {A: 1, SECRET: , NONE: }\n", &json!({ "environment": environment }));
    check(
        "    ports: ['8080:80', 81, {target: 53, protocol: udp}]\n    expose: [90]\n",
        &json!({ "portMappings": [
            { "containerPort": 80, "protocol": "tcp" },
            { "containerPort": 81, "protocol": "tcp" },
            { "containerPort": 53, "protocol": "udp" },
        ] }),
    );
    check(
        "    ports: ['8080:80', 81, {target: 53, published: 5353, protocol: udp}]\n",
        &json!({ "dockerLabels": {
            "outport.localhost": "web", "outport.publish": "8080:80 5353:53/udp",
        } }),
    );
    check(
        "    user: '1000:1000'\n    working_dir: /srv\n",
        &json!({ "user": "1000:1000", "workingDirectory": "/srv" }),
    );
    check(
        "    mem_limit: 64m\n    cpus: 0.5\n",
        &json!({ "memory": 64, "cpu": 512, "memoryReservation": null }),
    );
    check(
        "    deploy: {resources: {limits: {memory: 1g, cpus: '2'}, reservations: {memory: 512m, cpus: '0.25'}}}\n",
        &json!({ "memory": 1024, "memoryReservation": 512, "cpu": 256 }),
    );
    check(
        "    labels: [a=b, c]\n    container_name: front\n",
        &json!({ "dockerLabels": { "a": "b", "c": "", "outport.localhost": "web front" } }),
    );
    check(
        "    init: true\n    read_only: true\n    stop_grace_period: 1m30s\n    cap_drop: [ALL]\n",
        &json!({
            "linuxParameters": { "initProcessEnabled": true, "capabilities": { "add": [], "drop": ["ALL"] } },
            "readonlyRootFilesystem": true,
            "stopTimeout": 90,
        }),
    );
    check(
        "    healthcheck: {test: curl -f localhost, interval: 10s, retries: 5}\n",
        &json!({ "healthCheck": {
            "command": ["CMD-SHELL", "curl -f localhost"], "interval": 10, "retries": 5,
        } }),
    );
    check("    healthcheck: {disable: true}\n", &json!({ "healthCheck": null }));
    check("    x-own: {volumes: 1}\n    restart: unless-stopped\n", &json!({ "essential": true }));
}

#[test]
fn what_others_wait_for_and_what_may_end_is_not_essential() {
    let containers = containers(
        "services:\n  db: {image: a}\n  once: {image: a, depends_on: [db]}\n  may: {image: a, restart: 'no'}\n  \
         web:\n    image: a\n    depends_on:\n      once: {condition: service_completed_successfully}\n      \
         none: {condition: service_started, required: false}\n",
    );
    let essential: Vec<_> = containers.iter().map(|each| each["essential"].as_bool()).collect();
    assert_eq!(essential, [Some(true), Some(false), Some(false), Some(true)]);
    assert_eq!(
        containers[1]["dependsOn"],
        json!([{ "containerName": "db", "condition": "START" }])
    );
    assert_eq!(
        containers[3]["dependsOn"],
        json!([{ "containerName": "once", "condition": "SUCCESS" }])
    );
    assert_eq!(containers[0]["dockerLabels"]["outport.localhost"], "db once may web");
}

#[test]
fn anchors_and_merge_keys_are_one_thing_with_what_they_stand_for() {
    let containers = containers(
        "x-base: &base\n  image: a\n  environment: &env {A: 1}\nservices:\n  one:\n    <<: *base\n  two:\n    <<: *base\n    \
         environment:\n      <<: *env\n      B: 2\n",
    );
    assert_eq!(containers[0]["environment"], json!([{ "name": "A", "value": "1" }]));
    let both = json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }]);
    assert_eq!(containers[1]["environment"], both);
}

#[test]
fn replicas_are_tasks() {
    let project = read(
        "services:\n  a: {image: a, deploy: {replicas: 3}}\n  b: {image: b, scale: 3}\n"
            .replace(", scale: 3", ", deploy: {replicas: 3}")
            .as_str(),
    );
    assert_eq!(service(&project)["desiredCount"], 3);
}

#[track_caller]
fn check_refused(text: &str, expected: &[&str]) {
    let refused = read_with(text, &[]).err().map(|error| format!("{error:#}"));
    let refused = refused.unwrap_or_else(|| panic!("{text} is taken"));
    let lines: Vec<&str> = refused.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{refused}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(
            line.starts_with(&format!("compose.yaml:{expected}")),
            "{line}, expected {expected}"
        );
    }
}

#[test]
fn all_that_is_wrong_is_said_with_its_line() {
    check_refused(
        "services:\n  web:\n    image: a\n    volumes:\n      - .:/app\n    privileged: true\n    ports: [x]\nnetworks:\n  front:\n",
        &[
            "4: services.web.volumes is not supported: Outport has no volumes yet; --ignore volumes",
            "6: services.web.privileged is not supported; --ignore privileged",
            "7: services.web.ports is \"x\", and not a port",
            "8: networks is not supported",
        ],
    );
    check_refused(
        "services:\n  web: {build: {context: ., secrets: [a]}}\n",
        &["2: services.web.build.secrets"],
    );
    check_refused(
        "services:\n  web:\n    command: a\n",
        &["2: services.web has neither image nor build"],
    );
    check_refused("services: [a]\n", &["1: services is a list", "1: there are no services"]);
    check_refused("a\n", &["1: the file is a single value", "1: there are no services"]);
    check_refused(
        "services:\n  web: {image: a, restart: on-failure}\n",
        &["2: services.web.restart is \"on-failure\""],
    );
    check_refused("services:\n  web: {image: '${TAG'}\n", &["2: \"${TAG\" has a $"]);
    check_refused(
        "services:\n  web: {image: '${NONE:?say it}'}\n",
        &["2: the variable NONE is needed: say it"],
    );
    check_refused(
        "services:\n  web: {image: a, env_file: none.env}\n",
        &["2: services.web.env_file: cannot read"],
    );
    check_refused("services:\n  a.b: {image: a}\n", &["2: services.a.b: the name of a container"]);
    check_refused(
        "services:\n  web: {image: a, healthcheck: {interval: 1s, test: x}}\n",
        &["2: services.web.healthcheck.interval is not between 5s"],
    );
}

#[test]
fn services_have_to_fit_together() {
    check_refused(
        "services:\n  a: {image: a, depends_on: [none]}\n",
        &["2: services.a.depends_on.none: there is no such"],
    );
    check_refused(
        "services:\n  a: {image: a, depends_on: [b]}\n  b: {image: a, depends_on: [a]}\n",
        &["2: services.a depends on itself", "3: services.b depends on itself"],
    );
    check_refused(
        "services:\n  a: {image: a, ports: ['1:80']}\n  b: {image: a, expose: [80]}\n",
        &["3: services.b and services.a both have the port 80"],
    );
    check_refused(
        "services:\n  a: {image: a}\n  b: {image: a, deploy: {replicas: 2}}\n",
        &["3: services.b.deploy.replicas is 2"],
    );
    check_refused("services:\n  a: {image: a, restart: 'no'}\n", &["2: no service goes on"]);
    check_refused(
        "services:\n  a: {image: a, depends_on: {b: {condition: service_healthy}}}\n  b: {image: a}\n",
        &["2: services.a.depends_on.b waits for the health"],
    );
}

#[test]
fn what_is_ignored_is_said_and_left_out() {
    let text = "services:\n  web:\n    image: a\n    volumes: [a:/b]\n    healthcheck: {test: x}\n  \
                db:\n    image: a\n    depends_on: {web: {condition: service_healthy}}\nvolumes: {a: }\n";
    let project = read_with(text, &["volumes", "healthcheck"]).unwrap();
    let expected = [
        "compose.yaml:4: services.web.volumes is ignored",
        "compose.yaml:5: services.web.healthcheck is ignored",
        "compose.yaml:9: volumes is ignored",
    ];
    assert_eq!(project.notes, expected);
    let definition = task_definition(&project, "us-east-1", |_| String::new());
    let containers = definition["containerDefinitions"].as_array().unwrap();
    assert_eq!(containers[0]["healthCheck"], Value::Null);
    assert_eq!(containers[1]["dependsOn"][0]["condition"], "START");
}

#[test]
fn a_service_with_a_profile_is_left_out() {
    let project = read("services:\n  web: {image: a}\n  debug: {image: a, profiles: [debug]}\n");
    let names: Vec<&str> = project.services.iter().map(|service| &*service.name).collect();
    assert_eq!(names, ["web"]);
    assert!(project.notes[0].contains("services.debug has a profile"), "{:?}", project.notes);
}
