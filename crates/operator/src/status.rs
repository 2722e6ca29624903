//! `outport status`: whether all is well, on one page.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::find;
use crate::moment::{age, now_ms};
use crate::ps::why_it_stopped;
use crate::rollouts::{self, Rollout, rollouts};
use crate::table::{Shape, json as as_json, paragraph, table};
use crate::value::{list, name_of, text, time_ms};

/// As many as `DescribeContainerInstances` takes.
const INSTANCES_PER_CALL: usize = 100;
/// Of tasks that stopped, as many are looked at, and as many shown.
const STOPPED_LOOKED_AT: usize = 100;
const STOPPED_SHOWN: usize = 5;
/// Longer ago is history: `outport events` has it.
const STOPPED_WITHIN_MS: i64 = 3_600_000;
/// Ends that somebody asked for.
const ASKED_FOR: [&str; 2] = ["UserInitiated", "ServiceSchedulerInitiated"];

#[derive(Debug, Default)]
pub struct StatusOptions {
    /// Only of this cluster.
    pub cluster: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    url: String,
    region: String,
    account: String,
    is_ready: bool,
    /// What it says of itself beside that, such as a disk that is full.
    health: String,
    clusters: Vec<Cluster>,
    instances: Vec<Instance>,
    services: Vec<Service>,
    /// Deployments in progress.
    rollouts: Vec<Rollout>,
    /// Tasks that stopped in the last hour without being asked to, the newest first.
    stopped: Vec<Stopped>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    name: String,
    status: String,
    instances: i64,
    services: i64,
    running: i64,
    pending: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Instance {
    id: String,
    cluster: String,
    status: String,
    is_connected: bool,
    /// CPU units, 1,024 a core.
    cpu_free: i64,
    cpu: i64,
    memory_free_mib: i64,
    memory_mib: i64,
    running: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    name: String,
    cluster: String,
    desired: i64,
    running: i64,
    pending: i64,
    task_definition: String,
    rollout: String,
    /// Its last word.
    event: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stopped {
    task: String,
    cluster: String,
    /// Milliseconds since 1970.
    stopped_at_ms: i64,
    reason: String,
}

/// What `outport status` prints. It costs the services and instances, not the tasks.
///
/// # Errors
/// When the API cannot be asked, or refuses.
pub async fn status(api: &Api, options: &StatusOptions, shape: Shape) -> Result<String> {
    let (code, health) = api.health().await?;
    let now_ms = now_ms();
    let mut status = Status {
        url: api.endpoint.url.clone(),
        region: api.endpoint.region.clone(),
        account: api.account().await?,
        is_ready: code == 200,
        health: health.trim().replace('\n', "; "),
        clusters: Vec::new(),
        instances: Vec::new(),
        services: Vec::new(),
        rollouts: Vec::new(),
        stopped: Vec::new(),
    };
    for arn in find::clusters(api, options.cluster.as_deref()).await? {
        let answer = api.ecs("DescribeClusters", json!({ "clusters": [arn] })).await?;
        for cluster in list(&answer, "clusters") {
            let name = text(cluster, "clusterName");
            status.clusters.push(cluster_of(cluster));
            status.instances.extend(instances(api, name).await?);
            let services = find::services(api, name).await?;
            status.services.extend(services.iter().map(|service| service_of(service, name)));
            status.rollouts.extend(rollouts(api, name, &services).await?);
            status.stopped.extend(stopped(api, name, now_ms).await?);
        }
    }
    status.stopped.sort_by_key(|task| std::cmp::Reverse(task.stopped_at_ms));
    status.stopped.truncate(STOPPED_SHOWN);
    if shape.is_json { as_json(&status) } else { Ok(shown(shape, &status, now_ms)) }
}

fn number(value: &Value, member: &str) -> i64 {
    value[member].as_i64().unwrap_or_default()
}

fn cluster_of(cluster: &Value) -> Cluster {
    Cluster {
        name: text(cluster, "clusterName").to_owned(),
        status: text(cluster, "status").to_owned(),
        instances: number(cluster, "registeredContainerInstancesCount"),
        services: number(cluster, "activeServicesCount"),
        running: number(cluster, "runningTasksCount"),
        pending: number(cluster, "pendingTasksCount"),
    }
}

async fn instances(api: &Api, cluster: &str) -> Result<Vec<Instance>> {
    let input = json!({ "cluster": cluster });
    let arns = find::pages(api, "ListContainerInstances", "containerInstanceArns", input).await?;
    let mut instances = Vec::new();
    for arns in arns.chunks(INSTANCES_PER_CALL) {
        let input = json!({ "cluster": cluster, "containerInstances": arns });
        let answer = api.ecs("DescribeContainerInstances", input).await?;
        instances.extend(
            list(&answer, "containerInstances")
                .iter()
                .map(|instance| instance_of(instance, cluster)),
        );
    }
    Ok(instances)
}

fn instance_of(instance: &Value, cluster: &str) -> Instance {
    let resource = |member: &str, name: &str| {
        let found = list(instance, member).iter().find(|resource| text(resource, "name") == name);
        found.map(|resource| number(resource, "integerValue")).unwrap_or_default()
    };
    Instance {
        id: name_of(text(instance, "containerInstanceArn")).to_owned(),
        cluster: cluster.to_owned(),
        status: text(instance, "status").to_owned(),
        is_connected: instance["agentConnected"] == json!(true),
        cpu_free: resource("remainingResources", "CPU"),
        cpu: resource("registeredResources", "CPU"),
        memory_free_mib: resource("remainingResources", "MEMORY"),
        memory_mib: resource("registeredResources", "MEMORY"),
        running: number(instance, "runningTasksCount"),
    }
}

fn service_of(service: &Value, cluster: &str) -> Service {
    let deployment = list(service, "deployments").iter().find(|d| text(d, "status") == "PRIMARY");
    Service {
        name: text(service, "serviceName").to_owned(),
        cluster: cluster.to_owned(),
        desired: number(service, "desiredCount"),
        running: number(service, "runningCount"),
        pending: number(service, "pendingCount"),
        task_definition: name_of(text(service, "taskDefinition")).to_owned(),
        rollout: deployment.map(|d| text(d, "rolloutState").to_owned()).unwrap_or_default(),
        event: list(service, "events")
            .first()
            .map(|event| text(event, "message").to_owned())
            .unwrap_or_default(),
    }
}

async fn stopped(api: &Api, cluster: &str, now_ms: i64) -> Result<Vec<Stopped>> {
    let input =
        json!({ "cluster": cluster, "desiredStatus": "STOPPED", "maxResults": STOPPED_LOOKED_AT });
    let listed = api.ecs("ListTasks", input).await?;
    if list(&listed, "taskArns").is_empty() {
        return Ok(Vec::new());
    }
    let input = json!({ "cluster": cluster, "tasks": listed["taskArns"] });
    let answer = api.ecs("DescribeTasks", input).await?;
    let unasked =
        list(&answer, "tasks").iter().filter(|task| !ASKED_FOR.contains(&text(task, "stopCode")));
    let stopped = unasked.filter_map(|task| {
        Some(Stopped {
            task: name_of(text(task, "taskArn")).to_owned(),
            cluster: cluster.to_owned(),
            stopped_at_ms: time_ms(task, "stoppedAt")?,
            reason: why_it_stopped(task),
        })
    });
    Ok(stopped.filter(|task| now_ms - task.stopped_at_ms < STOPPED_WITHIN_MS).collect())
}

fn shown(shape: Shape, status: &Status, now_ms: i64) -> String {
    let Status { url, region, account, health, .. } = status;
    let head = format!("Outport at {url}, region {region}, account {account}: {health}");
    let mut text = paragraph(shape, "", &head);
    let mut section = |titles: &[&str], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            let _ = write!(text, "\n{}", table(shape, titles, &rows));
        }
    };
    section(
        &["CLUSTER", "STATUS", "INSTANCES", "SERVICES", "RUNNING", "PENDING"],
        status
            .clusters
            .iter()
            .map(|c| {
                let numbers = [c.instances, c.services, c.running, c.pending];
                [c.name.clone(), c.status.clone()]
                    .into_iter()
                    .chain(numbers.map(|n| n.to_string()))
                    .collect()
            })
            .collect(),
    );
    section(
        &["INSTANCE", "CLUSTER", "STATUS", "CPU FREE", "MEMORY FREE", "EC2 TASKS"],
        status
            .instances
            .iter()
            .map(|i| {
                vec![
                    i.id.chars().take(12).collect(),
                    i.cluster.clone(),
                    if i.is_connected {
                        i.status.clone()
                    } else {
                        format!("{}, not heard", i.status)
                    },
                    format!("{} of {}", i.cpu_free, i.cpu),
                    format!("{} of {} MiB", i.memory_free_mib, i.memory_mib),
                    i.running.to_string(),
                ]
            })
            .collect(),
    );
    section(
        &["SERVICE", "CLUSTER", "RUNNING", "PENDING", "DEFINITION", "ROLLOUT", "LAST EVENT"],
        status
            .services
            .iter()
            .map(|s| {
                let event =
                    s.event.strip_prefix(&format!("(service {}) ", s.name)).unwrap_or(&s.event);
                vec![
                    s.name.clone(),
                    s.cluster.clone(),
                    format!("{} of {}", s.running, s.desired),
                    s.pending.to_string(),
                    s.task_definition.clone(),
                    s.rollout.clone(),
                    event.to_owned(),
                ]
            })
            .collect(),
    );
    let rows = status.rollouts.iter().map(|rollout| rollouts::row(rollout, now_ms));
    section(&rollouts::TITLES, rows.collect());
    section(
        &["STOPPED TASK", "CLUSTER", "AGO", "WHY"],
        status
            .stopped
            .iter()
            .map(|t| {
                let id = t.task.chars().take(12).collect();
                vec![id, t.cluster.clone(), age(now_ms - t.stopped_at_ms), t.reason.clone()]
            })
            .collect(),
    );
    text
}
