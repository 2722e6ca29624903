//! Task metadata of versions 3 and 4, in the agent's JSON.
//!
//! Sources: ECS developer guide, "Amazon ECS task metadata endpoint version 4" and "version 3"; the Amazon ECS agent for which
//! members are left out when they say nothing.
//!
//! **Invariant:** pure, and without the container's environment and credentials.

use std::net::Ipv4Addr;

use outport_model::TimestampMs;
use outport_model::task::ContainerStatus;
use outport_model::task_definition::{LaunchType, LogConfiguration};
use outport_model::{DesiredStatus, TaskStatus};
use outport_node_protocol::{
    ContainerAssignment, ContainerHealth, ContainerReport, TaskAssignment, TaskNetwork, TaskReport,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answers::Version;

const CPU_UNITS_PER_CPU: f64 = 1024.0;

/// What the node knows of a task.
pub struct Seen<'a> {
    pub task: &'a TaskAssignment,
    pub report: &'a TaskReport,
    /// Those that its containers are reached at.
    pub addresses: &'a [Ipv4Addr],
}

/// `…/task`.
pub fn task(version: Version, seen: &Seen<'_>) -> Map<String, Value> {
    let Seen { task, report, .. } = seen;
    let mut members = Members::default();
    members.put("Cluster", cluster(task));
    members.put("TaskARN", &task.task_arn);
    members.put("Family", task.family.as_str());
    members.put("Revision", task.revision.to_string());
    members.put_some("ServiceName", task.service.as_ref().map(|service| service.as_str()));
    members.put("DesiredStatus", desired(seen));
    members.put("KnownStatus", report.status.as_str());
    let containers = task.containers.iter();
    let containers: Vec<Value> = containers.map(|one| container(version, seen, one)).collect();
    members.put("Containers", containers);
    members.put_some("Limits", task_limits(task));
    members.put_some("PullStartedAt", report.pull_started_at_ms.map(time));
    members.put_some("PullStoppedAt", report.pull_stopped_at_ms.map(time));
    members.put_some("ExecutionStoppedAt", report.execution_stopped_at_ms.map(time));
    members.put_some("AvailabilityZone", task.availability_zone.as_deref());
    if version == Version::V4 {
        members.put("LaunchType", task.launch_type.as_str());
    }
    members.0
}

/// One container: `…/`, for the one that asks.
pub fn container(version: Version, seen: &Seen<'_>, container: &ContainerAssignment) -> Value {
    let definition = &container.definition;
    let reported = seen.report.containers.iter().find(|one| one.name == definition.name);
    let status = reported.map_or(ContainerStatus::Pending, |one| one.status);
    let mut members = Members::default();
    members.put("DockerId", docker_id(container));
    members.put("Name", &definition.name);
    members.put("DockerName", docker_name(seen.task, &definition.name));
    members.put("Image", &definition.image);
    let digest = reported.and_then(|one| one.image_digest.as_ref());
    members.put_some("ImageID", digest.or(container.image_digest.as_ref()));
    let ports = container.ports.iter().map(|port| {
        json!({
            "ContainerPort": port.container_port,
            "Protocol": port.protocol.as_str(),
            "HostPort": port.host_port,
        })
    });
    let ports: Vec<Value> = ports.collect();
    members.put_some("Ports", (!ports.is_empty()).then_some(ports));
    let labels: Map<String, Value> = definition
        .docker_labels
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.clone())))
        .collect();
    members.put("Labels", labels);
    members.put("DesiredStatus", desired(seen));
    members.put("KnownStatus", known(status));
    members.put_some("ExitCode", reported.and_then(|one: &ContainerReport| one.exit_code));
    members.put("Limits", container_limits(container));
    let started = seen.report.started_at_ms.filter(|_| status >= ContainerStatus::Running);
    members.put_some("StartedAt", started.map(time));
    members.put("Type", "NORMAL");
    members.put_some("Health", reported.and_then(|one| one.health.as_ref()).map(health));
    if version == Version::V4 {
        members.put("ContainerARN", &container.arn);
        if let LogConfiguration::Awslogs(options) = &definition.log_configuration {
            members.put("LogDriver", "awslogs");
            let stream = container.log.as_ref().map(|log| &log.stream);
            let mut options = Map::from_iter([
                ("awslogs-group".to_owned(), Value::from(options.group.clone())),
                ("awslogs-region".to_owned(), Value::from(options.region.clone())),
            ]);
            options.extend(stream.map(|name| ("awslogs-stream".to_owned(), name.clone().into())));
            members.put("LogOptions", options);
        }
        members.put("Snapshotter", "overlayfs");
    }
    members.put_some("Networks", network(version, seen).map(|network| vec![network]));
    members.into()
}

/// Of a container with a health check, as the agent says it: an exit code and a text are there when they say something.
fn health(health: &ContainerHealth) -> Value {
    let mut members = Members::default();
    members.put("status", health.status.as_str());
    members.put_some("statusSince", health.since_ms.map(time));
    members.put_some("exitCode", health.exit_code.filter(|code| *code != 0));
    members.put_some("output", Some(&health.output).filter(|output| !output.is_empty()));
    members.into()
}

/// Of Fargate the ARN, as the examples of the guide have it.
fn cluster(task: &TaskAssignment) -> String {
    let TaskAssignment { cluster, region, account, .. } = task;
    match task.launch_type {
        LaunchType::Fargate => format!("arn:aws:ecs:{region}:{account}:cluster/{cluster}"),
        LaunchType::Ec2 | LaunchType::External => cluster.to_string(),
    }
}

/// What is desired of a task changes once: it is to stop. The node's own decision counts too.
fn desired(seen: &Seen<'_>) -> &'static str {
    match seen.report.status >= TaskStatus::Deactivating {
        true => DesiredStatus::Stopped.as_str(),
        false => DesiredStatus::Running.as_str(),
    }
}

fn known(status: ContainerStatus) -> &'static str {
    status.as_str()
}

/// The runtime's id.
pub fn docker_id(container: &ContainerAssignment) -> String {
    container.id.as_str().replace('-', "")
}

/// The agent makes it of family, revision, container and a random end. A guess for the end: the task's id, of which the
/// container's name needs no more to be its own.
pub fn docker_name(task: &TaskAssignment, container: &str) -> String {
    format!("ecs-{}-{}-{container}-{}", task.family, task.revision, task.task)
}

/// In CPUs and MiB.
fn task_limits(task: &TaskAssignment) -> Option<Value> {
    let mut limits = Members::default();
    let cpus = task.limits.cpu_units.map(|units| f64::from(units) / CPU_UNITS_PER_CPU);
    limits.put_some("CPU", cpus);
    limits.put_some("Memory", task.limits.memory_mib);
    (!limits.0.is_empty()).then(|| limits.into())
}

/// In CPU units and MiB.
fn container_limits(container: &ContainerAssignment) -> Value {
    let mut limits = Members::default();
    limits.put("CPU", container.definition.cpu_units);
    limits.put_some("Memory", container.definition.memory_mib);
    limits.into()
}

/// Of `awsvpc` mode version 4 says more.
fn network(version: Version, seen: &Seen<'_>) -> Option<Value> {
    let mut members = Members::default();
    match &seen.task.network {
        TaskNetwork::None => return None,
        TaskNetwork::Host => members.put("NetworkMode", "host"),
        TaskNetwork::Bridge => {
            members.put("NetworkMode", "bridge");
            members.put("IPv4Addresses", addresses(seen.addresses));
        }
        TaskNetwork::Awsvpc(interface) => {
            members.put("NetworkMode", "awsvpc");
            members.put("IPv4Addresses", addresses(&[interface.address]));
            if version == Version::V4 {
                members.put("AttachmentIndex", 0);
                members.put("MACAddress", &interface.mac_address);
                members.put("IPv4SubnetCIDRBlock", &interface.subnet_cidr);
                members.put("PrivateDNSName", &interface.private_dns_name);
                let gateway = format!("{}/{}", interface.gateway, interface.prefix);
                members.put("SubnetGatewayIpv4Address", gateway);
            }
        }
    }
    Some(members.into())
}

fn addresses(addresses: &[Ipv4Addr]) -> Vec<String> {
    addresses.iter().map(Ipv4Addr::to_string).collect()
}

/// As `2026-11-30T19:20:04.123Z`.
pub fn time(at_ms: TimestampMs) -> String {
    let nanos = i128::from(at_ms) * 1_000_000;
    let at = time::OffsetDateTime::from_unix_timestamp_nanos(nanos);
    let at = at.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = at.to_hms();
    let milli = at.millisecond();
    match milli {
        0 => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
        _ => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"),
    }
}

/// The members of an object.
#[derive(Default)]
struct Members(Map<String, Value>);

impl Members {
    fn put(&mut self, name: &str, value: impl Serialize) {
        // Texts, numbers, and lists and maps of them can always be said.
        self.0.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
    }

    fn put_some(&mut self, name: &str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }
}

impl From<Members> for Value {
    fn from(Members(members): Members) -> Self {
        Self::Object(members)
    }
}
