//! `outport compose`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use outport_operator::Since;

use super::Which;
use crate::manual;

#[derive(Debug, Subcommand)]
pub enum Compose {
    /// Make the project of a compose file, or change it to what the file says now
    ///
    /// All services are the containers of one task, which share a network and reach each other by their names. What the
    /// file says and Outport does not run is refused with its line, before anything is made.
    #[command(after_help = manual::HELP_COMPOSE)]
    Up(ComposeUp),
    /// Remove what `up` made: the service and its tasks, the task definitions, the logs, the images that were built
    Down(ComposeDown),
    /// List the containers of the project and how they are reached
    Ps(ComposePs),
    /// Print what the services of the project write
    Logs(ComposeLogs),
    /// Print what `up` would register and create, as JSON; needs no Outport
    Config(ComposeConfig),
}

/// Which project of compose, and where.
#[derive(Clone, Debug, Args)]
pub struct ComposeFile {
    /// The file; compose.yaml, compose.yml, docker-compose.yaml or docker-compose.yml of this directory unless given
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The project's name; COMPOSE_PROJECT_NAME, what the file says, or its directory's name unless given
    #[arg(long, short, value_name = "NAME")]
    pub project_name: Option<String>,
    /// Leave a key out that Outport does not run, such as volumes; may be given several times, or several with commas
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub ignore: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ComposeUp {
    #[command(flatten)]
    pub file: ComposeFile,
    /// Do not wait until the services run
    #[arg(long, short)]
    pub detach: bool,
    /// How long they may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub timeout: u64,
    /// What builds images; the first of them that is installed unless given
    #[arg(long, value_name = "ENGINE", value_enum)]
    pub builder: Option<ComposeBuilder>,
    #[command(flatten)]
    pub of: ComposeCluster,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ComposeBuilder {
    Docker,
    Podman,
    Buildah,
}

#[derive(Debug, Args)]
pub struct ComposeDown {
    #[command(flatten)]
    pub file: ComposeFile,
    #[command(flatten)]
    pub of: ComposeCluster,
}

#[derive(Debug, Args)]
pub struct ComposePs {
    #[command(flatten)]
    pub file: ComposeFile,
    /// JSON, for programs
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub of: ComposeCluster,
}

#[derive(Debug, Args)]
pub struct ComposeLogs {
    /// Only of this service
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// Go on, until Ctrl-C
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
    /// The file, as of `up`; here -f is --follow
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The project's name, as of `up`
    #[arg(long, short, value_name = "NAME")]
    pub project_name: Option<String>,
    #[command(flatten)]
    pub of: ComposeCluster,
}

#[derive(Debug, Args)]
pub struct ComposeConfig {
    #[command(flatten)]
    pub file: ComposeFile,
    /// The region that logs are written to
    #[arg(long, value_name = "REGION", env = "AWS_REGION", default_value = "us-east-1")]
    pub region: String,
}

/// In which cluster of which Outport.
#[derive(Clone, Debug, Args)]
pub struct ComposeCluster {
    /// The cluster that the project runs in; default unless given
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    #[command(flatten)]
    pub which: Which,
}
