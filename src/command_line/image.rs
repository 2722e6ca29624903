//! `outport image`.

use clap::{Args, Subcommand};

use super::Which;
use crate::manual;

#[derive(Debug, Subcommand)]
pub enum Image {
    /// Load an image from a file, a directory or a local engine into a repository, without `docker push`
    ///
    /// The repository is made if it is not there. How it goes on is said on standard error; on standard output stands what
    /// a task definition calls the image. What the registry has already is not sent again.
    #[command(after_help = manual::HELP_IMAGE_LOAD)]
    Load(ImageLoad),
}

#[derive(Debug, Args)]
pub struct ImageLoad {
    /// A tar archive of `docker save`, `podman save` or an OCI layout, plain or with gzip; the directory of an OCI layout;
    /// - for an archive on standard input; docker:NAME or podman:NAME for an image of that engine on this machine
    #[arg(value_name = "FILE|DIR|-|docker:NAME")]
    pub source: String,
    /// Where to: app:1.0, also with the registry's host before it; without a tag latest
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub target: String,
    /// Which image, where the source has several: its name, or its tag alone
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Of an image for several platforms this one, such as linux/arm64; that of this machine unless given. An image for
    /// another one alone is refused
    #[arg(long, value_name = "OS/ARCHITECTURE", conflicts_with = "all")]
    pub platform: Option<String>,
    /// All platforms of the image
    #[arg(long)]
    pub all: bool,
    /// JSON, for programs: uri, uriByDigest, repository, tag, digest, createdRepository
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub which: Which,
}
