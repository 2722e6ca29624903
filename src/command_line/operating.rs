//! What an operator does to a data directory on its host.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::DataDir;
use crate::manual;

#[derive(Debug, Args)]
pub struct Backup {
    /// Where it is written, readable by its owner only; one that is there is replaced once the new one is whole. - is
    /// standard output, such as a pipe to another machine
    pub file: PathBuf,
    #[command(flatten)]
    pub data_dir: DataDir,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// What `outport backup` has written
    pub file: PathBuf,
    /// The directory is made, or has to be empty.
    #[command(flatten)]
    pub data_dir: DataDir,
}

#[derive(Debug, Subcommand)]
pub enum NodeToken {
    /// Make another one: the old one lets nobody join any more, machines that have joined stay
    #[command(after_help = manual::HELP_ROTATE)]
    Rotate(RotateToken),
}

#[derive(Debug, Args)]
pub struct RotateToken {
    #[command(flatten)]
    pub data_dir: DataDir,
}

#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make an account of its own, isolated from the others, and print its root key, which is not shown again:
    /// eval "$(sudo outport account create NAME)"
    Create(CreateAccount),
    /// List the accounts
    List(ListAccounts),
    /// Make another root key of an account, of which the root has two at most, and print it
    Key(NewRootKey),
}

#[derive(Debug, Args)]
pub struct CreateAccount {
    /// What it is called, 1 to 50 characters
    pub name: String,
    /// Its id, 12 digits; a random one unless given
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// JSON, for programs
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub data_dir: DataDir,
}

#[derive(Debug, Args)]
pub struct ListAccounts {
    /// JSON, for programs
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub data_dir: DataDir,
}

#[derive(Debug, Args)]
pub struct NewRootKey {
    /// Its id or its name
    pub account: String,
    /// JSON, for programs
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub data_dir: DataDir,
}

#[derive(Debug, Args)]
pub struct Cleanup {
    #[command(flatten)]
    pub data_dir: DataDir,
    /// Clean up after this instance, 8 hexadecimal digits, whose data directory may be gone
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    pub instance: Option<String>,
    /// Clean up after every instance on this host that does not run
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct Disk {
    #[command(flatten)]
    pub data_dir: DataDir,
    /// JSON, for programs: bytes of each kind
    #[arg(long)]
    pub json: bool,
}
