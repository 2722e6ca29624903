//! Options of `export` and `import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What is read.
#[derive(Clone, Debug, Args)]
pub struct From {
    /// Where all services answer: another Outport or an emulator; each at AWS's own address unless given
    #[arg(long, value_name = "URL")]
    pub from_endpoint: Option<String>,
    /// With the credentials and the region of this profile of ~/.aws; those of the environment unless given
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// The region there; the profile's, or AWS_REGION, unless given. Alone it means the account of the environment's
    /// credentials
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Only the services of this cluster; of all unless given
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// All active revisions, not only the newest of each family and those that services use
    #[arg(long)]
    pub all_revisions: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// An input of each operation, and a script
    #[default]
    Cli,
    /// Resources of the aws provider
    Terraform,
}

#[derive(Debug, Args)]
pub struct Export {
    /// A new or empty directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Which files
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: ExportFormat,
    #[command(flatten)]
    pub from: From,
    /// Read the Outport of this data directory, unless --from-endpoint, --profile or --region name another. Without any of them
    /// the one that AWS_ENDPOINT_URL names, and without that the one of the usual data directory
    #[arg(long, value_name = "DIR", env = "OUTPORT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    pub from: From,
    /// Also copy the images of the registry there that the task definitions name (with skopeo)
    #[arg(long)]
    pub images: bool,
    /// Only say what would be made, and what not
    #[arg(long)]
    pub dry_run: bool,
    /// Make it in the Outport of this data directory. Otherwise the one that AWS_ENDPOINT_URL names, with the credentials of
    /// the environment; without that, the one of the usual data directory
    #[arg(long, value_name = "DIR", env = "OUTPORT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}
