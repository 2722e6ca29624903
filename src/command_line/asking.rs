//! Commands that ask an Outport what there is and what happened.

use std::path::PathBuf;

use clap::Args;
use outport_operator::Since;

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
    /// Look again every so many seconds until Ctrl-C: 2 unless given
    #[arg(
        long,
        short,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub watch: Option<u64>,
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
