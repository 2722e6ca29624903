//! What one container is to be: the versioned document that the agent writes and the shim obeys.
//!
//! **Invariant:** the document is complete. The shim reads nothing else about the container, so that
//! a shim started by one version of the agent can be understood by the next.

use std::collections::BTreeMap;
use std::path::PathBuf;

use outport_model::linux_capability::{PRIORITY_LIMITS, capability_of_the_host, limit_of_the_host};
use serde::{Deserialize, Serialize};

use crate::cgroup::CgroupLimits;
use crate::health::HealthCheck;

/// The version of [`ContainerSpec`] that this build writes. A shim refuses a newer one.
pub const CONTAINER_SPEC_VERSION: u32 = 1;

/// One container, as `create` takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// [`CONTAINER_SPEC_VERSION`].
    pub version: u32,
    pub rootfs: Rootfs,
    /// Where what the container writes is kept; `None`: in its directory, without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// The whole command line: entry point, then command. Never empty.
    pub args: Vec<String>,
    /// Names with values. Later entries win. `PATH`, `HOME` and `HOSTNAME` get Docker's defaults.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Made inside the root if it does not exist, as Docker does. Empty means `/`.
    #[serde(default)]
    pub working_directory: String,
    /// `""`, `name`, `uid`, `name:group`, `uid:gid` and mixtures, resolved inside the root.
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    pub additional_gids: Vec<u32>,
    /// Changes to Docker's 14 default capabilities.
    #[serde(default)]
    pub capabilities: CapabilityChanges,
    /// All capabilities and devices, no seccomp. Refused unless the runtime allows it.
    #[serde(default)]
    pub privileged: bool,
    #[serde(default)]
    pub readonly_rootfs: bool,
    #[serde(default)]
    pub ulimits: Vec<Ulimit>,
    /// Set only where the UTS namespace is the container's own.
    #[serde(default)]
    pub hostname: Option<String>,
    #[serde(default)]
    pub tmpfs: Vec<TmpfsMount>,
    #[serde(default)]
    pub bind_mounts: Vec<BindMount>,
    /// Paths that the image declares as volumes: kept in the container's own writable layer, and writable also
    /// where the root is not. A mount of the task at the path counts more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<TextFile>,
    /// Host devices, beside the default ones.
    #[serde(default)]
    pub devices: Vec<HostDevice>,
    /// A first process that forwards signals and reaps (`linuxParameters.initProcessEnabled`).
    #[serde(default)]
    pub init_process_enabled: bool,
    /// Size of `/dev/shm`. Docker's default is 64 MiB.
    #[serde(default = "shared_memory_mib_default")]
    pub shared_memory_size_mib: u64,
    /// Kernel parameters of the container's own namespaces.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    #[serde(default)]
    pub namespaces: Namespaces,
    /// The task's own; `None`: the host's, in which root is the host's root. Its containers have a network
    /// namespace of it, or a new one, and no power over the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_namespace: Option<UserNamespace>,
    #[serde(default)]
    pub seccomp: SeccompProfile,
    /// Docker's and ECS's default is `false`.
    #[serde(default)]
    pub no_new_privileges: bool,
    #[serde(default)]
    pub limits: CgroupLimits,
    #[serde(default)]
    pub log: LogSettings,
    #[serde(default)]
    pub driver: Driver,
    /// In the host's network: whether it does not reach the instance metadata of this machine, nor makes packets of
    /// its own that could. Power over the host lifts it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept_from_metadata: bool,
    /// What a graceful stop sends: kept here so that an agent that adopts the container knows it.
    #[serde(default = "stop_signal_default")]
    pub stop_signal: i32,
    /// What tells whether it is healthy; `None`: nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
}

impl ContainerSpec {
    /// A container of `args` on `rootfs` with Docker's defaults, in a network namespace of its own
    /// that has nothing but a loopback link.
    pub fn new(rootfs: Rootfs, args: Vec<String>) -> ContainerSpec {
        ContainerSpec {
            version: CONTAINER_SPEC_VERSION,
            rootfs,
            disk: None,
            args,
            env: Vec::new(),
            working_directory: String::new(),
            user: String::new(),
            additional_gids: Vec::new(),
            capabilities: CapabilityChanges::default(),
            privileged: false,
            readonly_rootfs: false,
            ulimits: Vec::new(),
            hostname: None,
            tmpfs: Vec::new(),
            bind_mounts: Vec::new(),
            volumes: Vec::new(),
            files: Vec::new(),
            devices: Vec::new(),
            init_process_enabled: false,
            shared_memory_size_mib: shared_memory_mib_default(),
            sysctls: BTreeMap::new(),
            namespaces: Namespaces::default(),
            user_namespace: None,
            seccomp: SeccompProfile::default(),
            no_new_privileges: false,
            limits: CgroupLimits::default(),
            log: LogSettings::default(),
            driver: Driver::default(),
            kept_from_metadata: false,
            stop_signal: stop_signal_default(),
            health_check: None,
        }
    }
}

impl ContainerSpec {
    /// What it asks of the host that only a runtime with
    /// [`allow_privileged`](crate::RuntimeSettings::allow_privileged) gives, in words: whatever is a way to
    /// root on the host, or to what keeps its tasks apart.
    pub(crate) fn asked_of_the_host(&self) -> Option<String> {
        let asked = |asks: bool, what: &str| asks.then(|| what.to_owned());
        let limits = self.ulimits.iter().map(|limit| (limit.name.as_str(), limit.hard != 0));
        let shares_processes = self.namespaces.pid != Namespace::New;
        asked(self.privileged, "privileged")
            .or_else(|| asked(self.seccomp == SeccompProfile::Unconfined, "no system call filter"))
            .or_else(|| asked(!self.devices.is_empty(), "devices of the host"))
            .or_else(|| asked(!self.bind_mounts.is_empty(), "files of the host"))
            .or_else(|| asked(self.namespaces.pid == Namespace::Host, "the host's processes"))
            .or_else(|| asked(self.namespaces.ipc == Namespace::Host, "the host's shared memory"))
            .or_else(|| {
                let traces = |name: &String| name.to_ascii_uppercase().ends_with("SYS_PTRACE");
                let traced = shares_processes && self.capabilities.add.iter().any(traces);
                // A neighbour that is being made is root with the host's files in reach.
                asked(traced, "the capability SYS_PTRACE among processes of others")
            })
            .or_else(|| {
                let names = |name: &String| {
                    let name = name.to_ascii_uppercase();
                    name.ends_with("SYS_PTRACE") || name.ends_with("ALL")
                };
                // A check that is being made is that, too; of a user namespace nobody may trace it.
                let traced = self.health_check.is_some()
                    && self.user_namespace.is_none()
                    && self.capabilities.add.iter().any(names);
                asked(traced, "the capability SYS_PTRACE beside a health check")
            })
            .or_else(|| {
                let host_network = self.namespaces.network == Namespace::Host;
                capability_of_the_host(&self.capabilities.add, host_network)
            })
            .or_else(|| limit_of_the_host(limits))
    }

    /// The resource limits of its first process. What lets a process raise its priority is nothing unless the
    /// container asks for it, whatever this program inherited.
    pub(crate) fn resource_limits(&self) -> Vec<Ulimit> {
        let mut limits = self.ulimits.clone();
        for name in PRIORITY_LIMITS {
            if !self.privileged && limits.iter().all(|limit| limit.name != name) {
                limits.push(Ulimit { name: name.to_owned(), soft: 0, hard: 0 });
            }
        }
        limits
    }
}

/// Where the container's root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rootfs {
    /// Read-only layers, the lowest first. The shim mounts them, with a writable layer of the
    /// container's own, in its private mount namespace: nothing of it is seen or left on the host.
    Layers(Vec<PathBuf>),
    /// A directory that is used, and written to, as it is.
    Directory(PathBuf),
}

/// The file system of the task, on a loop device that somebody holds until the shim has mounted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Such as `/dev/loop7`.
    pub device: PathBuf,
    /// The file that the device must be on.
    pub image: PathBuf,
}

/// Names with or without `CAP_`, any case; `ALL` stands for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityChanges {
    #[serde(default)]
    pub add: Vec<String>,
    #[serde(default)]
    pub drop: Vec<String>,
}

/// One resource limit; the name is ECS's (`nofile`, `nproc`, …). `u64::MAX` means unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

/// A memory file system at an absolute path in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TmpfsMount {
    pub path: String,
    pub size_mib: u64,
    /// Mount options of ECS's list (`ro`, `noexec`, `mode=1770`, …), beside `nosuid,nodev`.
    #[serde(default)]
    pub options: Vec<String>,
}

/// A file or directory of the host seen at an absolute path in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindMount {
    pub source: PathBuf,
    pub target: String,
    #[serde(default)]
    pub readonly: bool,
}

/// A small file that the container finds at `target` and may change, as Docker makes `/etc/hosts`. It
/// lies on a memory file system and is gone with the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFile {
    pub target: String,
    pub text: String,
}

/// A device of the host, made in the container and allowed by the device cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDevice {
    pub host_path: PathBuf,
    pub container_path: String,
    /// Some of `r`, `w`, `m`.
    pub permissions: String,
}

/// Which namespaces the container lives in. Mount and cgroup namespaces are always its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    #[serde(default)]
    pub network: Namespace,
    #[serde(default)]
    pub ipc: Namespace,
    #[serde(default)]
    pub pid: Namespace,
    #[serde(default)]
    pub uts: Namespace,
}

/// One namespace: new, the host's, or one that is pinned at a path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    #[default]
    New,
    Host,
    Path(PathBuf),
}

/// A user namespace with the ids from 0 on, see `outport_user_namespace`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserNamespace {
    /// Where it is pinned.
    pub path: PathBuf,
    /// The host's id of its root.
    pub first_id: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeccompProfile {
    /// The calls that Docker's default profile allows, for the container's capabilities.
    #[default]
    Default,
    Unconfined,
}

/// Who makes the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// The shim itself.
    #[default]
    BuiltIn,
    /// An OCI runtime's command line: runc, crun, youki, runsc.
    Oci(PathBuf),
}

/// How the container's output is kept until it is shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSettings {
    pub mode: LogMode,
    /// A new segment file is begun at this size.
    pub segment_bytes_max: u64,
    /// Longer lines are split into frames marked partial, as Docker's awslogs driver splits them into
    /// events: 256 KiB less the 26 bytes that CloudWatch Logs counts beside the message.
    pub line_bytes_max: usize,
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings {
            mode: LogMode::NonBlocking { unshipped_bytes_max: 10 << 20 },
            segment_bytes_max: 4 << 20,
            line_bytes_max: (256 << 10) - 26,
        }
    }
}

/// What happens when output comes faster than it is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogMode {
    /// The container's write waits (`mode: blocking`).
    Blocking { unshipped_bytes_max: u64 },
    /// New lines are dropped and counted (`mode: non-blocking`, `max-buffer-size`).
    NonBlocking { unshipped_bytes_max: u64 },
    /// Nobody ships: the oldest segments go.
    KeepNewest { total_bytes_max: u64 },
}

fn shared_memory_mib_default() -> u64 {
    64
}

fn stop_signal_default() -> i32 {
    libc::SIGTERM
}
