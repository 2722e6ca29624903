//! From the normalised form to the row: the members that the planner and the node act on, with types.

use outport_aws_ecs as wire;
use outport_model::linux_capability::asked_of_the_host;
use outport_model::node::Architecture;
use outport_model::task_definition::{
    AwslogsOptions, ContainerDefinition, ContainerDependency, DependencyCondition, LaunchType,
    LinuxParameters, LogConfiguration, NetworkMode, PortMapping, TaskDefinition,
    TaskDefinitionStatus, Tmpfs, TransportProtocol, Ulimit,
};
use outport_model::{Family, Revision, Scope, Tags, TimestampMs};

use super::{logging, unsupported};

/// Bytes that may wait for delivery in non-blocking mode, unless `max-buffer-size` says otherwise.
/// Source: "Send Amazon ECS logs to CloudWatch", `max-buffer-size`.
const MAX_BUFFER_BYTES_DEFAULT: u64 = 10 << 20;

/// What the store and the caller add to a definition.
pub struct Registration {
    pub scope: Scope,
    pub revision: Revision,
    pub registered_at_ms: TimestampMs,
    /// The ARN of who registered it.
    pub registered_by: String,
    pub tags: Tags,
    /// What `mode` of a log configuration is when it is not said (account setting `defaultLogDriverMode`).
    pub non_blocking_logs: bool,
}

/// The row of a normalised definition.
pub fn row(definition: &wire::TaskDefinition, registration: Registration) -> TaskDefinition {
    let Registration { scope, revision, registered_at_ms, registered_by, tags, non_blocking_logs } =
        registration;
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
    let unsupported = unsupported::of(definition, &scope.region);
    let containers = definition.container_definitions.iter().flatten();
    let compatibilities = definition.compatibilities.iter().flatten().copied();
    TaskDefinition {
        scope,
        family: Family::new(definition.family.clone().unwrap_or_default()),
        revision,
        status: TaskDefinitionStatus::Active,
        document: outport_aws_wire::to_json(definition),
        network_mode: network_mode(definition.network_mode),
        cpu_units: number(&definition.cpu),
        memory_mib: number(&definition.memory),
        storage_gib: storage_gib(definition.ephemeral_storage.as_ref()),
        compatibilities: compatibilities.filter_map(launch_type).collect(),
        architecture: architecture(definition),
        task_role_arn: definition.task_role_arn.clone(),
        execution_role_arn: definition.execution_role_arn.clone(),
        containers: containers.map(|definition| container(definition, non_blocking_logs)).collect(),
        unsupported,
        registered_at_ms,
        registered_by,
        deregistered_at_ms: None,
        delete_requested_at_ms: None,
        tags,
    }
}

/// Without a network mode Linux tasks use Docker's bridge.
/// GiB of an `ephemeralStorage` that was checked.
pub(crate) fn storage_gib(storage: Option<&wire::EphemeralStorage>) -> Option<u32> {
    storage.and_then(|storage| u32::try_from(storage.size_in_gi_b?).ok())
}

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
        stop_timeout_s: seconds(definition.stop_timeout),
        start_timeout_s: seconds(definition.start_timeout),
        log: log_configuration(definition, non_blocking_logs),
    }
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
        wire::ContainerCondition::Healthy => return None,
    };
    Some(ContainerDependency { container_name: dependency.container_name.clone()?, condition })
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
