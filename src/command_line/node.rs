//! Options of a machine that runs tasks.

use std::path::PathBuf;

use clap::Args;
use outport_node_agent::SubordinateIds;

/// The largest disk of a task: that of an EBS volume that ECS attaches.
const TASK_STORAGE_GIB_MAX: i64 = 16_384;

#[derive(Clone, Debug, Args)]
pub struct NodeOptions {
    /// The cluster that this machine's container instance joins, by its name, or its ARN where that is of another account or
    /// region; `up` makes one of a name if it is not there; default unless given at the first start, which fixes it
    #[arg(long, value_name = "CLUSTER", env = "OUTPORT_CLUSTER")]
    pub cluster: Option<String>,
    /// The regions whose Fargate tasks this machine takes; those of every region unless given. May be given several times, or
    /// several with commas
    #[arg(long, value_name = "REGIONS", value_delimiter = ',', env = "OUTPORT_TASK_REGIONS")]
    pub task_regions: Vec<String>,
    /// Attributes of this machine's container instance, such as rack=1, for placement: constraints, and what tasks are spread over. Also
    /// ecs.availability-zone, the first of the region unless given, and ecs.instance-type. May be given several times, or several with
    /// commas
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', env = "OUTPORT_ATTRIBUTES")]
    pub attributes: Vec<String>,
    /// CPU units to offer (1,024 a core); all cores unless given
    #[arg(long, value_name = "UNITS", value_parser = clap::value_parser!(u32).range(1..), env = "OUTPORT_CPU_UNITS")]
    pub cpu_units: Option<u32>,
    /// MiB of memory to offer; all but a reserve for the system unless given
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..), env = "OUTPORT_MEMORY_MIB")]
    pub memory_mib: Option<u32>,
    /// GiB that the containers of a task may write, where a Fargate task does not say another size
    #[arg(
        long,
        value_name = "GIB",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=TASK_STORAGE_GIB_MAX),
        env = "OUTPORT_TASK_STORAGE_GIB"
    )]
    pub task_storage_gib: u32,
    /// Let each task write until the disk of this machine is full (for hosts without loop devices)
    #[arg(long, conflicts_with = "task_storage_gib", env = "OUTPORT_UNLIMITED_TASK_STORAGE")]
    pub unlimited_task_storage: bool,
    /// GiB that images may take, unpacked; those that no task uses go first, longest unused before others
    #[arg(
        long,
        value_name = "GIB",
        default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..),
        env = "OUTPORT_IMAGES_GIB"
    )]
    pub images_gib: u32,
    /// Run containers with this OCI runtime (a path to runc, crun, youki, runsc) instead of our own
    #[arg(long, value_name = "PATH", env = "OUTPORT_OCI_RUNTIME")]
    pub oci_runtime: Option<PathBuf>,
    /// Give containers power over this host when they ask for it: privileged, and capabilities such
    /// as SYS_ADMIN. Whoever may register a task definition is then root here
    #[arg(long, env = "OUTPORT_ALLOW_PRIVILEGED")]
    pub allow_privileged: bool,
    /// Let root in a container be root of this host, as in Docker: no user namespace for each task
    #[arg(long, env = "OUTPORT_NO_USER_NAMESPACES")]
    pub no_user_namespaces: bool,
    /// The ids of this host for users and groups of tasks, 65,536 for each, as a line of /etc/subuid
    /// says them: from 2000224256 on for 2,245 tasks unless given
    #[arg(
        long,
        value_name = "FIRST:COUNT",
        conflicts_with = "no_user_namespaces",
        env = "OUTPORT_SUBORDINATE_IDS"
    )]
    pub subordinate_ids: Option<SubordinateIds>,
    /// Let tasks reach these ports of this host, such as 5432 or udp/514, or all: otherwise name
    /// servers, published ports, an Outport that listens on more than loopback, and no more
    #[arg(long, value_name = "PORTS", value_delimiter = ',', env = "OUTPORT_OPEN_TO_TASKS")]
    pub open_to_tasks: Vec<String>,
    /// Let tasks of network mode host reach this machine's instance metadata (169.254.169.254), which
    /// on a cloud gives them the machine's own credentials
    #[arg(long, env = "OUTPORT_HOST_TASKS_REACH_METADATA")]
    pub host_tasks_reach_metadata: bool,
}
