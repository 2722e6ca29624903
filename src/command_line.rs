//! The command line: a contract, since scripts rely on it.

mod compose;
mod iam;
mod image;
mod master_key;
mod moving;
mod operating;
mod reaching;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use outport_certificates::ServerName;
use outport_log_store::limits::RETENTION_DAYS;
use outport_node_agent::SubordinateIds;
use outport_operator::Since;
use outport_service_ec2::default_vpc;
use outport_web_identity::KeySource;

use crate::manual;
use crate::pull_through::UpstreamAddress;

pub use compose::{Compose, ComposeBuilder, ComposeCluster, ComposeFile, ComposeLogs, ComposeUp};
pub use iam::{Advise, Iam};
pub use image::{Image, ImageLoad};
pub use master_key::{GiveUpMasterKey, MasterKey, MasterKeyOptions, RotateMasterKey};
pub use moving::{Export, ExportFormat, From, Import};
pub use operating::{
    AccountCommand, Backup, Cleanup, CreateAccount, Disk, ListAccounts, NewRootKey, NodeToken,
    Restore, RotateToken,
};
pub use reaching::{Forward, Open, PublishTasks};

/// Amazon ECS that you run yourself: your task definitions as real containers on your own machines.
#[derive(Debug, Parser)]
#[command(
    name = "outport",
    version = manual::VERSION,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = manual::HELP
)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything on this machine, in the foreground
    ///
    /// SIGINT, SIGTERM or SIGHUP stops the tasks gracefully and leaves nothing behind on the host; a second one kills
    /// them, a third one ends at once and leaves the rest to `outport cleanup`.
    #[command(after_help = manual::HELP_UP)]
    Up(Up),
    /// Run the control plane only; nodes join it with its join token
    Server(Server),
    /// Run a command, such as a test, with an Outport of its own: on a free port and range, gone at the end
    Run(Run),
    /// Run tasks on this machine for a control plane
    ///
    /// SIGINT, SIGTERM or SIGHUP ends it and leaves the tasks running, with their network and its rules; the next start takes
    /// them over, `outport cleanup` removes them.
    Node(Node),
    /// Print the shell lines that point AWS tools here: eval "$(outport env)"
    Env(Env),
    /// Print the certificate authority that clients have to trust over https: outport ca > outport-ca.pem
    Ca(Ca),
    /// Show whether all is well: clusters, machines and what is free on them, services, what stopped lately
    Status(Status),
    /// List tasks: how they are reached, and why they stopped
    Ps(Ps),
    /// Show one task or one service: addresses, times, containers, deployments, events
    Describe(Describe),
    /// Show what the tasks of this machine use, until Ctrl-C
    Top(Top),
    /// Print what the containers of a task or a service wrote
    Logs(Logs),
    /// List what happened to services and tasks, the newest last
    Events(Events),
    /// Have ports of this machine lead to ports of a task, until Ctrl-C or the task's end
    #[command(after_help = manual::HELP_FORWARD)]
    Forward(Forward),
    /// Print the URL of a task or a service, and open it where there is a desktop
    Open(Open),
    /// Put images into the registry
    #[command(subcommand)]
    Image(Image),
    /// What roles and users need to be allowed
    #[command(subcommand)]
    Iam(Iam),
    /// Run a compose file: as a task definition and a service
    #[command(subcommand)]
    Compose(Compose),
    /// Write what is here as files that make it elsewhere: for the AWS CLI or Terraform
    #[command(after_help = manual::HELP_EXPORT)]
    Export(Export),
    /// Make here what is in an AWS account or another Outport; what is here already is left as it is
    #[command(after_help = manual::HELP_IMPORT)]
    Import(Import),
    /// Remove what a crash left on this host: containers, namespaces, links, rules, control groups
    Cleanup(Cleanup),
    /// Write all that a control plane keeps to one file, while it runs or when it does not
    #[command(after_help = manual::HELP_BACKUP)]
    Backup(Backup),
    /// Make a data directory of a backup
    ///
    /// Nothing is put in place before all of the backup was found whole. Afterwards start Outport as before.
    #[command(after_help = manual::HELP_RESTORE)]
    Restore(Restore),
    /// Say what takes the space of a data directory, and what prunes each
    Disk(Disk),
    /// The accounts of this installation: each has users, roles, clusters, images and logs of its own
    #[command(subcommand)]
    Account(AccountCommand),
    /// The token that machines join with
    #[command(subcommand)]
    NodeToken(NodeToken),
    /// The key that secrets are sealed with on disk
    #[command(subcommand)]
    MasterKey(MasterKey),
    /// Say what a start would take for each option, and where that comes from
    #[command(subcommand)]
    Config(Config),
    /// Check whether this host has what Outport needs, with what to do about each thing that it lacks
    ///
    /// The exit code is 1 when something is missing that Outport does not work without.
    Doctor(Doctor),
    /// Print the version and the commit that it is built from
    Version,
    /// Print what completes this command line in a shell: outport completions bash > /etc/bash_completion.d/outport
    Completions { shell: Shell },
    /// Write a page for `man` of each command into a directory, such as /usr/local/share/man/man1
    Man { directory: PathBuf },
    /// The Outport of a command; started by `outport run`, never by hand
    #[command(hide = true)]
    Scratch(Up),
    /// One container's keeper; started by a node, never by hand
    #[command(hide = true)]
    Shim { directory: PathBuf },
    /// Unpack one image layer in a process of its own; started by a node, never by hand
    #[command(hide = true)]
    Unpack { limits: String },
}

/// The largest disk of a task: that of an EBS volume that ECS attaches.
const TASK_STORAGE_GIB_MAX: i64 = 16_384;

/// Of what callers may fill the store with.
/// Some hundred thousand calls.
const AUDIT_MIB_DEFAULT: u32 = 256;
const STATE_MIB_DEFAULT: u32 = (outport_store::BYTES_MAX_DEFAULT >> 20) as u32;

/// Where the state is kept unless somebody says where.
pub const DATA_DIR: &str = "/var/lib/outport";

/// Where the state is kept.
#[derive(Clone, Debug, Args)]
pub struct DataDir {
    /// Where all state is kept
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "OUTPORT_DATA_DIR")]
    pub data_dir: PathBuf,
    /// The file with values for options that are not given; /etc/outport/outport.toml if that is there
    #[arg(long, value_name = "FILE", env = "OUTPORT_CONFIG")]
    #[allow(dead_code, reason = "it is read before there is a command line")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct LogOptions {
    /// The form of the log on standard error
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, env = "OUTPORT_LOG_FORMAT")]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// A JSON object a line, for programs
    Json,
}

#[derive(Clone, Debug, Args)]
pub struct ControlPlaneOptions {
    #[command(flatten)]
    pub data_dir: DataDir,
    /// The address that the AWS API, the registry and the nodes are served on: 4566 is that port for this
    /// machine only (127.0.0.1), :4566 the port on all its addresses (0.0.0.0), or HOST:PORT
    #[arg(
        long,
        value_name = "[HOST:]PORT",
        default_value = "127.0.0.1:4566",
        value_parser = crate::listen_address::parse,
        env = "OUTPORT_LISTEN"
    )]
    pub listen: SocketAddr,
    #[arg(long, value_name = "CIDR", help = default_vpc_help(), env = "OUTPORT_DEFAULT_VPC_CIDR")]
    pub default_vpc_cidr: Option<String>,
    /// The account of this installation, 12 digits; 000000000000 unless given at the first start, which
    /// fixes it
    #[arg(long, value_name = "ID", env = "OUTPORT_ACCOUNT_ID")]
    pub account_id: Option<String>,
    /// The region that this installation is at home in; us-east-1 unless given at the first start, which fixes it
    #[arg(long, value_name = "REGION", env = "OUTPORT_REGION")]
    pub region: Option<String>,
    /// The regions that callers may name beside the own one, each with resources and a default VPC of its own; may be given
    /// several times, or several with commas; all: every region of AWS's partition, which `up` serves unless it is given
    #[arg(long, value_name = "REGIONS", value_delimiter = ',', env = "OUTPORT_REGIONS")]
    pub regions: Vec<String>,
    /// The root access key to use instead of the one made at the first start
    #[arg(long, hide = true, env = "OUTPORT_ROOT_ACCESS_KEY_ID")]
    pub root_access_key_id: Option<String>,
    #[arg(long, hide = true, env = "OUTPORT_ROOT_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub root_secret_access_key: Option<String>,
    #[command(flatten)]
    pub master_key: MasterKeyOptions,
    /// Host, and port unless it is that of --listen, by which clients elsewhere reach this server; the
    /// registry's address for those that came by no name of this host
    #[arg(long, value_name = "HOST[:PORT]", value_parser = crate::tls::public_address, env = "OUTPORT_PUBLIC_ADDRESS")]
    pub public_address: Option<String>,
    /// A further name or address that the server's certificate is good for; may be given several times, or
    /// several with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "OUTPORT_TLS_NAME")]
    pub tls_name: Vec<ServerName>,
    /// A certificate of your own for clients, with its chain (PEM); nodes go on with the installation's
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "OUTPORT_TLS_CERTIFICATE")]
    pub tls_certificate: Option<PathBuf>,
    /// Its key (PEM); both files are read again when they change
    #[arg(long, value_name = "FILE", requires = "tls_certificate", env = "OUTPORT_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Who is answered without TLS
    #[arg(long, value_name = "WHO", value_enum, default_value_t, env = "OUTPORT_PLAIN_HTTP")]
    pub plain_http: PlainHttp,
    /// Allow what a user or a role of the own account may not do, and log it with the statement that would
    /// allow it: for those who come from an emulator
    #[arg(long, env = "OUTPORT_PERMISSIVE")]
    pub permissive: bool,
    /// Where the keys of an OpenID Connect provider are that sign its tokens (JWKS), for AssumeRoleWithWebIdentity: a file, or
    /// a URL of any host; asked of the provider itself unless given. May be given several times, or several with commas
    #[arg(long, value_name = "ISSUER=FILE|URL", value_delimiter = ',', env = "OUTPORT_OIDC_JWKS")]
    pub oidc_jwks: Vec<KeySource>,
    /// A registry that pull-through cache rules of ECR may name beside those that AWS knows: https://HOST[:PORT], or http:// for one
    /// without TLS; may be given several times, or several with commas
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        value_parser = crate::pull_through::parse,
        env = "OUTPORT_UPSTREAM_REGISTRY"
    )]
    pub upstream_registry: Vec<UpstreamAddress>,
    /// GiB that the registry's images may take; half of the disk unless given
    #[arg(long, value_name = "GIB", env = "OUTPORT_REGISTRY_GIB")]
    pub registry_gib: Option<u32>,
    /// GiB that CloudWatch Logs may take; a quarter of the disk unless given
    #[arg(long, value_name = "GIB", env = "OUTPORT_LOGS_GIB")]
    pub logs_gib: Option<u32>,
    /// Days that log groups which are made from now on keep their events, one of those that PutRetentionPolicy takes; for ever
    /// unless given. PutRetentionPolicy says otherwise for one group
    #[arg(long, value_name = "DAYS", value_parser = retention_days, env = "OUTPORT_LOG_RETENTION_DAYS")]
    pub log_retention_days: Option<i64>,
    /// MiB that task definitions, secrets, parameters, IAM, services, tasks and clusters may take together; they are all
    /// in memory
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = STATE_MIB_DEFAULT,
        value_parser = clap::value_parser!(u32).range(1..),
        env = "OUTPORT_STATE_MIB"
    )]
    pub state_mib: u32,
    /// MiB that the audit trail may take: who called what, kept until newer calls need the room
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = AUDIT_MIB_DEFAULT,
        value_parser = clap::value_parser!(u32).range(16..),
        env = "OUTPORT_AUDIT_MIB"
    )]
    pub audit_mib: u32,
    /// Do not tell podman, skopeo and buildah on this host that the registry speaks plain HTTP
    #[arg(long, env = "OUTPORT_NO_HOST_INTEGRATION")]
    pub no_host_integration: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlainHttp {
    /// Clients on this host
    #[default]
    Loopback,
    /// Also clients elsewhere; who is on the way reads and changes what they say
    Everyone,
    /// Nobody
    Nobody,
}

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
}

#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    pub log: LogOptions,
    #[command(flatten)]
    pub control_plane: ControlPlaneOptions,
    #[command(flatten)]
    pub node: NodeOptions,
    /// Leave the tasks running on SIGINT and SIGTERM; the next `outport up` takes them over
    #[arg(long, env = "OUTPORT_KEEP_TASKS")]
    pub keep_tasks: bool,
    /// Where each port mapping of a task with an address of its own (awsvpc) gets a port of this machine too, which
    /// `outport ps` shows: the same number if that is free and between 1024 and 32767, else 10000 + it or the next
    #[arg(long, value_name = "WHERE", value_enum, default_value_t, env = "OUTPORT_PUBLISH_TASKS")]
    pub publish_tasks: PublishTasks,
}

#[derive(Debug, Args)]
pub struct Run {
    /// When the command fails, write the Outport's log, the list of its tasks and what each of them wrote to this directory
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
    /// The command and its arguments, behind --
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub command: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
pub struct Server {
    #[command(flatten)]
    pub log: LogOptions,
    #[command(flatten)]
    pub control_plane: ControlPlaneOptions,
}

#[derive(Debug, Args)]
pub struct Node {
    #[command(flatten)]
    pub log: LogOptions,
    #[command(flatten)]
    pub data_dir: DataDir,
    /// The control plane's address, such as https://10.0.0.1:4566
    #[arg(long, value_name = "URL", env = "OUTPORT_SERVER")]
    pub server: String,
    /// A file with the join token (the server keeps it as <data dir>/join-token)
    #[arg(long, value_name = "FILE", env = "OUTPORT_JOIN_TOKEN_FILE")]
    pub join_token_file: PathBuf,
    /// Serve metrics and health of this node on this port of the loopback, such as 9464 or 127.0.0.1:9464
    #[arg(long, value_name = "[HOST:]PORT", value_parser = crate::node_door::parse, env = "OUTPORT_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub node: NodeOptions,
}

#[derive(Debug, Args)]
pub struct Env {
    #[command(flatten)]
    pub data_dir: DataDir,
    /// Use TLS on this host too. AWS_CA_BUNDLE names a file of the data directory, which only its owner reads: for other
    /// users take `outport ca > outport-ca.pem` and name that
    #[arg(long)]
    pub https: bool,
    /// For which shell, or what else reads it
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: EnvFormat,
    /// Only for the services that are answered here (AWS_ENDPOINT_URL_ECS and so on), so that another emulator can stand
    /// beside for the others
    #[arg(long)]
    pub services: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EnvFormat {
    /// eval "$(outport env)" in a POSIX shell
    #[default]
    Sh,
    /// outport env --format fish | source
    Fish,
    /// outport env --format powershell | Invoke-Expression
    Powershell,
    /// outport env --format github >> "$GITHUB_ENV"
    Github,
    /// A file of NAME='value' lines, as docker compose and many libraries read them
    Dotenv,
    /// One object
    Json,
}

#[derive(Debug, Args)]
pub struct Ca {
    #[command(flatten)]
    pub data_dir: DataDir,
}

/// Which Outport is asked.
#[derive(Clone, Debug, Args)]
pub struct Which {
    /// Ask the Outport of this data directory. Otherwise the one that AWS_ENDPOINT_URL names, with the credentials,
    /// AWS_REGION and AWS_CA_BUNDLE of the environment; without that, the one of the usual data directory
    #[arg(long, value_name = "DIR", env = "OUTPORT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Which Outport is asked, and how its answer is shown.
#[derive(Clone, Debug, Args)]
pub struct Asked {
    #[command(flatten)]
    pub which: Which,
    /// Only of this cluster; of all unless given
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// JSON, for programs
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub asked: Asked,
}

#[derive(Debug, Args)]
pub struct Ps {
    /// Only tasks of this service, family or group, or those whose id begins so
    #[arg(value_name = "NAME")]
    pub of: Option<String>,
    #[command(flatten)]
    pub asked: Asked,
    /// Also tasks that have stopped, as long as they are kept
    #[arg(long, short)]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct Top {
    /// Look once and end, as it does when nobody looks at a terminal
    #[arg(long)]
    pub once: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,
    #[command(flatten)]
    pub asked: Asked,
}

#[derive(Debug, Args)]
pub struct Describe {
    /// A task, by its id or the beginning of that, or a service by its name
    #[arg(value_name = "TASK|SERVICE")]
    pub of: String,
    #[command(flatten)]
    pub asked: Asked,
}

#[derive(Debug, Args)]
pub struct Logs {
    /// A task, by its id or the beginning of that, a service by its name, or family:NAME[:REVISION] for the tasks of one
    #[arg(value_name = "TASK|SERVICE")]
    pub of: String,
    #[command(flatten)]
    pub asked: Asked,
    /// Go on: until the task has stopped, or for ever with a service or a family
    #[arg(long, short)]
    pub follow: bool,
    /// Nothing older than this: a number with s, m, h or d, such as 10m, or a time, such as 2026-01-31T23:59:59Z
    #[arg(long, value_name = "AGE|TIME", value_parser = outport_operator::parse_since)]
    pub since: Option<Since>,
    /// Only the last lines of those that are there
    #[arg(long, short = 'n', value_name = "LINES")]
    pub tail: Option<usize>,
    /// Each line with its time, in UTC
    #[arg(long, short)]
    pub timestamps: bool,
}

#[derive(Debug, Args)]
pub struct Events {
    /// Only of this service
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    #[command(flatten)]
    pub asked: Asked,
    /// Go on for ever; with --json an object a line
    #[arg(long, short)]
    pub follow: bool,
    /// Nothing older than this: a number with s, m, h or d, such as 10m, or a time, such as 2026-01-31T23:59:59Z
    #[arg(long, value_name = "AGE|TIME", value_parser = outport_operator::parse_since)]
    pub since: Option<Since>,
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Print each option's value and whether it is a flag's, the environment's, the file's, stored or the default
    Show(ConfigShow),
}

#[derive(Debug, Args)]
pub struct ConfigShow {
    /// JSON, for programs; before the command
    #[arg(long)]
    pub json: bool,
    /// The command and its options, such as `server --listen :4566`; `up` unless given
    #[arg(value_name = "COMMAND AND OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Print JSON: {"ok": …, "checks": [{"name", "state": "ok" | "warning" | "failed", "found", "fix"}]}
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub data_dir: DataDir,
    /// As the start has them that is asked about.
    #[command(flatten)]
    pub node: NodeOptions,
}

fn retention_days(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(days) if RETENTION_DAYS.contains(&days) => Ok(days),
        _ => Err(format!("AWS takes one of {RETENTION_DAYS:?}")),
    }
}

fn default_vpc_help() -> String {
    let (widest, narrowest) = (default_vpc::PREFIX_MIN, default_vpc::PREFIX_MAX);
    format!(
        "The address range of the default VPC, /{widest} to /{narrowest}; {} unless given at the first start, \
         which fixes it; `up` takes another one if this host uses that",
        default_vpc::DEFAULT_CIDR
    )
}
