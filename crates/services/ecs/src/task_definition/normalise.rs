//! The whole of a task definition, as AWS checks it and gives it back.
//!
//! Sources: the texts of ClientException as callers report them; DescribeTaskDefinition answers of AWS; botocore's
//! documentation of `RegisterTaskDefinitionRequest`.

use std::collections::BTreeSet;

use outport_aws_ecs::{
    ContainerDefinition, EphemeralStorage, NetworkMode, RegisterTaskDefinitionRequest,
    TaskDefinition,
};
use outport_model::Scope;

use super::task_size::TaskSize;
use super::{
    blank, compatibility, container, dependencies, fargate, logging, ports, required_attributes,
    roles, secrets, volumes,
};
use crate::names;
use crate::placement;
use crate::rejection::Rejection;

/// Source: "Amazon ECS service quotas", containers in a task definition.
const CONTAINERS_PER_TASK_DEFINITION_MAX: usize = 10;
/// Source: "Amazon ECS service quotas", task definition size.
const TASK_DEFINITION_BYTES_MAX: usize = 64 * 1024;
/// GiB of `ephemeralStorage` beyond the 20 that every Fargate task has.
const EPHEMERAL_STORAGE_GIB_MIN: i32 = 21;
const EPHEMERAL_STORAGE_GIB_MAX: i32 = 200;

/// Checks a request of the account and region `scope`, and fills in what AWS fills in. The answer lacks what the store gives: ARN, revision, status
/// and who registered it when.
///
/// # Errors
/// `ClientException` with AWS's text.
pub fn normalise(
    mut request: RegisterTaskDefinitionRequest,
    scope: &Scope,
) -> Result<TaskDefinition, Rejection> {
    blank::clear(&mut request);
    check_family(request.family.as_deref())?;
    let size = TaskSize::parse(request.cpu.as_deref(), request.memory.as_deref())?;
    let mode = request.network_mode;
    let mut containers = request.container_definitions.unwrap_or_default();
    check_container_list(&containers)?;
    for definition in &mut containers {
        container::normalise(definition, mode)?;
    }
    check_names(&containers)?;
    check_essential(&containers)?;
    let definition = TaskDefinition {
        family: request.family,
        task_role_arn: request.task_role_arn,
        execution_role_arn: request.execution_role_arn,
        network_mode: mode,
        container_definitions: Some(containers),
        volumes: Some(
            request.volumes.unwrap_or_default().into_iter().map(volumes::normal).collect(),
        ),
        placement_constraints: Some(request.placement_constraints.unwrap_or_default()),
        requires_compatibilities: request.requires_compatibilities.filter(|list| !list.is_empty()),
        cpu: size.cpu_units.map(|units| units.to_string()),
        memory: size.memory_mib.map(|mib| mib.to_string()),
        pid_mode: request.pid_mode,
        ipc_mode: request.ipc_mode,
        proxy_configuration: request.proxy_configuration,
        inference_accelerators: request.inference_accelerators,
        ephemeral_storage: request.ephemeral_storage,
        runtime_platform: request.runtime_platform,
        trusted_execution_configuration: request.trusted_execution_configuration,
        enable_fault_injection: Some(request.enable_fault_injection.unwrap_or(false)),
        ..TaskDefinition::default()
    };
    check_task(&definition, size, scope)?;
    finish(definition, size)
}

/// Compatibilities and attributes follow from everything else.
fn finish(mut definition: TaskDefinition, size: TaskSize) -> Result<TaskDefinition, Rejection> {
    compatibility::check_requested(&definition, size)?;
    let constraints = definition.placement_constraints.as_deref().unwrap_or_default();
    placement::check_definition(constraints)?;
    definition.compatibilities = Some(compatibility::of(&definition, size));
    let attributes = required_attributes::of(&definition);
    definition.requires_attributes = Some(attributes).filter(|list| !list.is_empty());
    let length = outport_aws_wire::to_json(&definition).len();
    if length > TASK_DEFINITION_BYTES_MAX {
        let text = format!(
            "Actual length: '{length}'. Max allowed length is '{TASK_DEFINITION_BYTES_MAX}' bytes."
        );
        return Err(Rejection::client(text));
    }
    Ok(definition)
}

fn check_family(family: Option<&str>) -> Result<(), Rejection> {
    match family {
        None | Some("") => Err(Rejection::client("Family should not be null or empty.")),
        Some(family) if !names::is_name(family) => {
            Err(Rejection::client("Family contains invalid characters."))
        }
        Some(_) => Ok(()),
    }
}

fn check_container_list(containers: &[ContainerDefinition]) -> Result<(), Rejection> {
    if containers.is_empty() {
        return Err(Rejection::client("Container list cannot be empty."));
    }
    if containers.len() > CONTAINERS_PER_TASK_DEFINITION_MAX {
        let text = format!(
            "A task definition can have at most {CONTAINERS_PER_TASK_DEFINITION_MAX} containers."
        );
        return Err(Rejection::client(text));
    }
    Ok(())
}

fn check_names(containers: &[ContainerDefinition]) -> Result<(), Rejection> {
    let mut seen = BTreeSet::new();
    for definition in containers {
        if !seen.insert(definition.name.as_deref()) {
            return Err(Rejection::client(
                "Container names must be unique within a task definition.",
            ));
        }
    }
    Ok(())
}

fn check_essential(containers: &[ContainerDefinition]) -> Result<(), Rejection> {
    if containers.iter().any(|definition| definition.essential == Some(true)) {
        return Ok(());
    }
    Err(Rejection::client("Task definition doesn't have any essential container."))
}

/// What needs more than one container, or a container and the task.
fn check_task(definition: &TaskDefinition, size: TaskSize, scope: &Scope) -> Result<(), Rejection> {
    let containers = definition.container_definitions.as_deref().unwrap_or_default();
    if fargate::is_required(definition) {
        size.check_fargate()?;
    } else {
        size.check_bounds()?;
    }
    check_memory(containers, size)?;
    check_cpu(containers, size)?;
    volumes::check(definition, containers)?;
    roles::check(definition, containers)?;
    secrets::check(containers, scope)?;
    check_ephemeral_storage(definition)?;
    ports::check_conflicts(containers, definition.network_mode)?;
    dependencies::check(containers)?;
    logging::check(containers)?;
    if definition.proxy_configuration.is_some()
        && definition.network_mode != Some(NetworkMode::Awsvpc)
    {
        return Err(Rejection::client("Proxy configuration requires networkMode=awsvpc."));
    }
    Ok(())
}

fn check_memory(containers: &[ContainerDefinition], size: TaskSize) -> Result<(), Rejection> {
    for definition in containers {
        let name = definition.name.as_deref().unwrap_or_default();
        let invalid = |what: &str| {
            Rejection::client(format!("Invalid setting for container '{name}'. {what}"))
        };
        let (hard, soft) = (definition.memory, definition.memory_reservation);
        if hard.is_none() && soft.is_none() && size.memory_mib.is_none() {
            return Err(invalid(
                "At least one of 'memory' or 'memoryReservation' must be specified.",
            ));
        }
        if let (Some(hard), Some(soft)) = (hard, soft)
            && hard < soft
        {
            return Err(invalid("'memory' must be greater than or equal to 'memoryReservation'."));
        }
        let asked = hard.or(soft).map_or(0, i64::from);
        if size.memory_mib.is_some_and(|task| asked > i64::from(task)) {
            let setting = if hard.is_some() { "memory" } else { "memoryReservation" };
            return Err(Rejection::client(format!(
                "The '{setting}' setting for container '{name}' is greater than for the task."
            )));
        }
    }
    Ok(())
}

fn check_cpu(containers: &[ContainerDefinition], size: TaskSize) -> Result<(), Rejection> {
    let total: i64 =
        containers.iter().map(|definition| i64::from(definition.cpu.unwrap_or(0))).sum();
    if size.cpu_units.is_some_and(|task| total > i64::from(task)) {
        return Err(Rejection::client(
            "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
        ));
    }
    Ok(())
}

fn check_ephemeral_storage(definition: &TaskDefinition) -> Result<(), Rejection> {
    let Some(storage) = &definition.ephemeral_storage else { return Ok(()) };
    if definition.requires_compatibilities.is_some() && !fargate::is_required(definition) {
        return Err(Rejection::client(
            "Tasks using the EC2 launch type do not support EphemeralStorage.",
        ));
    }
    check_storage_size(storage)
}

/// For a definition and for what a task overrides of it.
pub(crate) fn check_storage_size(storage: &EphemeralStorage) -> Result<(), Rejection> {
    match storage.size_in_gi_b {
        Some(size) if size < EPHEMERAL_STORAGE_GIB_MIN => Err(Rejection::client(format!(
            "EphemeralStorage size should be at least {EPHEMERAL_STORAGE_GIB_MIN}."
        ))),
        Some(size) if size > EPHEMERAL_STORAGE_GIB_MAX => Err(Rejection::client(format!(
            "EphemeralStorage size should be at most {EPHEMERAL_STORAGE_GIB_MAX}."
        ))),
        _ => Ok(()),
    }
}
