//! `outport ps`: tasks, with how they are reached and why they stopped.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::find;
use crate::moment::{age, now_ms};
use crate::table::{Shape, json as as_json, table};
use crate::value::{list, name_of, text, time_ms};

/// Of an id, as many characters tell tasks apart.
const ID_SHOWN: usize = 12;

#[derive(Debug, Default)]
pub struct PsOptions {
    /// Only of this cluster.
    pub cluster: Option<String>,
    /// Also those that have stopped, as long as they are kept.
    pub with_stopped: bool,
}

/// A task, as programs read it from `outport ps --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRow {
    pub task_arn: String,
    pub cluster: String,
    pub status: String,
    /// `HEALTHY` or `UNHEALTHY`; empty for a task without health checks.
    pub health: String,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// The service's name, or whatever else the task's group is.
    pub group: String,
    pub task_definition: String,
    pub images: Vec<String>,
    /// Of a task with a network interface of its own.
    pub address: String,
    /// Where its ports are reached from the host: a URL for each TCP port, `ADDRESS:PORT/udp` for the others.
    pub ports: Vec<String>,
    /// Why it stopped; empty for one that did not.
    pub reason: String,
}

/// What `outport ps` prints.
///
/// # Errors
/// When the API cannot be asked, or refuses.
pub async fn ps(api: &Api, options: &PsOptions, shape: Shape) -> Result<String> {
    let mut rows = Vec::new();
    let mut definitions = BTreeMap::new();
    for cluster in find::clusters(api, options.cluster.as_deref()).await? {
        let mut tasks = find::tasks(api, &cluster, json!({})).await?;
        if options.with_stopped {
            tasks.extend(find::tasks(api, &cluster, json!({ "desiredStatus": "STOPPED" })).await?);
        }
        for task in &tasks {
            let arn = text(task, "taskDefinitionArn").to_owned();
            if !definitions.contains_key(&arn) {
                let input = json!({ "taskDefinition": arn });
                let answer = match api.ecs("DescribeTaskDefinition", input).await {
                    // A revision may be deleted while a task that has stopped is still shown.
                    Err(error) if error.to_string().starts_with("ClientException") => Value::Null,
                    answer => answer?,
                };
                definitions.insert(arn.clone(), answer["taskDefinition"].clone());
            }
            rows.push(row(task, &definitions[&arn]));
        }
    }
    // Those that run first, the youngest on top, as `docker ps` does.
    rows.sort_by_key(|row| (row.status == "STOPPED", std::cmp::Reverse(row.created_at_ms)));
    if shape.is_json {
        return as_json(&rows);
    }
    Ok(shown(shape, &rows, now_ms()))
}

fn shown(shape: Shape, rows: &[TaskRow], now_ms: i64) -> String {
    let has_one_cluster = rows.windows(2).all(|pair| pair[0].cluster == pair[1].cluster);
    let titles = ["TASK", "CLUSTER", "GROUP", "STATUS", "HEALTH", "AGE", "IMAGE", "PORTS", "WHY"];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let cluster = if has_one_cluster { String::new() } else { row.cluster.clone() };
            vec![
                name_of(&row.task_arn).chars().take(ID_SHOWN).collect(),
                cluster,
                row.group.clone(),
                row.status.clone(),
                row.health.clone(),
                age(now_ms - row.created_at_ms),
                row.images.join(" "),
                row.ports.join(" "),
                row.reason.clone(),
            ]
        })
        .collect();
    table(shape, &titles, &cells)
}

/// The row of a described task with its definition, which may be unknown.
fn row(task: &Value, definition: &Value) -> TaskRow {
    let containers = list(task, "containers");
    let health = text(task, "healthStatus");
    let group = text(task, "group");
    TaskRow {
        task_arn: text(task, "taskArn").to_owned(),
        cluster: name_of(text(task, "clusterArn")).to_owned(),
        status: text(task, "lastStatus").to_owned(),
        health: if health == "UNKNOWN" { String::new() } else { health.to_owned() },
        created_at_ms: time_ms(task, "createdAt").unwrap_or_default(),
        group: group.strip_prefix("service:").unwrap_or(group).to_owned(),
        task_definition: name_of(text(task, "taskDefinitionArn")).to_owned(),
        images: containers.iter().map(|container| text(container, "image").to_owned()).collect(),
        address: address(task).unwrap_or_default().to_owned(),
        ports: if text(task, "lastStatus") == "RUNNING" {
            ports(task, definition)
        } else {
            Vec::new()
        },
        reason: why_it_stopped(task),
    }
}

/// Of the network interface that an `awsvpc` task has.
fn address(task: &Value) -> Option<&str> {
    let details =
        list(task, "attachments").iter().flat_map(|attachment| list(attachment, "details"));
    let mut addresses = details.filter(|detail| text(detail, "name") == "privateIPv4Address");
    addresses.next().map(|detail| text(detail, "value"))
}

fn ports(task: &Value, definition: &Value) -> Vec<String> {
    let bindings: Vec<&Value> = list(task, "containers")
        .iter()
        .flat_map(|container| list(container, "networkBindings"))
        .collect();
    if !bindings.is_empty() {
        let bound = bindings.into_iter().filter(|binding| !text(binding, "bindIP").contains(':'));
        return bound.map(|binding| reached("127.0.0.1", binding, "hostPort")).collect();
    }
    let host = match (address(task), text(definition, "networkMode")) {
        (Some(address), _) => address,
        (None, "host") => "127.0.0.1",
        (None, _) => return Vec::new(),
    };
    let mappings = list(definition, "containerDefinitions")
        .iter()
        .flat_map(|container| list(container, "portMappings"));
    mappings.map(|mapping| reached(host, mapping, "containerPort")).collect()
}

fn reached(host: &str, mapping: &Value, member: &str) -> String {
    let port = &mapping[member];
    match text(mapping, "protocol") {
        "udp" => format!("{host}:{port}/udp"),
        _ => format!("http://{host}:{port}"),
    }
}

/// The stop code, the task's reason, and what each container adds to it.
pub fn why_it_stopped(task: &Value) -> String {
    let mut parts: Vec<String> = ["stopCode", "stoppedReason"]
        .iter()
        .map(|member| text(task, member).to_owned())
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    for container in list(task, "containers") {
        let (name, reason) = (text(container, "name"), text(container, "reason"));
        match container["exitCode"].as_i64() {
            Some(code) if code != 0 => parts.push(format!("{name} exited with {code}")),
            _ => {}
        }
        // AWS repeats a container's reason in the task's.
        if !reason.is_empty() && !text(task, "stoppedReason").contains(reason) {
            parts.push(format!("{name}: {reason}"));
        }
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Value {
        json!({
            "taskArn": "arn:aws:ecs:us-east-1:000000000000:task/default/4f2a5b6c7d8e9f00",
            "clusterArn": "arn:aws:ecs:us-east-1:000000000000:cluster/default",
            "taskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:task-definition/app:2",
            "lastStatus": "RUNNING", "healthStatus": "UNKNOWN", "group": "service:web",
            "createdAt": 1000.25,
            "attachments": [{ "details": [{ "name": "privateIPv4Address", "value": "172.31.0.5" }] }],
            "containers": [{ "name": "web", "image": "app:2" }, { "name": "side", "image": "log:1" }],
        })
    }

    fn definition() -> Value {
        json!({ "networkMode": "awsvpc", "containerDefinitions": [
            { "name": "web", "portMappings": [{ "containerPort": 8080, "protocol": "tcp" }] },
            { "name": "side", "portMappings": [{ "containerPort": 514, "protocol": "udp" }] },
        ] })
    }

    #[test]
    fn a_task_with_an_address_is_reached_at_its_ports() {
        let row = row(&task(), &definition());
        assert_eq!(row.ports, ["http://172.31.0.5:8080", "172.31.0.5:514/udp"]);
        assert_eq!((row.group.as_str(), row.health.as_str()), ("web", ""));
        assert_eq!(row.created_at_ms, 1_000_250);
        let shown = shown(Shape::default(), &[row], 1_046_000);
        assert_eq!(
            shown,
            "TASK          GROUP  STATUS   AGE  IMAGE        PORTS\n\
             4f2a5b6c7d8e  web    RUNNING  45s  app:2 log:1  http://172.31.0.5:8080 172.31.0.5:514/udp\n"
        );
    }

    #[test]
    fn a_bridge_task_is_reached_at_the_ports_of_the_host() {
        let mut task = task();
        task["attachments"] = json!([]);
        task["containers"][0]["networkBindings"] = json!([
            { "bindIP": "0.0.0.0", "hostPort": 49_153, "containerPort": 8080, "protocol": "tcp" },
            { "bindIP": "::", "hostPort": 49_153, "containerPort": 8080, "protocol": "tcp" },
        ]);
        assert_eq!(row(&task, &json!(null)).ports, ["http://127.0.0.1:49153"]);
        task["lastStatus"] = json!("STOPPED");
        assert!(row(&task, &json!(null)).ports.is_empty());
    }

    #[test]
    fn why_it_stopped_has_every_reason_once() {
        let mut task = task();
        assert_eq!(why_it_stopped(&task), "");
        task["stopCode"] = json!("EssentialContainerExited");
        task["stoppedReason"] = json!("Essential container in task exited");
        task["containers"][0]["exitCode"] = json!(137);
        task["containers"][0]["reason"] = json!("OutOfMemoryError: container killed");
        task["containers"][1]["exitCode"] = json!(0);
        assert_eq!(
            why_it_stopped(&task),
            "EssentialContainerExited; Essential container in task exited; web exited with 137; \
             web: OutOfMemoryError: container killed"
        );
    }
}
