//! `requiresAttributes`: what a container instance must be able to do for the task.
//!
//! Read off DescribeTaskDefinition answers of AWS. The Docker versions behind `docker-remote-api` are those of the
//! feature: 1.17 a hard memory limit, 1.18 awsvpc, 1.19 log drivers, 1.21 a soft limit, 1.24 a health check, 1.25 an
//! init process, 1.29 a health check's start period or `awslogs-create-group`.

use std::collections::BTreeSet;

use outport_aws_ecs::{Attribute, ContainerDefinition, LogDriver, NetworkMode, TaskDefinition};

use super::fargate::is_ecr_image;

/// Every attribute that can be named, in the order in which AWS lists them.
const ORDER: [&str; 24] = [
    "com.amazonaws.ecs.capability.logging-driver.awslogs",
    "com.amazonaws.ecs.capability.docker-remote-api.1.24",
    "ecs.capability.execution-role-awslogs",
    "com.amazonaws.ecs.capability.ecr-auth",
    "com.amazonaws.ecs.capability.docker-remote-api.1.19",
    "com.amazonaws.ecs.capability.privileged-container",
    "ecs.capability.pid-ipc-namespace-sharing",
    "com.amazonaws.ecs.capability.docker-remote-api.1.17",
    "com.amazonaws.ecs.capability.docker-remote-api.1.21",
    "com.amazonaws.ecs.capability.logging-driver.awsfirelens",
    "com.amazonaws.ecs.capability.task-iam-role",
    "com.amazonaws.ecs.capability.task-iam-role-network-host",
    "ecs.capability.container-ordering",
    "ecs.capability.firelens.fluentd",
    "ecs.capability.firelens.fluentbit",
    "ecs.capability.container-health-check",
    "ecs.capability.execution-role-ecr-pull",
    "ecs.capability.secrets.ssm.environment-variables",
    "com.amazonaws.ecs.capability.docker-remote-api.1.18",
    "ecs.capability.task-eni",
    "com.amazonaws.ecs.capability.docker-remote-api.1.25",
    "com.amazonaws.ecs.capability.docker-remote-api.1.29",
    "ecs.capability.secrets.asm.environment-variables",
    "ecs.capability.efs",
];

/// The attributes of a definition.
pub fn of(definition: &TaskDefinition) -> Vec<Attribute> {
    let mut names = BTreeSet::new();
    of_task(definition, &mut names);
    for container in definition.container_definitions.iter().flatten() {
        of_container(definition, container, &mut names);
        of_logging(definition, container, &mut names);
    }
    ORDER
        .into_iter()
        .filter(|name| names.contains(name))
        .map(|name| Attribute { name: Some(name.to_owned()), ..Attribute::default() })
        .collect()
}

fn of_task(definition: &TaskDefinition, names: &mut BTreeSet<&'static str>) {
    if definition.network_mode == Some(NetworkMode::Awsvpc) {
        names.insert("com.amazonaws.ecs.capability.docker-remote-api.1.18");
        names.insert("ecs.capability.task-eni");
    }
    if definition.task_role_arn.is_some() {
        let is_host = definition.network_mode == Some(NetworkMode::Host);
        names.insert(if is_host {
            "com.amazonaws.ecs.capability.task-iam-role-network-host"
        } else {
            "com.amazonaws.ecs.capability.task-iam-role"
        });
    }
    if definition.pid_mode.is_some() || definition.ipc_mode.is_some() {
        names.insert("ecs.capability.pid-ipc-namespace-sharing");
    }
    if definition.volumes.iter().flatten().any(|volume| volume.efs_volume_configuration.is_some()) {
        names.insert("ecs.capability.efs");
    }
}

fn of_container(
    definition: &TaskDefinition,
    container: &ContainerDefinition,
    names: &mut BTreeSet<&'static str>,
) {
    if container.memory_reservation.is_some() {
        names.insert("com.amazonaws.ecs.capability.docker-remote-api.1.21");
    } else if container.memory.is_some() {
        names.insert("com.amazonaws.ecs.capability.docker-remote-api.1.17");
    }
    if container.privileged == Some(true) {
        names.insert("com.amazonaws.ecs.capability.privileged-container");
    }
    if container.image.as_deref().is_some_and(is_ecr_image) {
        names.insert("com.amazonaws.ecs.capability.ecr-auth");
        names.insert("com.amazonaws.ecs.capability.docker-remote-api.1.19");
        if definition.execution_role_arn.is_some() {
            names.insert("ecs.capability.execution-role-ecr-pull");
        }
    }
    if let Some(check) = &container.health_check {
        names.insert("ecs.capability.container-health-check");
        names.insert(match check.start_period {
            Some(_) => "com.amazonaws.ecs.capability.docker-remote-api.1.29",
            None => "com.amazonaws.ecs.capability.docker-remote-api.1.24",
        });
    }
    let is_ordered = container.depends_on.iter().flatten().next().is_some();
    if is_ordered || container.start_timeout.is_some() || container.stop_timeout.is_some() {
        names.insert("ecs.capability.container-ordering");
    }
    if container.linux_parameters.as_ref().and_then(|linux| linux.init_process_enabled)
        == Some(true)
    {
        names.insert("com.amazonaws.ecs.capability.docker-remote-api.1.25");
    }
    for secret in container.secrets.iter().flatten() {
        let is_manager =
            secret.value_from.as_deref().is_some_and(|from| from.contains(":secretsmanager:"));
        names.insert(if is_manager {
            "ecs.capability.secrets.asm.environment-variables"
        } else {
            "ecs.capability.secrets.ssm.environment-variables"
        });
    }
}

fn of_logging(
    definition: &TaskDefinition,
    container: &ContainerDefinition,
    names: &mut BTreeSet<&'static str>,
) {
    let Some(log) = &container.log_configuration else { return };
    names.insert("com.amazonaws.ecs.capability.docker-remote-api.1.19");
    match log.log_driver {
        Some(LogDriver::Awslogs) => {
            names.insert("com.amazonaws.ecs.capability.logging-driver.awslogs");
            if definition.execution_role_arn.is_some() {
                names.insert("ecs.capability.execution-role-awslogs");
            }
            let creates = log
                .options
                .as_ref()
                .is_some_and(|options| options.contains_key("awslogs-create-group"));
            if creates {
                names.insert("com.amazonaws.ecs.capability.docker-remote-api.1.29");
            }
        }
        Some(LogDriver::Awsfirelens) => {
            names.insert("com.amazonaws.ecs.capability.logging-driver.awsfirelens");
        }
        _ => {}
    }
}
