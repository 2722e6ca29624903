//! `dependsOn`: containers that wait for others.
//!
//! Source: botocore's documentation of `ContainerDependency`.

use std::collections::BTreeMap;

use outport_aws_ecs::{ContainerCondition, ContainerDefinition};

use crate::rejection::Rejection;

/// Checks that every dependency exists, can be met, and that none waits for itself.
///
/// # Errors
/// `ClientException` with AWS's text.
pub fn check(containers: &[ContainerDefinition]) -> Result<(), Rejection> {
    let by_name: BTreeMap<&str, &ContainerDefinition> = containers
        .iter()
        .filter_map(|definition| Some((definition.name.as_deref()?, definition)))
        .collect();
    for definition in containers {
        for dependency in definition.depends_on.iter().flatten() {
            let name = dependency.container_name.as_deref().unwrap_or_default();
            let target = by_name.get(name).ok_or_else(|| {
                Rejection::client(format!(
                    "Cannot depend on container + '{name}' because it does not exist"
                ))
            })?;
            check_condition(dependency.condition, target)?;
        }
    }
    check_cycles(&by_name)
}

fn check_condition(
    condition: Option<ContainerCondition>,
    target: &ContainerDefinition,
) -> Result<(), Rejection> {
    let refusal = match condition {
        Some(ContainerCondition::Complete | ContainerCondition::Success)
            if target.essential == Some(true) =>
        {
            "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"
        }
        Some(ContainerCondition::Healthy) if target.health_check.is_none() => {
            "A dependency container with HEALTHY condition must have health check configured"
        }
        _ => return Ok(()),
    };
    Err(Rejection::client(refusal))
}

/// Takes away containers that wait for nothing that is left, until none is; what stays waits in a circle.
fn check_cycles(by_name: &BTreeMap<&str, &ContainerDefinition>) -> Result<(), Rejection> {
    let mut left = by_name.clone();
    loop {
        let before = left.len();
        let free: Vec<&str> = left
            .iter()
            .filter(|(_, definition)| {
                let mut names = definition
                    .depends_on
                    .iter()
                    .flatten()
                    .filter_map(|dependency| dependency.container_name.as_deref());
                names.all(|name| !left.contains_key(name))
            })
            .map(|(name, _)| *name)
            .collect();
        for name in free {
            left.remove(name);
        }
        if left.is_empty() {
            return Ok(());
        }
        if left.len() == before {
            return Err(Rejection::client("Container dependency graph contains a cycle."));
        }
    }
}
