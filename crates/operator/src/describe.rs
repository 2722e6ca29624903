//! `outport describe`: one task or one service, all that the API says of it that a person asks for.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::api::Api;
use crate::find::{self, Meant};
use crate::moment::{age, clock, now_ms};
use crate::ps::{TaskRow, row as task_row, shown as shown_tasks, why_it_stopped};
use crate::reach::{self, Port, Published};
use crate::table::{Shape, fields, json as as_json, table};
use crate::value::{list, name_of, text, time_ms};

/// Of a service; there may be a hundred.
const EVENTS_SHOWN: usize = 10;

/// What `outport describe` prints. As JSON: the API's own answers, a task with its definition, a service with its tasks.
///
/// # Errors
/// When the API cannot be asked or refuses, or the word means nothing or more than one.
pub async fn describe(
    api: &Api,
    cluster: Option<&str>,
    word: &str,
    shape: Shape,
) -> Result<String> {
    match find::meant(api, cluster, word).await? {
        Meant::Task(task) => {
            let definition = find::definition(api, &task).await?;
            if shape.is_json {
                return as_json(&json!({ "task": task, "taskDefinition": definition }));
            }
            let ports =
                reach::ports(&task, &definition, &Published::ask(api).await?, &api.machine());
            Ok(task_text(shape, &task, &definition, &ports, now_ms()))
        }
        Meant::Service { cluster, name } => {
            let input = json!({ "cluster": cluster, "services": [name] });
            let answer = api.ecs("DescribeServices", input).await?;
            let service = list(&answer, "services").first().context("the service is gone")?;
            let tasks = find::service_tasks(api, &cluster, &name).await?;
            if shape.is_json {
                return as_json(&json!({ "service": service, "tasks": tasks }));
            }
            let rows = task_rows(api, &tasks).await?;
            Ok(service_text(shape, service, &rows, now_ms()))
        }
        Meant::Family { cluster, family } => {
            let tasks = find::family_tasks(api, &cluster, &family).await?;
            match tasks.first() {
                Some(task) if tasks.len() == 1 => {
                    let id = name_of(text(task, "taskArn")).to_owned();
                    Box::pin(describe(api, Some(&cluster), &id, shape)).await
                }
                _ => bail!("{family} has {} tasks: name one, by its id", tasks.len()),
            }
        }
    }
}

/// As `outport ps` shows them: with how they are reached.
async fn task_rows(api: &Api, tasks: &[Value]) -> Result<Vec<TaskRow>> {
    let (published, machine) = (Published::ask(api).await?, api.machine());
    let mut definitions = BTreeMap::new();
    let mut rows = Vec::with_capacity(tasks.len());
    for task in tasks {
        let arn = text(task, "taskDefinitionArn").to_owned();
        if !definitions.contains_key(&arn) {
            definitions.insert(arn.clone(), find::definition(api, task).await?);
        }
        let ports = reach::ports(task, &definitions[&arn], &published, &machine);
        rows.push(task_row(task, &ports));
    }
    Ok(rows)
}

fn task_text(
    shape: Shape,
    task: &Value,
    definition: &Value,
    ports: &[Port],
    now_ms: i64,
) -> String {
    let status = match text(task, "lastStatus") {
        status if status == text(task, "desiredStatus") => status.to_owned(),
        status => format!("{status}, to be {}", text(task, "desiredStatus")),
    };
    let running = text(task, "lastStatus") == "RUNNING";
    let mode = [text(definition, "networkMode"), text(task, "launchType")];
    let mut shown = fields(
        shape,
        &[
            ("task", text(task, "taskArn").to_owned()),
            ("group", text(task, "group").to_owned()),
            ("started by", text(task, "startedBy").to_owned()),
            (
                "definition",
                format!("{} ({})", name_of(text(task, "taskDefinitionArn")), words(&mode)),
            ),
            ("status", status),
            ("health", known_health(text(task, "healthStatus"))),
            ("why", why_it_stopped(task)),
            ("size", format!("{} CPU units, {} MiB", text(task, "cpu"), text(task, "memory"))),
            ("instance", text(task, "containerInstanceArn").to_owned()),
            ("address", reach::address(task).unwrap_or_default().to_owned()),
            ("ports", if running { shown_ports(ports) } else { String::new() }),
            ("created", moment(task, "createdAt", now_ms)),
            ("pulled", moment(task, "pullStoppedAt", now_ms)),
            ("started", moment(task, "startedAt", now_ms)),
            ("stopping", moment(task, "stoppingAt", now_ms)),
            ("stopped", moment(task, "stoppedAt", now_ms)),
        ],
    );
    let containers: Vec<Vec<String>> = list(task, "containers")
        .iter()
        .map(|container| {
            vec![
                text(container, "name").to_owned(),
                text(container, "lastStatus").to_owned(),
                known_health(text(container, "healthStatus")),
                container["exitCode"].as_i64().map_or_else(String::new, |code| code.to_string()),
                text(container, "image").to_owned(),
                text(container, "imageDigest").to_owned(),
                text(container, "reason").to_owned(),
            ]
        })
        .collect();
    let titles = ["CONTAINER", "STATUS", "HEALTH", "EXIT", "IMAGE", "DIGEST", "WHY"];
    shown.push('\n');
    shown.push_str(&table(shape, &titles, &containers));
    shown
}

/// Nothing of what is not known: most have no health checks.
fn known_health(health: &str) -> String {
    if health == "UNKNOWN" { String::new() } else { health.to_owned() }
}

fn service_text(shape: Shape, service: &Value, tasks: &[TaskRow], now_ms: i64) -> String {
    let count = |row: &Value, member: &str| row[member].as_i64().unwrap_or_default().to_string();
    let configuration = &service["deploymentConfiguration"];
    let breaker = &configuration["deploymentCircuitBreaker"];
    let mut shown = fields(
        shape,
        &[
            ("service", text(service, "serviceArn").to_owned()),
            ("status", text(service, "status").to_owned()),
            (
                "definition",
                format!(
                    "{} ({})",
                    name_of(text(service, "taskDefinition")),
                    words(&[text(service, "launchType"), text(service, "schedulingStrategy")])
                ),
            ),
            (
                "tasks",
                format!(
                    "{} desired, {} running, {} pending",
                    count(service, "desiredCount"),
                    count(service, "runningCount"),
                    count(service, "pendingCount")
                ),
            ),
            (
                "deploys",
                format!(
                    "with {} to {} % of them{}",
                    count(configuration, "minimumHealthyPercent"),
                    count(configuration, "maximumPercent"),
                    match (breaker["enable"] == true, breaker["rollback"] == true) {
                        (true, true) => ", circuit breaker with rollback",
                        (true, false) => ", circuit breaker",
                        (false, _) => "",
                    }
                ),
            ),
            ("created", moment(service, "createdAt", now_ms)),
        ],
    );
    let deployments: Vec<Vec<String>> = list(service, "deployments")
        .iter()
        .map(|row| {
            vec![
                text(row, "id").to_owned(),
                text(row, "status").to_owned(),
                text(row, "rolloutState").to_owned(),
                name_of(text(row, "taskDefinition")).to_owned(),
                count(row, "desiredCount"),
                count(row, "runningCount"),
                count(row, "pendingCount"),
                count(row, "failedTasks"),
                age(now_ms - time_ms(row, "createdAt").unwrap_or(now_ms)),
                text(row, "rolloutStateReason").to_owned(),
            ]
        })
        .collect();
    let titles = [
        "DEPLOYMENT",
        "STATUS",
        "ROLLOUT",
        "DEFINITION",
        "DESIRED",
        "RUNNING",
        "PENDING",
        "FAILED",
        "AGE",
        "WHY",
    ];
    shown.push('\n');
    shown.push_str(&table(shape, &titles, &deployments));
    if !tasks.is_empty() {
        shown.push('\n');
        shown.push_str(&shown_tasks(shape, tasks, now_ms));
    }
    let events: Vec<Vec<String>> = list(service, "events")
        .iter()
        .take(EVENTS_SHOWN)
        .map(|event| {
            let at_ms = time_ms(event, "createdAt").unwrap_or_default();
            vec![clock(at_ms), text(event, "message").to_owned()]
        })
        .collect();
    if !events.is_empty() {
        shown.push('\n');
        shown.push_str(&table(shape, &["TIME (UTC)", "EVENT, NEWEST FIRST"], &events));
    }
    shown
}

/// Those that there are.
fn words(words: &[&str]) -> String {
    words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(", ")
}

fn shown_ports(ports: &[Port]) -> String {
    ports.iter().map(Port::shown).collect::<Vec<_>>().join(" ")
}

/// `2026-01-31 23:59:59 UTC, 12s ago`; empty for what has not happened.
fn moment(value: &Value, member: &str, now_ms: i64) -> String {
    match time_ms(value, member) {
        Some(at_ms) => format!("{} UTC, {} ago", clock(at_ms), age(now_ms - at_ms)),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 60_000;

    #[test]
    fn a_task_says_what_it_is_and_why_it_stopped() {
        let task = json!({
            "taskArn": "arn:aws:ecs:us-east-1:0:task/default/4f2a", "group": "service:web",
            "taskDefinitionArn": "arn:aws:ecs:us-east-1:0:task-definition/app:3", "launchType": "FARGATE",
            "lastStatus": "RUNNING", "desiredStatus": "STOPPED", "healthStatus": "UNKNOWN",
            "cpu": "256", "memory": "512", "createdAt": 1.0, "startedAt": 2.5,
            "containers": [{ "name": "web", "lastStatus": "RUNNING", "image": "app:1\u{1b}[2J" }],
        });
        let ports = [Port { is_udp: false, host: "127.0.0.1".to_owned(), port: 8080 }];
        let definition = json!({ "networkMode": "awsvpc" });
        let text = task_text(Shape::default(), &task, &definition, &ports, NOW_MS);
        let expected = [
            "task        arn:aws:ecs:us-east-1:0:task/default/4f2a",
            "group       service:web",
            "definition  app:3 (awsvpc, FARGATE)",
            "status      RUNNING, to be STOPPED",
            "size        256 CPU units, 512 MiB",
            "ports       http://127.0.0.1:8080",
            "created     1970-01-01 00:00:01 UTC, 59s ago",
            "started     1970-01-01 00:00:02 UTC, 57s ago",
            "",
            "CONTAINER  STATUS   IMAGE",
            "web        RUNNING  app:1 [2J",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        let mut task = task;
        task["healthStatus"] = json!("UNHEALTHY");
        task["containers"][0]["healthStatus"] = json!("UNHEALTHY");
        let text = task_text(Shape::default(), &task, &definition, &ports, NOW_MS);
        for line in ["health      UNHEALTHY", "web        RUNNING  UNHEALTHY  app:1 [2J"] {
            assert!(text.lines().any(|one| one == line), "{text}");
        }
    }

    #[test]
    fn a_service_says_how_its_deployments_do_and_what_happened() {
        let service = json!({
            "serviceArn": "arn:aws:ecs:us-east-1:0:service/default/web", "status": "ACTIVE",
            "taskDefinition": "arn:aws:ecs:us-east-1:0:task-definition/app:3", "launchType": "FARGATE",
            "schedulingStrategy": "REPLICA", "desiredCount": 3, "runningCount": 2, "pendingCount": 1,
            "deploymentConfiguration": {
                "minimumHealthyPercent": 100, "maximumPercent": 200,
                "deploymentCircuitBreaker": { "enable": true, "rollback": true },
            },
            "deployments": [{ "id": "ecs-svc/1", "status": "PRIMARY", "rolloutState": "IN_PROGRESS",
                "taskDefinition": "x/app:3", "desiredCount": 3, "runningCount": 2, "pendingCount": 1,
                "failedTasks": 0, "createdAt": 30.0 }],
            "events": [{ "createdAt": 31.0, "message": "(service web) has started 3 tasks." }],
        });
        let task = json!({ "taskArn": "arn:aws:ecs:us-east-1:0:task/default/4f2a", "lastStatus": "RUNNING",
            "createdAt": 30.0, "group": "service:web" });
        let port = Port { is_udp: false, host: "127.0.0.1".to_owned(), port: 8080 };
        let row = task_row(&task, &[port]);
        let text = service_text(Shape::default(), &service, std::slice::from_ref(&row), NOW_MS);
        let expected = [
            "service     arn:aws:ecs:us-east-1:0:service/default/web",
            "status      ACTIVE",
            "definition  app:3 (FARGATE, REPLICA)",
            "tasks       3 desired, 2 running, 1 pending",
            "deploys     with 100 to 200 % of them, circuit breaker with rollback",
            "",
            "DEPLOYMENT  STATUS   ROLLOUT      DEFINITION  DESIRED  RUNNING  PENDING  FAILED  AGE",
            "ecs-svc/1   PRIMARY  IN_PROGRESS  app:3       3        2        1        0       30s",
            "",
            "TASK  GROUP  STATUS   AGE  PORTS",
            "4f2a  web    RUNNING  30s  http://127.0.0.1:8080",
            "",
            "TIME (UTC)           EVENT, NEWEST FIRST",
            "1970-01-01 00:00:31  (service web) has started 3 tasks.",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        let narrow = Shape { width: Some(40), ..Shape::default() };
        let text = service_text(narrow, &service, &[row], NOW_MS);
        // What is one word is whole; everything else is wrapped.
        let mut too_long = text.lines().filter(|line| line.chars().count() > 40);
        assert!(too_long.all(|line| line.contains("arn:aws:")), "{text}");
        assert!(
            text.contains("http://127.0.0.1:8080") && text.contains("with 100 to 200"),
            "{text}"
        );
    }
}
