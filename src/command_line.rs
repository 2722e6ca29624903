//! The command line: a contract, since scripts rely on it.

mod asking;
mod compose;
mod control_plane;
mod iam;
mod image;
mod master_key;
mod moving;
mod node;
mod operating;
mod reaching;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::manual;

pub use asking::{Asked, Describe, Events, Logs, Ps, Status, Top, Which};
pub use compose::{Compose, ComposeBuilder, ComposeCluster, ComposeFile, ComposeLogs, ComposeUp};
pub use control_plane::{ControlPlaneOptions, PlainHttp};
pub use iam::{Advise, Iam};
pub use image::{Image, ImageLoad};
pub use master_key::{GiveUpMasterKey, MasterKey, MasterKeyOptions, RotateMasterKey};
pub use moving::{Export, ExportFormat, From, Import};
pub use node::NodeOptions;
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
