//! From the normalised form of a definition to what a task of it runs, with types.
//!
//! **Invariant:** reads a document of any version, and judges it by what this version runs: nothing of the result is
//! stored.

use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use hashlink::LruCache;
use outport_aws_ecs as wire;
use outport_model::deployment::ServiceRevision;
use outport_model::linux_capability::asked_of_the_host;
use outport_model::node::Architecture;
use outport_model::task::Task;
use outport_model::task_definition::{
    AwslogsOptions, ContainerDefinition, ContainerDependency, DependencyCondition, HealthCheck,
    LaunchType, LinuxParameters, LogConfiguration, NetworkMode, PortMapping, ReadWorkload,
    STOP_TIMEOUT_DEFAULT_S, SecretReference, TaskDefinition, Tmpfs, TransportProtocol, Ulimit,
    Workload,
};
use outport_store::keys::{ServiceRevisionKey, TaskDefinitionKey};
use outport_store::{Row, Tables};

use super::{local_names, logging, unsupported};
use crate::capacity_provider;

/// Bytes that may wait for delivery in non-blocking mode, unless `max-buffer-size` says otherwise.
/// Source: "Send Amazon ECS logs to CloudWatch", `max-buffer-size`.
const MAX_BUFFER_BYTES_DEFAULT: u64 = 10 << 20;

/// Documents that are kept read, the ones that were used last: a few KiB each, at most twice the longest definition.
const KEPT_MAX: usize = 1_024;

/// Of a health check that does not say them. Source: botocore's documentation of `HealthCheck`.
pub const HEALTH_INTERVAL_S_DEFAULT: u32 = 30;
pub const HEALTH_TIMEOUT_S_DEFAULT: u32 = 5;
pub const HEALTH_RETRIES_DEFAULT: u32 = 3;

/// Reads documents of task definitions and service revisions, each once while it is in use. A clone is another handle.
#[derive(Clone)]
pub struct Workloads(Arc<Kept>);

struct Kept {
    workloads: Mutex<LruCache<TaskDefinitionKey, Read<Arc<Workload>>>>,
    capacity_providers: Mutex<LruCache<ServiceRevisionKey, Read<Option<String>>>>,
}

/// The document never changes, but one that was never committed may have had its key before.
struct Read<T> {
    document: Box<str>,
    value: T,
}

impl Default for Workloads {
    fn default() -> Self {
        Self(Arc::new(Kept {
            workloads: Mutex::new(LruCache::new(KEPT_MAX)),
            capacity_providers: Mutex::new(LruCache::new(KEPT_MAX)),
        }))
    }
}

impl std::fmt::Debug for Workloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workloads").finish_non_exhaustive()
    }
}

impl ReadWorkload for Workloads {
    fn read(&self, row: &TaskDefinition) -> Arc<Workload> {
        kept_or_read(&self.0.workloads, row.key(), &row.document, || Arc::new(of(row)))
    }
}

impl Workloads {
    /// What a task runs; `None` when its definition is gone.
    pub fn of_task(&self, tables: &Tables, task: &Task) -> Option<Arc<Workload>> {
        let key = TaskDefinitionKey::new(&task.scope, task.family.clone(), task.revision);
        tables.task_definitions.get(&key).map(|row| self.read(&row))
    }

    /// The one capacity provider that the tasks of a service revision run on, where a strategy says so.
    pub fn capacity_provider(&self, row: &ServiceRevision) -> Option<String> {
        kept_or_read(&self.0.capacity_providers, row.key(), &row.document, || {
            let revision: wire::ServiceRevision = crate::views::stored(&row.document)?;
            capacity_provider::provider(revision.capacity_provider_strategy.as_deref())
        })
    }
}

fn kept_or_read<K: Eq + Hash, T: Clone>(
    kept: &Mutex<LruCache<K, Read<T>>>,
    key: K,
    document: &str,
    read: impl FnOnce() -> T,
) -> T {
    if let Some(known) = kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
        && *known.document == *document
    {
        return known.value.clone();
    }
    let value = read();
    let read = Read { document: document.into(), value: value.clone() };
    kept.lock().unwrap_or_else(PoisonError::into_inner).insert(key, read);
    value
}

fn of(row: &TaskDefinition) -> Workload {
    let read: Option<wire::TaskDefinition> = crate::views::stored(&row.document);
    let is_readable = read.is_some();
    let unsupported = unsupported::of(&row.document, read.as_ref());
    // Of one that cannot be read nothing is started, and nobody is told what it runs.
    let definition = read.unwrap_or_default();
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
    let network_mode = network_mode(definition.network_mode);
    let container = |own| {
        let mut container = container(own, row.non_blocking_logs);
        if network_mode == NetworkMode::Awsvpc {
            container.extra_hosts.extend(local_names::of(&container.docker_labels));
        }
        container
    };
    let containers = definition.container_definitions.iter().flatten();
    let compatibilities = definition.compatibilities.iter().flatten().copied();
    Workload {
        is_readable,
        network_mode,
        cpu_units: number(&definition.cpu),
        memory_mib: number(&definition.memory),
        storage_gib: storage_gib(definition.ephemeral_storage.as_ref()),
        compatibilities: compatibilities.filter_map(launch_type).collect(),
        architecture: architecture(&definition),
        task_role_arn: definition.task_role_arn.clone(),
        execution_role_arn: definition.execution_role_arn.clone(),
        containers: containers.map(container).collect(),
        member_of: definition
            .placement_constraints
            .iter()
            .flatten()
            .filter_map(expression)
            .collect(),
        unsupported,
    }
}

fn expression(constraint: &wire::TaskDefinitionPlacementConstraint) -> Option<String> {
    constraint.expression.clone()
}

/// GiB of an `ephemeralStorage` that was checked.
pub(crate) fn storage_gib(storage: Option<&wire::EphemeralStorage>) -> Option<u32> {
    storage.and_then(|storage| u32::try_from(storage.size_in_gi_b?).ok())
}

/// Without a network mode Linux tasks use Docker's bridge.
fn network_mode(mode: Option<wire::NetworkMode>) -> NetworkMode {
    match mode {
        Some(wire::NetworkMode::Awsvpc) => NetworkMode::Awsvpc,
        Some(wire::NetworkMode::Host) => NetworkMode::Host,
        Some(wire::NetworkMode::None) => NetworkMode::None,
        Some(wire::NetworkMode::Bridge) | None => NetworkMode::Bridge,
    }
}

fn launch_type(compatibility: wire::Compatibility) -> Option<LaunchType> {
    match compatibility {
        wire::Compatibility::Ec2 => Some(LaunchType::Ec2),
        wire::Compatibility::Fargate => Some(LaunchType::Fargate),
        wire::Compatibility::External => Some(LaunchType::External),
        wire::Compatibility::ManagedInstances => None,
    }
}

/// Any machine will do unless the definition says otherwise. AWS's Fargate then takes X86_64; here it is the
/// processor of whatever machine there is.
fn architecture(definition: &wire::TaskDefinition) -> Option<Architecture> {
    match definition.runtime_platform.as_ref()?.cpu_architecture? {
        wire::CPUArchitecture::X8664 => Some(Architecture::X86_64),
        wire::CPUArchitecture::Arm64 => Some(Architecture::Arm64),
    }
}

fn container(
    definition: &wire::ContainerDefinition,
    non_blocking_logs: bool,
) -> ContainerDefinition {
    let seconds = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
    ContainerDefinition {
        name: definition.name.clone().unwrap_or_default(),
        image: definition.image.clone().unwrap_or_default(),
        essential: definition.essential.unwrap_or(true),
        entry_point: definition.entry_point.clone().filter(|words| !words.is_empty()),
        command: definition.command.clone().filter(|words| !words.is_empty()),
        working_directory: definition.working_directory.clone(),
        user: definition.user.clone(),
        environment: pairs(&definition.environment),
        cpu_units: unsigned(definition.cpu).unwrap_or(0),
        memory_mib: unsigned(definition.memory),
        memory_reservation_mib: unsigned(definition.memory_reservation),
        port_mappings: definition.port_mappings.iter().flatten().filter_map(port_mapping).collect(),
        ulimits: definition.ulimits.iter().flatten().map(ulimit).collect(),
        readonly_root_filesystem: definition.readonly_root_filesystem.unwrap_or(false),
        privileged: definition.privileged.unwrap_or(false),
        hostname: definition.hostname.clone(),
        interactive: definition.interactive.unwrap_or(false),
        pseudo_terminal: definition.pseudo_terminal.unwrap_or(false),
        docker_labels: definition.docker_labels.clone().unwrap_or_default().into_iter().collect(),
        extra_hosts: extra_hosts(definition),
        dns_servers: definition.dns_servers.clone().unwrap_or_default(),
        dns_search_domains: definition.dns_search_domains.clone().unwrap_or_default(),
        linux: definition.linux_parameters.as_ref().map(linux_parameters).unwrap_or_default(),
        system_controls: system_controls(definition),
        depends_on: definition.depends_on.iter().flatten().filter_map(dependency).collect(),
        stop_timeout_s: seconds(definition.stop_timeout).unwrap_or(STOP_TIMEOUT_DEFAULT_S),
        start_timeout_s: seconds(definition.start_timeout),
        log_configuration: log_configuration(definition, non_blocking_logs),
        secrets: definition.secrets.iter().flatten().filter_map(secret).collect(),
        repository_credentials: definition
            .repository_credentials
            .as_ref()
            .and_then(|given| given.credentials_parameter.clone()),
        health_check: definition.health_check.as_ref().map(health_check),
    }
}

fn secret(secret: &wire::Secret) -> Option<SecretReference> {
    Some(SecretReference { name: secret.name.clone()?, value_from: secret.value_from.clone()? })
}

/// Whether a container asks for power over the host: what `ecs:privileged` tells policies. On AWS it means
/// the parameter `privileged`; here also a capability that is the host's, which is worth as much.
pub fn asks_for_the_host(definition: &wire::TaskDefinition) -> bool {
    let mode = network_mode(definition.network_mode);
    let mut containers = definition.container_definitions.iter().flatten();
    containers.any(|definition| asked_of_the_host(&container(definition, false), mode).is_some())
}

fn unsigned(value: Option<i32>) -> Option<u32> {
    value.and_then(|value| u32::try_from(value).ok())
}

/// Name and value; a missing value is empty.
pub fn pairs(list: &Option<Vec<wire::KeyValuePair>>) -> Vec<(String, String)> {
    let pair = |pair: &wire::KeyValuePair| {
        Some((pair.name.clone()?, pair.value.clone().unwrap_or_default()))
    };
    list.iter().flatten().filter_map(pair).collect()
}

fn port_mapping(mapping: &wire::PortMapping) -> Option<PortMapping> {
    Some(PortMapping {
        container_port: u16::try_from(mapping.container_port?).ok()?,
        host_port: u16::try_from(mapping.host_port.unwrap_or(0)).ok()?,
        protocol: match mapping.protocol {
            Some(wire::TransportProtocol::Udp) => TransportProtocol::Udp,
            Some(wire::TransportProtocol::Tcp) | None => TransportProtocol::Tcp,
        },
    })
}

fn ulimit(ulimit: &wire::Ulimit) -> Ulimit {
    Ulimit {
        name: ulimit.name.map(|name| name.as_str()).unwrap_or_default().to_owned(),
        soft: i64::from(ulimit.soft_limit.unwrap_or(0)),
        hard: i64::from(ulimit.hard_limit.unwrap_or(0)),
    }
}

fn extra_hosts(definition: &wire::ContainerDefinition) -> Vec<(String, String)> {
    let host = |host: &wire::HostEntry| Some((host.hostname.clone()?, host.ip_address.clone()?));
    definition.extra_hosts.iter().flatten().filter_map(host).collect()
}

fn system_controls(definition: &wire::ContainerDefinition) -> Vec<(String, String)> {
    let control =
        |control: &wire::SystemControl| Some((control.namespace.clone()?, control.value.clone()?));
    definition.system_controls.iter().flatten().filter_map(control).collect()
}

fn dependency(dependency: &wire::ContainerDependency) -> Option<ContainerDependency> {
    let condition = match dependency.condition? {
        wire::ContainerCondition::Start => DependencyCondition::Start,
        wire::ContainerCondition::Complete => DependencyCondition::Complete,
        wire::ContainerCondition::Success => DependencyCondition::Success,
        wire::ContainerCondition::Healthy => DependencyCondition::Healthy,
    };
    Some(ContainerDependency { container_name: dependency.container_name.clone()?, condition })
}

/// Its numbers are there since it was registered; those of a document that lacks one are AWS's defaults.
fn health_check(check: &wire::HealthCheck) -> HealthCheck {
    let seconds = |value: Option<i32>, default| unsigned(value).unwrap_or(default);
    HealthCheck {
        command: check.command.clone().unwrap_or_default(),
        interval_s: seconds(check.interval, HEALTH_INTERVAL_S_DEFAULT),
        timeout_s: seconds(check.timeout, HEALTH_TIMEOUT_S_DEFAULT),
        retries: unsigned(check.retries).unwrap_or(HEALTH_RETRIES_DEFAULT),
        start_period_s: seconds(check.start_period, 0),
    }
}

fn linux_parameters(linux: &wire::LinuxParameters) -> LinuxParameters {
    let capabilities = linux.capabilities.clone().unwrap_or_default();
    let tmpfs = |tmpfs: &wire::Tmpfs| {
        Some(Tmpfs {
            container_path: tmpfs.container_path.clone()?,
            size_mib: unsigned(tmpfs.size)?,
            mount_options: tmpfs.mount_options.clone().unwrap_or_default(),
        })
    };
    LinuxParameters {
        capabilities_add: capabilities.add.unwrap_or_default(),
        capabilities_drop: capabilities.drop.unwrap_or_default(),
        init_process_enabled: linux.init_process_enabled.unwrap_or(false),
        shared_memory_size_mib: unsigned(linux.shared_memory_size),
        tmpfs: linux.tmpfs.iter().flatten().filter_map(tmpfs).collect(),
    }
}

fn log_configuration(
    definition: &wire::ContainerDefinition,
    non_blocking_default: bool,
) -> LogConfiguration {
    let Some(log) = &definition.log_configuration else { return LogConfiguration::Local };
    if log.log_driver != Some(wire::LogDriver::Awslogs) {
        return LogConfiguration::Local;
    }
    let option = |name: &str| log.options.as_ref().and_then(|options| options.get(name)).cloned();
    let max_buffer_bytes = option("max-buffer-size").and_then(|text| logging::buffer_bytes(&text));
    LogConfiguration::Awslogs(AwslogsOptions {
        group: option("awslogs-group").unwrap_or_default(),
        region: option("awslogs-region").unwrap_or_default(),
        stream_prefix: option("awslogs-stream-prefix").filter(|prefix| !prefix.is_empty()),
        create_group: option("awslogs-create-group").as_deref() == Some("true"),
        non_blocking: option("mode").map_or(non_blocking_default, |mode| mode == "non-blocking"),
        max_buffer_bytes: max_buffer_bytes.unwrap_or(MAX_BUFFER_BYTES_DEFAULT),
    })
}
