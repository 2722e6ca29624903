//! `outport ps`: tasks, with how they are reached and why they stopped.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::find;
use crate::moment::{age, now_ms};
use crate::reach::{self, Port, Published};
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
    /// Only those of this service, family or group, or with an id that begins so.
    pub of: Option<String>,
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
    /// Where its ports are reached from the host that runs it: a URL for each TCP port, `HOST:PORT/udp` for the others.
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
    let published = Published::ask(api).await?;
    let machine = api.machine();
    for cluster in find::clusters(api, options.cluster.as_deref()).await? {
        let mut tasks = find::tasks(api, &cluster, json!({})).await?;
        let mut stopped = find::tasks(api, &cluster, json!({ "desiredStatus": "STOPPED" })).await?;
        // Those that are on their way there use what they have.
        stopped.retain(|task| options.with_stopped || text(task, "lastStatus") != "STOPPED");
        tasks.extend(stopped);
        tasks.retain(|task| options.of.as_ref().is_none_or(|of| is_of(task, of)));
        for task in &tasks {
            let arn = text(task, "taskDefinitionArn").to_owned();
            if !definitions.contains_key(&arn) {
                definitions.insert(arn.clone(), find::definition(api, task).await?);
            }
            let ports = reach::ports(task, &definitions[&arn], &published, &machine);
            rows.push(row(task, &ports));
        }
    }
    // Those that run first, the youngest on top, as `docker ps` does.
    rows.sort_by_key(|row| (row.status == "STOPPED", std::cmp::Reverse(row.created_at_ms)));
    if shape.is_json {
        return as_json(&rows);
    }
    Ok(shown(shape, &rows, now_ms()))
}

/// Whether a word of the command line means the task: by its service, its group, its family with or without revision, or the
/// beginning of its id.
fn is_of(task: &Value, word: &str) -> bool {
    let group = text(task, "group");
    let revision = name_of(text(task, "taskDefinitionArn"));
    let family = revision.split(':').next().unwrap_or_default();
    group == word
        || group.split_once(':').is_some_and(|(_, name)| name == word)
        || revision == word
        || family == word
        || name_of(text(task, "taskArn")).starts_with(name_of(word))
}

/// A line each.
pub fn shown(shape: Shape, rows: &[TaskRow], now_ms: i64) -> String {
    let has_one_cluster = rows.windows(2).all(|pair| pair[0].cluster == pair[1].cluster);
    let titles =
        ["TASK", "CLUSTER", "GROUP", "STATUS", "HEALTH", "AGE", "IMAGE", "ADDRESS", "PORTS", "WHY"];
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
                // Of one that stopped it is another's by now.
                if row.status == "STOPPED" { String::new() } else { row.address.clone() },
                row.ports.join(" "),
                row.reason.clone(),
            ]
        })
        .collect();
    table(shape, &titles, &cells)
}

/// The row of a described task with its ports.
pub fn row(task: &Value, ports: &[Port]) -> TaskRow {
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
        address: reach::address(task).unwrap_or_default().to_owned(),
        ports: if text(task, "lastStatus") == "RUNNING" {
            ports.iter().map(Port::shown).collect()
        } else {
            Vec::new()
        },
        reason: why_it_stopped(task),
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

    fn port(port: u16) -> Port {
        Port { is_udp: false, host: "127.0.0.1".to_owned(), port }
    }

    #[test]
    fn a_task_is_shown_with_its_address_and_where_its_ports_are_reached() {
        let mut row = row(&task(), &[port(8080), port(10_514)]);
        assert_eq!(row.ports, ["http://127.0.0.1:8080", "http://127.0.0.1:10514"]);
        assert_eq!((row.group.as_str(), row.health.as_str()), ("web", ""));
        assert_eq!(row.created_at_ms, 1_000_250);
        let first = shown(Shape::default(), std::slice::from_ref(&row), 1_046_000);
        assert_eq!(
            first,
            "TASK          GROUP  STATUS   AGE  IMAGE        ADDRESS     PORTS\n\
             4f2a5b6c7d8e  web    RUNNING  45s  app:2 log:1  172.31.0.5  http://127.0.0.1:8080 http://127.0.0.1:10514\n"
        );
        row.status = "STOPPED".to_owned();
        assert!(!shown(Shape::default(), &[row], 1_046_000).contains("172.31.0.5"));
    }

    #[test]
    fn a_word_means_a_service_a_family_a_revision_a_group_or_an_id() {
        for word in ["web", "service:web", "app", "app:2", "4f2a", "task/default/4f2a5b6c7d8e9f00"]
        {
            assert!(is_of(&task(), word), "{word}");
        }
        for word in ["we", "ap", "app:1", "service", "f2a"] {
            assert!(!is_of(&task(), word), "{word}");
        }
        let alone =
            json!({ "group": "family:job", "taskArn": "a/b/1", "taskDefinitionArn": "r/job:1" });
        assert!(is_of(&alone, "job"));
    }

    #[test]
    fn a_task_that_stopped_is_reached_nowhere() {
        let mut task = task();
        task["lastStatus"] = json!("STOPPED");
        assert!(row(&task, &[port(8080)]).ports.is_empty());
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
