//! What a node should run, from the rows.

use std::collections::HashMap;
use std::sync::Arc;

use outport_model::ecr_registry::ecr_registry;
use outport_model::network::Subnet;
use outport_model::task::{FARGATE_STORAGE_GIB, Task, TaskContainer};
use outport_model::task_definition::{
    ContainerDefinition, LaunchType, LogConfiguration, NetworkMode, ReadWorkload, TaskDefinition,
    Workload,
};
use outport_model::{Arn, NodeId, Region, Scope, TaskId, TaskStatus};
use outport_node_protocol::{
    AwsvpcAttachment, ContainerAssignment, LogDestination, PortBinding, TaskAssignment, TaskLimits,
    TaskNetwork, TaskSection, UnreadableTask,
};
use outport_planner::task_overrides::{overridden, set};
use outport_planner::task_role::{role_arn, task_role_arn};
use outport_store::Tables;
use outport_store::keys::{NetworkInterfaceKey, SubnetKey, TaskDefinitionKey, VpcKey};

/// Processes and threads of one task: far above what services need, far below what hurts the host.
const TASK_PIDS_MAX: u32 = 4_096;

/// Every task that is placed on the node and not STOPPED, in the order of their keys; as a section of no generation yet.
///
/// A task of which this version cannot say what it runs is named all the same: a node ends what is not. What `before` says
/// of a task still holds while the same is desired of it: nothing else changes while it lives.
pub fn build(
    tables: &Tables,
    workloads: &dyn ReadWorkload,
    node: &NodeId,
    before: Option<&TaskSection>,
    takes_secrets: bool,
) -> TaskSection {
    let before = before.into_iter().flat_map(|before| &before.tasks);
    let before: HashMap<&TaskId, &Arc<TaskAssignment>> =
        before.map(|task| (&task.task, task)).collect();
    let mut section = TaskSection::default();
    for task in tables.tasks.live_on_node(node).values() {
        if let Some(known) = before.get(&task.id)
            && known.desired == task.desired_status
        {
            section.tasks.push(Arc::clone(known));
            continue;
        }
        let assigned = assign(tables, workloads, task);
        match assigned.and_then(|assigned| said_to(assigned, takes_secrets)) {
            Ok(assigned) => section.tasks.push(Arc::new(assigned)),
            Err(unknown) => {
                let reason = unknown.to_string();
                tracing::error!(
                    event = "task_not_assigned",
                    task = %task.id,
                    reason,
                    "a node cannot be told what a task runs; if it runs there, it runs on"
                );
                let (task, desired) = (Some(task.id.clone()), Some(task.desired_status));
                section.unreadable.push(UnreadableTask { task, desired, reason });
            }
        }
    }
    section
}

/// Why this version cannot say what a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownRun {
    #[error("a row that the task needs is missing")]
    MissingRow,
    #[error(
        "this version of outport cannot read its task definition: run the version that registered it"
    )]
    UnreadableDefinition,
    #[error(
        "the task has secrets, and its node runs a version of outport that knows of none: upgrade the node"
    )]
    SecretsUnknownToNode,
}

fn workload_of(
    tables: &Tables,
    workloads: &dyn ReadWorkload,
    task: &Task,
) -> Result<Arc<Workload>, UnknownRun> {
    let definition = definition_of(tables, task).ok_or(UnknownRun::MissingRow)?;
    let workload = workloads.read(&definition);
    if workload.is_readable { Ok(workload) } else { Err(UnknownRun::UnreadableDefinition) }
}

fn assign(
    tables: &Tables,
    workloads: &dyn ReadWorkload,
    task: &Arc<Task>,
) -> Result<TaskAssignment, UnknownRun> {
    let workload = workload_of(tables, workloads, task)?;
    let containers = workload.containers.iter().map(|container| {
        let run = task.containers.iter().find(|run| run.name == container.name)?;
        Some(assign_container(tables, task, &workload, container, run))
    });
    Ok(TaskAssignment {
        task: task.id.clone(),
        desired: task.desired_status,
        was_started: task.last_status > TaskStatus::Pending,
        account: task.scope.account.clone(),
        region: task.scope.region.clone(),
        cluster: task.cluster.clone(),
        task_arn: Arn::task(&task.scope, &task.cluster, &task.id).to_string(),
        family: task.family.clone(),
        revision: task.revision,
        launch_type: task.launch_type,
        availability_zone: task.availability_zone.clone(),
        service: task.service.as_ref().map(|member| member.service.clone()),
        task_role_arn: task_role_arn(&task.scope.account, &task.overrides, &workload),
        execution_role_arn: execution_role_of(task, &workload),
        network: network(tables, task, workload.network_mode).ok_or(UnknownRun::MissingRow)?,
        limits: TaskLimits {
            cpu_units: task.overrides.cpu_units.or(workload.cpu_units),
            memory_mib: task.overrides.memory_mib.or(workload.memory_mib),
            pids_max: TASK_PIDS_MAX,
            storage_gib: storage_gib(task, &workload),
        },
        containers: containers.collect::<Option<_>>().ok_or(UnknownRun::MissingRow)?,
    })
}

/// A node of a version without secrets would start the task without them.
fn said_to(assigned: TaskAssignment, takes_secrets: bool) -> Result<TaskAssignment, UnknownRun> {
    match assigned.needs_secrets() && !takes_secrets {
        true => Err(UnknownRun::SecretsUnknownToNode),
        false => Ok(assigned),
    }
}

/// What of a task is read or done for it with its execution role.
pub struct Execution {
    /// The ARN; `None` for a task without one.
    pub role_arn: Option<String>,
    pub workload: Arc<Workload>,
}

/// # Errors
/// When this version cannot say what the task runs: another one may.
pub fn execution(
    tables: &Tables,
    workloads: &dyn ReadWorkload,
    task: &Task,
) -> Result<Execution, UnknownRun> {
    let workload = workload_of(tables, workloads, task)?;
    Ok(Execution { role_arn: execution_role_of(task, &workload), workload })
}

/// The ARN of the role of a task; `None` for a task without one.
///
/// # Errors
/// When this version cannot say what the task runs: another one may.
pub fn task_role(
    tables: &Tables,
    workloads: &dyn ReadWorkload,
    task: &Task,
) -> Result<Option<String>, UnknownRun> {
    Ok(task_role_arn(&task.scope.account, &task.overrides, &*workload_of(tables, workloads, task)?))
}

/// As [`task_role_arn`]. Source: as there, executionRoleArn.
fn execution_role_of(task: &Task, workload: &Workload) -> Option<String> {
    let overridden = task.overrides.execution_role_arn.as_ref();
    let role = overridden.or(workload.execution_role_arn.as_ref())?;
    Some(role_arn(&task.scope.account, role))
}

/// A container instance decides for its own tasks.
fn storage_gib(task: &Task, workload: &Workload) -> Option<u32> {
    let asked = task.overrides.storage_gib.or(workload.storage_gib);
    match task.launch_type {
        LaunchType::Fargate => Some(asked.unwrap_or(FARGATE_STORAGE_GIB)),
        LaunchType::Ec2 | LaunchType::External => None,
    }
}

fn definition_of(tables: &Tables, task: &Task) -> Option<Arc<TaskDefinition>> {
    let key = TaskDefinitionKey::new(&task.scope, task.family.clone(), task.revision);
    tables.task_definitions.get(&key)
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
    tables: &Tables,
    task: &Task,
    workload: &Workload,
    container: &ContainerDefinition,
    run: &TaskContainer,
) -> ContainerAssignment {
    let mut definition = overridden(container, &task.overrides);
    add_own_environment(task, &mut definition);
    add_own_labels(task, &mut definition);
    ContainerAssignment {
        id: run.id.clone(),
        arn: Arn::container(&task.scope, &task.cluster, &task.id, &run.id).to_string(),
        image_digest: run.resolved_digest.clone(),
        registry: other_registry(tables, task, &definition.image),
        ports: ports(workload.network_mode, container, run),
        log: destination(task, container, run),
        definition,
    }
}

/// Of the accounts of this installation: what AWS has of others is elsewhere.
fn other_registry(tables: &Tables, task: &Task, image: &str) -> Option<Scope> {
    let (host, _) = image.split_once('/')?;
    let meant = ecr_registry(host).filter(|meant| *meant != task.scope)?;
    tables.accounts.get(&meant.account).is_some().then_some(meant)
}

/// What ECS itself sets where neither the definition nor the overrides do.
/// Source: the constants of the Amazon ECS agent; the regions are set on Fargate only.
fn add_own_environment(task: &Task, definition: &mut ContainerDefinition) {
    let region = || task.scope.region.to_string();
    let own = match task.launch_type {
        LaunchType::Fargate => vec![
            ("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE".to_owned()),
            ("AWS_REGION", region()),
            ("AWS_DEFAULT_REGION", region()),
        ],
        LaunchType::Ec2 | LaunchType::External => {
            vec![("AWS_EXECUTION_ENV", "AWS_ECS_EC2".to_owned())]
        }
    };
    for (name, value) in own {
        if !definition.environment.iter().any(|(known, _)| known == name) {
            definition.environment.push((name.to_owned(), value));
        }
    }
}

/// The labels that the ECS agent sets; a definition cannot set them.
fn add_own_labels(task: &Task, definition: &mut ContainerDefinition) {
    let own = [
        ("com.amazonaws.ecs.cluster", task.cluster.to_string()),
        ("com.amazonaws.ecs.container-name", definition.name.clone()),
        ("com.amazonaws.ecs.task-arn", Arn::task(&task.scope, &task.cluster, &task.id).to_string()),
        ("com.amazonaws.ecs.task-definition-family", task.family.to_string()),
        ("com.amazonaws.ecs.task-definition-version", task.revision.to_string()),
    ];
    for (name, value) in own {
        set(&mut definition.docker_labels, name, &value);
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

/// Where a container of the task logs to; `None` for an unknown container and for one whose logs stay
/// on the node.
///
/// # Errors
/// When this version cannot say what the task runs: another one may.
pub fn log_destination(
    tables: &Tables,
    workloads: &dyn ReadWorkload,
    task: &Task,
    container: &str,
) -> Result<Option<LogDestination>, UnknownRun> {
    let workload = workload_of(tables, workloads, task)?;
    let defined = workload.containers.iter().find(|defined| defined.name == container);
    let run = task.containers.iter().find(|run| run.name == container);
    Ok(defined.zip(run).and_then(|(defined, run)| destination(task, defined, run)))
}

/// Source: "awslogs-stream-prefix": `prefix/container/task-id`; without a prefix, the container's id.
fn destination(
    task: &Task,
    container: &ContainerDefinition,
    run: &TaskContainer,
) -> Option<LogDestination> {
    let LogConfiguration::Awslogs(options) = &container.log_configuration else { return None };
    let stream = match &options.stream_prefix {
        Some(prefix) => format!("{prefix}/{}/{}", container.name, task.id),
        None => run.id.to_string(),
    };
    Some(LogDestination {
        group: options.group.clone(),
        region: (!options.region.is_empty() && options.region != task.scope.region.as_str())
            .then(|| Region::new(&options.region)),
        stream,
        create_group: options.create_group,
        non_blocking: options.non_blocking,
        max_buffer_bytes: options.max_buffer_bytes,
    })
}

#[cfg(test)]
mod tests {
    use outport_node_protocol::Assignment;

    use super::*;

    #[test]
    fn a_node_that_knows_of_no_secrets_is_not_told_of_a_task_that_has_some() {
        let text = include_str!("../../../node-protocol/tests/golden/assignment.v2.secrets.json");
        let assignment: Assignment = serde_json::from_str(text).unwrap();
        let task = TaskAssignment::clone(&assignment.tasks.unwrap().tasks[0]);
        assert!(task.needs_secrets());
        assert_eq!(said_to(task.clone(), true), Ok(task.clone()));
        assert_eq!(said_to(task.clone(), false), Err(UnknownRun::SecretsUnknownToNode));
        let mut without = task;
        for container in &mut without.containers {
            container.definition.secrets.clear();
            container.definition.repository_credentials = None;
        }
        assert_eq!(said_to(without.clone(), false), Ok(without));
    }
}
