//! A task, as RunTask answers with it and DescribeTasks shows it.
//!
//! Source of the members that are always there: RunTask and DescribeTasks answers of AWS for Fargate tasks.

use std::sync::Arc;

use outport_aws_ecs as wire;
use outport_model::node::Architecture;
use outport_model::task::{
    ContainerStatus, FARGATE_STORAGE_GIB, HealthStatus, Task, TaskContainer,
};
use outport_model::task_definition::{LaunchType, Workload};
use outport_model::{Arn, TaskStatus};
use outport_store::Tables;
use outport_store::keys::{ServiceRevisionKey, TaskDefinitionKey};

use super::timestamp;
use crate::tags;
use crate::task_definition::Workloads;

/// Of the tasks of one answer, which are often of one definition: it is looked up once while they are.
pub struct TaskViews<'a> {
    tables: &'a Tables,
    workloads: &'a Workloads,
    with_tags: bool,
    last: Option<(TaskDefinitionKey, Option<Arc<Workload>>)>,
}

impl<'a> TaskViews<'a> {
    /// `with_tags`: they are shown only when they are asked for.
    pub fn new(tables: &'a Tables, workloads: &'a Workloads, with_tags: bool) -> Self {
        Self { tables, workloads, with_tags, last: None }
    }

    pub fn of(&mut self, task: &Task) -> wire::Task {
        let is_last = |(key, _): &(TaskDefinitionKey, _)| {
            key.revision == task.revision && key.family == task.family && key.scope == task.scope
        };
        if !self.last.as_ref().is_some_and(is_last) {
            let key = TaskDefinitionKey::new(&task.scope, task.family.clone(), task.revision);
            self.last = Some((key, self.workloads.of_task(self.tables, task)));
        }
        let workload = self.last.as_ref().and_then(|(_, workload)| workload.as_deref());
        view(self.tables, self.workloads, task, workload, self.with_tags)
    }
}

fn view(
    tables: &Tables,
    workloads: &Workloads,
    task: &Task,
    workload: Option<&Workload>,
    with_tags: bool,
) -> wire::Task {
    let is_fargate = task.launch_type == LaunchType::Fargate;
    let asked = task.overrides.storage_gib.or(workload.and_then(|row| row.storage_gib));
    let storage =
        is_fargate.then(|| i32::try_from(asked.unwrap_or(FARGATE_STORAGE_GIB)).unwrap_or(i32::MAX));
    wire::Task {
        attachments: Some(attachments(task)),
        attributes: Some(attributes(tables, task)),
        availability_zone: task.availability_zone.clone(),
        capacity_provider_name: capacity_provider(tables, workloads, task),
        cluster_arn: Some(Arn::cluster(&task.scope, &task.cluster).into_string()),
        connectivity: task.connectivity_at_ms.map(|_| wire::Connectivity::Connected),
        connectivity_at: timestamp(task.connectivity_at_ms),
        container_instance_arn: task
            .container_instance
            .as_ref()
            .map(|id| Arn::container_instance(&task.scope, &task.cluster, id).into_string()),
        containers: Some(
            task.containers.iter().map(|row| container(task, workload, row)).collect(),
        ),
        cpu: Some(size(
            task.overrides.cpu_units,
            workload.and_then(|row| row.cpu_units),
            task.reserved.cpu_units,
        )),
        created_at: timestamp(Some(task.created_at_ms)),
        desired_status: Some(task.desired_status.as_str().to_owned()),
        enable_execute_command: Some(task.enable_execute_command),
        execution_stopped_at: timestamp(task.execution_stopped_at_ms),
        group: Some(task.group.clone()),
        health_status: health(task.health),
        inference_accelerators: Some(Vec::new()),
        last_status: Some(task.last_status.as_str().to_owned()),
        launch_type: wire::LaunchType::from_name(task.launch_type.as_str()),
        memory: Some(size(
            task.overrides.memory_mib,
            workload.and_then(|row| row.memory_mib),
            task.reserved.memory_mib,
        )),
        overrides: Some(overrides(task)),
        platform_version: task.platform_version.clone(),
        platform_family: is_fargate.then(|| "Linux".to_owned()),
        pull_started_at: timestamp(task.pull_started_at_ms),
        pull_stopped_at: timestamp(task.pull_stopped_at_ms),
        started_at: timestamp(task.started_at_ms),
        started_by: task.started_by.clone(),
        stop_code: task.stop_code.and_then(|code| wire::TaskStopCode::from_name(code.as_str())),
        stopped_at: timestamp(task.stopped_at_ms),
        stopped_reason: task.stopped_reason.clone(),
        stopping_at: timestamp(task.stopping_at_ms),
        tags: Some(if with_tags { tags::view(&task.tags) } else { Vec::new() }),
        task_arn: Some(arn(task)),
        task_definition_arn: Some(
            Arn::task_definition(&task.scope, &task.family, task.revision).into_string(),
        ),
        version: Some(i64::try_from(task.version).unwrap_or(i64::MAX)),
        ephemeral_storage: storage.map(|gib| wire::EphemeralStorage { size_in_gi_b: Some(gib) }),
        fargate_ephemeral_storage: storage
            .map(|gib| wire::TaskEphemeralStorage { size_in_gi_b: Some(gib), kms_key_id: None }),
        ..wire::Task::default()
    }
}

/// What the request said, else what the strategy of the service revision says. Only Fargate has providers.
fn capacity_provider(tables: &Tables, workloads: &Workloads, task: &Task) -> Option<String> {
    if task.launch_type != LaunchType::Fargate {
        return None;
    }
    let of_service = || {
        let member = task.service.as_ref()?;
        let (cluster, name) = (task.cluster.clone(), member.service.clone());
        let key = ServiceRevisionKey::new(&task.scope, cluster, name, member.deployment.clone());
        workloads.capacity_provider(tables.service_revisions.get(&key)?)
    };
    task.capacity_provider.clone().or_else(of_service)
}

/// What was overridden. Every container has an entry, also where nothing of it was.
fn overrides(task: &Task) -> wire::TaskOverride {
    let document = &*task.overrides.document;
    let is_empty = document.is_empty() || document == "{}";
    let mut shown: wire::TaskOverride =
        if is_empty { None } else { super::stored(document) }.unwrap_or_default();
    let of_container = |row: &TaskContainer| wire::ContainerOverride {
        name: Some(row.name.clone()),
        ..wire::ContainerOverride::default()
    };
    shown
        .container_overrides
        .get_or_insert_with(|| task.containers.iter().map(of_container).collect());
    shown.inference_accelerator_overrides.get_or_insert_default();
    shown
}

/// `arn:…:task/cluster/id`.
pub fn arn(task: &Task) -> String {
    Arn::task(&task.scope, &task.cluster, &task.id).into_string()
}

/// The override, else what the definition says, else what the task holds of its node.
fn size(overridden: Option<u32>, defined: Option<u32>, reserved: u32) -> String {
    overridden.or(defined).unwrap_or(reserved).to_string()
}

fn attachments(task: &Task) -> Vec<wire::Attachment> {
    let Some(attachment) = &task.attachment else { return Vec::new() };
    let detail = |name: &str, value: &str| wire::KeyValuePair {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
    };
    let status = match task.last_status {
        TaskStatus::Provisioning => "PRECREATED",
        TaskStatus::Pending
        | TaskStatus::Activating
        | TaskStatus::Running
        | TaskStatus::Deactivating
        | TaskStatus::Stopping => "ATTACHED",
        TaskStatus::Deprovisioning => "DETACHING",
        TaskStatus::Stopped | TaskStatus::Deleted => "DELETED",
    };
    vec![wire::Attachment {
        id: Some(attachment.id.to_string()),
        r#type: Some("ElasticNetworkInterface".to_owned()),
        status: Some(status.to_owned()),
        details: Some(vec![
            detail("subnetId", attachment.subnet_id.as_str()),
            detail("networkInterfaceId", attachment.network_interface_id.as_str()),
            detail("macAddress", &attachment.mac_address),
            detail("privateDnsName", &attachment.private_dns_name),
            detail("privateIPv4Address", &attachment.private_ip.to_string()),
        ]),
    }]
}

/// Fargate tells on which processor a task runs.
fn attributes(tables: &Tables, task: &Task) -> Vec<wire::Attribute> {
    if task.launch_type != LaunchType::Fargate {
        return Vec::new();
    }
    let node = task.node.as_ref().and_then(|node| tables.nodes.get(node));
    let value = match node.map(|node| node.architecture) {
        Some(Architecture::Arm64) => "arm64",
        Some(Architecture::X86_64) | None => "x86_64",
    };
    vec![wire::Attribute {
        name: Some("ecs.cpu-architecture".to_owned()),
        value: Some(value.to_owned()),
        ..wire::Attribute::default()
    }]
}

fn container(task: &Task, workload: Option<&Workload>, row: &TaskContainer) -> wire::Container {
    let defined = workload
        .and_then(|row_of| row_of.containers.iter().find(|container| container.name == row.name));
    let changed = task.overrides.containers.iter().find(|container| container.name == row.name);
    let text = |own: Option<u32>, of_definition: Option<u32>| {
        own.or(of_definition).map(|number| number.to_string())
    };
    let arn = Arn::container(&task.scope, &task.cluster, &task.id, &row.id);
    wire::Container {
        container_arn: Some(arn.into_string()),
        task_arn: Some(self::arn(task)),
        name: Some(row.name.clone()),
        image: Some(row.image.clone()),
        image_digest: row.image_digest.clone(),
        runtime_id: row.runtime_id.clone(),
        last_status: Some(row.last_status.as_str().to_owned()),
        exit_code: row.exit_code,
        reason: row.reason.clone(),
        network_bindings: Some(row.network_bindings.iter().map(binding).collect()),
        network_interfaces: Some(interfaces(task, row)),
        health_status: health(row.health),
        cpu: Some(
            text(changed.and_then(|own| own.cpu_units), defined.map(|own| own.cpu_units))
                .unwrap_or_else(|| "0".to_owned()),
        ),
        memory: text(
            changed.and_then(|own| own.memory_mib),
            defined.and_then(|own| own.memory_mib),
        ),
        memory_reservation: text(
            changed.and_then(|own| own.memory_reservation_mib),
            defined.and_then(|own| own.memory_reservation_mib),
        ),
        ..wire::Container::default()
    }
}

/// UNKNOWN, too, where nothing is checked. Source: botocore's documentation of `Container.healthStatus`.
fn health(health: Option<HealthStatus>) -> Option<wire::HealthStatus> {
    wire::HealthStatus::from_name(health.unwrap_or_default().as_str())
}

fn binding(binding: &outport_model::task::NetworkBinding) -> wire::NetworkBinding {
    wire::NetworkBinding {
        bind_ip: Some(binding.bind_ip.clone()),
        container_port: Some(i32::from(binding.container_port)),
        host_port: Some(i32::from(binding.host_port)),
        protocol: wire::TransportProtocol::from_name(binding.protocol.as_str()),
        ..wire::NetworkBinding::default()
    }
}

/// The task's one interface, once the task has been attached to it.
fn interfaces(task: &Task, row: &TaskContainer) -> Vec<wire::NetworkInterface> {
    let is_attached =
        task.last_status > TaskStatus::Provisioning || row.last_status > ContainerStatus::Pending;
    let attachment = task.attachment.as_ref().filter(|_| is_attached);
    attachment
        .map(|attachment| wire::NetworkInterface {
            attachment_id: Some(attachment.id.to_string()),
            private_ipv4_address: Some(attachment.private_ip.to_string()),
            ..wire::NetworkInterface::default()
        })
        .into_iter()
        .collect()
}
