//! From what the control plane assigned and what the image says to what the shim is told.
//!
//! **Invariant:** pure. Everything that the assignment asks for is in the result, or the container
//! is refused: nothing is left out in silence.

use std::collections::BTreeMap;
use std::path::PathBuf;

use outport_container_runtime::{
    CapabilityChanges, CgroupLimits, ContainerSpec, Driver, HealthCheck, LogMode, LogSettings,
    Namespace, Namespaces, Rootfs, TextFile, TmpfsMount, Ulimit, signal_number,
};
use outport_image_store::ImageConfig;
use outport_model::task_definition::{self as model, LaunchType};
use outport_node_protocol::{ContainerAssignment, LogDestination, TaskAssignment};

const MIB: u64 = 1024 * 1024;
/// The kernel's smallest CPU weight; the agent passes it for "none asked for".
/// Source: `cpu` of a container definition ("null, zero, and 1 are passed as two CPU shares").
const CPU_SHARES_MIN: u64 = 2;
/// Fargate's own `nofile`, soft and hard. Source: "Task definition differences for Fargate".
const FARGATE_OPEN_FILES: u64 = 65_535;
/// What a container without awslogs keeps on the node.
const LOCAL_LOG_BYTES_MAX: u64 = 20 * MIB;
/// What may wait for delivery before a container in blocking mode waits too.
const BLOCKING_LOG_BYTES_MAX: u64 = 4 * MIB;

/// What the host prepared for one container.
#[derive(Clone, Debug)]
pub struct ContainerHost {
    /// Image layers, the lowest first.
    pub layers: Vec<PathBuf>,
    pub network: Namespace,
    /// `/etc/hosts` and the like.
    pub files: Vec<TextFile>,
    pub hostname: Option<String>,
    /// What this node sets, whatever the definition says.
    pub environment: Vec<(String, String)>,
    pub driver: Driver,
    /// Open files where the definition says nothing.
    pub open_files: OpenFiles,
    /// Whether a task in the host's network may reach the instance metadata of this machine.
    pub host_tasks_reach_metadata: bool,
}

/// The limits of open files of containers whose definition says none.
#[derive(Clone, Copy, Debug)]
pub struct OpenFiles {
    pub soft: u64,
    /// A process may raise its limit up to it; above it only with a capability that a node inside a
    /// container or a small virtual machine may lack. So Fargate's default is lowered to it.
    pub hard: u64,
}

/// See [`health_check`].
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Most volumes that an image may declare; each is a mount.
const IMAGE_VOLUMES_MAX: usize = 100;

/// Why a container cannot be made. The texts stand behind `CannotCreateContainerError: `.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("no command specified")]
    NoCommand,
    #[error("the image declares {0} volumes; at most {IMAGE_VOLUMES_MAX} can be made")]
    Volumes(usize),
    #[error("invalid stop signal of the image: {0}")]
    StopSignal(String),
    #[error("the command of the health check must begin with CMD or CMD-SHELL and say what to run")]
    HealthCheck,
    #[error("a terminal (pseudoTerminal) is not supported by this node")]
    PseudoTerminal,
    #[error("an open standard input (interactive) is not supported by this node")]
    Interactive,
}

/// Decides all of one container.
pub fn container_spec(
    task: &TaskAssignment,
    container: &ContainerAssignment,
    image: &ImageConfig,
    host: ContainerHost,
) -> Result<ContainerSpec, SpecError> {
    refuse_what_is_missing(container)?;
    let args = command_line(container, image)?;
    let mut spec = ContainerSpec::new(Rootfs::Layers(host.layers), args);
    spec.env = environment(container, image);
    spec.env.extend(host.environment);
    spec.working_directory =
        container.definition.working_directory.clone().unwrap_or_else(|| image.working_dir.clone());
    spec.user = container.definition.user.clone().unwrap_or_else(|| image.user.clone());
    spec.capabilities = CapabilityChanges {
        add: container.definition.linux.capabilities_add.clone(),
        drop: container.definition.linux.capabilities_drop.clone(),
    };
    // Whether this node gives as much is the runtime's to say.
    spec.privileged = container.definition.privileged;
    spec.readonly_rootfs = container.definition.readonly_root_filesystem;
    spec.ulimits = ulimits(task, container, host.open_files);
    spec.hostname = container.definition.hostname.clone().or(host.hostname);
    spec.tmpfs = tmpfs(container);
    spec.volumes = volumes(image)?;
    spec.files = host.files;
    spec.init_process_enabled = container.definition.linux.init_process_enabled;
    if let Some(size_mib) = container.definition.linux.shared_memory_size_mib {
        spec.shared_memory_size_mib = u64::from(size_mib);
    }
    spec.sysctls = container.definition.system_controls.iter().cloned().collect::<BTreeMap<_, _>>();
    let in_host_network = host.network == Namespace::Host;
    let uts = if in_host_network { Namespace::Host } else { Namespace::New };
    // The others are in networks of their own, where the firewall sees to it.
    spec.kept_from_metadata = in_host_network && !host.host_tasks_reach_metadata;
    spec.namespaces = Namespaces { network: host.network, uts, ..Namespaces::default() };
    spec.limits = limits(task, container);
    spec.log = LogSettings { mode: log_mode(container.log.as_ref()), ..LogSettings::default() };
    spec.driver = host.driver;
    spec.health_check = container.definition.health_check.as_ref().map(health_check).transpose()?;
    if let Some(signal) = &image.stop_signal {
        spec.stop_signal =
            signal_number(signal).map_err(|_| SpecError::StopSignal(signal.clone()))?;
    }
    Ok(spec)
}

/// Source: "Docker volumes" and "Bind mounts" of ECS: what a Dockerfile's VOLUME names is a volume of the container,
/// with the image's data, as long as the container is there.
fn volumes(image: &ImageConfig) -> Result<Vec<String>, SpecError> {
    match image.volumes.len() {
        many if many > IMAGE_VOLUMES_MAX => Err(SpecError::Volumes(many)),
        _ => Ok(image.volumes.clone()),
    }
}

/// The control plane refuses these too; a newer one might not know what this node lacks.
fn refuse_what_is_missing(container: &ContainerAssignment) -> Result<(), SpecError> {
    match container {
        _ if container.definition.pseudo_terminal => Err(SpecError::PseudoTerminal),
        _ if container.definition.interactive => Err(SpecError::Interactive),
        _ => Ok(()),
    }
}

/// `CMD-SHELL` is run by `/bin/sh`: a guess at "the container's default shell", which is what Docker takes where an image
/// does not say another one by Dockerfile's SHELL.
fn health_check(check: &model::HealthCheck) -> Result<HealthCheck, SpecError> {
    let command: Vec<String> = match check.command.split_first() {
        Some((kind, line)) if kind == "CMD" && !line.is_empty() => line.to_vec(),
        Some((kind, text)) if kind == "CMD-SHELL" && !text.is_empty() => {
            SHELL.iter().map(|word| (*word).to_owned()).chain(text.iter().cloned()).collect()
        }
        _ => return Err(SpecError::HealthCheck),
    };
    let model::HealthCheck { interval_s, timeout_s, retries, start_period_s, .. } = *check;
    Ok(HealthCheck { command, interval_s, timeout_s, retries, start_period_s })
}

/// As Docker joins them: an entry point of the task definition makes the image's command void.
fn command_line(
    container: &ContainerAssignment,
    image: &ImageConfig,
) -> Result<Vec<String>, SpecError> {
    let given = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
    let entry_point = given(&container.definition.entry_point);
    let command = given(&container.definition.command);
    let image_command = if entry_point.is_some() { Vec::new() } else { image.cmd.clone() };
    let mut args = entry_point.unwrap_or_else(|| image.entrypoint.clone());
    args.extend(command.unwrap_or(image_command));
    if args.is_empty() { Err(SpecError::NoCommand) } else { Ok(args) }
}

/// The image's, then the task's, which has its overrides and what ECS sets: the later one wins.
fn environment(container: &ContainerAssignment, image: &ImageConfig) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> = image
        .env
        .iter()
        .map(|line| match line.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (line.clone(), String::new()),
        })
        .collect();
    environment.extend(container.definition.environment.iter().cloned());
    environment
}

fn ulimits(
    task: &TaskAssignment,
    container: &ContainerAssignment,
    open_files: OpenFiles,
) -> Vec<Ulimit> {
    // -1 is AWS's word for unlimited.
    let value = |limit: i64| u64::try_from(limit).unwrap_or(u64::MAX);
    let mut ulimits: Vec<Ulimit> = container
        .definition
        .ulimits
        .iter()
        .map(|ulimit| Ulimit {
            name: ulimit.name.clone(),
            soft: value(ulimit.soft),
            hard: value(ulimit.hard),
        })
        .collect();
    if ulimits.iter().all(|ulimit| ulimit.name != "nofile") {
        let OpenFiles { soft, hard } = match task.launch_type {
            LaunchType::Fargate => {
                let both = FARGATE_OPEN_FILES.min(open_files.hard);
                OpenFiles { soft: both, hard: both }
            }
            LaunchType::Ec2 | LaunchType::External => open_files,
        };
        ulimits.push(Ulimit { name: "nofile".to_owned(), soft, hard });
    }
    ulimits
}

fn tmpfs(container: &ContainerAssignment) -> Vec<TmpfsMount> {
    container
        .definition
        .linux
        .tmpfs
        .iter()
        .map(|mount| TmpfsMount {
            path: mount.container_path.clone(),
            size_mib: u64::from(mount.size_mib),
            options: mount.mount_options.clone(),
        })
        .collect()
}

/// The task's own limits are on the parent group; these are the container's below it.
fn limits(task: &TaskAssignment, container: &ContainerAssignment) -> CgroupLimits {
    let bytes = |mib: u32| u64::from(mib) * MIB;
    CgroupLimits {
        cpu_shares: Some(u64::from(container.definition.cpu_units).max(CPU_SHARES_MIN)),
        memory_bytes: container.definition.memory_mib.map(bytes),
        memory_reservation_bytes: container.definition.memory_reservation_mib.map(bytes),
        pids_max: Some(u64::from(task.limits.pids_max)),
        ..CgroupLimits::default()
    }
}

/// The limits of the task as a whole. Source: "Task size" in the task definition parameters: a task
/// with `cpu` may use that much and no more.
pub fn task_limits(task: &TaskAssignment) -> CgroupLimits {
    const PERIOD_US: u64 = 100_000;
    CgroupLimits {
        cpu_shares: task.limits.cpu_units.map(|units| u64::from(units).max(CPU_SHARES_MIN)),
        cpu_quota_us: task.limits.cpu_units.map(|units| u64::from(units) * PERIOD_US / 1024),
        cpu_period_us: task.limits.cpu_units.map(|_| PERIOD_US),
        memory_bytes: task.limits.memory_mib.map(|mib| u64::from(mib) * MIB),
        pids_max: Some(u64::from(task.limits.pids_max)),
        ..CgroupLimits::default()
    }
}

fn log_mode(destination: Option<&LogDestination>) -> LogMode {
    match destination {
        None => LogMode::KeepNewest { total_bytes_max: LOCAL_LOG_BYTES_MAX },
        Some(awslogs) if awslogs.non_blocking => {
            LogMode::NonBlocking { unshipped_bytes_max: awslogs.max_buffer_bytes }
        }
        Some(_) => LogMode::Blocking { unshipped_bytes_max: BLOCKING_LOG_BYTES_MAX },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_checks_are_command_lines() {
        let check = |command: &[&str], expected: Option<&[&str]>| {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            let (interval_s, timeout_s, retries, start_period_s) = (30, 5, 3, 10);
            let model =
                model::HealthCheck { command, interval_s, timeout_s, retries, start_period_s };
            let made = health_check(&model);
            let words = made.as_ref().ok().map(|made| made.command.clone());
            let expected: Option<Vec<String>> =
                expected.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
            assert_eq!(words, expected);
            if let Ok(made) = made {
                let numbers = (made.interval_s, made.timeout_s, made.retries, made.start_period_s);
                assert_eq!(numbers, (30, 5, 3, 10));
            }
        };
        check(&["CMD", "curl", "-f", "a b"], Some(&["curl", "-f", "a b"]));
        check(&["CMD-SHELL", "exit 0 || x"], Some(&["/bin/sh", "-c", "exit 0 || x"]));
        for nothing in [&[] as &[&str], &["CMD"], &["CMD-SHELL"], &["NONE"], &["curl", "x"]] {
            check(nothing, None);
        }
    }

    #[test]
    fn an_image_has_so_many_volumes() {
        let image = |count: usize| ImageConfig {
            volumes: (0..count).map(|number| format!("/v{number}")).collect(),
            ..ImageConfig::default()
        };
        assert_eq!(volumes(&image(0)), Ok(Vec::new()));
        assert_eq!(volumes(&image(IMAGE_VOLUMES_MAX)).unwrap().len(), IMAGE_VOLUMES_MAX);
        let refused = volumes(&image(IMAGE_VOLUMES_MAX + 1)).unwrap_err();
        assert_eq!(refused.to_string(), "the image declares 101 volumes; at most 100 can be made");
    }
}
