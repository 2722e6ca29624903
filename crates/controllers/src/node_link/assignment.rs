//! What a node should run, from the rows.

use std::sync::Arc;

use outport_model::network::Subnet;
use outport_model::task::{ContainerOverride, FARGATE_STORAGE_GIB, Task, TaskContainer};
use outport_model::task_definition::{
    ContainerDefinition, LaunchType, LogConfiguration, NetworkMode, TaskDefinition,
};
use outport_model::{Arn, NodeId};
use outport_node_protocol::{
    AwsvpcAttachment, ContainerAssignment, LogDestination, PortBinding, TaskAssignment, TaskLimits,
    TaskNetwork,
};
use outport_planner::task_start::{cpu_units, memory_mib, memory_reservation_mib};
use outport_store::Tables;
use outport_store::keys::{NetworkInterfaceKey, SubnetKey, TaskDefinitionKey, VpcKey};

/// Processes and threads of one task: far above what services need, far below what hurts the host.
const TASK_PIDS_MAX: u32 = 4_096;
/// Seconds from SIGTERM to SIGKILL when the definition does not say.
/// Source: botocore's documentation of `ContainerDefinition.stopTimeout`.
const STOP_TIMEOUT_DEFAULT_S: u32 = 30;

/// Every task that is placed on the node and not STOPPED, in the order of their keys.
pub fn build(tables: &Tables, node: &NodeId) -> Vec<TaskAssignment> {
    let live = tables.tasks.live_on_node(node).values();
    live.filter_map(|task| {
        let assigned = assign(tables, task);
        if assigned.is_none() {
            tracing::error!(task = %task.id, "a row that the task needs is missing");
        }
        assigned
    })
    .collect()
}

fn assign(tables: &Tables, task: &Arc<Task>) -> Option<TaskAssignment> {
    let definition = definition_of(tables, task)?;
    let containers = definition.containers.iter().map(|container| {
        let run = task.containers.iter().find(|run| run.name == container.name)?;
        Some(assign_container(task, &definition, container, run))
    });
    Some(TaskAssignment {
        task: task.id.clone(),
        desired: task.desired_status,
        account: task.scope.account.to_string(),
        region: task.scope.region.to_string(),
        cluster: task.cluster.to_string(),
        task_arn: Arn::task(&task.scope, &task.cluster, &task.id).to_string(),
        family: task.family.to_string(),
        revision: task.revision,
        launch_type: task.launch_type.as_str().to_owned(),
        availability_zone: task.availability_zone.clone(),
        service: task.service.as_ref().map(|member| member.service.to_string()),
        network: network(tables, task, definition.network_mode)?,
        limits: TaskLimits {
            cpu_units: task.overrides.cpu_units.or(definition.cpu_units),
            memory_mib: task.overrides.memory_mib.or(definition.memory_mib),
            pids_max: TASK_PIDS_MAX,
            storage_gib: storage_gib(task, &definition),
        },
        containers: containers.collect::<Option<_>>()?,
    })
}

/// A container instance decides for its own tasks.
fn storage_gib(task: &Task, definition: &TaskDefinition) -> Option<u32> {
    let asked = task.overrides.storage_gib.or(definition.storage_gib);
    match task.launch_type {
        LaunchType::Fargate => Some(asked.unwrap_or(FARGATE_STORAGE_GIB)),
        LaunchType::Ec2 | LaunchType::External => None,
    }
}

fn definition_of(tables: &Tables, task: &Task) -> Option<Arc<TaskDefinition>> {
    let key = TaskDefinitionKey::new(&task.scope, task.family.clone(), task.revision);
    tables.task_definitions.get(&key).cloned()
}

fn network(tables: &Tables, task: &Task, mode: NetworkMode) -> Option<TaskNetwork> {
    match mode {
        NetworkMode::Bridge => Some(TaskNetwork::Bridge),
        NetworkMode::Host => Some(TaskNetwork::Host),
        NetworkMode::None => Some(TaskNetwork::None),
        NetworkMode::Awsvpc => Some(TaskNetwork::Awsvpc(attachment(tables, task)?)),
    }
}

fn attachment(tables: &Tables, task: &Task) -> Option<AwsvpcAttachment> {
    let attached = task.attachment.as_ref()?;
    let interface = NetworkInterfaceKey::new(&task.scope, attached.network_interface_id.clone());
    let interface = tables.network_interfaces.get(&interface)?;
    let subnet: &Arc<Subnet> =
        tables.subnets.get(&SubnetKey::new(&task.scope, attached.subnet_id.clone()))?;
    let vpc = tables.vpcs.get(&VpcKey::new(&task.scope, subnet.vpc_id.clone()))?;
    Some(AwsvpcAttachment {
        network_interface_id: interface.id.clone(),
        mac_address: interface.mac_address.clone(),
        address: interface.private_ip,
        prefix: subnet.cidr.prefix,
        gateway: subnet.gateway(),
        vpc_cidr: vpc.cidr.to_string(),
        subnet_cidr: subnet.cidr.to_string(),
        security_groups: interface.security_groups.clone(),
        private_dns_name: interface.private_dns_name.clone(),
    })
}

fn assign_container(
    task: &Task,
    definition: &TaskDefinition,
    container: &ContainerDefinition,
    run: &TaskContainer,
) -> ContainerAssignment {
    let overridden = task.overrides.containers.iter().find(|o| o.name == container.name);
    let command = overridden.and_then(|o| o.command.clone()).or(container.command.clone());
    ContainerAssignment {
        id: run.id.clone(),
        name: container.name.clone(),
        arn: Arn::container(&task.scope, &task.cluster, &task.id, &run.id).to_string(),
        image: container.image.clone(),
        image_digest: run.resolved_digest.clone(),
        essential: container.essential,
        entry_point: container.entry_point.clone(),
        command,
        working_directory: container.working_directory.clone(),
        user: container.user.clone(),
        environment: environment(task, container, overridden),
        cpu_units: cpu_units(container, &task.overrides),
        memory_mib: memory_mib(container, &task.overrides),
        memory_reservation_mib: memory_reservation_mib(container, &task.overrides),
        ports: ports(definition.network_mode, container, run),
        ulimits: container.ulimits.clone(),
        readonly_root_filesystem: container.readonly_root_filesystem,
        privileged: container.privileged,
        hostname: container.hostname.clone(),
        interactive: container.interactive,
        pseudo_terminal: container.pseudo_terminal,
        extra_hosts: container.extra_hosts.clone(),
        dns_servers: container.dns_servers.clone(),
        dns_search_domains: container.dns_search_domains.clone(),
        docker_labels: labels(task, container),
        linux: container.linux.clone(),
        system_controls: container.system_controls.clone(),
        depends_on: container.depends_on.clone(),
        stop_timeout_s: container.stop_timeout_s.unwrap_or(STOP_TIMEOUT_DEFAULT_S),
        start_timeout_s: container.start_timeout_s,
        log: destination(task, container, run),
    }
}

/// The definition's, then the overrides', then what ECS itself sets where neither did.
fn environment(
    task: &Task,
    container: &ContainerDefinition,
    overridden: Option<&ContainerOverride>,
) -> Vec<(String, String)> {
    let mut environment = container.environment.clone();
    for (name, value) in overridden.iter().flat_map(|o| &o.environment) {
        set(&mut environment, name, value);
    }
    for (name, value) in own_environment(task) {
        if !environment.iter().any(|(known, _)| known == name) {
            environment.push((name.to_owned(), value));
        }
    }
    environment
}

fn set(environment: &mut Vec<(String, String)>, name: &str, value: &str) {
    environment.retain(|(known, _)| known != name);
    environment.push((name.to_owned(), value.to_owned()));
}

/// Source: the constants of the Amazon ECS agent; the regions are set on Fargate only.
fn own_environment(task: &Task) -> Vec<(&'static str, String)> {
    let region = || task.scope.region.to_string();
    match task.launch_type {
        LaunchType::Fargate => vec![
            ("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE".to_owned()),
            ("AWS_REGION", region()),
            ("AWS_DEFAULT_REGION", region()),
        ],
        LaunchType::Ec2 | LaunchType::External => {
            vec![("AWS_EXECUTION_ENV", "AWS_ECS_EC2".to_owned())]
        }
    }
}

fn ports(
    mode: NetworkMode,
    container: &ContainerDefinition,
    run: &TaskContainer,
) -> Vec<PortBinding> {
    match mode {
        NetworkMode::None => Vec::new(),
        NetworkMode::Awsvpc => container
            .port_mappings
            .iter()
            .map(|mapping| PortBinding {
                container_port: mapping.container_port,
                host_port: mapping.container_port,
                protocol: mapping.protocol,
            })
            .collect(),
        NetworkMode::Bridge | NetworkMode::Host => run
            .network_bindings
            .iter()
            .map(|binding| PortBinding {
                container_port: binding.container_port,
                host_port: binding.host_port,
                protocol: binding.protocol,
            })
            .collect(),
    }
}

/// The labels that the ECS agent sets; a definition cannot set them.
fn labels(task: &Task, container: &ContainerDefinition) -> Vec<(String, String)> {
    let own = [
        ("com.amazonaws.ecs.cluster", task.cluster.to_string()),
        ("com.amazonaws.ecs.container-name", container.name.clone()),
        ("com.amazonaws.ecs.task-arn", Arn::task(&task.scope, &task.cluster, &task.id).to_string()),
        ("com.amazonaws.ecs.task-definition-family", task.family.to_string()),
        ("com.amazonaws.ecs.task-definition-version", task.revision.to_string()),
    ];
    let mut labels = container.docker_labels.clone();
    for (name, value) in own {
        set(&mut labels, name, &value);
    }
    labels
}

/// Where a container of the task logs to; `None` for an unknown container and for one whose logs stay
/// on the node.
pub fn log_destination(tables: &Tables, task: &Task, container: &str) -> Option<LogDestination> {
    let definition = definition_of(tables, task)?;
    let defined = definition.containers.iter().find(|defined| defined.name == container)?;
    let run = task.containers.iter().find(|run| run.name == container)?;
    destination(task, defined, run)
}

/// Source: "awslogs-stream-prefix": `prefix/container/task-id`; without a prefix, the container's id.
fn destination(
    task: &Task,
    container: &ContainerDefinition,
    run: &TaskContainer,
) -> Option<LogDestination> {
    let LogConfiguration::Awslogs(options) = &container.log else { return None };
    let stream = match &options.stream_prefix {
        Some(prefix) => format!("{prefix}/{}/{}", container.name, task.id),
        None => run.id.clone(),
    };
    Some(LogDestination {
        group: options.group.clone(),
        stream,
        create_group: options.create_group,
        non_blocking: options.non_blocking,
        max_buffer_bytes: options.max_buffer_bytes,
    })
}
