//! What Fargate refuses of a task definition.
//!
//! Source: "Task definition differences for Fargate" in the Amazon ECS Developer Guide, with the texts of the
//! ClientExceptions that callers report. `tmpfs` is allowed since 2026-01.

use outport_aws_ecs::{
    Compatibility, ContainerDefinition, LogDriver, NetworkMode, OSFamily, PidMode, ResourceType,
    TaskDefinition, UlimitName,
};

use super::task_size::TaskSize;
use crate::rejection::Rejection;

/// Longest `stopTimeout` and `startTimeout` on Fargate, in seconds.
const TIMEOUT_S_MAX: i32 = 120;
const LOG_DRIVERS: [LogDriver; 3] = [LogDriver::Awslogs, LogDriver::Splunk, LogDriver::Awsfirelens];
/// Limits that would give a container a say over processes outside of it: Fargate's tasks have a kernel of their own
/// at AWS, here they share one. That AWS refuses them is a guess (its documentation names `nofile` alone for Fargate),
/// and so is the text.
const ULIMITS_REFUSED: [UlimitName; 3] = [UlimitName::Nice, UlimitName::Rtprio, UlimitName::Rttime];
/// The one capability that can be added.
const CAPABILITY: &str = "SYS_PTRACE";

/// Whether the caller asked for Fargate by `requiresCompatibilities`.
pub fn is_required(definition: &TaskDefinition) -> bool {
    let mut required = definition.requires_compatibilities.iter().flatten();
    required.any(|compatibility| *compatibility == Compatibility::Fargate)
}

/// Checks that Fargate takes the definition.
///
/// # Errors
/// `ClientException` with AWS's text.
pub fn check(definition: &TaskDefinition, size: TaskSize) -> Result<(), Rejection> {
    if definition.network_mode != Some(NetworkMode::Awsvpc) {
        return Err(Rejection::client(
            "Fargate only supports network mode \u{2018}awsvpc\u{2019}.",
        ));
    }
    size.check_fargate()?;
    check_task(definition)?;
    let containers = definition.container_definitions.as_deref().unwrap_or_default();
    for container in containers {
        check_container(container)?;
        check_linux_parameters(container)?;
        check_execution_role(definition, container)?;
    }
    Ok(())
}

fn check_task(definition: &TaskDefinition) -> Result<(), Rejection> {
    if definition.placement_constraints.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(unsupported("constraints"));
    }
    if definition.inference_accelerators.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(unsupported("inferenceAccelerators"));
    }
    if definition.ipc_mode.is_some() {
        return Err(Rejection::client(
            "Tasks using the Fargate launch type do not support ipcMode.",
        ));
    }
    if definition.pid_mode == Some(PidMode::Host) {
        return Err(Rejection::client(
            "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value for \
             pidMode is 'task'.",
        ));
    }
    for volume in definition.volumes.iter().flatten() {
        if volume.docker_volume_configuration.is_some() {
            return Err(unsupported("dockerVolumeConfiguration"));
        }
        if volume.host.as_ref().is_some_and(|host| host.source_path.is_some()) {
            return Err(unsupported("sourcePath"));
        }
    }
    let is_windows = |family: OSFamily| family != OSFamily::Linux;
    let family =
        definition.runtime_platform.as_ref().and_then(|platform| platform.operating_system_family);
    if family.is_some_and(is_windows) && definition.cpu.as_deref().is_some_and(|cpu| cpu.len() < 4)
    {
        return Err(Rejection::client("No Fargate configuration exists for given values."));
    }
    Ok(())
}

fn check_container(container: &ContainerDefinition) -> Result<(), Rejection> {
    if container.privileged == Some(true) {
        return Err(Rejection::client(
            "Fargate requires that the 'privileged' setting be 'false'.",
        ));
    }
    if container.docker_security_options.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(unsupported("dockerSecurityOptions"));
    }
    let mut resources = container.resource_requirements.iter().flatten();
    if resources.any(|resource| resource.r#type == Some(ResourceType::Gpu)) {
        return Err(Rejection::client(
            "Tasks using the Fargate launch type do not support GPU resource requirements.",
        ));
    }
    for (word, value) in [("stop", container.stop_timeout), ("start", container.start_timeout)] {
        if value.is_some_and(|seconds| seconds > TIMEOUT_S_MAX) {
            return Err(Rejection::client(format!(
                "Tasks using the Fargate launch type must have a container {word} timeout of less than \
                 {TIMEOUT_S_MAX} seconds."
            )));
        }
    }
    let mut ulimits = container.ulimits.iter().flatten().filter_map(|ulimit| ulimit.name);
    if let Some(name) = ulimits.find(|name| ULIMITS_REFUSED.contains(name)) {
        return Err(unsupported(&format!("ulimit {name}")));
    }
    check_logging(container)
}

fn check_logging(container: &ContainerDefinition) -> Result<(), Rejection> {
    let driver = container.log_configuration.as_ref().and_then(|log| log.log_driver);
    let options =
        container.firelens_configuration.as_ref().and_then(|router| router.options.as_ref());
    if options.and_then(|options| options.get("config-file-type")).is_some_and(|kind| kind == "s3")
    {
        return Err(Rejection::client(
            "Fargate launch type does not support FirelensConfiguration config file from 's3'",
        ));
    }
    match driver {
        Some(driver) if !LOG_DRIVERS.contains(&driver) => Err(Rejection::client(format!(
            "{driver} is not a valid log driver. Must be one of [awslogs, splunk, awsfirelens]"
        ))),
        _ => Ok(()),
    }
}

fn check_linux_parameters(container: &ContainerDefinition) -> Result<(), Rejection> {
    let Some(linux) = &container.linux_parameters else { return Ok(()) };
    let set = [
        (linux.devices.as_ref().is_some_and(|list| !list.is_empty()), "devices"),
        (linux.shared_memory_size.is_some(), "sharedMemorySize"),
        (linux.max_swap.is_some(), "maxSwap"),
        (linux.swappiness.is_some(), "swappiness"),
    ];
    if let Some((_, member)) = set.into_iter().find(|(is_set, _)| *is_set) {
        return Err(unsupported(member));
    }
    let added = linux.capabilities.as_ref().and_then(|capabilities| capabilities.add.as_deref());
    let refused = added.unwrap_or_default().iter().find(|capability| *capability != CAPABILITY);
    match refused {
        Some(capability) => {
            Err(Rejection::client(format!("{capability} is not allowed on Fargate.")))
        }
        None => Ok(()),
    }
}

fn check_execution_role(
    definition: &TaskDefinition,
    container: &ContainerDefinition,
) -> Result<(), Rejection> {
    let log = container.log_configuration.as_ref();
    let uses_awslogs = log.is_some_and(|log| log.log_driver == Some(LogDriver::Awslogs));
    if definition.execution_role_arn.is_none() {
        let requires = |what: &str| {
            Rejection::client(format!(
                "Fargate requires task definition to have execution role ARN to support {what}."
            ))
        };
        if uses_awslogs {
            return Err(requires("log driver awslogs"));
        }
        if container.image.as_deref().is_some_and(is_ecr_image) {
            return Err(requires("ECR images"));
        }
    }
    let prefix = log.and_then(|log| log.options.as_ref()?.get("awslogs-stream-prefix"));
    if uses_awslogs && prefix.is_none_or(|prefix| prefix.is_empty()) {
        return Err(Rejection::client(
            "Fargate requires log configuration options to include awslogs-stream-prefix to support log driver awslogs.",
        ));
    }
    Ok(())
}

/// `<account>.dkr.ecr.<region>.amazonaws.com[.cn]/…`
pub fn is_ecr_image(image: &str) -> bool {
    let host = image.split('/').next().unwrap_or_default();
    let Some((account, rest)) = host.split_once(".dkr.ecr.") else { return false };
    account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && (rest.ends_with(".amazonaws.com") || rest.ends_with(".amazonaws.com.cn"))
}

fn unsupported(member: &str) -> Rejection {
    Rejection::client(format!("Fargate compatible task definitions do not support {member}."))
}
