//! `overrides`: what RunTask changes of a task definition for one task.

use outport_aws_ecs as wire;
use outport_aws_wire::to_json;
use outport_model::task::{ContainerOverride, TaskOverrides};
use outport_model::task_definition::{ContainerDefinition, LaunchType, Workload};

use crate::rejection::Rejection;
use crate::task_definition::task_size::TaskSize;
use crate::task_definition::{blank, check_storage_size, pairs, roles, storage_gib};

/// Source: botocore's documentation of `RunTaskRequest.overrides`.
const LENGTH_MAX: usize = 8192;

/// The overrides without what the caller left blank.
pub fn without_blanks(mut given: wire::TaskOverride) -> wire::TaskOverride {
    blank::clear_overrides(&mut given);
    given
}

/// Checks overrides against the workload. They have been through [`without_blanks`].
///
/// # Errors
/// `InvalidParameterException` with AWS's texts, `ClientException` for sizes, `UnsupportedFeatureException`.
pub fn parse(
    given: Option<wire::TaskOverride>,
    workload: &Workload,
    launch_type: LaunchType,
) -> Result<TaskOverrides, Rejection> {
    let given = given.unwrap_or_default();
    check_roles(&given)?;
    if to_json(&given).len() > LENGTH_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "Container Overrides length must be at most {LENGTH_MAX}"
        )));
    }
    check_built(&given)?;
    check_storage(&given, launch_type)?;
    let size = size(&given, workload, launch_type)?;
    let containers = given
        .container_overrides
        .iter()
        .flatten()
        .map(|container| container_override(container, workload))
        .collect::<Result<Vec<_>, _>>()?;
    let task_memory = size.memory_mib.or(workload.memory_mib);
    for container in &containers {
        let asked = container.memory_mib.or(container.memory_reservation_mib);
        if let (Some(asked), Some(task)) = (asked, task_memory)
            && asked > task
        {
            return Err(Rejection::invalid_parameter(format!(
                "Invalid override for container '{}'. The memory is greater than for the task.",
                container.name
            )));
        }
    }
    Ok(TaskOverrides {
        document: to_json(&echo(&given, workload)),
        cpu_units: size.cpu_units,
        memory_mib: size.memory_mib,
        storage_gib: storage_gib(given.ephemeral_storage.as_ref()),
        task_role_arn: given.task_role_arn,
        execution_role_arn: given.execution_role_arn,
        containers,
    })
}

/// As in a definition; that RunTask says the same is a guess.
fn check_roles(given: &wire::TaskOverride) -> Result<(), Rejection> {
    let mut given = [&given.task_role_arn, &given.execution_role_arn].into_iter().flatten();
    match given.all(|role| roles::is_role(role)) {
        true => Ok(()),
        false => Err(Rejection::client("Role is not valid")),
    }
}

fn check_built(given: &wire::TaskOverride) -> Result<(), Rejection> {
    if given.inference_accelerator_overrides.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(Rejection::not_built("overrides.inferenceAcceleratorOverrides"));
    }
    for container in given.container_overrides.iter().flatten() {
        if container.environment_files.as_ref().is_some_and(|list| !list.is_empty()) {
            return Err(Rejection::not_built("containerOverrides.environmentFiles"));
        }
        if container.resource_requirements.as_ref().is_some_and(|list| !list.is_empty()) {
            return Err(Rejection::not_built("containerOverrides.resourceRequirements"));
        }
    }
    Ok(())
}

/// The text for tasks on EC2 is the one that AWS has for their definitions; whether RunTask says the same is a
/// guess.
fn check_storage(given: &wire::TaskOverride, launch_type: LaunchType) -> Result<(), Rejection> {
    match &given.ephemeral_storage {
        None => Ok(()),
        Some(storage) if launch_type == LaunchType::Fargate => check_storage_size(storage),
        Some(_) => Err(Rejection::client(
            "Tasks using the EC2 launch type do not support EphemeralStorage.",
        )),
    }
}

fn size(
    given: &wire::TaskOverride,
    workload: &Workload,
    launch_type: LaunchType,
) -> Result<TaskSize, Rejection> {
    let size = TaskSize::parse(given.cpu.as_deref(), given.memory.as_deref())?;
    let is_changed = size.cpu_units.is_some() || size.memory_mib.is_some();
    if is_changed && launch_type == LaunchType::Fargate {
        let whole = TaskSize {
            cpu_units: size.cpu_units.or(workload.cpu_units),
            memory_mib: size.memory_mib.or(workload.memory_mib),
        };
        whole.check_fargate()?;
    } else {
        size.check_bounds()?;
    }
    Ok(size)
}

fn container_override(
    given: &wire::ContainerOverride,
    workload: &Workload,
) -> Result<ContainerOverride, Rejection> {
    let name = given.name.clone().unwrap_or_default();
    if !workload.containers.iter().any(|container| container.name == name) {
        return Err(Rejection::invalid_parameter(format!(
            "Override for container named {name} is not a container in the TaskDefinition."
        )));
    }
    let number = |member: &str, value: Option<i32>| {
        let number = value.map(u32::try_from).transpose();
        number.map_err(|_| {
            Rejection::invalid_parameter(format!(
                "Invalid override '{member}' for container '{name}'."
            ))
        })
    };
    Ok(ContainerOverride {
        command: given.command.clone().filter(|words| !words.is_empty()),
        environment: pairs(&given.environment),
        cpu_units: number("cpu", given.cpu)?,
        memory_mib: number("memory", given.memory)?,
        memory_reservation_mib: number("memoryReservation", given.memory_reservation)?,
        name,
    })
}

/// As describes show overrides: an entry for every container, in the order of the workload.
pub fn echo(given: &wire::TaskOverride, workload: &Workload) -> wire::TaskOverride {
    let entry = |container: &ContainerDefinition| {
        let mut given = given.container_overrides.iter().flatten();
        let given = given.find(|own| own.name.as_deref() == Some(container.name.as_str())).cloned();
        given.unwrap_or_else(|| wire::ContainerOverride {
            name: Some(container.name.clone()),
            ..wire::ContainerOverride::default()
        })
    };
    wire::TaskOverride {
        container_overrides: Some(workload.containers.iter().map(entry).collect()),
        inference_accelerator_overrides: Some(Vec::new()),
        ..given.clone()
    }
}
