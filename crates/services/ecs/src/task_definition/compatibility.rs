//! The launch types that a definition can run on.
//!
//! Source: `compatibilities` in RegisterTaskDefinition answers of AWS.

use outport_aws_ecs::{Compatibility, NetworkMode, TaskDefinition};

use super::fargate;
use super::task_size::TaskSize;
use crate::rejection::Rejection;

/// Checks `requiresCompatibilities`.
///
/// # Errors
/// `ClientException` with AWS's text when one of them does not take the definition.
pub fn check_requested(definition: &TaskDefinition, size: TaskSize) -> Result<(), Rejection> {
    for compatibility in definition.requires_compatibilities.iter().flatten() {
        match compatibility {
            Compatibility::Fargate => fargate::check(definition, size)?,
            Compatibility::External if definition.network_mode == Some(NetworkMode::Awsvpc) => {
                return Err(Rejection::client(
                    "External compatible task definitions do not support networkMode=awsvpc.",
                ));
            }
            Compatibility::ManagedInstances if !is_managed(definition, size) => {
                return Err(Rejection::client(
                    "Managed Instances require that 'cpu' and 'memory' be defined at the task level.",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Everything that takes the definition, in AWS's order.
pub fn of(definition: &TaskDefinition, size: TaskSize) -> Vec<Compatibility> {
    let mut list = Vec::new();
    if definition.network_mode != Some(NetworkMode::Awsvpc) {
        list.push(Compatibility::External);
    }
    list.push(Compatibility::Ec2);
    if is_managed(definition, size) {
        list.push(Compatibility::ManagedInstances);
    }
    if fargate::check(definition, size).is_ok() {
        list.push(Compatibility::Fargate);
    }
    list
}

fn is_managed(definition: &TaskDefinition, size: TaskSize) -> bool {
    definition.network_mode == Some(NetworkMode::Awsvpc)
        && size.cpu_units.is_some()
        && size.memory_mib.is_some()
}
