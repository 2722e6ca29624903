//! What a definition asks for that this version does not run, in words for the caller.
//!
//! **Invariant:** a member that is in neither `ContainerDefinition` of the model crate nor here has no effect on how a
//! container runs.

use outport_aws_ecs::{
    CPUArchitecture, ContainerCondition, ContainerDefinition, LogDriver, NetworkMode, OSFamily,
    TaskDefinition, VersionConsistency,
};
use outport_model::Region;

/// Names each of them once: `containerDefinitions[web].healthCheck`.
pub fn of(definition: &TaskDefinition, region: &Region) -> Vec<String> {
    let mut found = of_task(definition);
    for container in definition.container_definitions.iter().flatten() {
        let name = container.name.as_deref().unwrap_or_default();
        let members = of_container(container)
            .into_iter()
            .chain(of_linux(container))
            .chain(of_logging(container, region))
            .chain(of_system_controls(container, definition.network_mode));
        found.extend(members.map(|member| format!("containerDefinitions[{name}].{member}")));
    }
    found
}

fn of_task(definition: &TaskDefinition) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |is_set: bool, what: &str| {
        if is_set {
            found.push(what.to_owned());
        }
    };
    check(definition.task_role_arn.is_some(), "taskRoleArn (credentials inside the task)");
    check(definition.pid_mode.is_some(), "pidMode");
    check(definition.ipc_mode.is_some(), "ipcMode");
    check(definition.proxy_configuration.is_some(), "proxyConfiguration");
    check(is_set(&definition.inference_accelerators), "inferenceAccelerators");
    check(is_set(&definition.placement_constraints), "placementConstraints");
    check(definition.enable_fault_injection == Some(true), "enableFaultInjection");
    check(is_set(&definition.volumes), "volumes");
    check(definition.trusted_execution_configuration.is_some(), "trustedExecutionConfiguration");
    let platform = definition.runtime_platform.as_ref();
    let family = platform.and_then(|platform| platform.operating_system_family);
    check(
        family.is_some_and(|family| family != OSFamily::Linux),
        "runtimePlatform.operatingSystemFamily other than LINUX",
    );
    let architecture = platform.and_then(|platform| platform.cpu_architecture);
    let is_known =
        |architecture| matches!(architecture, CPUArchitecture::X8664 | CPUArchitecture::Arm64);
    check(
        architecture.is_some_and(|architecture| !is_known(architecture)),
        "runtimePlatform.cpuArchitecture other than X86_64 and ARM64",
    );
    found
}

fn of_container(container: &ContainerDefinition) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |is_set: bool, what: &str| {
        if is_set {
            found.push(what.to_owned());
        }
    };
    check(container.health_check.is_some(), "healthCheck");
    check(is_set(&container.secrets), "secrets");
    check(is_set(&container.environment_files), "environmentFiles");
    check(is_set(&container.mount_points), "mountPoints");
    check(is_set(&container.volumes_from), "volumesFrom");
    check(is_set(&container.links), "links");
    check(is_set(&container.docker_security_options), "dockerSecurityOptions");
    check(is_set(&container.credential_specs), "credentialSpecs");
    check(is_set(&container.resource_requirements), "resourceRequirements");
    check(container.repository_credentials.is_some(), "repositoryCredentials");
    check(container.firelens_configuration.is_some(), "firelensConfiguration");
    check(container.disable_networking == Some(true), "disableNetworking");
    check(container.interactive == Some(true), "interactive");
    check(container.pseudo_terminal == Some(true), "pseudoTerminal");
    check(container.start_timeout.is_some(), "startTimeout");
    check(
        container.restart_policy.as_ref().is_some_and(|policy| policy.enabled == Some(true)),
        "restartPolicy",
    );
    let mut dependencies = container.depends_on.iter().flatten();
    check(
        dependencies.any(|dependency| dependency.condition == Some(ContainerCondition::Healthy)),
        "dependsOn with condition HEALTHY",
    );
    let mut ports = container.port_mappings.iter().flatten();
    check(
        ports.any(|mapping| mapping.container_port_range.is_some()),
        "portMappings.containerPortRange",
    );
    check(
        container.version_consistency == Some(VersionConsistency::Disabled),
        "versionConsistency disabled",
    );
    found
}

/// Kernel parameters that belong to a container alone: those of its IPC and network namespaces.
/// Source: "Configure namespaced kernel parameters (sysctls) at runtime" of Docker, which AWS refers to.
const IPC_CONTROLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Any other parameter would change the host; in host mode those of the network would too.
fn of_system_controls(container: &ContainerDefinition, mode: Option<NetworkMode>) -> Vec<String> {
    let names = container.system_controls.iter().flatten();
    names
        .filter_map(|control| control.namespace.as_deref())
        .filter(|name| {
            let is_network = name.starts_with("net.") && mode != Some(NetworkMode::Host);
            !is_network && !name.starts_with("fs.mqueue.") && !IPC_CONTROLS.contains(name)
        })
        .map(|name| format!("systemControls {name}"))
        .collect()
}

/// The options of `awslogs` that are built.
const AWSLOGS_OPTIONS: [&str; 6] = [
    "awslogs-group",
    "awslogs-region",
    "awslogs-stream-prefix",
    "awslogs-create-group",
    "mode",
    "max-buffer-size",
];

fn of_logging(container: &ContainerDefinition, region: &Region) -> Vec<String> {
    let Some(log) = &container.log_configuration else { return Vec::new() };
    let mut found = Vec::new();
    let options = log.options.iter().flatten();
    match log.log_driver {
        Some(LogDriver::Awslogs) => {
            for (name, value) in options {
                if !AWSLOGS_OPTIONS.contains(&name.as_str()) {
                    found.push(format!("logConfiguration.options.{name}"));
                } else if name == "awslogs-region" && value != region.as_str() {
                    found.push(format!(
                        "logConfiguration.options.awslogs-region other than {region}"
                    ));
                }
            }
        }
        Some(LogDriver::JsonFile) => {
            found.extend(options.map(|(name, _)| format!("logConfiguration.options.{name}")));
        }
        _ => found.push("logConfiguration.logDriver other than awslogs and json-file".to_owned()),
    }
    if is_set(&log.secret_options) {
        found.push("logConfiguration.secretOptions".to_owned());
    }
    found
}

fn of_linux(container: &ContainerDefinition) -> Vec<String> {
    let Some(linux) = &container.linux_parameters else { return Vec::new() };
    [
        (is_set(&linux.devices), "linuxParameters.devices"),
        (linux.max_swap.is_some(), "linuxParameters.maxSwap"),
        (linux.swappiness.is_some(), "linuxParameters.swappiness"),
    ]
    .into_iter()
    .filter(|(is_set, _)| *is_set)
    .map(|(_, what)| what.to_owned())
    .collect()
}

fn is_set<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}
